//! What waits for what, on the way from one node to another.

use crate::types::{Body, Message, Packet};

/// Packets of one lane arrive in their order; those of different lanes do not wait for each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lane {
    /// Heartbeats, votes, and whatever else is short.
    Control,
    /// Entries.
    Log,
    /// Pieces of snapshots.
    Snapshot,
}

impl Lane {
    pub(super) const ALL: [Lane; 3] = [Lane::Control, Lane::Log, Lane::Snapshot];

    pub(super) fn of(packet: &Packet) -> Lane {
        match packet {
            Packet::Transfer(_) => Lane::Snapshot,
            Packet::Message(Message { body: Body::AppendEntries { .. }, .. })
            | Packet::Chained(..) => Lane::Log,
            Packet::Message(_) | Packet::Comparison(_) => Lane::Control,
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Lane::Control => "control",
            Lane::Log => "log",
            Lane::Snapshot => "snapshot",
        }
    }
}
