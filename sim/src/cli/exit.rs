//! Exit codes of the command, and errors that end it with one line.

use std::fmt;
use std::io;
use std::path::Path;
use std::process::ExitCode;

use crate::observe::outcome::Failure;

/// The last section of `--help`; scripts depend on these codes.
pub(crate) const EXIT_CODES: &str = "\
Exit codes: 0 success · 2 usage error, or a file cannot be read or written · 10 safety violation \
or non-linearizable history · 11 liveness violation · 12 panic, or `procs` had an unexpected error \
· 13 nondeterministic run or recording · 14 a sweep missed a required coverage mark (a rare \
situation that it must reach), a planted bug was not detected, a scenario's expectation was not \
met, or `diff`, or `replay` of another version's recording, found a difference · 15 a history \
check ran out of time or memory · 16 the simulator itself panicked · 130 interrupted.
Several failing seeds: the code of the smallest seed. Several histories: the first of 130, 10, 2, \
15 that applies. Several recordings: the first of 10, 12, 13, 14, 2.";

/// The exit codes of `cargo sim`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// No failure was found.
    Success = 0,
    /// The command line is invalid, or a file cannot be read or written.
    Usage = 2,
    /// A safety check failed, or a history is not linearizable.
    Safety = 10,
    /// A liveness check failed, or simulated time does not advance.
    Liveness = 11,
    /// A node's code or a state machine panicked, or a run on real processes had an unexpected
    /// error.
    Panic = 12,
    /// Two runs of one seed differ, or the replay of a recording differs from the recording.
    Nondeterminism = 13,
    /// A required coverage mark was not reached, a planted bug was not detected, an expectation of
    /// a scenario was not met, the runs that `diff` compares differ, or the replay of a recording
    /// of another version differs from the recording.
    ExpectationNotMet = 14,
    /// A history check reached its time or memory limit before it had a result.
    LimitReached = 15,
    /// The simulator itself panicked: it has a bug, or a node did something that it assumes to be
    /// impossible.
    Simulator = 16,
    /// The user pressed Ctrl-C.
    Interrupted = 130,
}

impl Exit {
    /// Returns the exit code of a failed seed.
    pub(crate) fn of(failure: &Failure) -> Exit {
        match failure {
            Failure::Safety(_) => Exit::Safety,
            Failure::Liveness(_) | Failure::Stalled(_) => Exit::Liveness,
            Failure::Panic(_) => Exit::Panic,
            Failure::Simulator(_) => Exit::Simulator,
            Failure::Nondeterminism(_) => Exit::Nondeterminism,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit as u8)
    }
}

/// An error that is not a failed check: one line for the user, and exit code 2.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CommandError(pub(crate) String);

/// The result of a command, or of a part of it.
pub(crate) type CommandResult<T = Exit> = Result<T, CommandError>;

impl CommandError {
    /// Returns the error of a file that cannot be read or written; `purpose` is usually its flag.
    pub(crate) fn file(purpose: &str, path: &Path, error: &io::Error) -> CommandError {
        CommandError(format!("{purpose}: {}: {error}", path.display()))
    }

    /// Returns the error of a file with invalid content.
    pub(crate) fn invalid_file(path: &Path, error: &str) -> CommandError {
        CommandError(format!("{}: {}", path.display(), error.replace('\n', " ")))
    }
}

impl fmt::Display for CommandError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
