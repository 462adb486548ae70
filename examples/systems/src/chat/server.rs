//! A node of the chat. The node with the lowest id is preferred as leader; in survivor mode, the
//! last node continues alone.

use std::collections::BTreeSet;
use std::time::Duration;

use clap::Args;
use quorate::raft::Survivor;
use quorate::types::NodeId;

use crate::chat::SYSTEM;
use crate::common::exit::CommandResult;
use crate::common::messaging::machine::{HISTORY_MAX, MessageStore};
use crate::common::messaging::message::Mode;
use crate::common::serve::ServeFlags;

/// The silence after which a node counts as crashed in survivor mode.
pub const SURVIVOR_AFTER: Duration = Duration::from_secs(3);

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
    config.prefer_leaders(ids);
    // Every command and query takes microseconds.
    config.inline_machine = true;
    let mode = if flags.survivor { Mode::Survivor } else { Mode::Majority };
    config.replica.raft.survivor = flags.survivor.then_some(Survivor { after: SURVIVOR_AFTER });
    flags.serve.run(config, MessageStore::new(mode, HISTORY_MAX))
}
