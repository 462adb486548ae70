//! A node of the orders system.

use clap::Args;
use quorate::raft::Config;

use crate::common::exit::CommandResult;
use crate::common::local_cluster::exit_at_stdin_eof;
use crate::common::serve::ServeFlags;
use crate::orders::SYSTEM;
use crate::orders::machine::Orders;

/// The flags of an orders node.
#[derive(Args, Clone, Debug)]
pub struct Flags {
    #[command(flatten)]
    node: ServeFlags,
    /// As the leader, send every follower one order at a time, and the next one only after the
    /// follower has acknowledged it; `orders bench` measures clusters with and without this flag
    #[arg(long)]
    one_by_one: bool,
    /// Exit immediately at the end of standard input, so that the node does not outlive the process
    /// that started it
    #[arg(long)]
    until_eof: bool,
}

/// Runs the node until it is shut down. A follower redirects clients to the leader.
///
/// # Errors
/// A flag is invalid, the node cannot start, or an error stopped it.
pub fn serve(flags: &Flags) -> CommandResult {
    let mut config = flags.node.config(&SYSTEM)?;
    // Every command and query takes microseconds.
    config.inline_machine = true;
    if flags.one_by_one {
        disable_batching(&mut config.replica.raft);
    }
    if flags.until_eof {
        exit_at_stdin_eof();
    }
    flags.node.run(config, Orders::default())
}

/// Limits each append to one entry, with one append in flight to each follower.
fn disable_batching(raft: &mut Config) {
    raft.message_entries_max = 1;
    raft.inflight_messages_max = 1;
    raft.inflight_entries_max = 1;
}
