//! The goals and the progress of the stabilization phase.

use crate::time::SimTime;
use crate::world::place::Place;

/// The goals of the stabilization phase, and the progress so far.
#[derive(Clone, Debug)]
pub(super) struct Stabilization {
    pub(super) core: Vec<Place>,
    pub(super) since: SimTime,
    /// The progress of all core nodes together when it last increased.
    pub(super) progress: u64,
    pub(super) progress_at: SimTime,
    /// Whether a command proposed in this phase is committed.
    pub(super) probed: bool,
    /// The number of core nodes that have then served a read, one after the other.
    pub(super) reads_served: usize,
    /// The arrival time of the last message sent in the fault phase.
    pub(super) last_message_arrival: SimTime,
    /// The time of the operator's last request.
    pub(super) last_admin_request_at: SimTime,
}
