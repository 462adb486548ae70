//! Explanations of wrong terms: S5 and S7.

use quorate::types::{NodeId, Term};

use crate::explain::explanation::Draft;
use crate::explain::facts;
use crate::explain::history::{History, WriteOutcome};
use crate::record::{EventId, EventKind};

pub(super) fn explain(history: &History<'_>, draft: &mut Draft) {
    let event = history.event(history.failing);
    let Some(node) = history.node() else { return };
    let sent = event.message().map(|message| (message.term, message.to));
    if let Some((term, to)) = sent {
        reply_before_durable(history, draft, node, term, to);
    } else {
        term_decreases(history, draft, node);
    }
}

/// Explains a reply in a term that is not durable on its sender's disk.
fn reply_before_durable(
    history: &History<'_>,
    draft: &mut Draft,
    node: NodeId,
    term: Term,
    to: NodeId,
) {
    facts::causal_steps(history, draft, history.failing, 2);
    let writes = terms(history, node);
    let own = writes.iter().rev().find(|(_, written)| *written >= term);
    let message_name =
        history.event(history.failing).message().map_or("reply", |sent| sent.body.name());
    draft.fact(
        history.failing,
        history.at(history.failing),
        format!("{node} sends {to} its {message_name} in term {term}"),
    );
    let Some((id, written)) = own else {
        return draft.cause(format!(
            "{node} replies in term {term} but never submitted that term to its disk, so after a \
             crash it would return to an earlier term"
        ));
    };
    let sentence = format!("{node} submits term {written} to its disk");
    draft.fact(*id, history.at(*id), sentence);
    facts::write_outcome(history, draft, *id, &format!("the write with term {written}"));
    draft.cause(format!(
        "{node} replies to {to} in term {term} before that term is durable, so after a crash now \
         {node} would return to an earlier term"
    ));
}

/// Explains a term that decreases or is behind the term on disk.
fn term_decreases(history: &History<'_>, draft: &mut Draft, node: NodeId) {
    let now = history.state_after(history.failing).map_or(Term::ZERO, |now| now.term);
    let writes = terms(history, node);
    let high = writes.iter().rev().find(|(id, term)| {
        *term > now
            && !matches!(history.write_outcome(*id), WriteOutcome::Lost(..) | WriteOutcome::Pending)
    });
    if let Some((id, term)) = high {
        draft.fact(*id, history.at(*id), format!("{node} submits term {term} to its disk"));
        facts::write_outcome(history, draft, *id, &format!("the write with term {term}"));
        facts::node_faults(history, draft, node, *id);
    }
    let low = writes.iter().rev().find(|(_, term)| *term <= now);
    if let Some((id, term)) = low.filter(|(id, _)| high.is_some_and(|(high, _)| high < id)) {
        facts::causal_steps(history, draft, *id, 1);
        draft.fact(
            *id,
            history.at(*id),
            format!("{node} submits the lower term {term} to its disk"),
        );
    }
    facts::causal_steps(history, draft, history.failing, 2);
    let before =
        high.map_or(String::new(), |(_, term)| format!(" although term {term} was on its disk"));
    draft.cause(format!("{node} is in term {now}{before}: a term must never decrease"));
}

/// The terms that a node submitted to its disk, with the submissions.
fn terms(history: &History<'_>, node: NodeId) -> Vec<(EventId, Term)> {
    let term = |(id, event): (EventId, &crate::record::Event)| match &event.kind {
        EventKind::Submitted(write) => Some((id, write.hard_state?.term)),
        _ => None,
    };
    history.events_of(node).filter_map(term).collect()
}
