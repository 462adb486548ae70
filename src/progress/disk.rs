//! The disk that a peer replies from, whether its replies count in quorums, and its last reply.

use crate::types::{Incarnation, Index, Readiness};

/// The leader's view of the disk that a peer replies from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "std", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct PeerDisk {
    /// The incarnation of the disk; zero before the peer's first reply.
    pub(super) incarnation: Incarnation,
    /// The leader's round when the last message of the disk arrived.
    pub(super) heard_round: u64,
    /// The leader's round when the peer's matched index last rose. The peer sent its reply to any
    /// later round after the acknowledgement that raised the index.
    pub(super) matched_round: u64,
    pub(super) certainty: Certainty,
}

/// Whether a peer's log has every entry that the peer acknowledged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "std", derive(serde::Serialize, serde::Deserialize))]
pub(super) enum Certainty {
    /// The peer has not reported otherwise, and its disk is not known to lack entries.
    #[default]
    Certain,
    /// The log lacks entries that the peer acknowledged, and the peer has not reported that it is
    /// uncertain.
    RolledBack,
    /// The peer has reported that it is uncertain.
    Uncertain,
}

impl PeerDisk {
    /// Handles a message that arrives in `round` from the disk with this incarnation; a heartbeat
    /// reply answers the round `answered`. Returns true if that disk has replaced the known one.
    /// The known disk was in use in `heard_round`, so the peer's earlier disks answered no round
    /// after that. A disk other than the known one that answers a later round is therefore a later
    /// disk.
    #[inline]
    pub(super) fn on_message(
        &mut self,
        incarnation: Incarnation,
        answered: Option<u64>,
        round: u64,
    ) -> bool {
        if self.incarnation == Incarnation::default() {
            self.incarnation = incarnation;
        }
        if self.incarnation == incarnation {
            self.heard_round = round;
            return false;
        }
        answered.is_some_and(|answered| answered > self.heard_round)
    }

    /// Whether the disk, which has the entries up to `durable`, lacks entries that the peer
    /// acknowledged, up to `matched`. The reply to `round` was sent after the acknowledgements that
    /// the leader had received before that round, and a correct disk does not lose acknowledged
    /// entries within the leader's term.
    #[inline]
    pub(super) fn lacks_acknowledged(&self, round: u64, durable: Index, matched: Index) -> bool {
        round > self.matched_round && durable < matched
    }
}

/// The peer's reply to the highest round that it has answered.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "std", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct LastAnswer {
    pub(super) round: u64,
    /// The peer's report about itself.
    pub(super) ready: Readiness,
}
