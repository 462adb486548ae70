//! Writes to standard output and standard error that wait while a pipe is full.

use std::io::{self, Write};
#[cfg(unix)]
use std::os::fd::AsFd;

/// An output that can be waited for.
#[cfg(unix)]
pub(crate) trait Output: Write + AsFd {}
#[cfg(unix)]
impl<T: Write + AsFd> Output for T {}

/// An output whose writes wait.
#[cfg(not(unix))]
pub(crate) trait Output: Write {}
#[cfg(not(unix))]
impl<T: Write> Output for T {}

/// Writes the text to standard error. If that fails, there is no other place to report it.
pub(crate) fn write_to_stderr(text: &str) {
    let _ = write_patiently(&mut io::stderr(), text.as_bytes());
}

/// Writes all bytes, and flushes them. Waits while a pipe is full, even if a program with which
/// this process shares the pipe has made it non-blocking, so that writes to it fail at once.
pub(crate) fn write_patiently(output: &mut impl Output, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match output.write(bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => bytes = &bytes[count..],
            Err(error) => wait_to_retry(output, error)?,
        }
    }
    while let Err(error) = output.flush() {
        wait_to_retry(output, error)?;
    }
    Ok(())
}

/// Waits after the error of a write that can be repeated; returns any other error.
fn wait_to_retry(output: &impl Output, error: io::Error) -> io::Result<()> {
    match error.kind() {
        io::ErrorKind::Interrupted => Ok(()),
        io::ErrorKind::WouldBlock => wait_for_room(output),
        _ => Err(error),
    }
}

/// Waits until the output accepts bytes, or its reader is gone.
#[cfg(unix)]
fn wait_for_room(output: &impl AsFd) -> io::Result<()> {
    use rustix::event::{PollFd, PollFlags, poll};

    let mut polled = [PollFd::new(output, PollFlags::OUT)];
    rustix::io::retry_on_intr(|| poll(&mut polled, None))?;
    Ok(())
}

#[cfg(not(unix))]
fn wait_for_room(_: &impl Output) -> io::Result<()> {
    Err(io::ErrorKind::WouldBlock.into())
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use std::io::{PipeWriter, Read, pipe};
    use std::os::fd::BorrowedFd;
    use std::thread;
    use std::time::Duration;

    use rustix::fs::{OFlags, fcntl_setfl};

    use super::*;

    /// A pipe that does not block, and the number of writes to it.
    struct CountedPipe {
        pipe: PipeWriter,
        writes: usize,
    }

    impl Write for CountedPipe {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.writes += 1;
            self.pipe.write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            self.pipe.flush()
        }
    }

    impl AsFd for CountedPipe {
        fn as_fd(&self) -> BorrowedFd<'_> {
            self.pipe.as_fd()
        }
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "the pipe must be full for a while")]
    fn all_bytes_are_written_to_a_full_pipe_without_polling_it() {
        let (mut reader, pipe) = pipe().expect("a pipe can be created");
        fcntl_setfl(&pipe, OFlags::NONBLOCK).expect("the pipe is open");
        // More than a pipe holds.
        let bytes = vec![b'x'; 1 << 20];
        let reading = thread::spawn(move || {
            thread::sleep(Duration::from_millis(300));
            let mut read = Vec::new();
            reader.read_to_end(&mut read).map(|_| read)
        });
        let mut output = CountedPipe { pipe, writes: 0 };
        while output.write(&bytes).is_ok() {}
        let filled = output.writes;
        write_patiently(&mut output, b"end").expect("the pipe is read");
        // One that fails, and one that succeeds; a spurious wake-up may add another one.
        assert!(output.writes - filled <= 3, "{} writes", output.writes - filled);
        drop(output);
        let read = reading.join().expect("no panic").expect("the pipe is open");
        assert!(read.ends_with(b"xend"), "{} bytes", read.len());
    }

    #[test]
    fn a_pipe_whose_reader_has_ended_is_an_error() {
        let (reader, pipe) = pipe().expect("a pipe can be created");
        fcntl_setfl(&pipe, OFlags::NONBLOCK).expect("the pipe is open");
        let mut output = CountedPipe { pipe, writes: 0 };
        while output.write(&[b'x'; 1 << 12]).is_ok() {}
        let writing = thread::spawn(move || write_patiently(&mut output, b"end"));
        drop(reader);
        let error = writing.join().expect("no panic").expect_err("nothing reads the pipe");
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
    }
}
