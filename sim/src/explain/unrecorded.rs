//! Steps that are missing in the recordings of real nodes, and the conclusions that are undecided
//! because of them.

use quorate::types::NodeId;

use crate::explain::history::History;
use crate::explain::phrases;
use crate::record::EventKind;

/// Describes which voters have steps up to the failure that are not recorded; `None` if every step
/// of every voter is.
pub(super) fn undecided(history: &History<'_>) -> Option<String> {
    if !history.record().is_partial() {
        return None;
    }
    let voters = match history.node() {
        Some(node) => history.membership(node, history.failing),
        None => &history.record().membership,
    };
    let lacking: Vec<NodeId> =
        voters.voters().filter(|voter| !has_every_step(history, *voter)).collect();
    if lacking.is_empty() {
        return None;
    }
    let nodes = phrases::listed(lacking);
    Some(format!("steps of {nodes} that are not recorded may have contributed"))
}

/// Whether every step of the node from its first start up to the failure is recorded.
fn has_every_step(history: &History<'_>, node: NodeId) -> bool {
    let mut events = history.events_of(node);
    let begins_with_start =
        events.next().is_some_and(|(_, event)| matches!(event.kind, EventKind::Started { .. }));
    let has_gap = events.any(|(_, event)| matches!(event.kind, EventKind::RecordingEnded));
    let is_ahead = history.all().any(|(_, event)| {
        matches!(&event.kind, EventKind::Arrived { message, .. } if message.from == node)
    });
    begins_with_start && !has_gap && !is_ahead
}
