//! The output of a node. A thread of its own writes it, so that the node never waits for a pipe or
//! terminal that is not read.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::collections::VecDeque;
use std::io::{self, Write};
use std::panic;
use std::process;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use quorate::runtime::AUDIT_TARGET;
use tokio::time::Instant;
use tracing::warn;

use crate::patient_write::write_patiently;

/// The maximum number of bytes of lines that wait to be written. Further log lines are left out.
const QUEUED_BYTES_MAX: usize = 1 << 20;

/// The maximum number of bytes that wait beyond [`QUEUED_BYTES_MAX`], for lines that are not log
/// lines, such as panics and the error with which a node ends.
const RESERVED_BYTES: usize = 64 << 10;

/// The time for which the end of the process waits until one more line is written.
const STALL_MAX: Duration = Duration::from_secs(1);

/// The time for which the end of the process waits until all lines are written.
const FLUSH_MAX: Duration = Duration::from_secs(5);

/// One of the two outputs of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OutputStream {
    Standard,
    Error,
}

/// The kind of a line, which decides whether it finds room in a full queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LineKind {
    /// A line of the log, which is left out while the queue is full.
    Log,
    /// A line that may use [`RESERVED_BYTES`].
    Reserved,
}

/// Waits, when it is dropped, even by a panic, until all lines are written or the time for that is
/// over.
#[derive(Debug)]
pub(crate) struct FlushAtEnd(());

/// Writes log lines, each in one call.
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
    /// A number that rises with each line that was written.
    written: u64,
    /// Whether the thread waits for a line.
    is_idle: bool,
    /// Whether the queue was full, and is not half empty yet. Log lines are then left out.
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

/// Prints a line that is not a log line, without waiting for it to be written.
pub(crate) fn print(stream: OutputStream, line: &str) {
    OUTPUT.push(stream, format!("{line}\n").as_bytes(), LineKind::Reserved);
}

/// Ends the process once its output is written or the time for that is over.
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
        OUTPUT.push(OutputStream::Error, bytes, LineKind::Log);
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
    fn push(&self, stream: OutputStream, line: &[u8], kind: LineKind) {
        let mut queue = self.lock();
        let has_room = |max: usize| queue.bytes == 0 || queue.bytes + line.len() <= max;
        let is_left_out = match kind {
            LineKind::Log => queue.drops_lines || !has_room(QUEUED_BYTES_MAX),
            LineKind::Reserved => !has_room(QUEUED_BYTES_MAX + RESERVED_BYTES),
        };
        if is_left_out {
            queue.drops_lines = true;
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
                OutputStream::Standard => write_patiently(&mut io::stdout().lock(), &line),
                OutputStream::Error => write_patiently(&mut io::stderr(), &line),
            };
            if let Some(lines) = self.take_left_out() {
                // The target of the audit log, which may now be incomplete, is shown at each level.
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

    /// Waits until all lines are written, for at most [`FLUSH_MAX`]. Gives up earlier if no line is
    /// written for [`STALL_MAX`].
    fn flush(&self) {
        let end = Instant::now() + FLUSH_MAX;
        let mut queue = self.lock();
        while !(queue.is_idle && queue.lines.is_empty()) {
            let written = queue.written;
            let is_stalled = |queue: &mut Queue| {
                queue.written == written && !(queue.is_idle && queue.lines.is_empty())
            };
            let wait = STALL_MAX.min(end.saturating_duration_since(Instant::now()));
            let waited = self.changed.wait_timeout_while(queue, wait, is_stalled);
            let (after, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
            if timeout.timed_out() || Instant::now() >= end {
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
        let push_one = || output.push(OutputStream::Error, &line, LineKind::Log);
        let push = |count| (0..count).for_each(|_| push_one());
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
            let line = vec![b'x'; QUEUED_BYTES_MAX + 1];
            output.push(OutputStream::Standard, &line, LineKind::Log);
        }
        output.next();
        assert_eq!(output.take_left_out(), Some(1));
    }

    #[test]
    fn the_end_waits_only_briefly_for_an_output_that_is_not_read() {
        let output = Output::new();
        let started_at = Instant::now();
        output.flush();
        output.push(OutputStream::Error, b"a line that no thread writes", LineKind::Log);
        output.flush();
        assert!(started_at.elapsed() < FLUSH_MAX, "{:?}", started_at.elapsed());
    }

    #[test]
    fn the_error_of_a_node_that_ends_finds_room_in_a_full_queue() {
        let (output, line) = (Output::new(), [b'x'; 1 << 10]);
        let push = |kind| output.push(OutputStream::Error, &line, kind);
        (0..2 * QUEUED_BYTES_MAX / line.len()).for_each(|_| push(LineKind::Log));
        let full = output.lock().lines.len();
        push(LineKind::Reserved);
        assert_eq!(output.lock().lines.len(), full + 1);
        (0..QUEUED_BYTES_MAX / line.len()).for_each(|_| push(LineKind::Reserved));
        assert!(
            output.lock().bytes <= QUEUED_BYTES_MAX + RESERVED_BYTES,
            "the reserve has a bound"
        );
    }

    #[test]
    fn the_end_waits_a_limited_time_for_an_output_that_is_read_slowly() {
        static OUTPUT: Output = Output::new();
        for _ in 0..1 << 10 {
            OUTPUT.push(OutputStream::Error, b"line\n", LineKind::Log);
        }
        // Each line is written within `STALL_MAX`, and all of them within minutes.
        thread::spawn(|| {
            loop {
                OUTPUT.next();
                let waiting = OUTPUT.lock();
                let _ = OUTPUT.changed.wait_timeout(waiting, STALL_MAX / 4);
            }
        });
        let started_at = Instant::now();
        OUTPUT.flush();
        assert!(started_at.elapsed() < FLUSH_MAX + STALL_MAX, "{:?}", started_at.elapsed());
        assert!(!OUTPUT.lock().lines.is_empty());
    }
}
