//! Exit codes of the commands, and errors that are printed as one line.

use std::fmt;
use std::io::{self, Write as _};
use std::process::ExitCode;

use quorate::runtime::{ClientError, Mismatch, RejectCause};
use quorate::wire::ServiceRejectReason;

use crate::common::printable::printable;

/// The last section of each command's `--help`; scripts depend on these codes.
pub const EXIT_CODES: &str = "\
Exit codes:
  0  success
  1  rejected by the state machine; the message says why. Or `status` found the cluster unhealthy
  2  usage error, an address at which another service answers, or a file cannot be read or written
  3  unavailable: no node answered in time; nothing happened, and a retry is safe. Or a node cannot
     start yet: its address or directory is in use, the machine does not have the address, the disk
     is full, or no thread can be started
  4  unknown outcome: the request may have been executed, or may still be. Or it was executed, and
     its result cannot be printed
  5  rejected by the cluster: nothing happened, and a retry does not help without a change
  6  the node stopped because of an error: see the last line on its standard error
  7  the nodes belong to another cluster; nothing happened
  8  only one of client and nodes uses TLS; nothing happened
  9  a certificate is not accepted; nothing happened
  10 an administrator's certificate is required; nothing happened";

/// The exit code of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// The command succeeded, or printed its help.
    Success = 0,
    /// The state machine rejected the request, or `status` found the cluster unhealthy.
    Rejected = 1,
    /// The command line is invalid, or a file cannot be read or written.
    Usage = 2,
    /// The request was not executed and never will be, so a retry is safe. Or a node did not start
    /// for a transient reason.
    Unavailable = 3,
    /// The outcome of the request is unknown, or cannot be printed.
    Unknown = 4,
    /// The cluster rejected the request, which was not executed.
    ClusterRejected = 5,
    /// The node stopped because of an error.
    NodeFailed = 6,
    /// The nodes belong to another cluster.
    OtherCluster = 7,
    /// Only one of client and nodes uses TLS.
    OtherEncryption = 8,
    /// A certificate is not accepted.
    CertificateNotAccepted = 9,
    /// The request requires an administrator's certificate.
    NotAllowed = 10,
}

/// An error that ends a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommandError {
    /// The exit code of the command.
    pub exit: Exit,
    /// The message for the user.
    pub text: String,
}

/// The result of a command, or of a part of it.
pub type CommandResult<T = Exit> = Result<T, CommandError>;

impl CommandError {
    /// Returns an error with this exit code.
    #[must_use]
    pub fn new(exit: Exit, text: impl fmt::Display) -> CommandError {
        CommandError { exit, text: text.to_string() }
    }

    /// Returns a usage error.
    #[must_use]
    pub fn usage(text: impl fmt::Display) -> CommandError {
        CommandError::new(Exit::Usage, text)
    }

    /// Returns the error for a reply that cannot be read, or that does not match its proposal. The
    /// proposal was most likely executed, so its outcome is unknown.
    #[must_use]
    pub fn unknown_reply() -> CommandError {
        let text = "the request may have been executed, but its reply cannot be read: client and \
                    node may have different versions";
        CommandError::new(Exit::Unknown, text)
    }

    /// Returns the error for a reply that cannot be read, or that does not match its query.
    #[must_use]
    pub fn unexpected_reply() -> CommandError {
        let text = "the answer cannot be read: client and node may have different versions";
        CommandError::new(Exit::ClusterRejected, text)
    }
}

/// Prints the error of a command, if there is one, and returns the exit code.
#[must_use]
pub fn report(result: CommandResult) -> Exit {
    result.unwrap_or_else(|error| {
        print_note(format_args!("error: {}", error.text));
        error.exit
    })
}

/// Prints a line to standard error, in which the characters that control a terminal are escaped.
pub fn print_note(line: impl fmt::Display) {
    print_to_stderr(&format!("{}\n", printable(&line.to_string())));
}

/// Prints the text unchanged to standard error. If that fails, there is no other place to report
/// it.
pub fn print_to_stderr(text: &str) {
    let _ = io::stderr().write_all(text.as_bytes());
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit as u8)
    }
}

impl From<ClientError> for CommandError {
    fn from(error: ClientError) -> CommandError {
        match error {
            ClientError::NotExecuted(_) => CommandError::new(
                Exit::Unavailable,
                format!("{error}: check that the nodes run, and that --nodes has their addresses"),
            ),
            ClientError::Mismatch { mismatch: Mismatch::Protocol, .. } => {
                CommandError::usage(error)
            }
            ClientError::Mismatch { mismatch: Mismatch::Cluster, .. } => {
                CommandError::new(Exit::OtherCluster, error)
            }
            ClientError::Mismatch { mismatch, .. } => CommandError::new(
                match mismatch {
                    Mismatch::Encryption => Exit::OtherEncryption,
                    _ => Exit::CertificateNotAccepted,
                },
                format!("{error} (nodes and client need the same --certs or --plaintext)"),
            ),
            ClientError::Rejected(RejectCause::Service(ServiceRejectReason::NotAllowed)) => {
                CommandError::new(Exit::NotAllowed, error)
            }
            ClientError::Rejected(_) => CommandError::new(Exit::ClusterRejected, error),
            _ => CommandError::new(Exit::Unknown, error),
        }
    }
}
