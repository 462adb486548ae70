//! The longest durations of messages, flushes and batches without faults, and the time to transfer
//! a log.

use std::time::Duration;

use quorate::raft::Config;

/// A bound on the time after which a node repeats its request for a part of a snapshot, as a
/// multiple of `ReplicaConfig::part_timeout`. The node waits for at most 16 part timeouts, or for
/// twice the time that the last part took if that is longer. The bound holds as long as each part
/// arrives within 16 part timeouts.
pub(crate) const PART_TIMEOUTS_MAX: u32 = 32;

/// The longest durations in a run without faults.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Costs {
    /// The longest time of one message from node to node.
    pub message: Duration,
    /// The longest time of one disk flush.
    pub flush: Duration,
    /// The longest time to read one batch from disk, and the longest time to apply one batch.
    pub batch: Duration,
    /// The rate at which one node writes or sends a snapshot, in bytes per second.
    pub snapshot_bytes_per_second: u64,
    /// The size of one part of a snapshot, in bytes.
    pub part_bytes: u64,
}

/// The volume that the nodes must send, write and apply until every core node has caught up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Volume {
    pub(super) entries: u64,
    pub(super) entry_bytes: u64,
    /// The total bytes of all snapshots that the nodes may have to send, one after another.
    pub(super) snapshot_bytes: u64,
}

impl Costs {
    /// The time of a request, of the flush that its reply depends on, and of the reply. Four
    /// flushes count, because the disk may have to finish both a flush of entries and a flush of a
    /// vote, each in two parts.
    pub(super) fn round_trip(&self) -> Duration {
        self.message * 2 + self.flush * 4
    }

    /// The time to transfer the volume without any overlap: each message of entries and each part
    /// of a snapshot is read from disk, sent and acknowledged, and then each batch is read and
    /// applied.
    pub(super) fn transfer_time(&self, volume: Volume, config: &Config) -> Duration {
        let Volume { entries, entry_bytes, snapshot_bytes } = volume;
        let pieces = |count_max: usize, bytes_max: usize| {
            // Each piece has `count_max` entries, or exceeds `bytes_max` together with the next
            // piece.
            let by_count = entries / count_max as u64;
            let by_bytes = 2 * entry_bytes / bytes_max as u64;
            count(by_count.saturating_add(by_bytes).saturating_add(1).min(entries))
        };
        let messages = pieces(
            config.message_entries_max.min(config.inflight_entries_max),
            config.message_bytes_max.min(config.inflight_bytes_max),
        );
        let batches = pieces(usize::MAX, config.apply_bytes_max);
        let parts = count(snapshot_bytes / self.part_bytes);
        let sent = Duration::from_secs(snapshot_bytes) / count(self.snapshot_bytes_per_second);
        (self.round_trip() + self.batch) * messages
            + self.batch * 2 * batches
            + (self.round_trip() + self.batch) * parts
            + sent
    }
}

impl Default for Costs {
    /// Durations that are short compared with the default election timeout of [`Config`].
    fn default() -> Costs {
        Costs {
            message: Duration::from_millis(1),
            flush: Duration::from_millis(2),
            batch: Duration::from_millis(1),
            snapshot_bytes_per_second: 1 << 20,
            part_bytes: 4096,
        }
    }
}

fn count(of: u64) -> u32 {
    u32::try_from(of).unwrap_or(u32::MAX)
}
