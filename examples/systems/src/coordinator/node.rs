//! The configuration of a node of the coordinator, without a command line.

use std::time::Duration;

use quorate::raft::{Lease, Suspension};
use quorate::runtime::ServerConfig;

/// The maximum clock drift in parts per million, far above that of a quartz clock. It shortens each
/// lease by 2 %.
pub const DRIFT_PPM: u32 = 10_000;
/// The minimum number of active voters: a single active voter would have the only copy.
const VOTERS_MIN: usize = 2;

/// Configures a node: read leases on all followers, the suspension of followers that are silent for
/// `suspend_after`, and followers that forward writes to the coordinator.
pub fn configure(config: &mut ServerConfig, lease: Duration, suspend_after: Duration) {
    let raft = &mut config.replica.raft;
    raft.election_timeout_min = lease;
    raft.election_timeout_max = lease.saturating_mul(2);
    raft.lease = Some(Lease { drift_ppm: DRIFT_PPM, read_leases: true });
    let (after, pause) = (suspend_after, suspend_after);
    raft.suspension = Some(Suspension { after, voters_min: VOTERS_MIN, pause });
    config.service.forwards = true;
    // Every command and query takes microseconds.
    config.inline_machine = true;
}
