//! Exit codes of the command, and its error type.

use std::fmt;
use std::process::ExitCode;

use serde_json::json;

use crate::patient_write::write_to_stderr;

/// The exit code of the command. The help text lists them, and scripts depend on them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// The command succeeded, with a positive result.
    Done = 0,
    /// The result is negative: no such key, a failed compare, a cluster in which writes cannot
    /// succeed, a member that does not answer, a quota with an alarm, a recording that could not be
    /// copied completely, or damage.
    Negative = 1,
    /// The command line, a configuration or a file is invalid, the address of a node is that of
    /// another service, the output cannot be written, or a node cannot start, for a reason that is
    /// not transient.
    InvalidInput = 2,
    /// The request was not executed: no node accepted it in time, or a signal interrupted it. Or a
    /// node did not start for a transient reason: a later start with the same settings may succeed.
    NotExecuted = 3,
    /// The request may have been executed, or may be executed later.
    Unknown = 4,
    /// The request was rejected: not executed, and a retry fails again unless something changes.
    Rejected = 5,
    /// The node stopped because of an error.
    NodeStopped = 6,
    /// The nodes belong to another cluster. The request was not executed.
    OtherCluster = 7,
    /// Only one of client and nodes uses TLS. The request was not executed.
    OtherEncryption = 8,
    /// A certificate is not accepted. The request was not executed.
    CertificateNotAccepted = 9,
    /// The request requires an administrator's certificate. It was not executed.
    NotAllowed = 10,
    /// A compare failed, and the current value is not printed: there is none, or it is long.
    ValueNotPrinted = 11,
}

/// An error that ends the command: its exit code and its text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CommandError {
    pub(crate) exit: Exit,
    pub(crate) text: String,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit as u8)
    }
}

/// The result of a command, or of a part of it.
pub(crate) type CommandResult<T = Exit> = Result<T, CommandError>;

impl CommandError {
    pub(crate) fn new(exit: Exit, message: impl fmt::Display) -> CommandError {
        CommandError { exit, text: message.to_string() }
    }

    /// An error in the command line, a configuration or a file.
    pub(crate) fn invalid_input(message: impl fmt::Display) -> CommandError {
        CommandError::new(Exit::InvalidInput, message)
    }

    /// Returns the error with the exit code of a transient one: the same command may succeed later.
    pub(crate) fn into_transient(self) -> CommandError {
        CommandError { exit: Exit::NotExecuted, ..self }
    }

    /// Prints the error to standard error, and returns its exit code.
    pub(crate) fn print(&self, json: bool) -> Exit {
        write_to_stderr(&format!("{}\n", self.line(json)));
        self.exit
    }

    /// Returns the line that reports the error.
    pub(crate) fn line(&self, json: bool) -> String {
        match json {
            true => json!({ "error": self.text, "exit": self.exit as u8 }).to_string(),
            false => format!("error: {}", self.text),
        }
    }
}

/// Prints a warning about a command that succeeded.
pub(crate) fn warn(json: bool, message: impl fmt::Display) {
    write_to_stderr(&match json {
        true => format!("{}\n", json!({ "warning": message.to_string() })),
        false => format!("warning: {message}\n"),
    });
}
