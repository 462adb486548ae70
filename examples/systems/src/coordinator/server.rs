//! A node: the coordinator, or a follower that answers reads locally.

use std::time::Duration;

use clap::Args;
use quorate::raft::{Config, Lease, Suspension};

use crate::common::exit::CommandResult;
use crate::common::local_cluster::exit_at_stdin_eof;
use crate::common::serve::ServeFlags;
use crate::common::time::time;
use crate::coordinator::SYSTEM;
use crate::coordinator::machine::Pairs;

/// The maximum clock drift in parts per million, far above that of a quartz clock. It shortens each
/// lease by 2 %.
const DRIFT_PPM: u32 = 10_000;
/// The minimum number of active voters, because a single one would have the only copy.
const VOTERS_MIN: usize = 2;

/// The flags of a coordinator node.
#[derive(Args, Clone, Debug)]
pub struct Flags {
    #[command(flatten)]
    node: ServeFlags,
    /// Duration of the leader lease and the read leases; must be the same on all nodes. A write
    /// waits at most two leases for a follower that stops answering
    #[arg(long, value_name = "TIME", default_value = "300ms", value_parser = time)]
    lease: Duration,
    /// Silence after which a follower is suspended; at least four leases
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = time)]
    suspend_after: Duration,
    /// Exit immediately at the end of standard input, so that the node does not outlive the process
    /// that started it
    #[arg(long)]
    until_eof: bool,
}

/// Runs the node until it is shut down. Followers forward writes to the coordinator.
///
/// # Errors
/// A flag is invalid, the node cannot start, or an error stopped it.
pub fn serve(flags: &Flags) -> CommandResult {
    let mut config = flags.node.config(&SYSTEM)?;
    configure_leases(&mut config.replica.raft, flags.lease, flags.suspend_after);
    config.service.forwards = true;
    // Every command and query takes microseconds.
    config.inline_machine = true;
    if flags.until_eof {
        exit_at_stdin_eof();
    }
    flags.node.run(config, Pairs::default())
}

/// Configures read leases on all followers, and the suspension of silent followers.
fn configure_leases(raft: &mut Config, lease: Duration, suspend_after: Duration) {
    raft.election_timeout_min = lease;
    raft.election_timeout_max = lease.saturating_mul(2);
    raft.lease = Some(Lease { drift_ppm: DRIFT_PPM, read_leases: true });
    let (after, pause) = (suspend_after, suspend_after);
    raft.suspension = Some(Suspension { after, voters_min: VOTERS_MIN, pause });
}
