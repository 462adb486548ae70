//! What must be reached once the storm is over.

use crate::time::SimTime;
use crate::world::node::Place;

/// What must be reached after the storm.
#[derive(Clone, Debug)]
pub(super) struct Calm {
    pub(super) core: Vec<Place>,
    pub(super) since: SimTime,
    /// How far all core nodes together had come when they last came further.
    pub(super) progress: u64,
    pub(super) progress_at: SimTime,
    /// Whether a command proposed after the storm is committed.
    pub(super) probed: bool,
    /// How many core nodes have then served a read, one after the other.
    pub(super) reads_served: usize,
    /// When the last message of the storm arrives.
    pub(super) storm_lands: SimTime,
    /// When the operator last asked for something.
    pub(super) ordered_at: SimTime,
}
