//! Nodes that fail to start (S27) or that stop (S34), and nodes without pending writes whose status
//! differs from their disk at the end of a run (a part of S17).

use quorate::types::NodeId;

use crate::check::finding::{CheckResult, S17, S27, S34};
use crate::check::known::Known;
use crate::check::model::{Node, describe_hard_state};
use crate::check::rule::Rule;

/// Checks that a fault justifies each failed start and each stop, and that each node's disk has the
/// node's state at the end.
#[derive(Clone, Debug)]
pub(super) struct Stops;

impl Rule for Stops {
    fn new(_: &Known) -> Stops {
        Stops
    }

    fn start_failed(&mut self, _: &Known, node: NodeId, damaged: bool, why: &str) -> CheckResult {
        if damaged {
            return Ok(());
        }
        S27.violated(format!("{node} fails to start from an undamaged disk: {why}"))
    }

    fn stopped(&mut self, _: &Known, node: NodeId, justified: bool, why: &str) -> CheckResult {
        if justified {
            return Ok(());
        }
        S34.violated(format!("{node} stops although no fault justifies it: {why}"))
    }

    fn ended(&mut self, known: &Known) -> CheckResult {
        known.members_at_rest().try_for_each(|at| check_at_rest(known.model.node(at)))
    }
}

/// Checks that the status of a node without pending writes equals the contents of its disk.
fn check_at_rest(node: &Node) -> CheckResult {
    let Some(status) = node.status.filter(|_| node.has_no_pending_writes()) else { return Ok(()) };
    let (id, last) = (node.id, node.disk.log.last_id());
    let status_hard_state = status.hard_state();
    if status_hard_state == node.disk.hard_state && status.last == last {
        return Ok(());
    }
    let in_memory = describe_hard_state(status_hard_state);
    let (on_disk, ends) = (describe_hard_state(node.disk.hard_state), status.last);
    S17.violated(format!(
        "{id} has no pending write, and its memory holds {in_memory} with a log up to {ends}, but \
         its disk holds {on_disk} with a log up to {last}"
    ))
}
