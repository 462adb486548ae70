//! A node: the coordinator, or a follower that answers reads locally.

use std::time::Duration;

use clap::Args;

use crate::common::exit::CommandResult;
use crate::common::local_cluster::exit_at_stdin_eof;
use crate::common::serve::ServeFlags;
use crate::common::time::time;
use crate::coordinator::machine::Pairs;
use crate::coordinator::{SYSTEM, node};

/// The flags of a coordinator node.
#[derive(Args, Clone, Debug)]
pub struct Flags {
    #[command(flatten)]
    node: ServeFlags,
    /// Duration of the leader lease and the read leases; must be the same on all nodes. A write
    /// waits at most twice this time for a follower that stops answering
    #[arg(long, value_name = "TIME", default_value = "300ms", value_parser = time)]
    lease: Duration,
    /// Silence after which a follower is suspended; at least four times --lease
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
    node::configure(&mut config, flags.lease, flags.suspend_after);
    if flags.until_eof {
        exit_at_stdin_eof();
    }
    flags.node.run(config, Pairs::default())
}
