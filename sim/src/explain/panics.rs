//! Explanations of panics.

use crate::explain::explanation::Draft;
use crate::explain::history::History;
use crate::explain::{phrases, progress};
use crate::record::EventKind;

/// Adds the step that panicked and the inputs that led to it. The cause names the step: the message
/// of a failed assertion alone would state the opposite of what happened.
pub(super) fn explain(history: &History<'_>, draft: &mut Draft, message: &str) {
    progress::explain_last_steps(history, draft);
    let panic = history.event(history.failing);
    let step = history.step_of(history.failing);
    let subject = match (&panic.kind, panic.node, step) {
        (EventKind::Panicked, Some(node), Some(step)) => {
            draft.fact(history.failing, panic.at, format!("{node} panics"));
            format!("{node} panics as it {}", phrases::step(history, step))
        }
        _ => "the run panics, not in the step of a node".to_owned(),
    };
    draft.cause(format!(
        "{subject}: the panic's message is `{message}`, which does not hold if the panic is a \
         failed assertion"
    ));
}
