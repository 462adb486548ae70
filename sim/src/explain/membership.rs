//! Explanations of wrong memberships, S22, of wrong and failed starts, S16 and S27, and of stops,
//! S34.

use quorate::types::NodeId;

use crate::explain::explanation::Draft;
use crate::explain::facts;
use crate::explain::history::History;
use crate::explain::phrases;
use crate::record::{Event, EventId, EventKind};

pub(super) fn explain(history: &History<'_>, draft: &mut Draft) {
    let Some(node) = history.node() else { return };
    let steps = history.events_of(node).rev().filter_map(|(id, event)| match &event.kind {
        EventKind::MembershipAdopted(membership) => {
            Some((id, format!("{node} uses the membership {membership} from now on")))
        }
        EventKind::MembershipChangeCommitted(entry) => {
            Some((id, format!("{node} reports a membership change as complete with entry {entry}")))
        }
        EventKind::NotStarted(why) => Some((id, format!("{node} fails to start: {why}"))),
        EventKind::Started { .. } => {
            let now = history.state_after(id)?;
            let (term, log, done) = (now.term, phrases::log_up_to(now.last), now.committed);
            Some((id, format!("{node} starts in term {term} with {log} and commit index {done}")))
        }
        EventKind::Stopped(why) => Some((id, format!("{node} stops: {why}"))),
        EventKind::Restored(index) => {
            Some((id, format!("{node} restores a snapshot up to index {index}")))
        }
        EventKind::Crashed { .. } => Some((id, format!("{node} crashes"))),
        EventKind::DiskFailed(words) => Some((id, format!("{node}'s disk fails: {words}"))),
        _ => None,
    });
    for (id, sentence) in steps.take(7) {
        draft.fact(id, history.at(id), sentence);
    }
    facts::causal_steps(history, draft, history.failing, 3);
    // For the other events the finding itself is the cause.
    match &history.event(history.failing).kind {
        EventKind::NotStarted(why) => {
            let file = absent_file(history, draft, node, why);
            draft.cause(format!(
                "{node} cannot start from its disk although no fault damaged it: {why}{file}"
            ));
        }
        EventKind::Stopped(why) => {
            let file = absent_file(history, draft, node, why);
            let cause = "stops although no disk fault justifies it";
            draft.cause(format!("{node} {cause}: {why}{file}"));
        }
        _ => {}
    }
}

/// Describes in a clause why the file that an error names first is absent: the node itself removed
/// it, or could not create it. Adds that step to the facts.
fn absent_file(history: &History<'_>, draft: &mut Draft, node: NodeId, error: &str) -> String {
    let Some((file, _)) = error.split_once(' ') else { return String::new() };
    let file = file.trim_end_matches(':');
    let creates = |words: &str| words.starts_with(&format!("create {file} "));
    // The latest event that decides whether the file is there; the sentence says why it is not.
    let decides = |(id, event): (EventId, &Event)| match &event.kind {
        EventKind::DiskOperation(words) if words.strip_prefix("remove ") == Some(file) => {
            Some((id, Some(format!("{node} itself removed {file}"))))
        }
        EventKind::DiskOperation(words) => {
            let is_there = creates(words) || words.ends_with(&format!(" to {file}"));
            is_there.then_some((id, None))
        }
        EventKind::DiskFailed(words) if creates(words) => {
            Some((id, Some(format!("{node} could not create {file}"))))
        }
        EventKind::Wiped | EventKind::RolledBack { .. } => Some((id, None)),
        _ => None,
    };
    let last = history.events_of(node).rev().find_map(decides);
    let Some((id, Some(sentence))) = last else { return String::new() };
    let own_at = history.event(id).own_at;
    draft.fact(id, own_at, sentence.clone());
    facts::causal_steps(history, draft, id, 1);
    format!("; {sentence} at {own_at} s")
}
