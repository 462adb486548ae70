//! One node of the directory: the highest id leads first, and a replica forwards.

use std::collections::BTreeSet;

use quorate::types::NodeId;

use crate::common::exit::Done;
use crate::common::serve::ServeFlags;
use crate::directory::SYSTEM;
use crate::directory::machine::Directory;

/// Runs the node until it is ended.
///
/// # Errors
/// What is wrong with its flags, why it did not start, or why it stopped by itself.
pub fn serve(flags: &ServeFlags) -> Done {
    let mut config = flags.config(&SYSTEM)?;
    let ids: BTreeSet<NodeId> = flags.members.iter().map(|node| node.id).collect();
    config.prefer(ids.into_iter().rev());
    config.service.forwards = true;
    // A lookup in memory takes microseconds.
    config.inline_machine = true;
    flags.run(config, Directory::default())
}
