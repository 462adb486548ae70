//! Coverage marks: named things that a sweep must have exercised, or it proved nothing.

/// One thing worth reaching.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// Its name, unique among the marks: `refused/stale-term`, `crash/before-submit`.
    pub name: &'static str,
    /// Whether a default sweep of 1,000 seeds fails unless some seed reaches it.
    pub must: bool,
}

/// Every mark, in the order of `Outcome::marks`.
pub static MARKS: &[Mark] = &[];
