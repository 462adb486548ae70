//! What became of the errors of state machines.

use std::collections::BTreeSet;

use quorate::types::Index;

/// What became of the errors so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Slips {
    pub(super) count: u32,
    /// Where snapshots end that were taken of a state that may be wrong.
    pub(super) tainted: BTreeSet<Index>,
    /// Another node has started from such a snapshot: there may be too many to tell who is right.
    pub(super) beyond: bool,
}
