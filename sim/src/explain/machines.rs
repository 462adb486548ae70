//! Explanations of wrong states, replies and snapshots: S15, S25, S26, S31 and U1.

use quorate::types::{EntryId, Index, NodeId};

use crate::explain::explanation::Draft;
use crate::explain::facts;
use crate::explain::history::History;
use crate::explain::phrases::{self, entries};
use crate::record::{EventId, EventKind};

pub(super) fn explain(history: &History<'_>, draft: &mut Draft) {
    let Some(node) = history.node() else { return };
    let kind = &history.event(history.failing).kind;
    last_steps(history, draft, node);
    if let Some(cause) = cause(history, node) {
        draft.cause(cause);
    }
    if !matches!(kind, EventKind::Applied { .. }) {
        facts::causal_steps(history, draft, history.failing, 3);
    }
}

/// Adds the last steps of a node's state machine, and the starts and faults of the node between
/// them.
pub(super) fn last_steps(history: &History<'_>, draft: &mut Draft, node: NodeId) {
    let machine = history.events_of(node).rev().filter_map(|(id, event)| {
        Some((
            id,
            match &event.kind {
                EventKind::Applied { first, last, .. } => {
                    format!("{node} applies {}", entries(*first, *last))
                }
                EventKind::Restored(index) => {
                    format!(
                        "{node}'s state machine is restored from a snapshot up to index {index}"
                    )
                }
                EventKind::SnapshotTaken(last) => format!("{node} takes a snapshot up to {last}"),
                EventKind::Started { .. } => {
                    let now = history.state_after(id)?;
                    format!("{node} starts in term {} with applied index {}", now.term, now.applied)
                }
                EventKind::Crashed { .. } => format!("{node} crashes"),
                EventKind::MachineFault => format!(
                    "a simulated fault makes {node}'s state machine process a command \
                     wrongly"
                ),
                EventKind::Panicked(sentence) => sentence.clone(),
                EventKind::StateCompared(words) => {
                    format!("{node} compares its state with other nodes: {words}")
                }
                _ => return None,
            },
        ))
    });
    for (id, sentence) in machine.take(6) {
        draft.fact(id, history.at(id), sentence);
    }
    applied_index_fell(history, draft, node);
}

/// Adds the last step of a node in which its applied index fell.
fn applied_index_fell(history: &History<'_>, draft: &mut Draft, node: NodeId) {
    let falls = |id: EventId| {
        let (before, after) = (history.state_before(id)?.applied, history.state_after(id)?.applied);
        (after < before).then_some((id, before, after))
    };
    if let Some((id, before, after)) = history.events_of(node).rev().find_map(|(id, _)| falls(id)) {
        let step = phrases::step(history, id);
        let sentence =
            format!("{node} {step}, and its applied index falls from {before} to {after}");
        draft.fact(id, history.at(id), sentence);
    }
}

/// The cause, if it is certain from the events.
fn cause(history: &History<'_>, node: NodeId) -> Option<String> {
    let kind = &history.event(history.failing).kind;
    let applied = history.events_of(node).rev().filter(|(id, _)| *id < history.failing).find_map(
        |(id, event)| match &event.kind {
            EventKind::Applied { last, .. } => Some(last.index),
            EventKind::Restored(index) => Some(*index),
            EventKind::Started { .. } => Some(history.state_after(id)?.applied),
            _ => None,
        },
    );
    let committed =
        history.state_after(history.failing).map(|now| now.committed).unwrap_or_default();
    Some(match (kind, applied) {
        (EventKind::Applied { first, last, .. }, Some(applied)) if first.index <= applied => {
            format!(
                "{node}'s state machine receives {} although it has applied the log up to index \
             {applied}, so it executes commands twice",
                entries(*first, *last)
            )
        }
        (EventKind::Applied { first, last, .. }, Some(applied)) if first.index > applied.next() => {
            format!(
                "{node}'s state machine receives {} after index {applied}, so it never applies \
                 the entries in between",
                entries(*first, *last)
            )
        }
        (EventKind::Applied { first, last, .. }, _) if last.index > committed => format!(
            "{node}'s state machine receives {}, but the node's commit index is {committed}",
            entries(*first, *last)
        ),
        (EventKind::Applied { first, last, .. }, _) if history.check() == Some("S26") => {
            let finding = history.violation().map_or("", |violation| violation.finding.as_str());
            if finding.starts_with(OF_SNAPSHOT) {
                return Some(format!(
                    "{finding}: the snapshot lacks a part of the state, or `restore` loses it"
                ));
            }
            let (since, lacks) = (restored(history, node), uncommitted_end(history, *first, *last));
            format!(
                "{node} applies {}{since}, but its replies or its state differ from those of a \
                 machine that has applied the whole log without faults{lacks}",
                entries(*first, *last)
            )
        }
        _ => return None,
    })
}

/// The beginning of a finding about a machine that the checks have restored from a snapshot. The
/// snapshot may come from another node than the event.
const OF_SNAPSHOT: &str = "a state machine restored from ";

/// Names the snapshot from which the node's machine was last restored, if it ever was.
fn restored(history: &History<'_>, node: NodeId) -> String {
    let starts = history.events_of(node).rev().filter(|(id, _)| *id < history.failing);
    let mut last = starts.filter_map(|(id, event)| match &event.kind {
        EventKind::Restored(index) => Some(*index),
        EventKind::Started { .. } => Some(history.state_after(id)?.snapshot),
        _ => None,
    });
    match last.next() {
        Some(index) if index > Index::ZERO => {
            format!(" after its state was restored from a snapshot up to index {index}")
        }
        _ => String::new(),
    }
}

/// Names an applied entry that differs from the committed one, if it is the first or the last.
fn uncommitted_end(history: &History<'_>, first: EntryId, last: EntryId) -> String {
    let ends = [first, last];
    let other = ends.iter().find(|id| history.committed_at(id.index).is_some_and(|at| at != **id));
    other.map_or_else(String::new, |id| {
        format!(": entry {id} is not the committed entry at that index")
    })
}
