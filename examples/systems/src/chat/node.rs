//! The configuration of a node of the chat, without a command line. The node with the lowest id is
//! preferred as leader.

use std::collections::BTreeSet;
use std::time::Duration;

use quorate::raft::Survivor;
use quorate::runtime::ServerConfig;
use quorate::types::NodeId;

use crate::common::messaging::machine::{HISTORY_MAX, MessageStore};
use crate::common::messaging::message::Mode;

/// The silence after which a node counts as crashed in survivor mode.
pub const SURVIVOR_AFTER: Duration = Duration::from_secs(3);

/// Configures a node of a cluster with these ids, and returns its empty state machine.
pub fn configure(config: &mut ServerConfig, ids: BTreeSet<NodeId>, mode: Mode) -> MessageStore {
    config.prefer_leaders(ids);
    // Every command and query takes microseconds.
    config.inline_machine = true;
    let is_survivor = mode == Mode::Survivor;
    config.replica.raft.survivor = is_survivor.then_some(Survivor { after: SURVIVOR_AFTER });
    MessageStore::new(mode, HISTORY_MAX)
}
