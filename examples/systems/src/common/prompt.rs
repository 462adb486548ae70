//! An interactive prompt with history and help; each line is a subcommand of the command line.

use std::fs;
use std::io;

use clap::{Command, Subcommand};
use rustyline::config::Configurer;
use rustyline::error::ReadlineError;
use rustyline::{DefaultEditor, ExternalPrinter, Result as Read};

use crate::common::exit::{CommandError, CommandResult, Exit, print_note, report};
use crate::common::message_printer::{MessagePrinter, Print, PromptProgress};
use crate::common::system::System;

/// The number of history lines that are kept.
const HISTORY_MAX: usize = 1000;

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
/// arrive meanwhile. The printer prints its last messages after the end of this function.
///
/// # Errors
/// The terminal cannot be read.
pub fn run_with_printer<C: Subcommand>(
    system: &System,
    prompt: &str,
    begin: impl FnOnce(MessagePrinter),
    mut execute: impl FnMut(C) -> CommandResult,
) -> CommandResult {
    let progress = PromptProgress::default();
    // `run_lines` drops the editor, so a printer that waits for the editor does not wait forever.
    let result = run_lines(system, prompt, &progress, begin, &mut execute);
    progress.end();
    result
}

fn run_lines<C: Subcommand>(
    system: &System,
    prompt: &str,
    progress: &PromptProgress,
    begin: impl FnOnce(MessagePrinter),
    execute: &mut impl FnMut(C) -> CommandResult,
) -> CommandResult {
    let failed = |error: ReadlineError| CommandError::usage(format!("cannot read input: {error}"));
    let mut editor = DefaultEditor::new().map_err(failed)?;
    let history = system.state_file("history");
    prepare(&mut editor, history.as_deref()).map_err(failed)?;
    print_note("`help` lists the commands, `quit` or Ctrl-D ends the prompt.");
    begin(message_printer(&mut editor, progress));
    let mut last = Exit::Success;
    loop {
        let line = match progress.reading(|| editor.readline(prompt)) {
            Ok(line) => line,
            Err(ReadlineError::Interrupted) => continue,
            Err(ReadlineError::Eof) => break,
            Err(error) => return Err(failed(error)),
        };
        for line in command_lines(&line) {
            match line.as_str() {
                "" => continue,
                "quit" | "exit" => return Ok(last),
                _ if line.starts_with('#') => continue,
                _ => {}
            }
            // The history is optional.
            let _ = editor.add_history_entry(line.as_str());
            if let Some(history) = &history {
                let _ = editor.save_history(history);
            }
            last = run_line(system, &line, execute);
        }
    }
    Ok(last)
}

/// Returns the commands of a line: one, or those of a pasted text of several lines. A command goes
/// on in the next line of the text if a line ends inside quotes or after a backslash.
fn command_lines(text: &str) -> Vec<String> {
    let mut commands = Vec::new();
    let mut command = String::new();
    for line in text.lines() {
        command += line;
        if shlex::split(&command).is_some() {
            commands.push(command.trim().to_owned());
            command.clear();
        } else {
            command.push('\n');
        }
    }
    if !command.is_empty() {
        commands.push(command.trim().to_owned());
    }
    commands
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

/// Returns the printer of the editor on a terminal, and of standard output otherwise.
fn message_printer(editor: &mut DefaultEditor, progress: &PromptProgress) -> MessagePrinter {
    let printer = editor.create_external_printer().ok();
    let print = printer.map(|mut printer| -> Print {
        Box::new(move |text| printer.print(text.to_owned()).map_err(io::Error::other))
    });
    MessagePrinter::new(print, progress.clone())
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
    use super::*;

    #[test]
    fn a_pasted_text_has_a_command_in_each_line() {
        assert_eq!(command_lines(" list "), ["list"]);
        assert_eq!(command_lines("send bob hi\n\nlist\n"), ["send bob hi", "", "list"]);
        assert_eq!(command_lines("send bob 'a\nb'\nlist"), ["send bob 'a\nb'", "list"]);
        assert_eq!(command_lines("list\nsend bob 'a"), ["list", "send bob 'a"]);
        assert_eq!(command_lines(""), [""; 0]);
    }
}
