//! What of the plan waits for a trigger, what is about to fire, and which faults last.

use std::time::Duration;

use crate::plan::Plan;
use crate::time::SimTime;
use crate::world::network::Links;
use crate::world::node::Place;

/// The plan, what of it waits for a trigger, and which faults last.
#[derive(Clone, Debug)]
pub(crate) struct Storm {
    pub(super) plan: Plan,
    pub(super) armed: Vec<Armed>,
    /// One bit for each trigger that some armed operation waits for.
    pub(super) triggers: u16,
    pub(super) firings: Vec<Firing>,
    pub(super) effects: Vec<Effect>,
}

/// An operation that waits for its trigger.
#[derive(Clone, Copy, Debug)]
pub(super) struct Armed {
    pub(super) op: u32,
    pub(super) matches: u32,
    pub(super) fired: u32,
}

/// A triggered operation that fires a while after its trigger.
#[derive(Clone, Copy, Debug)]
pub(super) struct Firing {
    pub(super) op: u32,
    pub(super) it: Place,
    pub(super) other: Option<Place>,
}

/// A fault that lasts.
#[derive(Clone, Copy, Debug)]
pub(super) enum Effect {
    Blocked(Links),
    /// Links that go down and up again.
    Flapping {
        links: Links,
        period: Duration,
        until: SimTime,
        down: bool,
    },
    Drifting(Place),
    DiskSlowed(Place, Duration),
    ApplySlowed(Place, Duration),
}

impl Storm {
    pub(crate) fn new(plan: Plan) -> Storm {
        Storm { plan, armed: Vec::new(), triggers: 0, firings: Vec::new(), effects: Vec::new() }
    }
}
