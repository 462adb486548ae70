//! What the check of a file comes to.

use std::time::Duration;

use quorate_checker::formats::Loaded;
use quorate_checker::verdict::{Evidence, Exhausted, Resource};

/// What one file comes to.
pub(super) enum Found {
    /// It is no history; one line says why.
    Unreadable(String),
    /// It is one.
    Judged { loaded: Box<Loaded>, judged: Judged, elapsed: Duration },
}

/// What a history comes to.
pub(super) enum Judged {
    Linearizable,
    NotLinearizable {
        evidence: Evidence,
        lanes: String,
        page: Option<String>,
    },
    /// What was used up.
    GaveUp(Exhausted),
    Interrupted,
}

/// What was used up, in words, and what to do about it.
pub(super) fn advice(exhausted: &Exhausted) -> (&'static str, &'static str) {
    match exhausted.what {
        Resource::Stopped => ("the time was up", "give it more with --time"),
        Resource::Memory => ("the memory was used up", "give it more with --memory"),
        Resource::Configurations => ("it took too many steps", "check fewer clients at once"),
    }
}
