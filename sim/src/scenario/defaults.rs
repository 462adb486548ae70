//! The default settings of a scenario: three nodes, a fast reliable network, disks without faults,
//! and two clients. `docs/SCENARIOS.md` lists every value.

use std::time::Duration;

use quorate::machine::SessionLimits;
use quorate::raft::Config;
use quorate::storage::StorageConfig;
use quorate::types::{Entry, Membership, NodeId};

use crate::faults::{ClockDrift, Faults};
use crate::settings::{
    Clocks, MESSAGE_BYTES_MAX, REQUEST_BYTES, Repeats, Settings, Validation, fit_largest_command,
};
use crate::values::duration_range::DurationRange;
use crate::workload::request::MARK_BYTES;

/// The default settings, for user commands of at most `command_bytes` bytes.
pub(super) fn defaults(command_bytes: usize) -> Settings {
    let config = config(command_bytes);
    let mut storage = StorageConfig {
        segment_bytes: 64 << 10,
        spare_segments: 3,
        command_bytes_max: config.command_bytes_max.max(Membership::BYTES_MAX),
        flush_bytes_max: 16 << 10,
        read_bytes_max: 1 << 16,
        tail_bytes_max: 1 << 16,
        ..StorageConfig::default()
    };
    storage.snapshots.chunk_bytes = 4096;
    fit_largest_command(&mut storage);
    Settings {
        voters: 3,
        learners: 0,
        spares: 0,
        bootstraps: false,
        priorities: Vec::new(),
        config,
        faults: Faults::NONE,
        fault_phase: Duration::from_secs(10),
        plan_slots: 0,
        has_lasting_faults: false,
        latency: DurationRange::micros(1_000, 1_000),
        loss_permille: 0,
        duplicate_permille: 0,
        delay_permille: 0,
        flush: DurationRange::micros(1_000, 1_000),
        storage,
        snapshot_entries: 400,
        snapshot_bytes: 1 << 20,
        trailing_entries: 20,
        snapshot_bytes_per_second: 1 << 20,
        repeats: Repeats {
            retry_percent: 100,
            parts_inflight_max: 4,
            scrub_period: Repeats::SCRUB_NEVER,
        },
        machine_checkpoint_every: None,
        sessions: Settings::SESSIONS_DEFAULT,
        session_limits: SessionLimits { window: 16, replies_bytes_max: 1 << 16 },
        report_delay: DurationRange::micros(0, 0),
        batch_time: DurationRange::micros(100, 100),
        lag_permille: 0,
        torn_step_ppm: 0,
        gather: Duration::ZERO,
        clients: 2,
        hostile_clients: 0,
        operations_max: u64::MAX,
        think_time: DurationRange::micros(10_000, 10_000),
        request_timeout: Duration::from_secs(1),
        read_permille: 300,
        command_bytes: 16,
        clocks: Clocks {
            error_ppm_max: 0,
            drift_ppm_max: ClockDrift::PPM_MAX,
            stop_while_paused: false,
        },
        validation: Validation { entries: 16, period: Duration::from_millis(1_200), states: false },
    }
}

fn config(command_bytes: usize) -> Config {
    let mut config = Config::new(NodeId(1));
    config.heartbeat_interval = Duration::from_millis(50);
    config.election_timeout_min = Duration::from_millis(150);
    config.election_timeout_max = Duration::from_millis(300);
    config.command_bytes_max = MARK_BYTES + REQUEST_BYTES + command_bytes + 128;
    let largest = config.command_bytes_max + Entry::OVERHEAD_BYTES;
    config.message_entries_max = 64;
    config.message_bytes_max = (largest * 4).min(MESSAGE_BYTES_MAX.max(largest));
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
    fn the_defaults_are_valid() {
        for command_bytes in [0, 64, 4_096, 1 << 20] {
            let settings = defaults(command_bytes);
            assert_eq!(settings.config.check(), Ok(()));
            assert_eq!(settings.storage.check(), Ok(()));
        }
    }
}
