//! State machines that err: fewer at a time than it takes to be believed.

use quorate::raft::{RoleName, Status};
use quorate::replica::{Output, Verdict};

use crate::choice::{Key, Kind};
use crate::coverage::Spot;
use crate::fault::Fault;
use crate::observe::Seen;
use crate::plan::Slip;
use crate::witness::Witness;
use crate::world::World;
use crate::world::node::Place;

impl World {
    /// A node's state machine errs with its next command, unless too many may be wrong then.
    pub(super) fn slip(&mut self, place: Place, slip: Slip, witness: &mut Witness) {
        let voters = self.in_force.membership.incoming().len();
        let node = &mut self.nodes[place.0 as usize];
        let few = 2 * (self.taint.others(place.id()) + 1) < voters;
        let (Some(running), true) = (&node.running, few) else { return };
        self.taint.slipped(place.id());
        let key = Key { node: place.0 + 1, counter: self.taint.slips(), ..Kind::Slip.key() };
        running.worker.machine().user().slip_next(slip, self.choices.choose(key, u64::MAX));
        witness.fault(Fault::Slip, node.role());
        witness.see(self.now, Seen::Slipped { node: place.id() });
    }

    /// A node took a step that led to these outputs.
    pub(super) fn note_deposed(before: &Status, outputs: &[Output], witness: &mut Witness) {
        let wrong = |output: &Output| matches!(output, Output::Judged(Verdict::Quarantined { .. }));
        let led = before.role == RoleName::Leader;
        witness.reach_if(led && outputs.iter().any(wrong), Spot::LeaderQuarantined);
    }

    /// A node tells what comparing its state machine with others came to.
    pub(super) fn judged(&mut self, place: Place, verdict: Verdict, witness: &mut Witness) {
        witness.reach(match verdict {
            Verdict::Sound { .. } => Spot::ResultsAgreed,
            Verdict::Unavailable { .. } => Spot::ResultsUnavailable,
            Verdict::Undecided { .. } | Verdict::Divided { .. } => Spot::ResultsUndecided,
            Verdict::Quarantined { .. } => Spot::NodeQuarantined,
            Verdict::Rebuilt { .. } => Spot::NodeRebuilt,
        });
        witness.see(self.now, Seen::Judged { node: place.id(), verdict });
    }

    /// Two nodes of the core with the same log in different states, if there are.
    pub(super) fn states_differ(&self, one: Place, other: Place) -> bool {
        let digest = |place: Place| {
            let running = self.nodes[place.0 as usize].running.as_deref()?;
            running.worker.machine().digest().ok().flatten()
        };
        !self.taint.is_beyond()
            && digest(one).zip(digest(other)).is_some_and(|(one, other)| one != other)
    }

    /// Whether some state machine has erred in the run.
    pub(super) fn has_slips(&self) -> bool {
        self.taint.slips() > 0
    }
}
