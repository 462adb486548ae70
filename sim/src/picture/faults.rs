//! The faults of a run with their start and end times.

use std::collections::BTreeMap;

use quorate::types::NodeId;
use quorate_page::document::{Document, Fault};

use crate::faults::{NodeSelector, Verb};
use crate::record::{EventKind, Record};
use crate::values::time::SimTime;

/// Adds the faults of the run to the document.
pub(crate) fn add(document: &mut Document, record: &Record) {
    let stabilized =
        record.events.iter().find(|event| matches!(event.kind, EventKind::Stabilized(_)));
    // A failed run may end during its fault phase; ends of faults after that are unknown.
    let over = stabilized.or(record.events.last()).map_or(SimTime::default(), |event| event.at);
    let mut open: BTreeMap<u32, usize> = BTreeMap::new();
    for (id, event) in record.all() {
        match event.kind {
            EventKind::PlanOpBegan(op) => {
                let Some(planned) = record.plan.get(op as usize) else { continue };
                let verb = &planned.verb;
                let end = verb.duration().map_or(event.at, |duration| event.at.after(duration));
                open.insert(op, document.faults.len());
                document.faults.push(Fault {
                    text: verb.to_string(),
                    from: event.at.0,
                    // A fault that would end later has no end yet; `PlanOpEnded` may set one.
                    until: (end <= over).then_some(end.0),
                    nodes: affected_nodes(verb, event.node)
                        .iter()
                        .filter_map(|node| record.nodes.iter().position(|id| id == node))
                        .filter_map(|place| u16::try_from(place).ok())
                        .collect(),
                    event: Some(id.0 - 1),
                });
            }
            EventKind::PlanOpEnded(op) => {
                if let Some(place) = open.remove(&op) {
                    document.faults[place].until = Some(event.at.0);
                }
            }
            _ => {}
        }
    }
}

/// The nodes that an operation of the plan affects, as far as the operation names them; `it` is the
/// node that triggered the operation.
fn affected_nodes(verb: &Verb, it: Option<NodeId>) -> Vec<NodeId> {
    let named = |selector: NodeSelector| match selector {
        NodeSelector::Node(node) => Some(node),
        NodeSelector::It => it,
        NodeSelector::Other | NodeSelector::Leader => None,
    };
    verb.extent().nodes.into_iter().filter_map(named).collect()
}
