//! How a command ends: its exit codes, and trouble that one line explains.

use std::fmt;
use std::process::ExitCode;

use quorate::runtime::ClientError;

/// What every help text ends with; scripts depend on it.
pub const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  the answer is no: the system's own rules are against it, and it says which
  2  the command line or a file is wrong
  3  nothing happened, because no node answered in time: safe to try again
  4  unknown: it may have happened, or happen yet
  5  refused: nothing happened, and nothing will unless something is changed
  6  the node stopped by itself: its last words say why";

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// It did what it was told.
    Done = 0,
    /// The answer is no.
    No = 1,
    /// The command line or a file is wrong.
    Wrong = 2,
    /// Nothing happened, because no node answered in time.
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
pub struct Trouble {
    /// How the command ends for it.
    pub exit: Exit,
    /// What a person is told.
    pub text: String,
}

/// What became of a command.
pub type Done = Result<Exit, Trouble>;

impl Trouble {
    /// Trouble that ends a command in this way.
    #[must_use]
    pub fn new(exit: Exit, what: impl fmt::Display) -> Trouble {
        Trouble { exit, text: what.to_string() }
    }

    /// What the user gave is wrong.
    #[must_use]
    pub fn wrong(what: impl fmt::Display) -> Trouble {
        Trouble::new(Exit::Wrong, what)
    }
}

/// Tells the user of trouble, if there is any, and how the command ends.
#[must_use]
pub fn tell(done: Done) -> Exit {
    done.unwrap_or_else(|trouble| {
        eprintln!("error: {}", trouble.text);
        trouble.exit
    })
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit as u8)
    }
}

impl From<ClientError> for Trouble {
    fn from(error: ClientError) -> Trouble {
        match error {
            ClientError::NotProposed(_) => Trouble::new(
                Exit::Unreached,
                format!(
                    "{error}: see that the nodes run, that --nodes says where, and that they were \
                     told the same of --certs and --plaintext"
                ),
            ),
            ClientError::Rejected(_) => Trouble::new(Exit::Refused, error),
            _ => Trouble::new(Exit::Unknown, error),
        }
    }
}
