//! An interactive prompt with history and help; each line is a subcommand of the command line.

use std::fs;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use clap::{Command, Subcommand};
use rustyline::config::Configurer;
use rustyline::error::ReadlineError;
use rustyline::{DefaultEditor, ExternalPrinter, Result as Read};

use crate::common::exit::{CommandError, CommandResult, Exit, print_note, report};
use crate::common::system::System;

/// The number of history lines that are kept.
const HISTORY_MAX: usize = 1000;

/// Changes nothing on a terminal whose cursor is at the beginning of a line: up, and down again.
const UP_AND_DOWN: &str = "\x1b[1A\n";

/// Prints one text.
type Print = Box<dyn FnMut(&str) -> io::Result<()> + Send>;

/// Prints text above the input line, even while the user types.
pub struct MessagePrinter {
    /// Prints a text, or, while the prompt reads a line on a terminal, puts it into a queue with
    /// room for one text, which the prompt prints. Fails if the prompt has ended. `None` if standard
    /// output is not a terminal.
    terminal: Option<Print>,
    out: Box<dyn io::Write + Send>,
    /// The number of lines that the prompt has read.
    lines: Arc<AtomicU64>,
    /// The texts that may still be in the queue, because the prompt has read a line meanwhile.
    unconfirmed: String,
}

impl MessagePrinter {
    /// Prints the text, and returns once it is printed, or, if the prompt has read a line
    /// meanwhile, once it is printed or in the queue.
    ///
    /// # Errors
    /// The text cannot be printed.
    pub fn print(&mut self, text: &str) -> io::Result<()> {
        let Some(print) = &mut self.terminal else { return write(&mut self.out, text) };
        let lines = self.lines.load(Ordering::SeqCst);
        // The queue has room for the second text once the first one has left it.
        if print(text).and_then(|()| print(UP_AND_DOWN)).is_err() {
            // The prompt has ended without printing the text.
            return write(&mut self.out, text);
        }
        match self.lines.load(Ordering::SeqCst) == lines {
            true => self.unconfirmed.clear(),
            false => self.unconfirmed += text,
        }
        Ok(())
    }

    /// Prints the texts that may still be in the queue of a prompt that has ended.
    pub fn print_unconfirmed(&mut self) {
        // There is no other place to print them.
        let _ = write(&mut self.out, &std::mem::take(&mut self.unconfirmed));
    }
}

fn write(out: &mut impl io::Write, text: &str) -> io::Result<()> {
    out.write_all(text.as_bytes())?;
    out.flush()
}

/// Reads and runs commands until the end of the input (Ctrl-D), `quit` or `exit`. Lines that begin
/// with `#` are ignored. Returns the exit code of the last command, for scripts.
///
/// # Errors
/// The terminal cannot be read.
pub fn run<C: Subcommand>(
    system: &System,
    execute: impl FnMut(C) -> CommandResult,
) -> CommandResult {
    run_with_printer(system, &format!("{}> ", system.name), |_| {}, execute)
}

/// Does the same as [`run`], with another prompt text. `begin` receives a printer for messages that
/// arrive while the prompt waits.
///
/// # Errors
/// The terminal cannot be read.
pub fn run_with_printer<C: Subcommand>(
    system: &System,
    prompt: &str,
    begin: impl FnOnce(MessagePrinter),
    mut execute: impl FnMut(C) -> CommandResult,
) -> CommandResult {
    let failed = |error: ReadlineError| CommandError::usage(format!("cannot read input: {error}"));
    let mut editor = DefaultEditor::new().map_err(failed)?;
    let history = system.state_file("history");
    prepare(&mut editor, history.as_deref()).map_err(failed)?;
    print_note("`help` lists the commands, `quit` or Ctrl-D ends the prompt.");
    let lines = Arc::<AtomicU64>::default();
    begin(message_printer(&mut editor, Arc::clone(&lines)));
    let mut last = Exit::Success;
    loop {
        let line = editor.readline(prompt);
        lines.fetch_add(1, Ordering::SeqCst);
        let line = match line {
            Ok(line) => line,
            Err(ReadlineError::Interrupted) => continue,
            Err(ReadlineError::Eof) => break,
            Err(error) => return Err(failed(error)),
        };
        let line = line.trim();
        match line {
            "" => continue,
            "quit" | "exit" => break,
            _ if line.starts_with('#') => continue,
            _ => {}
        }
        // The history is optional.
        let _ = editor.add_history_entry(line);
        if let Some(history) = &history {
            let _ = editor.save_history(history);
        }
        last = run_line(system, line, &mut execute);
    }
    Ok(last)
}

fn prepare(editor: &mut DefaultEditor, history: Option<&std::path::Path>) -> Read<()> {
    editor.set_max_history_size(HISTORY_MAX)?;
    if let Some(history) = history {
        // A missing or unreadable history starts empty.
        let _ = history.parent().map(fs::create_dir_all);
        let _ = editor.load_history(history);
    }
    Ok(())
}

/// Returns the printer of the editor on a terminal, and standard output otherwise.
fn message_printer(editor: &mut DefaultEditor, lines: Arc<AtomicU64>) -> MessagePrinter {
    let mut terminal = None::<Print>;
    if let Ok(mut printer) = editor.create_external_printer() {
        terminal = Some(Box::new(move |text: &str| {
            printer.print(text.to_owned()).map_err(io::Error::other)
        }));
    }
    MessagePrinter { terminal, out: Box::new(io::stdout()), lines, unconfirmed: String::new() }
}

/// Returns the clap command of one prompt line, with the subcommands of the command line.
#[must_use]
pub fn line_command<C: Subcommand>(system: &System) -> Command {
    let line = Command::new(system.name)
        .about("The commands of the prompt; `quit` ends it")
        .override_usage("COMMAND [ARGUMENT]...")
        .subcommand_required(true)
        .arg_required_else_help(true);
    C::augment_subcommands(line)
}

/// Runs one line and returns its exit code.
fn run_line<C: Subcommand>(
    system: &System,
    line: &str,
    execute: &mut impl FnMut(C) -> CommandResult,
) -> Exit {
    let Some(words) = shlex::split(line) else {
        let message = "the line ends inside quotes or after a backslash: complete it";
        return report(Err(CommandError::usage(message)));
    };
    let parser = line_command::<C>(system).multicall(true).disable_help_flag(true);
    let matches = parser.try_get_matches_from(words);
    match matches.and_then(|matches| C::from_arg_matches(&matches)) {
        Ok(command) => report(execute(command)),
        // Clap prints its own message; help is not an error.
        Err(error) => {
            let _ = error.print();
            if error.use_stderr() { Exit::Usage } else { Exit::Success }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::sync::mpsc::{Receiver, sync_channel};
    use std::thread;

    use super::*;

    /// The bytes that were printed without the queue.
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

    /// Returns the printer of a prompt that reads a line as long as `lines` is even, and the queue
    /// that the prompt empties while it reads.
    fn queueing(lines: &Arc<AtomicU64>, out: &Printed) -> (MessagePrinter, Receiver<String>) {
        let (sender, queue) = sync_channel(1);
        let (mut direct, prompt) = (out.clone(), Arc::clone(lines));
        let print = move |text: &str| match prompt.load(Ordering::SeqCst) % 2 {
            0 => sender.send(text.to_owned()).map_err(io::Error::other),
            _ => write(&mut direct, text),
        };
        let printer = MessagePrinter {
            terminal: Some(Box::new(print)),
            out: Box::new(out.clone()),
            lines: Arc::clone(lines),
            unconfirmed: String::new(),
        };
        (printer, queue)
    }

    #[test]
    fn a_message_that_the_prompt_prints_is_printed_once() {
        let (lines, out) = (Arc::default(), Printed::default());
        let (mut printer, queue) = queueing(&lines, &out);
        let prompt = thread::spawn(move || queue.into_iter().collect::<Vec<_>>());
        printer.print("one\n").expect("the prompt reads");
        printer.print("two\n").expect("the prompt reads");
        printer.print_unconfirmed();
        drop(printer);
        let texts = prompt.join().expect("no panic");
        assert_eq!(texts, ["one\n", UP_AND_DOWN, "two\n", UP_AND_DOWN]);
        assert_eq!(out.text(), "");
    }

    #[test]
    fn a_message_in_the_queue_of_a_prompt_that_ends_is_printed() {
        let (lines, out) = (Arc::default(), Printed::default());
        let (mut printer, queue) = queueing(&lines, &out);
        let printing = thread::spawn(move || printer.print("one\n"));
        // Whether the prompt ends before or after the message is in the queue.
        thread::yield_now();
        drop(queue);
        printing.join().expect("no panic").expect("it is printed without the queue");
        assert_eq!(out.text(), "one\n");
    }

    #[test]
    fn a_message_is_printed_at_the_end_if_the_prompt_had_read_a_line_meanwhile() {
        let (lines, out) = (Arc::<AtomicU64>::default(), Printed::default());
        let (mut printer, queue) = queueing(&lines, &out);
        let mut print = printer.terminal.take().expect("it has a queue");
        let read = Arc::clone(&lines);
        printer.terminal = Some(Box::new(move |text: &str| {
            print(text)?;
            // The user has entered `quit`.
            read.store(1, Ordering::SeqCst);
            Ok(())
        }));
        printer.print("one\n").expect("it is in the queue");
        assert_eq!(out.text(), UP_AND_DOWN);
        drop(queue);
        printer.print_unconfirmed();
        assert_eq!(out.text(), format!("{UP_AND_DOWN}one\n"));
    }
}
