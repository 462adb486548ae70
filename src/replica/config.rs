//! A whole node's configuration: the algorithm's, the store's, and when snapshots are taken.

use core::time::Duration;
use std::fmt;

use crate::raft::{Config, ConfigError};
use crate::storage::StorageConfig;
use crate::types::Membership;

/// How one node behaves. [`ReplicaConfig::new`] has defaults; every field may be changed before the
/// start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplicaConfig {
    /// The algorithm's bounds and times.
    pub raft: Config,
    /// The store's bounds.
    pub storage: StorageConfig,
    /// Take a snapshot once this many entries were applied since the last one.
    pub snapshot_entries: u64,
    /// Take a snapshot once the entries applied since the last one have this many bytes.
    pub snapshot_bytes: u64,
    /// How many entries before a snapshot's last are kept in the log, for peers that lag a little.
    pub trailing_entries: u64,
    /// The most bytes a second of a snapshot that is written, and of those sent to peers, each.
    pub snapshot_bytes_per_second: u64,
    /// How many parts of a snapshot a receiver asks for at a time.
    pub parts_inflight_max: usize,
    /// After how long without an answer a part is asked for again.
    pub part_patience: Duration,
    /// How often a full disk is tried again.
    pub space_retry: Duration,
    /// After how many applied entries the results are compared with other nodes'. So many of the
    /// last are remembered one by one, too, and 4,096 multiples of this number.
    pub validation_entries: u64,
    /// After how long the results are compared although fewer entries were applied.
    pub validation_period: Duration,
    /// How long a node waits for what others say to a comparison, and asks again after.
    pub validation_patience: Duration,
    /// Whether the states themselves are compared, too, at every multiple of `validation_entries`:
    /// that finds damage which no reply shows yet. Each node hashes its whole state there, as
    /// `StateMachine::digest` does it; nodes that differ in this compare what both have.
    pub validate_states: bool,
}

/// Why a configuration is refused: which field, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReplicaConfigError {
    /// A field of the algorithm's.
    Raft(ConfigError),
    /// A field of the store's.
    Storage(&'static str),
    /// The algorithm's `command_bytes_max` is over the store's.
    CommandLargerThanStored,
    /// The store's `command_bytes_max` is less than a membership may take.
    MembershipLargerThanStored,
    /// The named bound is zero, so nothing could ever pass it.
    BoundIsZero(&'static str),
}

impl ReplicaConfig {
    /// The default configuration around `raft`.
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
            part_patience: Duration::from_secs(1),
            space_retry: Duration::from_secs(1),
            validation_entries: 1024,
            validation_period: Duration::from_secs(10),
            validation_patience: Duration::from_millis(500),
            validate_states: false,
        }
    }

    /// Says what is wrong with the configuration, if anything is.
    ///
    /// # Errors
    /// A [`ReplicaConfigError`] that names the field or the combination.
    pub fn check(&self) -> Result<(), ReplicaConfigError> {
        self.raft.check().map_err(ReplicaConfigError::Raft)?;
        self.storage.check().map_err(ReplicaConfigError::Storage)?;
        if self.storage.command_bytes_max < self.raft.command_bytes_max {
            return Err(ReplicaConfigError::CommandLargerThanStored);
        }
        if self.storage.command_bytes_max < Membership::BYTES_MAX {
            return Err(ReplicaConfigError::MembershipLargerThanStored);
        }
        let bounds = [
            ("snapshot_entries", self.snapshot_entries == 0),
            ("snapshot_bytes", self.snapshot_bytes == 0),
            ("snapshot_bytes_per_second", self.snapshot_bytes_per_second == 0),
            ("parts_inflight_max", self.parts_inflight_max == 0),
            ("part_patience", self.part_patience.is_zero()),
            ("space_retry", self.space_retry.is_zero()),
            ("validation_entries", self.validation_entries == 0),
            ("validation_period", self.validation_period.is_zero()),
            ("validation_patience", self.validation_patience.is_zero()),
        ];
        match bounds.iter().find(|(_, is_zero)| *is_zero) {
            Some((name, _)) => Err(ReplicaConfigError::BoundIsZero(name)),
            None => Ok(()),
        }
    }
}

impl fmt::Display for ReplicaConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ReplicaConfigError::Raft(error) => error.fmt(f),
            ReplicaConfigError::Storage(error) => f.write_str(error),
            ReplicaConfigError::CommandLargerThanStored => f.write_str(
                "raft.command_bytes_max is over storage.command_bytes_max: raise the one or \
                 lower the other",
            ),
            ReplicaConfigError::MembershipLargerThanStored => write!(
                f,
                "storage.command_bytes_max is less than {}: a membership is stored like a command",
                Membership::BYTES_MAX
            ),
            ReplicaConfigError::BoundIsZero(name) => {
                write!(f, "{name} is 0: nothing could ever pass it")
            }
        }
    }
}

impl std::error::Error for ReplicaConfigError {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::NodeId;

    #[test]
    fn the_store_has_room_for_a_membership() {
        let mut config = ReplicaConfig::new(Config::new(NodeId(1)));
        assert_eq!(config.check(), Ok(()));
        config.raft.command_bytes_max = 100;
        config.storage.command_bytes_max = Membership::BYTES_MAX;
        assert_eq!(config.check(), Ok(()));
        config.storage.command_bytes_max -= 1;
        assert_eq!(config.check(), Err(ReplicaConfigError::MembershipLargerThanStored));
    }
}
