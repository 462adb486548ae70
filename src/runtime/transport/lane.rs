//! The lanes between nodes, which keep bulk data from delaying heartbeats and votes.

use crate::runtime::config::NetworkConfig;
use crate::types::Packet;

/// The maximum number of packets of a snapshot that wait for the connection to a peer.
const SNAPSHOT_PACKETS_MAX: usize = 32;

/// A lane between two nodes. Packets of one connection arrive in order; those of different lanes,
/// and those before and after a reconnect, may overtake one another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lane {
    /// Heartbeats, votes, and all other short messages.
    Control,
    /// Log entries: `AppendEntries`, and `RequestEntriesReply` with contents of damaged entries.
    Log,
    /// The parts of snapshots.
    Snapshot,
}

impl Lane {
    pub(super) const ALL: [Lane; 3] = [Lane::Control, Lane::Log, Lane::Snapshot];

    pub(super) fn of(packet: &Packet) -> Lane {
        match packet {
            Packet::SnapshotTransfer(_) => Lane::Snapshot,
            Packet::Message(message) if message.body.is_bulk() => Lane::Log,
            Packet::Chained(..) => Lane::Log,
            Packet::Message(_) | Packet::Comparison(_) => Lane::Control,
        }
    }

    /// Returns the maximum number of packets that wait for the connection. Parts of snapshots are
    /// large, and the peer requests a lost one again, so few of them wait.
    pub(super) fn packets_max(self, config: &NetworkConfig) -> usize {
        match self {
            Lane::Control | Lane::Log => config.packets_max,
            Lane::Snapshot => config.packets_max.min(SNAPSHOT_PACKETS_MAX),
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
