//! Explanations of panics, and of other failures that no check found.

use crate::explain::explanation::Draft;
use crate::explain::facts;
use crate::explain::history::History;
use crate::explain::machines;
use crate::explain::phrases;
use crate::record::EventKind;

/// Adds the steps before the failure. If a node or its state machine panicked, explains the panic,
/// whose message is `words`: names the node, its role, and the input or the entry.
pub(super) fn explain(history: &History<'_>, draft: &mut Draft, words: &str) {
    facts::last_steps(history, draft);
    let event = history.event(history.failing);
    // A node that takes an input or applies an entry has a status afterwards, unless it panics.
    let before = history.state_before(history.failing);
    let before = before.filter(|_| history.state_after(history.failing).is_none());
    let (Some(node), Some(before)) = (event.node, before) else { return };
    match &event.kind {
        EventKind::TookInput(_) => {
            facts::role_since(history, draft, node, history.failing);
            facts::pending_writes(history, draft, node, 2);
            let (role, step) = (phrases::role(before), phrases::step(history, history.failing));
            draft.cause(format!("{node}, {role}, panics in the step in which it {step}: {words}"));
        }
        EventKind::Applied { first, last, .. } => {
            let entries = phrases::entries(*first, *last);
            machines::last_steps(history, draft, node);
            draft.cause(format!(
                "{node}'s state machine panics while it applies {entries}: {words}"
            ));
        }
        _ => {}
    }
}
