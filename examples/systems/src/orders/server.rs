//! One node of the orders.

use clap::Args;
use quorate::raft::Config;

use crate::common::exit::Done;
use crate::common::nodes::end_with_the_input;
use crate::common::serve::ServeFlags;
use crate::orders::SYSTEM;
use crate::orders::machine::Orders;

/// What a node is told.
#[derive(Args, Clone, Debug)]
pub struct Flags {
    #[command(flatten)]
    node: ServeFlags,
    /// As the leader, bring every follower one order at a time, and the next one once it has that
    /// on its disk: what `orders bench` compares with
    #[arg(long)]
    one_by_one: bool,
    /// End with the standard input, at once, as a crash would: for whoever starts nodes and must
    /// not leave any behind
    #[arg(long)]
    until_eof: bool,
}

/// Runs the node until it is ended. A client that comes to a follower is told who leads.
///
/// # Errors
/// What is wrong with its flags, why it did not start, or why it stopped by itself.
pub fn serve(flags: &Flags) -> Done {
    let mut config = flags.node.config(&SYSTEM)?;
    // An order or a lookup in memory takes microseconds.
    config.inline_machine = true;
    if flags.one_by_one {
        one_by_one(&mut config.replica.raft);
    }
    if flags.until_eof {
        end_with_the_input();
    }
    flags.node.run(config, Orders::default())
}

/// An append carries one entry, and there is one on its way to each follower.
fn one_by_one(raft: &mut Config) {
    raft.message_entries_max = 1;
    raft.inflight_messages_max = 1;
    raft.inflight_entries_max = 1;
}
