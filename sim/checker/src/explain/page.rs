//! Evidence as one HTML page that needs nothing else: no network, light or dark.

use std::collections::BTreeMap;

use quorate_page::document::{Sentence, Table};
use quorate_page::html;

use crate::explain::attempt::{Attempt, Reach, attempt};
use crate::explain::object::{last_return, operations};
use crate::explain::picture::{Picture, legible};
use crate::explain::words::{label, listed, row};
use crate::history::{History, OpId};
use crate::model::Model;
use crate::verdict::Evidence;

/// Letters of a sentence, a state, and a call or a result in a table.
const SENTENCE_MAX: usize = 600;
const STATE_MAX: usize = 160;
const CELL_MAX: usize = 80;
/// Rows of a table: the last steps of an order, and the last of the evidence to return.
const STEPS_MAX: usize = 12;
const LISTED_MAX: usize = 30;

/// Why `evidence` makes `history` wrong, on a page that stands by itself, below 300 KB for any
/// history: the sentence; the evidence, and some operations around it, as bars on the lanes of
/// their clients; the longest order that explains them, with its states, and what then fits
/// nowhere.
pub fn page<M: Model>(model: &M, history: &History<M::Op, M::Ret>, evidence: &Evidence) -> String {
    let attempt = attempt(model, history, evidence);
    let object = operations(model, history, evidence);
    let order = attempt.as_ref().map_or(&[][..], |attempt| &attempt.order);
    let places: BTreeMap<OpId, usize> = order.iter().copied().zip(1..).collect();
    let misfit = attempt.as_ref().map(|attempt| attempt.misfit);
    let picture = Picture { model, history, evidence, object: &object, places: &places, misfit };
    let mut document = picture.document();
    document.title = format!("A history of {} operations", history.operations().len());
    if let Some(violation) = &mut document.violation {
        violation.saw = legible(&evidence.because, SENTENCE_MAX);
    }
    if let Some(attempt) = &attempt {
        let text = attempt.sentence(model, history, |id| id);
        if text != evidence.because {
            let event = document.violation.as_ref().map(|violation| violation.event);
            document.story.push(Sentence { text: legible(&text, SENTENCE_MAX), event });
        }
        document.tables.push(steps(model, history, evidence, attempt));
    }
    document.tables.push(table(model, history, evidence));
    html::page("Not linearizable", &[document])
}

/// The longest order: each operation, and the state after it.
fn steps<M: Model>(
    model: &M,
    history: &History<M::Op, M::Ret>,
    evidence: &Evidence,
    attempt: &Attempt<M::State>,
) -> Table {
    let note = match attempt.reach {
        Reach::All => "The longest order that explains what was returned.",
        Reach::Alone => "The longest order of these alone that explains what was returned.",
        Reach::Found => "The longest order that was found.",
    };
    let mut rows = Vec::new();
    let mut line = |place: &str, operation: &str, state: &str| {
        let (operation, state) = (legible(operation, CELL_MAX), legible(state, STATE_MAX));
        rows.push(vec![place.to_owned(), operation, state]);
    };
    let folded = attempt.order.len().saturating_sub(STEPS_MAX);
    let last = last_return(history, &evidence.operations);
    let mut state = model.init();
    if folded == 0 {
        line("", "at first", &model.state_words(&state));
    }
    for (place, id) in (1..).zip(&attempt.order) {
        let operation = history.operation(*id);
        let known = match attempt.reach {
            Reach::All => evidence.operations.binary_search(id).is_ok(),
            Reach::Alone | Reach::Found => operation.returned() <= last,
        };
        let ret = operation.ret().filter(|_| known);
        let after = model.step(&state, &operation.op, ret);
        state = after.unwrap_or_else(|| attempt.state.clone());
        if place == folded {
            let words = format!("{folded} operations before");
            line("", &words, &model.state_words(&state));
        } else if place > folded {
            let words = format!("{}: {}", id.0, label(model, operation));
            line(&place.to_string(), &words, &model.state_words(&state));
        }
    }
    let operation = history.operation(attempt.misfit);
    let words = format!("{}: {}", attempt.misfit.0, label(model, operation));
    line("", &words, "fits neither here nor later");
    Table {
        title: "Longest order".to_owned(),
        note: note.to_owned(),
        columns: ["", "Operation", "State after it"].map(str::to_owned).to_vec(),
        marked: u32::try_from(rows.len() - 1).ok(),
        rows,
    }
}

/// The evidence, operation by operation.
fn table<M: Model>(model: &M, history: &History<M::Op, M::Ret>, evidence: &Evidence) -> Table {
    let claim = match evidence.minimal {
        true => "Without any one of these it could be explained.",
        false => "These are enough; fewer might be.",
    };
    let listed = listed(history, evidence, LISTED_MAX);
    let folded = match evidence.operations.len() - listed.len() {
        0 => String::new(),
        folded => format!(" {folded} more returned earlier."),
    };
    let titles = ["Operation", "Client", "Call", "Result", "Invoked", "Returned"];
    let cells = |id: OpId| {
        let cells = row(model, id, history.operation(id));
        cells.iter().map(|cell| legible(cell, CELL_MAX)).collect()
    };
    Table {
        title: "Evidence".to_owned(),
        note: format!("Whatever became of all other operations, these cannot be. {claim}{folded}"),
        columns: titles.map(str::to_owned).to_vec(),
        rows: listed.into_iter().map(cells).collect(),
        marked: None,
    }
}
