//! State machines and snapshots: S15, S25, S26, S31 and U1.

use quorate::types::{EntryId, NodeId};

use crate::explain::past::Past;
use crate::explain::stories;
use crate::explain::telling::Draft;
use crate::record::What;

pub(super) fn tell(past: &Past<'_>, draft: &mut Draft) {
    let Some(node) = past.node() else { return };
    let what = &past.event(past.accused).what;
    let machine = past.of(node).rev().filter_map(|(id, event)| {
        Some((
            id,
            match &event.what {
                What::Applied { first, last, .. } => {
                    format!("{node} applies {}", range(*first, *last))
                }
                What::Restored(index) => {
                    format!("{node}'s state machine starts over from a snapshot to {index}")
                }
                What::SnapshotTaken(last) => format!("{node} has a snapshot of its own, to {last}"),
                What::Started { .. } => {
                    let now = past.after(id)?;
                    format!("{node} starts in {}, with {} applied", now.term, now.applied)
                }
                What::Fell { .. } => format!("{node} falls"),
                What::Slipped => format!("{node}'s state machine is made to err"),
                What::Judged(words) => format!("{node} finds itself {words}"),
                _ => return None,
            },
        ))
    });
    for (id, says) in machine.take(6) {
        draft.fact(id, past.at(id), says);
    }
    draft.cause(cause(past, node));
    if !matches!(what, What::Applied { .. }) {
        stories::spine(past, draft, past.accused, 3);
    }
}

fn cause(past: &Past<'_>, node: NodeId) -> String {
    let what = &past.event(past.accused).what;
    let applied = past.of(node).rev().filter(|(id, _)| *id < past.accused).find_map(
        |(_, event)| match &event.what {
            What::Applied { last, .. } => Some(last.index),
            What::Restored(index) => Some(*index),
            _ => None,
        },
    );
    let committed = past.after(past.accused).map(|now| now.committed).unwrap_or_default();
    match (what, applied) {
        (What::Applied { first, last, .. }, Some(applied)) if first.index <= applied => format!(
            "{node}'s state machine is given {} though it has applied the log up to {applied}: \
             what it has carried out, it carries out again",
            range(*first, *last)
        ),
        (What::Applied { first, last, .. }, Some(applied)) if first.index > applied.next() => {
            format!(
                "{node}'s state machine is given {} after {applied}: it never gets what is between",
                range(*first, *last)
            )
        }
        (What::Applied { first, last, .. }, _) if last.index > committed => format!(
            "{node}'s state machine is given {} though only {committed} is committed",
            range(*first, *last)
        ),
        (What::Applied { first, last, .. }, _) => {
            let lacks = wrong(past, *first, *last);
            format!(
                "{node} applies {} and comes to other replies or another state than the log leads \
                 to{lacks}",
                range(*first, *last)
            )
        }
        (What::SnapshotTaken(last), _) => {
            format!(
                "the snapshot of {node} to {last} is not of the committed log, or not its state"
            )
        }
        (What::Restored(index), _) => {
            format!("{node} starts over from a snapshot to {index} that is not the state there")
        }
        _ => format!("{node}'s state machine is not in the state that the log leads to"),
    }
}

/// Which of the entries is another than the committed one.
fn wrong(past: &Past<'_>, first: EntryId, last: EntryId) -> String {
    let ends = [first, last];
    let other = ends.iter().find(|id| past.committed_at(id.index).is_some_and(|at| at != **id));
    other.map_or_else(String::new, |id| format!(": {id} is not what is committed there"))
}

fn range(first: EntryId, last: EntryId) -> String {
    if first == last { first.to_string() } else { format!("{first} to {last}") }
}
