//! The configuration of a node: consensus, storage, snapshots, scrubbing and state comparison.

use core::time::Duration;

use crate::raft::{Config, ConfigError};
use crate::storage::{StorageConfig, StorageConfigError};
use crate::types::Membership;
use crate::types::text::{debug_as_display, texts};

/// The configuration of one node. [`ReplicaConfig::new`] gives defaults; every field may be changed
/// before the node starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplicaConfig {
    /// The bounds and timeouts of the consensus algorithm.
    pub raft: Config,
    /// The bounds of the log store.
    pub storage: StorageConfig,
    /// The node takes a snapshot once it has applied this many entries since the last snapshot
    /// began. While the node sends a snapshot to a peer, this number and `snapshot_bytes` are
    /// doubled.
    pub snapshot_entries: u64,
    /// The node takes a snapshot once it has applied this many bytes of entries since the last
    /// snapshot began.
    pub snapshot_bytes: u64,
    /// How many of the entries that the current snapshot covers stay in the log, for peers that
    /// lag. The log also keeps all entries after the previous snapshot, which are usually more: the
    /// node needs them if the current snapshot is damaged.
    pub trailing_entries: u64,
    /// The maximum rate of writing a snapshot, and separately of sending snapshots, in bytes per
    /// second.
    pub snapshot_bytes_per_second: u64,
    /// The maximum number of snapshot parts that a receiver has requested and not received yet.
    /// Also the maximum number of pending requests that a sender keeps for each peer.
    pub parts_inflight_max: usize,
    /// The shortest time without a reply after which a receiver requests a snapshot part again. The
    /// receiver waits longer while parts take long to arrive, and after each repeated request.
    pub part_timeout: Duration,
    /// The period after which a node tries again to write to a full disk, to read or create a file
    /// for which the process or the machine lacked a resource, or to receive a snapshot that it
    /// could not store. It is also the delay before a node repeats a snapshot of its own
    /// that it could not read or write, and before it receives a snapshot again after one that
    /// exceeded its limits; these delays double with each failure, up to 16 times the first one.
    pub space_retry: Duration,
    /// The period in which the node reads all of its durable data once, so that it finds damage
    /// while other nodes still have the lost data. The reads are spread evenly over the period.
    pub scrub_period: Duration,
    /// The number of applied entries after which a node compares its results with other nodes'. The
    /// node keeps the digests of the last `validation_entries` indices, and of the last 4,096
    /// multiples of this number. At most [`ReplicaConfig::VALIDATION_ENTRIES_MAX`].
    pub validation_entries: u64,
    /// The time after which a node compares its results although fewer entries were applied.
    pub validation_period: Duration,
    /// How long a node waits for the replies to a comparison. It waits equally long before it
    /// repeats a comparison that was inconclusive, or that was unavailable while the node is
    /// unverified and serves no reads. An unverified node serves reads after eight times this time,
    /// if no digest differed. A quarantined node repeats its request for a snapshot after this
    /// time.
    pub validation_timeout: Duration,
    /// Whether the node also compares the states at every multiple of `validation_entries`, which
    /// finds corruption that no result shows yet. The node hashes its whole state there with
    /// `StateMachine::digest`. Nodes that differ in this setting compare the results only.
    pub validate_states: bool,
}

/// An error in a node's configuration, which names the field and the remedy.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReplicaConfigError {
    /// An error in the configuration of the consensus algorithm.
    Raft(ConfigError),
    /// An error in the configuration of the log store.
    Storage(StorageConfigError),
    /// `raft.command_bytes_max`, the first number, is larger than `storage.command_bytes_max`, the
    /// second.
    CommandLargerThanStored(usize, usize),
    /// `storage.command_bytes_max`, this number, is smaller than [`Membership::BYTES_MAX`].
    MembershipLargerThanStored(usize),
    /// The named bound or duration is 0, but must be greater.
    BoundIsZero(&'static str),
    /// `validation_entries` is larger than [`ReplicaConfig::VALIDATION_ENTRIES_MAX`].
    TooManyDigests(u64),
}

debug_as_display!(ReplicaConfigError);

impl ReplicaConfig {
    /// The largest [`validation_entries`](ReplicaConfig::validation_entries). The node keeps one
    /// digest in memory for each of these entries.
    pub const VALIDATION_ENTRIES_MAX: u64 = 1 << 16;

    /// Returns the default configuration with the given `raft` part.
    #[must_use]
    pub fn new(raft: Config) -> ReplicaConfig {
        ReplicaConfig {
            raft,
            storage: StorageConfig::default(),
            snapshot_entries: 1_000_000,
            snapshot_bytes: 256 << 20,
            trailing_entries: 10_000,
            snapshot_bytes_per_second: 64 << 20,
            parts_inflight_max: 4,
            part_timeout: Duration::from_secs(1),
            space_retry: Duration::from_secs(1),
            scrub_period: Duration::from_secs(7 * 24 * 3600),
            validation_entries: 1024,
            validation_period: Duration::from_secs(10),
            validation_timeout: Duration::from_millis(500),
            validate_states: false,
        }
    }

    /// Checks the bounds of the configuration and their combinations.
    ///
    /// # Errors
    /// A [`ReplicaConfigError`] that names the field or the combination.
    pub fn check(&self) -> Result<(), ReplicaConfigError> {
        self.raft.check().map_err(ReplicaConfigError::Raft)?;
        self.storage.check().map_err(ReplicaConfigError::Storage)?;
        let (proposed, stored) = (self.raft.command_bytes_max, self.storage.command_bytes_max);
        if stored < proposed {
            return Err(ReplicaConfigError::CommandLargerThanStored(proposed, stored));
        }
        if stored < Membership::BYTES_MAX {
            return Err(ReplicaConfigError::MembershipLargerThanStored(stored));
        }
        let bounds = [
            ("snapshot_entries", self.snapshot_entries == 0),
            ("snapshot_bytes", self.snapshot_bytes == 0),
            ("snapshot_bytes_per_second", self.snapshot_bytes_per_second == 0),
            ("parts_inflight_max", self.parts_inflight_max == 0),
            ("part_timeout", self.part_timeout.is_zero()),
            ("space_retry", self.space_retry.is_zero()),
            ("scrub_period", self.scrub_period.is_zero()),
            ("validation_entries", self.validation_entries == 0),
            ("validation_period", self.validation_period.is_zero()),
            ("validation_timeout", self.validation_timeout.is_zero()),
        ];
        if let Some((name, _)) = bounds.iter().find(|(_, is_zero)| *is_zero) {
            return Err(ReplicaConfigError::BoundIsZero(name));
        }
        if self.validation_entries > ReplicaConfig::VALIDATION_ENTRIES_MAX {
            return Err(ReplicaConfigError::TooManyDigests(self.validation_entries));
        }
        Ok(())
    }
}

texts! { ReplicaConfigError:
    Self::Raft(error) => "raft: {error}";
    Self::Storage(error) => "storage.{error}";
    Self::CommandLargerThanStored(proposed, stored) =>
        "raft.command_bytes_max is {proposed}, larger than storage.command_bytes_max, {stored}: \
         raise the latter or lower the former";
    Self::MembershipLargerThanStored(stored) =>
        "storage.command_bytes_max is {stored}, smaller than {}: a membership must fit in it",
        Membership::BYTES_MAX;
    Self::BoundIsZero(name) => "{name} is 0: it must be greater than 0";
    Self::TooManyDigests(entries) =>
        "validation_entries is {entries}: it must be at most {}, because the node keeps a digest \
         for each of these entries", ReplicaConfig::VALIDATION_ENTRIES_MAX;
}

impl std::error::Error for ReplicaConfigError {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::NodeId;

    #[test]
    fn the_storage_bound_must_fit_a_membership() {
        let mut config = ReplicaConfig::new(Config::new(NodeId(1)));
        assert_eq!(config.check(), Ok(()));
        config.raft.command_bytes_max = 100;
        config.storage.command_bytes_max = Membership::BYTES_MAX;
        assert_eq!(config.check(), Ok(()));
        config.storage.command_bytes_max -= 1;
        assert_eq!(
            config.check(),
            Err(ReplicaConfigError::MembershipLargerThanStored(Membership::BYTES_MAX - 1))
        );
    }

    #[test]
    fn the_digests_that_a_node_keeps_are_bounded() {
        let mut config = ReplicaConfig::new(Config::new(NodeId(1)));
        config.validation_entries = 1 << 16;
        assert_eq!(config.check(), Ok(()));
        config.validation_entries += 1;
        let error = config.check().expect_err("it keeps too many");
        assert_eq!(error, ReplicaConfigError::TooManyDigests(65_537));
        assert!(error.to_string().contains("validation_entries is 65537"), "{error}");
    }
}
