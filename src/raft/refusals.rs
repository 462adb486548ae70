//! What a node dropped or declined, counted.

use crate::raft::action::Refusal;

/// How many messages a node refused since its start, by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Refusals([u64; Refusal::ALL.len()]);

impl Refusals {
    /// How many were refused for `reason`.
    #[must_use]
    pub fn count(&self, reason: Refusal) -> u64 {
        self.0[reason as usize]
    }

    pub(crate) fn add(&mut self, reason: Refusal) {
        self.0[reason as usize] += 1;
    }
}
