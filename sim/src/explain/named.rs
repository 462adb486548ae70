//! Explanations of violations without an explainer of their own: the steps of the node that the
//! finding names first, before the violation and at the times that the finding names.

use quorate::types::NodeId;

use crate::explain::explanation::Draft;
use crate::explain::facts;
use crate::explain::history::History;
use crate::explain::phrases;
use crate::observe::Violation;
use crate::record::{Event, EventId};

/// The maximum number of times whose steps are added.
const TIMES_MAX: usize = 3;

pub(super) fn explain(history: &History<'_>, draft: &mut Draft, violation: &Violation) {
    let Violation { finding, at, .. } = violation;
    let node = finding.split(|one: char| !one.is_ascii_alphanumeric()).find_map(node_of);
    let last = node.and_then(|node| history.events_of(node).next_back());
    let of_node = match last {
        Some((last, _)) if history.node() != node => History::new(history.record(), last),
        _ => *history,
    };
    facts::last_steps(&of_node, draft);
    steps_at(&of_node, draft, finding);
    let is_later = !history.record().is_partial() && *at > history.at(history.failing);
    if is_later || of_node.failing != history.failing {
        // No event of the node shows the violation, so its finding becomes a fact.
        draft.fact(EventId(history.failing.0 + 1), *at, phrases::without_states(finding));
    }
}

/// Adds the steps of the history's node at the times that a finding names.
fn steps_at(history: &History<'_>, draft: &mut Draft, finding: &str) {
    let Some(node) = history.node() else { return };
    let words = finding.split(' ').map(|word| word.trim_end_matches([',', ':', ';', ')']));
    for time in words.filter_map(micros_of).take(TIMES_MAX) {
        let is_it = |(id, event): &(EventId, &Event)| {
            event.own_at.0 / 1_000 == time && history.step_of(*id) == Some(*id)
        };
        if let Some((id, _)) = history.events_of(node).find(is_it) {
            facts::step(history, draft, id);
        }
    }
}

/// The node of a name, such as `n3`.
fn node_of(word: &str) -> Option<NodeId> {
    word.strip_prefix('n')?.parse().ok().map(NodeId)
}

/// The microseconds of a time, such as `1.204310`.
fn micros_of(word: &str) -> Option<u64> {
    let (seconds, micros) = word.split_once('.').filter(|(_, micros)| micros.len() == 6)?;
    let seconds = seconds.parse::<u64>().ok()?.checked_mul(1_000_000)?;
    seconds.checked_add(micros.parse().ok()?)
}
