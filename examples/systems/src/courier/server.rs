//! One node of the courier: it passes on what it does not decide, compares what it has with the
//! others, and may go on alone.

use std::time::Duration;

use clap::Args;
use quorate::raft::Survivor;

use crate::common::exit::Done;
use crate::common::serve::ServeFlags;
use crate::common::talk::machine::{HISTORY_MAX, Talk};
use crate::common::talk::message::Mode;
use crate::courier::SYSTEM;

/// How long a node is silent before the others take it for dead, in survivor mode.
pub const SURVIVOR_AFTER: Duration = Duration::from_secs(3);
/// After how many commands nodes compare their states.
const COMPARE_ENTRIES: u64 = 128;
/// After how long they compare at least the results, if anything happened.
const COMPARE_PERIOD: Duration = Duration::from_secs(2);

/// What a node of the courier is told.
#[derive(Args, Clone, Debug)]
pub struct CourierFlags {
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
pub fn serve(flags: &CourierFlags) -> Done {
    let mut config = flags.serve.config(&SYSTEM)?;
    config.service.forwards = true;
    // Whatever is asked takes microseconds.
    config.inline_machine = true;
    let replica = &mut config.replica;
    replica.validate_states = true;
    (replica.validation_entries, replica.validation_period) = (COMPARE_ENTRIES, COMPARE_PERIOD);
    let mode = if flags.survivor { Mode::Survivor } else { Mode::Majority };
    replica.raft.survivor = flags.survivor.then_some(Survivor { after: SURVIVOR_AFTER });
    flags.serve.run(config, Talk::new(mode, HISTORY_MAX))
}
