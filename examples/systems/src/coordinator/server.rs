//! A node: the coordinator, or a follower that answers reads locally.

use std::time::Duration;

use clap::Args;
use quorate::raft::{Config, Lease, Suspension};

use crate::common::exit::{CommandError, CommandResult};
use crate::common::local_cluster::exit_at_stdin_eof;
use crate::common::serve::ServeFlags;
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
    /// Duration of the leader lease and the read leases in seconds; must be the same on all nodes.
    /// A write waits at most two leases for a follower that stops answering
    #[arg(long, value_name = "SECONDS", default_value = "0.3")]
    lease: f64,
    /// Silence in seconds after which a follower is suspended; at least four leases
    #[arg(long, value_name = "SECONDS", default_value = "2")]
    suspend_after: f64,
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
    let lease = seconds("--lease", flags.lease)?;
    let suspend_after = seconds("--suspend-after", flags.suspend_after)?;
    configure_leases(&mut config.replica.raft, lease, suspend_after);
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

fn seconds(flag: &str, seconds: f64) -> Result<Duration, CommandError> {
    Duration::try_from_secs_f64(seconds)
        .map_err(|error| CommandError::usage(format!("{flag}: {error}")))
}
