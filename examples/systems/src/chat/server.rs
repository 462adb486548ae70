//! One node of the chat: the lowest id leads first, and the last one may go on alone.

use std::collections::BTreeSet;
use std::time::Duration;

use clap::Args;
use quorate::raft::Survivor;
use quorate::types::NodeId;

use crate::chat::SYSTEM;
use crate::common::exit::Done;
use crate::common::serve::ServeFlags;
use crate::common::talk::machine::{HISTORY_MAX, Talk};
use crate::common::talk::message::Mode;

/// How long a node is silent before the others take it for dead, in survivor mode.
pub const SURVIVOR_AFTER: Duration = Duration::from_secs(3);

/// What a node of the chat is told.
#[derive(Args, Clone, Debug)]
pub struct ChatFlags {
    #[command(flatten)]
    serve: ServeFlags,
    /// Go on down to the last node, where silence means death. Not safe under partitions: two
    /// sides that do not hear each other both go on, and messages are lost. All nodes or none
    #[arg(long)]
    survivor: bool,
}

/// Runs the node until it is ended.
///
/// # Errors
/// What is wrong with its flags, why it did not start, or why it stopped by itself.
pub fn serve(flags: &ChatFlags) -> Done {
    let mut config = flags.serve.config(&SYSTEM)?;
    let ids: BTreeSet<NodeId> = flags.serve.members.iter().map(|node| node.id).collect();
    config.prefer(ids);
    // Whatever is asked takes microseconds.
    config.inline_machine = true;
    let mode = if flags.survivor { Mode::Survivor } else { Mode::Majority };
    config.replica.raft.survivor = flags.survivor.then_some(Survivor { after: SURVIVOR_AFTER });
    flags.serve.run(config, Talk::new(mode, HISTORY_MAX))
}
