//! The pace of state comparisons: S84. A node begins another comparison once it has applied enough
//! entries (`ReplicaConfig::validation_entries`), or after the comparison timeout or the validation
//! period, whichever is shorter, at the earliest.

use quorate::machine::Digest;
use quorate::raft::Status;
use quorate::types::{Comparison, ComparisonBody, Index, Instant, NodeId};

use crate::check::finding::{CheckResult, S84};
use crate::check::known::Known;
use crate::check::rule::Rule;

/// For each node, its last comparison.
#[derive(Clone, Debug)]
pub(super) struct ComparisonPace {
    nodes: Vec<Node>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Node {
    /// The time of the last step, by the node's clock.
    stepped: Instant,
    applied: Index,
    /// The number, the index and the time of the last comparison of the present state.
    last: Option<(u64, Index, Instant)>,
}

impl Rule for ComparisonPace {
    fn new(known: &Known) -> ComparisonPace {
        ComparisonPace { nodes: vec![Node::default(); known.model.nodes.len()] }
    }

    fn machine_started(&mut self, known: &Known, node: NodeId, _: Index) -> CheckResult {
        self.nodes[known.model.slot(node).0].last = None;
        Ok(())
    }

    fn reached(
        &mut self,
        known: &Known,
        node: NodeId,
        at: Index,
        _: Option<Digest>,
    ) -> CheckResult {
        self.nodes[known.model.slot(node).0].applied = at;
        Ok(())
    }

    fn stepped(&mut self, known: &Known, status: &Status) -> CheckResult {
        self.nodes[known.model.slot(status.id).0].stepped = known.own_time;
        Ok(())
    }

    fn comparison_sent(&mut self, known: &Known, comparison: &Comparison) -> CheckResult {
        let ComparisonBody::Request { round, index } = comparison.body else { return Ok(()) };
        let (id, config) = (comparison.from, &known.bounds.replica);
        let node = &mut self.nodes[known.model.slot(id).0];
        if known.is_late {
            node.last = None;
            return Ok(());
        }
        let (applied, now) = (node.applied, node.stepped);
        let Some((before, compared, at)) = node.last.replace((round, index, now)) else {
            return Ok(());
        };
        if before == round {
            node.last = Some((before, compared, at));
            return Ok(());
        }
        let interval = config.validation_entries;
        let pause = config.validation_timeout.min(config.validation_period);
        let has_enough = applied.0 >= compared.0.saturating_add(interval);
        if has_enough || now >= at.after(pause) {
            return Ok(());
        }
        S84.violated(format!(
            "{id} compares its state at index {index} within {pause:?} after it compared that at \
             index {compared}, but has applied only index {applied}; the interval is {interval} \
             entries"
        ))
    }
}
