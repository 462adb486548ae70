//! A node of the courier. A follower forwards proposals to the leader; nodes compare their states;
//! in survivor mode, the last node continues alone.

use std::time::Duration;

use clap::Args;
use quorate::raft::Survivor;

use crate::common::exit::CommandResult;
use crate::common::messaging::machine::{HISTORY_MAX, MessageStore};
use crate::common::messaging::message::Mode;
use crate::common::serve::ServeFlags;
use crate::courier::SYSTEM;

/// The silence after which a node counts as crashed in survivor mode.
pub const SURVIVOR_AFTER: Duration = Duration::from_secs(3);
/// The number of entries between two comparisons of states.
const COMPARE_ENTRIES: u64 = 128;
/// The maximum time between two comparisons, if entries were applied.
const COMPARE_PERIOD: Duration = Duration::from_secs(2);

/// The flags of a courier node.
#[derive(Args, Clone, Debug)]
pub struct CourierFlags {
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
pub fn serve(flags: &CourierFlags) -> CommandResult {
    let mut config = flags.serve.config(&SYSTEM)?;
    config.service.forwards = true;
    // Every command and query takes microseconds.
    config.inline_machine = true;
    let replica = &mut config.replica;
    replica.validate_states = true;
    (replica.validation_entries, replica.validation_period) = (COMPARE_ENTRIES, COMPARE_PERIOD);
    let mode = if flags.survivor { Mode::Survivor } else { Mode::Majority };
    replica.raft.survivor = flags.survivor.then_some(Survivor { after: SURVIVOR_AFTER });
    flags.serve.run(config, MessageStore::new(mode, HISTORY_MAX))
}
