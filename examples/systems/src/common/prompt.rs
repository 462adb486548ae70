//! A prompt with history and help: each line is one order, in the words of the command line.

use std::fs;
use std::io::{self, Write as _};

use clap::{Command, Subcommand};
use rustyline::config::Configurer;
use rustyline::error::ReadlineError;
use rustyline::{DefaultEditor, ExternalPrinter, Result as Read};

use crate::common::exit::{Done, Exit, Trouble, tell};
use crate::common::system::System;

/// How many lines of history are kept.
const HISTORY_MAX: usize = 1000;

/// Prints something while somebody types, above the line that is typed.
pub type Voice = Box<dyn FnMut(String) -> io::Result<()> + Send>;

/// Reads orders and obeys each, until the end of the input, Ctrl-D, or `quit`. Lines that begin
/// with `#` say nothing. How the last order ended is how the prompt ends where a program types.
///
/// # Errors
/// The terminal cannot be read.
pub fn run<O: Subcommand>(system: &System, obey: impl FnMut(O) -> Done) -> Done {
    run_beside(system, &format!("{}> ", system.name), |_| {}, obey)
}

/// The same with another sign before each line; `begin` is given a voice for what is to be said
/// meanwhile.
///
/// # Errors
/// The terminal cannot be read.
pub fn run_beside<O: Subcommand>(
    system: &System,
    sign: &str,
    begin: impl FnOnce(Voice),
    mut obey: impl FnMut(O) -> Done,
) -> Done {
    let trouble = |error: ReadlineError| Trouble::wrong(format!("cannot read: {error}"));
    let mut editor = DefaultEditor::new().map_err(trouble)?;
    let history = system.file("history");
    prepare(&mut editor, history.as_deref()).map_err(trouble)?;
    eprintln!("`help` lists what can be asked, `quit` or Ctrl-D ends this.");
    begin(voice(&mut editor));
    let mut last = Exit::Done;
    loop {
        let line = match editor.readline(sign) {
            Ok(line) => line,
            Err(ReadlineError::Interrupted) => continue,
            Err(ReadlineError::Eof) => break,
            Err(error) => return Err(trouble(error)),
        };
        let line = line.trim();
        match line {
            "" => continue,
            "quit" | "exit" => break,
            _ if line.starts_with('#') => continue,
            _ => {}
        }
        // What is not kept is typed again.
        let _ = editor.add_history_entry(line);
        if let Some(history) = &history {
            let _ = editor.save_history(history);
        }
        last = answer(system, line, &mut obey);
    }
    Ok(last)
}

fn prepare(editor: &mut DefaultEditor, history: Option<&std::path::Path>) -> Read<()> {
    editor.set_max_history_size(HISTORY_MAX)?;
    if let Some(history) = history {
        // There is none yet, or it cannot be had: then it begins here.
        let _ = history.parent().map(fs::create_dir_all);
        let _ = editor.load_history(history);
    }
    Ok(())
}

/// The editor's own voice at a terminal, and the output's where a program types.
fn voice(editor: &mut DefaultEditor) -> Voice {
    match editor.create_external_printer() {
        Ok(mut printer) => Box::new(move |text| printer.print(text).map_err(io::Error::other)),
        Err(_) => Box::new(|text| {
            let mut out = io::stdout().lock();
            out.write_all(text.as_bytes())?;
            out.flush()
        }),
    }
}

/// What a line may be: one of the orders that the command line has, too.
#[must_use]
pub fn grammar<O: Subcommand>(system: &System) -> Command {
    let line = Command::new(system.name)
        .about("What can be asked; `quit` ends the prompt")
        .override_usage("ORDER [WORD]...")
        .subcommand_required(true)
        .arg_required_else_help(true);
    O::augment_subcommands(line)
}

/// Obeys one line.
fn answer<O: Subcommand>(system: &System, line: &str, obey: &mut impl FnMut(O) -> Done) -> Exit {
    let Some(words) = shlex::split(line) else {
        return tell(Err(Trouble::wrong("a quote is not closed: close it, or leave it out")));
    };
    let grammar = grammar::<O>(system).multicall(true).disable_help_flag(true);
    let matches = grammar.try_get_matches_from(words);
    match matches.and_then(|matches| O::from_arg_matches(&matches)) {
        Ok(order) => tell(obey(order)),
        // It has the right words already, and where they go: help is no error.
        Err(said) => {
            let _ = said.print();
            if said.use_stderr() { Exit::Wrong } else { Exit::Done }
        }
    }
}
