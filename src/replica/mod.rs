//! A complete node without IO: [`Node`] connects the consensus algorithm and its log store;
//! [`Worker`] has the client sessions and the user's state machine.
//!
//! The two share nothing. The driver carries work and its results between them ([`Output::Work`],
//! [`Input::WorkDone`]), and frozen views of the state for snapshots ([`Output::FreezeView`],
//! [`Input::ViewFrozen`]). It may run each on its own thread, so that a slow apply or a large
//! snapshot never delays a heartbeat.

mod config;
mod hash_chains;
mod input;
mod node;
mod open;
mod output;
mod rate_limiter;
mod read_conflicts;
mod recorded_core;
mod requests;
mod retry_delay;
mod scrubber;
mod snapshot_receiver;
mod snapshot_sender;
mod snapshot_taker;
mod snapshots;
mod state_digests;
mod validation;
mod worker;

pub use config::{ReplicaConfig, ReplicaConfigError};

unstable_use! {
    crate::types::StateVerification, // feature `unstable`
    input::{Input, WorkResult}, // feature `unstable`
    node::Node, // feature `unstable`
    open::{OpenError, Replica, can_be_repaired, make_uncertain}, // feature `unstable`
    output::{ComparisonResult, Note, NoteFilter, Output, Work}, // feature `unstable`
    snapshots::SnapshotCounts, // feature `unstable`
    worker::Worker, // feature `unstable`
}
