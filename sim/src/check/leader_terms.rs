//! The term that each node leads, with the data that a rule keeps about the node as the leader of
//! that term. A node that steps down or restarts never leads the same term again, so the data are
//! valid exactly as long as the node leads it.

use quorate::raft::{RoleName, Status};
use quorate::types::{Instant, Term};

use crate::check::known::Known;
use crate::check::nodes::Slot;

/// For each node, the term that it leads, and the data of a rule.
#[derive(Clone, Debug)]
pub(super) struct LeaderTerms<T> {
    nodes: Vec<LeaderTerm<T>>,
}

#[derive(Clone, Debug)]
struct LeaderTerm<T> {
    /// The term that the node leads; zero if it does not lead.
    term: Term,
    /// The number of times that the node had started by then.
    start: u64,
    /// The time of the node's last step, by its own clock.
    stepped: Instant,
    data: T,
}

impl<T> LeaderTerms<T> {
    /// Creates the data of nodes that do not lead.
    pub(super) fn new(known: &Known, data: impl Fn(Slot) -> T) -> LeaderTerms<T> {
        let node = |slot| LeaderTerm {
            term: Term::ZERO,
            start: 0,
            stepped: Instant::ZERO,
            data: data(slot),
        };
        LeaderTerms { nodes: known.model.slots().map(node).collect() }
    }

    /// Records a step. If the node led its term before the step and still leads it, returns the
    /// time of the previous step, by the node's clock. Otherwise the data are those of an earlier
    /// term, or from before a restart.
    pub(super) fn step(&mut self, known: &Known, status: &Status) -> Option<Instant> {
        let slot = known.model.slot(status.id);
        let leads = status.role == RoleName::Leader;
        let now = (if leads { status.term } else { Term::ZERO }, known.model.node(slot).starts);
        let node = &mut self.nodes[slot.0];
        let continues = leads && (node.term, node.start) == now;
        let before = std::mem::replace(&mut node.stepped, known.own_time);
        (node.term, node.start) = now;
        continues.then_some(before)
    }

    /// The data about the node.
    pub(super) fn data(&mut self, slot: Slot) -> &mut T {
        &mut self.nodes[slot.0].data
    }

    /// The data about the node and the time of its last step, if it leads `term`.
    pub(super) fn leading(&mut self, slot: Slot, term: Term) -> Option<(&mut T, Instant)> {
        let node = &mut self.nodes[slot.0];
        (node.term == term).then_some((&mut node.data, node.stepped))
    }
}
