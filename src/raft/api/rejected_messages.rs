//! Counts of rejected messages.

use crate::raft::api::action::MessageRejectReason;

/// The number of messages a node rejected since its start, by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "std", derive(serde::Serialize, serde::Deserialize))]
pub struct RejectedMessages([u64; MessageRejectReason::ALL.len()]);

impl RejectedMessages {
    /// The number of messages rejected for `reason`.
    #[must_use]
    pub fn count(&self, reason: MessageRejectReason) -> u64 {
        self.0[reason as usize]
    }

    pub(crate) fn add(&mut self, reason: MessageRejectReason) {
        self.0[reason as usize] += 1;
    }
}
