//! The state that a node reports about itself (S70): the hard state and the log that it has
//! submitted to its disk, and an applied index that its state machine has reached.

use quorate::raft::Status;
use quorate::types::{Entry, HardState, Index, NodeId};

use crate::check::finding::{CheckResult, S70};
use crate::check::known::Known;
use crate::check::model::describe_hard_state;
use crate::check::rule::Rule;

/// For each node, the index up to which its state machine has applied the log.
#[derive(Clone, Debug)]
pub(super) struct ReportedState {
    applied: Vec<Index>,
}

impl Rule for ReportedState {
    fn new(known: &Known) -> ReportedState {
        ReportedState { applied: vec![Index::ZERO; known.model.nodes.len()] }
    }

    fn machine_started(&mut self, known: &Known, node: NodeId, index: Index) -> CheckResult {
        self.applied[known.model.slot(node).0] = index;
        Ok(())
    }

    fn applied(&mut self, known: &Known, node: NodeId, entries: &[Entry]) -> CheckResult {
        if let Some(last) = entries.last() {
            self.applied[known.model.slot(node).0] = last.id.index;
        }
        Ok(())
    }

    /// Checks the hard state and the log in the status of the previous step, whose writes the
    /// checks have seen, and the applied index in the new status.
    fn before_status_changed(&mut self, known: &Known, status: &Status) -> CheckResult {
        let slot = known.model.slot(status.id);
        let node = known.model.node(slot);
        let Some(before) = node.reported().filter(|_| known.shows_messages) else {
            return Ok(());
        };
        let (id, held, log) = (status.id, node.memory.hard_state, &node.memory.log);
        if before.hard_state() != held {
            let describe = |of: HardState| {
                format!("{}, with a vote lease of {:?}", describe_hard_state(of), of.vote_lease)
            };
            return S70.violated(format!(
                "{id} reports {}, but has submitted {} to its disk",
                describe(before.hard_state()),
                describe(held)
            ));
        }
        if before.last != log.last_id() {
            let (reported, held) = (before.last, log.last_id());
            return S70.violated(format!(
                "{id} reports a log that ends with {reported}, but has submitted one that ends \
                 with {held} to its disk"
            ));
        }
        let applied = self.applied[slot.0];
        if status.applied <= applied {
            return Ok(());
        }
        S70.violated(format!(
            "{id} reports that index {} is applied, but its state machine has applied only index \
             {applied}",
            status.applied
        ))
    }
}
