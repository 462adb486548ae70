//! The resources that a check may use.

use std::fmt;

/// The resources that a check may use. It contains no time limit, because a simulation must reach
/// the same verdict on every machine.
#[derive(Clone, Copy)]
pub struct Budget<'a> {
    /// The maximum number of bytes that the search of one key may hold, beyond the history, and
    /// releases at its end. Of the
    /// memory that a state owns, the count includes the bytes that are hashed and those that
    /// [`unhashed_bytes`](crate::model::Model::unhashed_bytes) returns. A whole check may hold this
    /// much on each of its [`threads`](Budget::threads): if the threads shared it, the verdict
    /// would depend on their number.
    pub bytes_max: usize,
    /// The maximum number of configurations that one search of a key may visit.
    /// [`check`](crate::check::check) searches an undecided key again from the start, each time
    /// with a larger part of this number.
    pub configurations_max: u64,
    /// The number of threads that check independent keys. The verdict does not depend on it, but
    /// each thread may hold [`bytes_max`](Budget::bytes_max).
    pub threads: usize,
    /// Called every few thousand configurations; the check stops when it returns true. Interactive
    /// callers pass a function that compares a clock with a deadline.
    pub stop: Option<&'a (dyn Fn() -> bool + Sync)>,
}

impl Default for Budget<'_> {
    /// Allows 1 GiB, a hundred million configurations and one thread, with no stop function.
    fn default() -> Self {
        Budget { bytes_max: 1 << 30, configurations_max: 100_000_000, threads: 1, stop: None }
    }
}

impl fmt::Debug for Budget<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Budget")
            .field("bytes_max", &self.bytes_max)
            .field("configurations_max", &self.configurations_max)
            .field("threads", &self.threads)
            .finish_non_exhaustive()
    }
}
