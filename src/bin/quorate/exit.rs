//! How the command ends: its exit codes, and trouble that a few lines explain.

use std::fmt;
use std::io::{self, Write};
use std::process::ExitCode;

use serde_json::json;

/// How the command ended. The help text lists these; scripts depend on them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// It did what it was told.
    Done = 0,
    /// The answer is no.
    No = 1,
    /// The command line, a configuration or a file is wrong.
    Wrong = 2,
    /// Nothing happened, because nobody could be asked, or a signal came before.
    Unreached = 3,
    /// It may have happened, or happen yet.
    Unknown = 4,
    /// Nothing happened, and nothing will unless something is changed.
    Refused = 5,
    /// The node stopped by itself.
    Failed = 6,
}

/// Why a command did not do what it was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Trouble {
    pub(crate) exit: Exit,
    pub(crate) text: String,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit as u8)
    }
}

impl Trouble {
    pub(crate) fn new(exit: Exit, what: impl fmt::Display) -> Trouble {
        Trouble { exit, text: what.to_string() }
    }

    /// What the user gave is wrong.
    pub(crate) fn wrong(what: impl fmt::Display) -> Trouble {
        Trouble::new(Exit::Wrong, what)
    }

    /// Says it to whoever gave the command.
    pub(crate) fn tell(&self, json: bool) -> Exit {
        say(&match json {
            true => json!({ "error": self.text, "exit": self.exit as u8 }).to_string(),
            false => format!("error: {}", self.text),
        });
        self.exit
    }
}

/// Says what is to be known of something that was done all the same.
pub(crate) fn warn(json: bool, what: impl fmt::Display) {
    say(&match json {
        true => json!({ "warning": what.to_string() }).to_string(),
        false => format!("warning: {what}"),
    });
}

fn say(line: &str) {
    // Where that cannot be written nothing can.
    let _ = writeln!(io::stderr(), "{line}");
}
