//! Explanations of a client that waits although the core nodes reached every other goal: the nodes
//! reject each of its attempts, or do not answer one.

use std::collections::BTreeMap;

use quorate::types::{NodeId, ReadLevel, Tag};

use crate::explain::explanation::Draft;
use crate::explain::history::History;
use crate::record::{EventId, EventKind};
use crate::workload::request::OpId;

/// The attempts of an operation since the stabilization phase began.
#[derive(Default)]
struct Attempts {
    /// The attempts that no node has answered yet: the request and the node.
    open: BTreeMap<Tag, (EventId, NodeId)>,
    sent: u64,
    /// By node and reason: the number of rejections and the last one.
    rejected: BTreeMap<(NodeId, String), (u64, EventId)>,
}

/// Explains the oldest operation without an outcome of which the nodes received an attempt since
/// event `since`. Its most frequent rejection becomes a fact and the cause, that of `leader` before
/// those of other nodes, because a follower rejects what only a leader may accept; if no attempt
/// was rejected, the last one without an answer. Returns false if there is no such operation.
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
    let (id, sentence) = match (most, attempts.open.values().next_back()) {
        (Some(((node, reason), (count, last))), _) => {
            let sentence = format!(
                "{node} rejects operation {number}, {request}, {count} times so far: {reason}"
            );
            (*last, sentence)
        }
        (None, Some((last, node))) => {
            (*last, format!("{node} receives operation {number}, {request}, and never answers"))
        }
        (None, None) => return false,
    };
    draft.fact(id, history.at(id), sentence.clone());
    draft.cause(format!(
        "{sentence}; the client has sent it {sent} times since the stabilization phase began"
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
                attempts.sent += 1;
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
