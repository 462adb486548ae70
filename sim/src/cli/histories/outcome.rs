//! The outcome of the check of one history file.

use std::time::Duration;

use quorate_checker::formats::Loaded;
use quorate_checker::verdict::{BudgetExhausted, Counterexample, Resource};

/// The outcome of one file.
pub(super) enum FileOutcome {
    /// The file cannot be read or is not a history; the text is one line.
    Unreadable(String),
    /// The history was read and checked.
    Checked { loaded: Box<Loaded>, outcome: HistoryOutcome, times: Times },
}

/// The wall-clock times of one file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Times {
    /// The time until the verdict.
    pub(super) verdict: Duration,
    /// The time for the evidence: the minimal counterexample, its text and its page.
    pub(super) evidence: Duration,
}

/// The outcome of the check of one history.
pub(super) enum HistoryOutcome {
    Linearizable,
    NotLinearizable {
        /// The counterexample, unless only the verdict is wanted.
        counterexample: Option<Counterexample>,
        lanes: String,
        page: Option<String>,
    },
    /// The search reached a limit of one of the kinds in [`Resource`] before it had a result.
    LimitReached(BudgetExhausted),
    Interrupted,
}

/// Returns the reached limit in words, and advice to the user.
pub(super) fn advice(exhausted: &BudgetExhausted) -> (&'static str, &'static str) {
    match exhausted.resource {
        Resource::Stopped => ("time limit reached", "raise it with --time"),
        Resource::Memory => ("memory limit reached", "raise it with --memory"),
        Resource::PendingOperations => (
            "too many operations of one key pending at once",
            "record a history with fewer concurrent clients, or with more keys",
        ),
        Resource::Configurations => {
            ("step limit reached", "record a history with fewer concurrent clients")
        }
    }
}
