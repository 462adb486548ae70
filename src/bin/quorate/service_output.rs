//! The output of `quorate serve`: a thread of its own writes it, so that a pipe or a terminal that
//! is not read stops no node.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::collections::VecDeque;
use std::io::{self, Write};
use std::panic;
use std::process;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use quorate::runtime::AUDIT_TARGET;
use tracing::warn;

/// The maximum number of bytes of lines that wait to be written. Further lines are left out.
const QUEUED_BYTES_MAX: usize = 1 << 20;

/// The time for which the end of the process waits until one more line is written.
const STALL_MAX: Duration = Duration::from_secs(1);

/// One of the two outputs of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OutputStream {
    Standard,
    Error,
}

/// Waits when it is dropped, also by a panic, until all lines are written.
#[derive(Debug)]
pub(crate) struct FlushAtEnd(());

/// Log lines, of which each is one write.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LogWriter;

/// The lines that are not written yet, and the thread that writes them.
struct Output {
    queue: Mutex<Queue>,
    changed: Condvar,
}

/// The state of an [`Output`].
struct Queue {
    lines: VecDeque<(OutputStream, Vec<u8>)>,
    bytes: usize,
    /// The number of lines that were written so far.
    written: u64,
    /// Whether the thread waits for a line.
    is_idle: bool,
    /// Whether new lines are left out, because the queue was full and is not half empty yet.
    drops_lines: bool,
    left_out: u64,
}

static OUTPUT: Output = Output::new();

/// Starts the thread that writes the output, and sends the texts of panics to it.
pub(crate) fn start() -> io::Result<FlushAtEnd> {
    thread::Builder::new().name("output".to_owned()).spawn(|| OUTPUT.write_lines())?;
    panic::set_hook(Box::new(|panic| {
        let backtrace = Backtrace::capture();
        let text = match backtrace.status() {
            BacktraceStatus::Captured => format!("{panic}\n{backtrace}"),
            _ => panic.to_string(),
        };
        print(OutputStream::Error, &text);
    }));
    Ok(FlushAtEnd(()))
}

/// Prints a line, without waiting for it to be written.
pub(crate) fn print(stream: OutputStream, line: &str) {
    OUTPUT.push(stream, format!("{line}\n").as_bytes());
}

/// Ends the process once its output is written.
pub(crate) fn exit(code: i32) -> ! {
    OUTPUT.flush();
    process::exit(code);
}

impl Drop for FlushAtEnd {
    fn drop(&mut self) {
        OUTPUT.flush();
    }
}

impl Write for LogWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        OUTPUT.push(OutputStream::Error, bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Output {
    const fn new() -> Output {
        let queue = Queue {
            lines: VecDeque::new(),
            bytes: 0,
            written: 0,
            is_idle: true,
            drops_lines: false,
            left_out: 0,
        };
        Output { queue: Mutex::new(queue), changed: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues a line, or leaves it out while the queue is full.
    fn push(&self, stream: OutputStream, line: &[u8]) {
        let mut queue = self.lock();
        let is_full = queue.bytes > 0 && queue.bytes + line.len() > QUEUED_BYTES_MAX;
        queue.drops_lines |= is_full;
        if queue.drops_lines {
            queue.left_out += 1;
            return;
        }
        queue.bytes += line.len();
        queue.lines.push_back((stream, line.to_vec()));
        drop(queue);
        self.changed.notify_all();
    }

    /// Writes the lines as they come. Only this thread waits for an output that is not read.
    fn write_lines(&self) {
        loop {
            let (stream, line) = self.next();
            // If an output cannot be written, there is no other place to report it.
            let _ = match stream {
                OutputStream::Standard => {
                    let mut output = io::stdout().lock();
                    output.write_all(&line).and_then(|()| output.flush())
                }
                OutputStream::Error => io::stderr().write_all(&line),
            };
            if let Some(lines) = self.take_left_out() {
                // At each level of the log, because the audit log may be incomplete.
                warn!(
                    target: AUDIT_TARGET,
                    lines,
                    "left out log lines here, because the output of the node was not read in time"
                );
            }
        }
    }

    /// Waits for the next line, and returns it.
    fn next(&self) -> (OutputStream, Vec<u8>) {
        let mut queue = self.lock();
        queue.written += 1;
        loop {
            if let Some((stream, line)) = queue.lines.pop_front() {
                queue.bytes -= line.len();
                queue.is_idle = false;
                drop(queue);
                self.changed.notify_all();
                return (stream, line);
            }
            queue.is_idle = true;
            self.changed.notify_all();
            queue = self.changed.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Returns the number of lines that were left out, once the queue is half empty and takes lines
    /// again.
    fn take_left_out(&self) -> Option<u64> {
        let mut queue = self.lock();
        if !queue.drops_lines || queue.bytes > QUEUED_BYTES_MAX / 2 {
            return None;
        }
        queue.drops_lines = false;
        Some(std::mem::take(&mut queue.left_out))
    }

    /// Waits until all lines are written, as long as one is written in each [`STALL_MAX`].
    fn flush(&self) {
        let mut queue = self.lock();
        while !(queue.is_idle && queue.lines.is_empty()) {
            let written = queue.written;
            let is_stalled = |queue: &mut Queue| {
                queue.written == written && !(queue.is_idle && queue.lines.is_empty())
            };
            let waited = self.changed.wait_timeout_while(queue, STALL_MAX, is_stalled);
            let (after, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
            if timeout.timed_out() {
                return;
            }
            queue = after;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_find_no_room_are_counted_until_half_of_the_queue_is_written() {
        let (output, line) = (Output::new(), [b'x'; 1 << 10]);
        let push = |count| (0..count).for_each(|_| output.push(OutputStream::Error, &line));
        let lines_max = QUEUED_BYTES_MAX / line.len();
        push(lines_max + 7);
        assert_eq!(output.lock().lines.len(), lines_max);
        for _ in 1..lines_max / 2 {
            output.next();
            assert_eq!(output.take_left_out(), None);
        }
        push(1);
        output.next();
        assert_eq!(output.take_left_out(), Some(8));
        push(1);
        assert_eq!(output.lock().lines.len(), lines_max / 2 + 1);
        assert_eq!(output.take_left_out(), None);
    }

    #[test]
    fn a_line_that_is_longer_than_the_queue_is_written_alone() {
        let output = Output::new();
        for _ in 0..2 {
            output.push(OutputStream::Standard, &vec![b'x'; QUEUED_BYTES_MAX + 1]);
        }
        output.next();
        assert_eq!(output.take_left_out(), Some(1));
    }

    #[test]
    fn the_end_does_not_wait_for_an_output_that_is_not_read() {
        let output = Output::new();
        output.flush();
        output.push(OutputStream::Error, b"a line that no thread writes");
        output.flush();
    }
}
