//! The goals and the progress of the stabilization phase.

use quorate::types::NodeId;

use crate::values::time::SimTime;
use crate::world::cluster::node::Node;
use crate::world::place::Place;
use crate::world::run::Setup;

/// The goals of the stabilization phase, and the progress so far.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stabilization {
    pub(crate) core: Vec<Place>,
    pub(crate) since: SimTime,
    /// The progress of all core nodes together when it last increased.
    pub(crate) progress: u64,
    pub(crate) progress_at: SimTime,
    /// Whether a command proposed in this phase is committed.
    pub(crate) probed: bool,
    /// The number of the first core nodes that have served a read since that command was
    /// committed, or need not serve one because they are no longer members.
    pub(crate) reads_served: usize,
    /// The latest arrival time of all packets sent in the fault phase.
    pub(crate) last_message_arrival: SimTime,
    /// The time of the operator's last request in this phase; at first, the start of the phase.
    pub(crate) last_admin_request_at: SimTime,
    /// The last time at which the leader's disk lacked committed entries.
    pub(crate) leader_lagged_at: SimTime,
    /// The time of the first attempt to end the run. The run continues while a goal is not reached
    /// and a node has damaged entries.
    pub(crate) missing_since: Option<SimTime>,
}

/// The request of the prober that was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Probed {
    Command,
    /// A read at this node.
    Read(Place),
}

impl Stabilization {
    /// Returns true if the node is in the core: then a leader of the core hears from it.
    pub(crate) fn hears(&self, id: NodeId) -> bool {
        self.core.iter().any(|place| place.id() == id)
    }

    /// Records the progress of the prober. An answer from a node other than the next one was
    /// requested before the prober restarted, or before that node was removed.
    pub(crate) fn note_probe(&mut self, probed: Probed) {
        match probed {
            Probed::Command => self.probed = true,
            Probed::Read(place) => {
                let is_next = self.probed && self.core.get(self.reads_served) == Some(&place);
                self.reads_served += usize::from(is_next);
            }
        }
    }

    /// Records the progress of all core nodes together.
    pub(crate) fn note_progress(&mut self, progress: u64, now: SimTime) {
        if progress > self.progress {
            (self.progress, self.progress_at) = (progress, now);
        }
    }

    /// Returns true if the node leads, and a voter outside the core that lacks committed entries
    /// counts as live for it. Proposals for all live voters wait for that voter, without end if its
    /// disk is full.
    pub(crate) fn waits_for_outside_voter(&self, node: &Node, setup: &Setup, now: SimTime) -> bool {
        let Some(running) = node.running() else { return false };
        let (status, raft) = (&running.status, running.node.raft());
        let (own, patience) = (node.clock.read(now), setup.settings.config.election_timeout_max);
        running.leadership.live(status.term, own, patience).any(|peer| {
            let outside = !self.hears(peer) && raft.membership().is_voter(peer);
            let lacks = raft.matched(peer).is_some_and(|matched| matched < status.committed);
            outside && lacks
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_counts_for_the_node_that_gave_it() {
        let core = vec![Place(0), Place(2)];
        let mut stabilization = Stabilization { core, ..Stabilization::default() };
        stabilization.note_probe(Probed::Command);
        stabilization.note_probe(Probed::Read(Place(0)));
        stabilization.note_probe(Probed::Read(Place(0)));
        assert_eq!(stabilization.reads_served, 1);
        (stabilization.probed, stabilization.reads_served) = (false, 0);
        stabilization.note_probe(Probed::Read(Place(0)));
        stabilization.note_probe(Probed::Command);
        stabilization.note_probe(Probed::Read(Place(2)));
        assert_eq!(stabilization.reads_served, 0);
    }
}
