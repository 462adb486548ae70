//! Prints messages above the input line of a prompt, even while the user types.

use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Moves the cursor of a terminal up a line and down again. This changes nothing if the cursor is
/// at the beginning of a line other than the first one.
const UP_AND_DOWN: &str = "\x1b[1A\n";
/// The longest time that the line editor needs to take the terminal once the prompt reads a line.
const TERMINAL_TAKEN_MAX: Duration = Duration::from_millis(2);
/// The count of a prompt that has ended.
const ENDED: u64 = u64::MAX;

/// Prints a text that ends with a newline, or passes it to the line editor.
pub type Print = Box<dyn FnMut(&str) -> io::Result<()> + Send>;

/// Whether a prompt reads a line, runs one, or has ended. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct PromptProgress(Arc<Changes>);

#[derive(Debug, Default)]
struct Changes {
    /// The number of reads that began and that ended; odd during a read.
    count: Mutex<u64>,
    changed: Condvar,
}

impl PromptProgress {
    /// Runs `read`, which reads one line.
    pub fn reading<T>(&self, read: impl FnOnce() -> T) -> T {
        self.change(|count| count + 1);
        let line = read();
        self.change(|count| count + 1);
        line
    }

    /// Notes that the prompt reads no more lines.
    pub fn end(&self) {
        self.change(|_| ENDED);
    }

    fn change(&self, next: impl FnOnce(u64) -> u64) {
        let mut count = self.lock();
        *count = next(*count);
        drop(count);
        self.0.changed.notify_all();
    }

    fn changes(&self) -> u64 {
        *self.lock()
    }

    /// Waits until the number of changes is no longer `before`.
    fn wait_for_change(&self, before: u64) {
        drop(self.0.changed.wait_while(self.lock(), |count| *count == before));
    }

    /// Does the same as [`PromptProgress::wait_for_change`] for at most `time_max`, and returns
    /// whether the number has changed.
    fn changes_within(&self, before: u64, time_max: Duration) -> bool {
        let is_same = |count: &mut u64| *count == before;
        let waited = self.0.changed.wait_timeout_while(self.lock(), time_max, is_same);
        let (_count, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
        !timeout.timed_out()
    }

    fn lock(&self) -> MutexGuard<'_, u64> {
        self.0.count.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Prints messages above the input line of a prompt. It belongs to a thread of its own: while the
/// user searches the history, a message waits for the end of the search, or of the prompt.
pub struct MessagePrinter {
    /// Prints a text, or puts it into the queue of the line editor while the editor reads a line.
    /// The queue has room for one text, which the editor prints unless a search of the history is
    /// open. Fails once the editor is dropped. `None` if the input or the output is not a terminal.
    editor: Option<Print>,
    out: Box<dyn io::Write + Send>,
    prompt: PromptProgress,
}

impl MessagePrinter {
    /// Returns the printer of a prompt with this line editor, if it has a terminal.
    pub fn new(editor: Option<Print>, prompt: PromptProgress) -> MessagePrinter {
        MessagePrinter { editor, out: Box::new(io::stdout()), prompt }
    }

    /// Prints a text that ends with a newline, and returns once it is printed, so that the caller
    /// may acknowledge it. A text that the editor prints at the moment at which the user ends the
    /// prompt may be printed twice.
    ///
    /// # Errors
    /// The text cannot be printed.
    pub fn print(&mut self, text: &str) -> io::Result<()> {
        let Some(editor) = &mut self.editor else { return write(&mut self.out, text) };
        let mut is_handed_over = false;
        loop {
            let before = self.prompt.changes();
            let is_reading = before != ENDED && !before.is_multiple_of(2);
            match (is_reading, is_handed_over) {
                (true, false) => {}
                // The editor may not have taken the terminal yet.
                (true, true) if self.prompt.changes_within(before, TERMINAL_TAKEN_MAX) => continue,
                (true, true) => {}
                (false, true) if before != ENDED => {
                    // The text is printed, or in the queue until the next line is read.
                    self.prompt.wait_for_change(before);
                    continue;
                }
                (false, _) => return write(&mut self.out, text),
            }
            let handed_over = if is_handed_over { Ok(()) } else { editor(text) };
            is_handed_over = true;
            // The queue has room for the second text once the first one has left it.
            if handed_over.and_then(|()| editor(UP_AND_DOWN)).is_err() {
                return write(&mut self.out, text);
            }
            // If the read has ended meanwhile, the second text may not have gone through the queue.
            if self.prompt.changes() == before {
                return Ok(());
            }
        }
    }
}

fn write(out: &mut impl io::Write, text: &str) -> io::Result<()> {
    out.write_all(text.as_bytes())?;
    out.flush()
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, channel, sync_channel};
    use std::thread;

    use super::*;

    /// A text that was printed by the editor or without it.
    #[derive(Clone, Default)]
    struct Printed(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Printed {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().expect("no panic").extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Printed {
        fn text(&self) -> String {
            String::from_utf8(self.0.lock().expect("no panic").clone()).expect("it is text")
        }
    }

    /// Returns the printer of a prompt with a terminal, and the queue of its editor.
    fn queueing(prompt: &PromptProgress, out: &Printed) -> (MessagePrinter, Receiver<String>) {
        let (sender, queue) = sync_channel(1);
        let (mut direct, mode) = (out.clone(), prompt.clone());
        let editor = move |text: &str| match mode.changes() % 2 == 1 && mode.changes() != ENDED {
            true => sender.send(text.to_owned()).map_err(io::Error::other),
            false => write(&mut direct, text),
        };
        let printer = MessagePrinter {
            editor: Some(Box::new(editor)),
            out: Box::new(out.clone()),
            prompt: prompt.clone(),
        };
        (printer, queue)
    }

    /// Prints texts in a thread of their own; the receiver has the number of each printed one.
    fn printing(mut printer: MessagePrinter, texts: &'static [&str]) -> Receiver<usize> {
        let (sender, printed) = channel();
        thread::spawn(move || {
            for (number, text) in texts.iter().enumerate() {
                printer.print(text).expect("it can be printed");
                // The test may have ended.
                let _ = sender.send(number);
            }
        });
        printed
    }

    /// The time after which a test gives up waiting, far longer than any wait takes.
    const TEST_MAX: Duration = Duration::from_secs(60);
    /// The time after which a text counts as not printed.
    const SHORT: Duration = Duration::from_millis(100);

    #[test]
    fn a_message_counts_as_printed_once_the_editor_has_taken_it() {
        let (prompt, out) = (PromptProgress::default(), Printed::default());
        let (printer, queue) = queueing(&prompt, &out);
        prompt.reading(|| {
            let printed = printing(printer, &["one\n", "two\n"]);
            assert!(printed.recv_timeout(SHORT).is_err(), "the editor has not printed it yet");
            for (number, text) in ["one\n", "two\n"].into_iter().enumerate() {
                assert_eq!(queue.recv_timeout(TEST_MAX).as_deref(), Ok(text));
                assert_eq!(queue.recv_timeout(TEST_MAX).as_deref(), Ok(UP_AND_DOWN));
                assert_eq!(printed.recv_timeout(TEST_MAX), Ok(number));
            }
        });
        assert_eq!(out.text(), "");
    }

    #[test]
    fn a_message_that_arrives_while_a_command_runs_is_printed_without_the_editor() {
        let (prompt, out) = (PromptProgress::default(), Printed::default());
        let (printer, queue) = queueing(&prompt, &out);
        let printed = printing(printer, &["one\n"]);
        assert_eq!(printed.recv_timeout(TEST_MAX), Ok(0));
        assert_eq!(out.text(), "one\n");
        assert!(queue.try_recv().is_err());
    }

    #[test]
    fn messages_in_the_queue_of_a_prompt_that_ends_are_printed_in_order() {
        let (prompt, out) = (PromptProgress::default(), Printed::default());
        let (printer, queue) = queueing(&prompt, &out);
        let printed = prompt.reading(|| {
            let printed = printing(printer, &["one\n", "two\n"]);
            assert!(printed.recv_timeout(SHORT).is_err(), "a search of the history is open");
            printed
        });
        prompt.end();
        drop(queue);
        assert_eq!([0, 1].map(|_| printed.recv_timeout(TEST_MAX)), [Ok(0), Ok(1)]);
        assert_eq!(out.text(), "one\ntwo\n");
    }

    #[test]
    fn a_message_in_the_queue_during_a_command_is_printed_by_the_next_read() {
        let (prompt, out) = (PromptProgress::default(), Printed::default());
        let (printer, queue) = queueing(&prompt, &out);
        let printed = prompt.reading(|| {
            let printed = printing(printer, &["one\n"]);
            assert!(printed.recv_timeout(SHORT).is_err(), "a search of the history is open");
            printed
        });
        assert!(printed.recv_timeout(SHORT).is_err(), "a command runs");
        let mut texts = Vec::new();
        let is_printed = prompt.reading(|| {
            (0..1_000).any(|_| {
                texts.extend(queue.try_iter());
                printed.recv_timeout(SHORT / 5) == Ok(0)
            })
        });
        assert!(is_printed);
        texts.retain(|text| text != UP_AND_DOWN);
        assert_eq!((texts, out.text()), (vec!["one\n".to_owned()], String::new()));
    }

    #[test]
    fn a_message_that_cannot_be_printed_is_an_error() {
        struct Full;
        impl io::Write for Full {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::StorageFull.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let mut printer = MessagePrinter::new(None, PromptProgress::default());
        printer.out = Box::new(Full);
        assert!(printer.print("one\n").is_err());
    }
}
