//! Draws one fault for a node at a given time, for the guided search.

use quorate::types::NodeId;

use crate::faults::NodeSelector;
use crate::plan::planner::{Planner, planned_faults};
use crate::plan::{Op, When};
use crate::settings::Settings;
use crate::values::choice::Choices;
use crate::values::time::SimTime;

/// The number of draws in 1,000 that yield a fault.
const STRIKES_PERMILLE: u64 = 750;

impl Op {
    /// Draws a fault of any kind that the run allows, for `node` at `at`; usually there is one.
    pub(crate) fn single_fault(
        settings: &Settings,
        choices: &Choices,
        at: SimTime,
        node: NodeId,
    ) -> Option<Op> {
        let faults = planned_faults(settings);
        // No slot of a plan has this number.
        let mut ops = Vec::new();
        let mut planner = Planner::new(settings, choices, u16::MAX, &mut ops);
        if faults.is_empty() || !planner.draw.chance(STRIKES_PERMILLE) {
            return None;
        }
        let fault = *planner.draw.pick(&faults);
        let verb = planner.verb(fault, NodeSelector::Node(node));
        Some(Op { when: When::At(at), verb })
    }
}
