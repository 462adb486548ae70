//! Explanations of a client or an operator that waits although the core nodes reached every other
//! goal: the nodes reject each attempt, or do not answer one.

use std::collections::BTreeMap;

use quorate::types::{NodeId, ReadLevel, Tag};

use crate::explain::explanation::Draft;
use crate::explain::history::History;
use crate::record::{EventId, EventKind, InputKind};
use crate::workload::request::OpId;

/// The attempts of an operation since the stabilization phase began.
#[derive(Default)]
struct Attempts {
    /// The attempts that no node has answered yet: the request and the node.
    open: BTreeMap<Tag, (EventId, NodeId)>,
    sent: u64,
    last: Option<Tag>,
    /// By node and reason: the number of rejections and the last one.
    rejected: BTreeMap<(NodeId, String), (u64, EventId)>,
}

/// Explains the oldest operation without an outcome of which the nodes received an attempt since
/// event `since`. Its last attempt becomes a fact and the cause, if the node never answers it;
/// otherwise the most frequent rejection, that of `leader` before those of other nodes, because a
/// follower rejects what only a leader may accept. Returns false if there is no such operation.
pub(super) fn explain(
    history: &History<'_>,
    draft: &mut Draft,
    since: EventId,
    leader: NodeId,
) -> bool {
    let Some((op, request, attempts)) = oldest(history, since) else { return false };
    let (number, sent) = (op.0, attempts.sent);
    let most =
        attempts.rejected.iter().max_by_key(|((node, _), (count, _))| (*node == leader, *count));
    let open = attempts.last.and_then(|last| attempts.open.get(&last));
    let (id, sentence) = match (open, most) {
        (Some((last, node)), _) => {
            (*last, format!("{node} receives operation {number}, {request}, and never answers"))
        }
        (None, Some(((node, reason), (count, last)))) => {
            let sentence = format!(
                "{node} rejects operation {number}, {request}, {count} times so far: {reason}"
            );
            (*last, sentence)
        }
        (None, None) => return false,
    };
    draft.fact(id, history.at(id), sentence.clone());
    let phase = match history.event(since).kind {
        EventKind::Stabilized(_) => " since the stabilization phase began",
        _ => "",
    };
    draft.cause(format!("{sentence}; the client has sent it {sent} times{phase}"));
    true
}

/// Explains the request of the operator that a node has not answered, as the finding says. An
/// operator sends a node its next request after the outcome of the last one. Returns false if the
/// finding names no node or the node received no such request.
pub(super) fn explain_operator(
    history: &History<'_>,
    draft: &mut Draft,
    finding: &str,
    nodes: impl IntoIterator<Item = NodeId>,
) -> bool {
    let is_named = |node: &NodeId| finding.starts_with(&format!("{node} has not answered "));
    let Some(node) = nodes.into_iter().find(is_named) else { return false };
    let last = history.events_of(node).rev().find_map(|(id, event)| match &event.kind {
        EventKind::TookInput(InputKind::OperatorRequest(words)) => Some((id, words)),
        _ => None,
    });
    let Some((id, words)) = last else { return false };
    let at = history.at(id);
    draft.fact(id, at, format!("{node} takes the operator's request: {words}"));
    draft.cause(format!(
        "{node} takes the operator's request at {at} s, and never answers it: {words}"
    ));
    true
}

/// Returns the oldest operation that has no outcome and was sent to a node since event `since`,
/// with what it is and its attempts.
fn oldest(history: &History<'_>, since: EventId) -> Option<(OpId, &'static str, Attempts)> {
    let mut waiting: BTreeMap<OpId, (&'static str, Attempts)> = BTreeMap::new();
    let mut tags: BTreeMap<Tag, OpId> = BTreeMap::new();
    for (id, event) in history.all() {
        match &event.kind {
            EventKind::Invoked { op, level, .. } => {
                waiting.entry(*op).or_insert_with(|| (request(*level), Attempts::default()));
            }
            EventKind::Replied { op, .. }
            | EventKind::Served { op, .. }
            | EventKind::Rejected { op, .. }
            | EventKind::Unknown(op) => {
                waiting.remove(op);
            }
            EventKind::RequestReceived { op: Some(op), tag, .. } if id > since => {
                let (Some(node), Some((_, attempts))) = (event.node, waiting.get_mut(op)) else {
                    continue;
                };
                (attempts.sent, attempts.last) = (attempts.sent + 1, Some(*tag));
                attempts.open.insert(*tag, (id, node));
                tags.insert(*tag, *op);
            }
            EventKind::RequestAnswered { tag, rejected } => {
                let of_tag = tags.get(tag).and_then(|op| waiting.get_mut(op));
                let Some((_, attempts)) = of_tag else { continue };
                let Some((_, node)) = attempts.open.remove(tag) else { continue };
                if let Some(reason) = rejected {
                    let times = attempts.rejected.entry((node, reason.to_string()));
                    let (count, last) = times.or_insert((0, id));
                    (*count, *last) = (*count + 1, id);
                }
            }
            EventKind::Crashed { .. } => {
                for (_, attempts) in waiting.values_mut() {
                    attempts.open.retain(|_, (_, node)| Some(*node) != event.node);
                }
            }
            _ => {}
        }
    }
    let sent = waiting.into_iter().find(|(_, (_, attempts))| attempts.sent > 0);
    sent.map(|(op, (request, attempts))| (op, request, attempts))
}

fn request(level: Option<ReadLevel>) -> &'static str {
    match level {
        None => "a command",
        Some(_) => "a read",
    }
}
