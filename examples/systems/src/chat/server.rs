//! A node of the chat. In survivor mode, the last node continues alone.

use std::collections::BTreeSet;

use clap::Args;
use quorate::types::NodeId;

use crate::chat::{SYSTEM, node};
use crate::common::exit::CommandResult;
use crate::common::messaging::message::Mode;
use crate::common::serve::ServeFlags;

/// The flags of a chat node.
#[derive(Args, Clone, Debug)]
pub struct ChatFlags {
    #[command(flatten)]
    serve: ServeFlags,
    /// Survivor mode: stay available down to the last node. Not safe under partitions: both sides
    /// continue, and messages are lost. Must be the same on all nodes
    #[arg(long)]
    survivor: bool,
}

/// Runs the node until it is shut down.
///
/// # Errors
/// A flag is invalid, the node cannot start, or an error stopped it.
pub fn serve(flags: &ChatFlags) -> CommandResult {
    let mut config = flags.serve.config(&SYSTEM)?;
    let ids: BTreeSet<NodeId> = flags.serve.members.iter().map(|node| node.id).collect();
    let mode = if flags.survivor { Mode::Survivor } else { Mode::Majority };
    let machine = node::configure(&mut config, ids, mode);
    flags.serve.run(config, machine)
}
