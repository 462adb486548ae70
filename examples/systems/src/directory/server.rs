//! A node of the directory. The node with the highest id is preferred as leader; a follower
//! forwards proposals.

use std::collections::BTreeSet;

use quorate::types::NodeId;

use crate::common::exit::CommandResult;
use crate::common::serve::ServeFlags;
use crate::directory::SYSTEM;
use crate::directory::machine::Directory;

/// Runs the node until it is shut down.
///
/// # Errors
/// A flag is invalid, the node cannot start, or an error stopped it.
pub fn serve(flags: &ServeFlags) -> CommandResult {
    let mut config = flags.config(&SYSTEM)?;
    let ids: BTreeSet<NodeId> = flags.members.iter().map(|node| node.id).collect();
    config.prefer_leaders(ids.into_iter().rev());
    config.service.forwards = true;
    // A lookup in memory takes microseconds.
    config.inline_machine = true;
    flags.run(config, Directory::default())
}
