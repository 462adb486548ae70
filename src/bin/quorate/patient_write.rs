//! Writes to standard output and standard error that wait while a pipe is full.

use std::io::{self, Write};
use std::thread;
use std::time::Duration;

/// The pause before a write is repeated that a full pipe did not accept.
const RETRY_PAUSE: Duration = Duration::from_millis(10);

/// Writes all bytes, and flushes them. Waits while a pipe is full, even if a program with which
/// this process shares the pipe has made it non-blocking, so that writes to it fail at once.
pub(crate) fn write_patiently(output: &mut impl Write, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match output.write(bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => bytes = &bytes[count..],
            Err(error) => wait_to_retry(error)?,
        }
    }
    while let Err(error) = output.flush() {
        wait_to_retry(error)?;
    }
    Ok(())
}

/// Pauses after the error of a write that can be repeated; returns any other error.
#[expect(clippy::disallowed_methods, reason = "no event shows that another program reads the pipe")]
fn wait_to_retry(error: io::Error) -> io::Result<()> {
    match error.kind() {
        io::ErrorKind::Interrupted => Ok(()),
        io::ErrorKind::WouldBlock => {
            thread::sleep(RETRY_PAUSE);
            Ok(())
        }
        _ => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A full pipe that fails at each second call, and otherwise accepts three bytes.
    #[derive(Default)]
    struct FullPipe {
        written: Vec<u8>,
        calls: usize,
    }

    impl FullPipe {
        fn accepts(&mut self) -> io::Result<()> {
            self.calls += 1;
            if self.calls % 2 == 1 { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(()) }
        }
    }

    impl Write for FullPipe {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.accepts()?;
            let count = bytes.len().min(3);
            self.written.extend_from_slice(&bytes[..count]);
            Ok(count)
        }

        fn flush(&mut self) -> io::Result<()> {
            self.accepts()
        }
    }

    #[test]
    fn all_bytes_are_written_to_a_full_pipe_that_does_not_block() {
        let mut pipe = FullPipe::default();
        write_patiently(&mut pipe, b"ten bytes\n").expect("the pipe is read");
        assert_eq!(pipe.written, b"ten bytes\n");
    }
}
