//! How long things take where no fault concerns them, and what that comes to for a log.

use std::time::Duration;

use quorate::raft::Config;

/// What things take at most, in a run without faults.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Costs {
    /// A message from node to node.
    pub message: Duration,
    /// A flush of a disk.
    pub flush: Duration,
    /// A batch in the state machine, and the disk to read it.
    pub batch: Duration,
    /// The bytes of a snapshot that one node writes, or sends, in a second.
    pub snapshot_bytes_per_second: u64,
    /// The bytes of one part of a snapshot.
    pub part_bytes: u64,
}

/// How much there is to send, to write and to apply until a node has what another has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Volume {
    pub(super) entries: u64,
    pub(super) entry_bytes: u64,
    /// The bytes of all snapshots that may have to travel, one after the other.
    pub(super) snapshot_bytes: u64,
}

impl Costs {
    /// A question, what its answer promises made durable, and the answer. A disk may be busy with
    /// one flush of entries and one of a vote before, and writes each in two parts.
    pub(super) fn round(&self) -> Duration {
        self.message * 2 + self.flush * 4
    }

    /// How long the volume takes, nothing of it at the same time as anything else: each message of
    /// entries read from the disk and acknowledged, then each batch applied.
    pub(super) fn of(&self, volume: Volume, config: &Config) -> Duration {
        let Volume { entries, entry_bytes, snapshot_bytes } = volume;
        let pieces = |count_max: usize, bytes_max: usize| {
            // Two neighbours do not fit into one piece, by their count or by their bytes.
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
        (self.round() + self.batch) * messages
            + self.batch * 2 * batches
            + (self.round() + self.batch) * parts
            + sent
    }
}

impl Default for Costs {
    /// What the defaults of [`Config`] fit.
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
