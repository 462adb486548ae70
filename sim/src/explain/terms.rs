//! Terms: S5 and S7.

use quorate::types::{NodeId, Term};

use crate::explain::past::{Fate, Past};
use crate::explain::stories;
use crate::explain::telling::Draft;
use crate::record::{EventId, What};

pub(super) fn tell(past: &Past<'_>, draft: &mut Draft) {
    let event = past.event(past.accused);
    let Some(node) = past.node() else { return };
    let said = event.message().map(|message| (message.term, message.to));
    if let Some((term, to)) = said {
        replies_early(past, draft, node, (term, to));
    } else {
        falls(past, draft, node);
    }
}

/// A node speaks in a term that its disk does not have.
fn replies_early(past: &Past<'_>, draft: &mut Draft, node: NodeId, (term, to): (Term, NodeId)) {
    stories::spine(past, draft, past.accused, 2);
    let writes = terms(past, node);
    let own = writes.iter().rev().find(|(_, written)| *written >= term);
    let what = past.event(past.accused).message().map_or("an answer", |said| said.body.name());
    draft.fact(past.accused, past.at(past.accused), format!("{node} sends {to} {what} in {term}"));
    let Some((id, _)) = own else {
        return draft.cause(format!(
            "{node} answers in {term}, and never gave a write with that term to its disk: after a \
             crash it would be in an earlier one"
        ));
    };
    let says = format!("{node} gives {term} to its disk");
    draft.fact(*id, past.at(*id), says);
    stories::fate(past, draft, *id, &format!("the write with {term}"));
    draft.cause(format!(
        "{node} answers {to} in {term} before that term is durable: a crash now would take it back \
         into an earlier one"
    ));
}

/// The term of a node falls, or is behind its disk's.
fn falls(past: &Past<'_>, draft: &mut Draft, node: NodeId) {
    let now = past.after(past.accused).map_or(Term::ZERO, |now| now.term);
    let writes = terms(past, node);
    let high = writes.iter().rev().find(|(id, term)| {
        *term > now && !matches!(past.fate(*id), Fate::Lost(..) | Fate::UnderWay)
    });
    if let Some((id, term)) = high {
        draft.fact(*id, past.at(*id), format!("{node} gives {term} to its disk"));
        stories::fate(past, draft, *id, &format!("the write with {term}"));
        stories::troubles(past, draft, node, *id);
    }
    let low = writes.iter().rev().find(|(_, term)| *term <= now);
    if let Some((id, term)) = low.filter(|(id, _)| high.is_some_and(|(high, _)| high < id)) {
        stories::spine(past, draft, *id, 1);
        draft.fact(*id, past.at(*id), format!("{node} gives {term} to its disk, a lower term"));
    }
    stories::spine(past, draft, past.accused, 2);
    let before = high.map_or(String::new(), |(_, term)| format!(" after {term} was on its disk"));
    draft.cause(format!("{node} is in {now}{before}: terms never fall"));
}

/// The terms that a node gave to its disk, each with its submission.
fn terms(past: &Past<'_>, node: NodeId) -> Vec<(EventId, Term)> {
    let term = |(id, event): (EventId, &crate::record::Event)| match &event.what {
        What::Submitted(write) => Some((id, write.hard_state?.term)),
        _ => None,
    };
    past.of(node).filter_map(term).collect()
}
