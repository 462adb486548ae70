//! The stabilization phase: a core of nodes is repaired and must reach its goals, and every other
//! fault stays.

pub(super) mod core;
pub(super) mod isolation;
mod last_survivor;
pub(super) mod stabilization;

use crate::values::time::SimTime;
use crate::world::cluster::node::Node;
use crate::world::place::Place;
use crate::world::recovery::stabilization::{Probed, Stabilization};
use crate::world::run::Setup;

/// The phase of the run.
#[derive(Clone, Debug, Default)]
pub(crate) struct Recovery {
    /// The goals of the stabilization phase; none in the fault phase.
    stabilization: Option<Stabilization>,
}

impl Recovery {
    /// Returns true until the stabilization phase begins.
    pub(super) fn in_fault_phase(&self) -> bool {
        self.stabilization.is_none()
    }

    /// Begins the stabilization phase, or continues it.
    pub(super) fn set(&mut self, stabilization: Stabilization) {
        self.stabilization = Some(stabilization);
    }

    /// Removes and returns the goals of the stabilization phase.
    pub(super) fn take(&mut self) -> Option<Stabilization> {
        self.stabilization.take()
    }

    /// Returns true if a node that is down or paused may come back; in the stabilization phase only
    /// core nodes do.
    pub(super) fn may_recover(&self, place: Place) -> bool {
        self.stabilization.as_ref().is_none_or(|stabilization| stabilization.core.contains(&place))
    }

    /// Records the progress of the prober, in the stabilization phase.
    pub(super) fn note_probe(&mut self, probed: Probed) {
        if let Some(stabilization) = &mut self.stabilization {
            stabilization.note_probe(probed);
        }
    }

    /// Returns true if the node, in the stabilization phase, waits for a voter outside the core.
    pub(super) fn waits_for_outside_voter(&self, node: &Node, setup: &Setup, now: SimTime) -> bool {
        self.stabilization
            .as_ref()
            .is_some_and(|stabilization| stabilization.waits_for_outside_voter(node, setup, now))
    }
}
