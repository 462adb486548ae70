//! What a check may use up before it gives in.

use std::fmt;

/// What a check may use up. No clock: a simulation must come to the same verdict on every machine.
#[derive(Clone, Copy)]
pub struct Budget<'a> {
    /// The most bytes that the search of one key may hold, beyond the history. Of what a state
    /// owns elsewhere, those bytes count that are hashed, and those that
    /// [`hidden_bytes`](crate::model::Model::hidden_bytes) tells of.
    pub bytes_max: usize,
    /// The most configurations that the search of one key may look at.
    pub configurations_max: u64,
    /// Threads that check independent keys; the verdict does not depend on it, but each may hold
    /// [`bytes_max`](Budget::bytes_max).
    pub threads: usize,
    /// Asked every few thousand configurations whether to give in: where a person waits, a clock.
    pub stop: Option<&'a (dyn Fn() -> bool + Sync)>,
}

impl Default for Budget<'_> {
    /// 1 GiB, a hundred million configurations, one thread.
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
