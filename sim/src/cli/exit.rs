//! How the command ends: its exit codes, and trouble that one line explains.

use std::fmt;
use std::io;
use std::path::Path;
use std::process::ExitCode;

use crate::outcome::Failure;

/// How the command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Nothing was found wrong.
    Fine = 0,
    /// The command line is wrong, or a file cannot be read or written.
    Usage = 2,
    /// A safety check fired, or a history is not linearizable.
    Safety = 10,
    /// A liveness check fired, or simulated time stopped.
    Liveness = 11,
    /// The core or a state machine panicked.
    Panic = 12,
    /// A seed ran differently the second time.
    Nondeterminism = 13,
    /// Something that had to be exercised, or caught, was not.
    Vacuous = 14,
    /// A check gave up before it could tell.
    GaveUp = 15,
    /// The user ended it.
    Interrupted = 130,
}

impl Exit {
    /// The code for a failed seed.
    pub(crate) fn of(failure: &Failure) -> Exit {
        match failure {
            Failure::Safety(_) => Exit::Safety,
            Failure::Liveness(_) | Failure::Stalled(_) => Exit::Liveness,
            Failure::Panic(_) => Exit::Panic,
            Failure::Nondeterminism(_) => Exit::Nondeterminism,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit as u8)
    }
}

/// Trouble that is not a finding: one line for the user, and exit code 2.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Trouble(pub(crate) String);

impl Trouble {
    /// A file that cannot be used, named with the flag or the purpose it is for.
    pub(crate) fn file(purpose: &str, path: &Path, error: &io::Error) -> Trouble {
        Trouble(format!("{purpose}: {}: {error}", path.display()))
    }

    /// A file that does not say what it should.
    pub(crate) fn wrong_file(path: &Path, wrong: &str) -> Trouble {
        Trouble(format!("{}: {}", path.display(), wrong.replace('\n', " ")))
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
