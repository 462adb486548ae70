//! One node: the coordinator, or a child that answers reads by itself.

use std::time::Duration;

use clap::Args;
use quorate::raft::{Config, Lease, Removal};

use crate::common::exit::{Done, Trouble};
use crate::common::nodes::end_with_the_input;
use crate::common::serve::ServeFlags;
use crate::coordinator::SYSTEM;
use crate::coordinator::machine::Pairs;

/// How many millionths a node's clock may be off: far more than any quartz is. It costs 2 % of each
/// lease.
const DRIFT_PPM: u32 = 10_000;
/// How many nodes stay in the set in any case: one alone would have the only copy.
const VOTERS_MIN: usize = 2;

/// What a node is told.
#[derive(Args, Clone, Debug)]
pub struct Flags {
    #[command(flatten)]
    node: ServeFlags,
    /// How long a silent coordinator still counts, and so for how long at most a child that falls
    /// silent holds writes back; the same for every node
    #[arg(long, value_name = "SECONDS", default_value = "0.3")]
    lease: f64,
    /// After how long a silent child is removed from the set; at least four leases
    #[arg(long, value_name = "SECONDS", default_value = "2")]
    removal: f64,
    /// End with the standard input, at once, as a crash would: for whoever starts nodes and must
    /// not leave any behind
    #[arg(long)]
    until_eof: bool,
}

/// Runs the node until it is ended. Children pass writes on to the coordinator.
///
/// # Errors
/// What is wrong with its flags, why it did not start, or why it stopped by itself.
pub fn serve(flags: &Flags) -> Done {
    let mut config = flags.node.config(&SYSTEM)?;
    let lease = seconds("--lease", flags.lease)?;
    let removal = seconds("--removal", flags.removal)?;
    hold_leases(&mut config.replica.raft, lease, removal);
    config.service.forwards = true;
    // A command or a query in memory takes microseconds.
    config.inline_machine = true;
    if flags.until_eof {
        end_with_the_input();
    }
    flags.node.run(config, Pairs::default())
}

/// The coordinator lends its lease to all children, and removes those that are silent.
fn hold_leases(raft: &mut Config, lease: Duration, removal: Duration) {
    raft.election_timeout_min = lease;
    raft.election_timeout_max = lease.saturating_mul(2);
    raft.lease = Some(Lease { drift_ppm: DRIFT_PPM, replicas: true });
    let (after, pause) = (removal, removal);
    raft.removal = Some(Removal { after, voters_min: VOTERS_MIN, pause });
}

fn seconds(flag: &str, seconds: f64) -> Result<Duration, Trouble> {
    Duration::try_from_secs_f64(seconds).map_err(|error| Trouble::wrong(format!("{flag}: {error}")))
}
