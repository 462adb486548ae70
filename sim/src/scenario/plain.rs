//! What a scenario has where it says nothing: three nodes, a fast network that does nothing odd,
//! disks that work, and two clients. `docs/SCENARIOS.md` tells each value.

use std::time::Duration;

use quorate::machine::{Request, SessionLimits};
use quorate::raft::Config;
use quorate::storage::StorageConfig;
use quorate::types::{Entry, Membership, NodeId};

use crate::fault::Faults;
use crate::request::MARK_BYTES;
use crate::settings::{Clocks, Settings, Validation};
use crate::span::Span;

/// The settings of a scenario that says nothing, for commands of up to so many bytes of a user's.
pub(super) fn plain(command_bytes: usize) -> Settings {
    let config = config(command_bytes);
    let mut storage = StorageConfig {
        segment_bytes: 64 << 10,
        segments_ahead: 3,
        command_bytes_max: config.command_bytes_max.max(Membership::BYTES_MAX),
        flush_bytes_max: 16 << 10,
        read_bytes_max: 1 << 16,
        tail_bytes_max: 1 << 16,
        ..StorageConfig::default()
    };
    storage.snapshots.chunk_bytes = 4096;
    Settings {
        voters: 3,
        learners: 0,
        spares: 0,
        founds: false,
        priorities: Vec::new(),
        config,
        faults: Faults::NONE,
        storm: Duration::from_secs(10),
        plan_slots: 0,
        latency: Span::micros(1_000, 1_000),
        loss_permille: 0,
        duplicate_permille: 0,
        delay_permille: 0,
        flush: Span::micros(1_000, 1_000),
        storage,
        snapshot_entries: 400,
        snapshot_bytes: 1 << 20,
        trailing_entries: 20,
        snapshot_bytes_per_second: 1 << 20,
        machine_keeps_each: None,
        session_limits: SessionLimits { sessions_max: 64, window: 16, replies_bytes_max: 1 << 16 },
        report: Span::micros(0, 0),
        work: Span::micros(100, 100),
        lag_permille: 0,
        torn_step_ppm: 0,
        gather: Duration::ZERO,
        clients: 2,
        operations_max: u64::MAX,
        think: Span::micros(10_000, 10_000),
        patience: Duration::from_secs(1),
        read_permille: 300,
        command_bytes: 16,
        clocks: Clocks {
            usual_ppm_max: 0,
            drift_ppm_max: Clocks::DRIFT_PPM_MAX,
            stand_still: false,
        },
        validation: Validation { entries: 16, period: Duration::from_millis(1_200), states: false },
    }
}

fn config(command_bytes: usize) -> Config {
    let mut config = Config::new(NodeId(1));
    config.heartbeat_interval = Duration::from_millis(50);
    config.election_timeout_min = Duration::from_millis(150);
    config.election_timeout_max = Duration::from_millis(300);
    config.command_bytes_max = MARK_BYTES + Request::OVERHEAD_BYTES_MAX + command_bytes + 128;
    let largest = config.command_bytes_max + Entry::OVERHEAD_BYTES;
    config.message_entries_max = 64;
    config.message_bytes_max = largest * 4;
    config.inflight_messages_max = 16;
    config.inflight_entries_max = 512;
    config.inflight_bytes_max = config.message_bytes_max * 8;
    config.unapplied_bytes_max = largest * 64;
    config.tail_bytes_max = 1 << 20;
    config.apply_bytes_max = 1 << 16;
    config.reads_max = 256;
    config.outbox_messages_max = 256;
    config
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cluster_could_have_them() {
        for command_bytes in [0, 64, 4_096] {
            let settings = plain(command_bytes);
            assert_eq!(settings.config.check(), Ok(()));
            assert_eq!(settings.storage.check(), Ok(()));
        }
    }
}
