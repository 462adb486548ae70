//! One fault at a moment of somebody's choice.

use quorate::types::NodeId;

use crate::choice::{Choices, Key, Kind};
use crate::plan::draw::{Planner, planned_faults};
use crate::plan::{Op, When, Who};
use crate::settings::Settings;
use crate::time::SimTime;

/// How often there is a fault, out of a thousand times.
const STRIKES_PERMILLE: u64 = 750;

impl Op {
    /// A fault of any kind that the run may meet, and that befalls `node` at `at`; usually there is
    /// one.
    pub(crate) fn strike(
        settings: &Settings,
        choices: &Choices,
        at: SimTime,
        node: NodeId,
    ) -> Option<Op> {
        let faults = planned_faults(settings);
        // No slot of a plan has this number.
        let draw = choices.draw(Key { peer: u16::MAX, ..Kind::Plan.key() });
        let mut planner = Planner { draw, settings, ops: &mut Vec::new() };
        if faults.is_empty() || !planner.draw.chance(STRIKES_PERMILLE) {
            return None;
        }
        let fault = *planner.draw.pick(&faults);
        let verb = planner.verb(fault, Who::Node(node));
        Some(Op { when: When::At(at), verb })
    }
}
