//! Explanations of panics: the node, the input or the command that it was processing, and the text
//! of the panic.

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
    let Some(node) = event.node else { return };
    let step = phrases::step(history, history.failing);
    let message = format!("with the message \"{words}\"");
    // A node that takes an input has a status afterwards, unless it panics.
    let before = history.state_before(history.failing);
    let before = before.filter(|_| history.state_after(history.failing).is_none());
    match (&event.kind, before) {
        (EventKind::TookInput(_), Some(before)) => {
            facts::role_since(history, draft, node, history.failing);
            facts::pending_writes(history, draft, node, 2);
            let role = phrases::role(before);
            draft
                .cause(format!("{node}, {role}, panics in the step in which it {step}, {message}"));
        }
        (EventKind::Panicked(sentence), _) => {
            machines::last_steps(history, draft, node);
            draft.cause(format!("{sentence}, {message}"));
        }
        (EventKind::Applied { .. } | EventKind::TookInput(_), _) => {
            draft.fact(history.failing, event.own_at, format!("{node} {step}"));
            let outside = "code outside of the steps of the nodes panics";
            draft.cause(format!("{outside} right after {node} {step}, {message}"));
        }
        _ => {}
    }
}
