//! Renders a counterexample as one self-contained HTML page, in light and dark colours.

use std::collections::BTreeMap;

use quorate_page::document::{Sentence, Table};
use quorate_page::html;

use crate::explain::longest::{Coverage, PartialLinearization, longest_linearization};
use crate::explain::object::{last_return, operations};
use crate::explain::picture::{Picture, legible};
use crate::explain::text::{label, listed, row};
use crate::history::{History, OpId};
use crate::model::Model;
use crate::verdict::Counterexample;

/// The maximum number of characters of a sentence, a state, and a call or a result in a table.
const SENTENCE_MAX: usize = 600;
const STATE_MAX: usize = 160;
const CELL_MAX: usize = 80;
/// The maximum number of rows of a table: the last steps of an order, and the last operations to
/// return.
const STEPS_MAX: usize = 12;
const LISTED_MAX: usize = 30;

/// Renders why `counterexample` makes `history` not linearizable, as a self-contained page of less
/// than 300 KB: the sentence; the operations of the counterexample and some around them, as bars on
/// the lanes of their clients; the longest order that explains them, with its states; and the
/// operation that it cannot explain.
pub fn page<M: Model>(
    model: &M,
    history: &History<M::Op, M::Ret>,
    counterexample: &Counterexample,
) -> String {
    let attempt = longest_linearization(model, history, counterexample);
    let object = operations(model, history, counterexample);
    let order = attempt.as_ref().map_or(&[][..], |attempt| &attempt.order);
    let places: BTreeMap<OpId, usize> = order.iter().copied().zip(1..).collect();
    let unexplained = attempt.as_ref().map(|attempt| attempt.unexplained);
    let picture =
        Picture { model, history, counterexample, object: &object, places: &places, unexplained };
    let mut document = picture.document();
    document.title = format!("A history of {} operations", history.operations().len());
    if let Some(violation) = &mut document.violation {
        violation.finding = legible(&counterexample.reason, SENTENCE_MAX);
    }
    if let Some(attempt) = &attempt {
        let text = attempt.sentence(model, history, |id| id);
        if text != counterexample.reason {
            let event = document.violation.as_ref().map(|violation| violation.event);
            document.explanation.push(Sentence { text: legible(&text, SENTENCE_MAX), event });
        }
        document.tables.push(steps(model, history, counterexample, attempt));
    }
    document.tables.push(table(model, history, counterexample));
    html::page("Not linearizable", &[document])
}

/// Builds the table of the longest order: each operation, and the state after it.
fn steps<M: Model>(
    model: &M,
    history: &History<M::Op, M::Ret>,
    counterexample: &Counterexample,
    attempt: &PartialLinearization<M::State>,
) -> Table {
    let note = match attempt.coverage {
        Coverage::Exhaustive => "The longest order that explains what the operations returned.",
        Coverage::CounterexampleOnly => {
            "The longest order of these operations alone that explains what they returned."
        }
        Coverage::Partial => "The longest order that was found.",
    };
    let mut rows = Vec::new();
    let mut line = |place: &str, operation: &str, state: &str| {
        let (operation, state) = (legible(operation, CELL_MAX), legible(state, STATE_MAX));
        rows.push(vec![place.to_owned(), operation, state]);
    };
    let folded = attempt.order.len().saturating_sub(STEPS_MAX);
    let last = last_return(history, &counterexample.operations);
    let mut state = model.init();
    if folded == 0 {
        line("", "initial state", &model.describe_state(&state));
    }
    for (place, id) in (1..).zip(&attempt.order) {
        let operation = history.operation(*id);
        let known = match attempt.coverage {
            Coverage::Exhaustive => counterexample.operations.binary_search(id).is_ok(),
            Coverage::CounterexampleOnly | Coverage::Partial => operation.returned() <= last,
        };
        let ret = operation.ret().filter(|_| known);
        let after = model.step(&state, &operation.op, ret);
        state = after.unwrap_or_else(|| attempt.state.clone());
        if place == folded {
            let words = format!("{folded} earlier operations");
            line("", &words, &model.describe_state(&state));
        } else if place > folded {
            let words = format!("{}: {}", id.0, label(model, operation));
            line(&place.to_string(), &words, &model.describe_state(&state));
        }
    }
    let operation = history.operation(attempt.unexplained);
    let words = format!("{}: {}", attempt.unexplained.0, label(model, operation));
    line("", &words, "legal neither here nor later");
    Table {
        title: "Longest order".to_owned(),
        note: note.to_owned(),
        columns: ["", "Operation", "State after it"].map(str::to_owned).to_vec(),
        marked: u32::try_from(rows.len() - 1).ok(),
        rows,
    }
}

/// Builds the table of the operations of the counterexample.
fn table<M: Model>(
    model: &M,
    history: &History<M::Op, M::Ret>,
    counterexample: &Counterexample,
) -> Table {
    let claim = match counterexample.minimal {
        true => "Without any one of them a linearization exists.",
        false => "They suffice; fewer operations might suffice too.",
    };
    let listed = listed(history, counterexample, LISTED_MAX);
    let folded = match counterexample.operations.len() - listed.len() {
        0 => String::new(),
        folded => format!(" {folded} more operations returned earlier."),
    };
    let titles = ["Operation", "Client", "Call", "Result", "Invoked", "Returned"];
    let cells = |id: OpId| {
        let cells = row(model, id, history.operation(id));
        cells.iter().map(|cell| legible(cell, CELL_MAX)).collect()
    };
    Table {
        title: "Counterexample".to_owned(),
        note: format!(
            "No linearization contains these operations, regardless of all other outcomes. \
             {claim}{folded}"
        ),
        columns: titles.map(str::to_owned).to_vec(),
        rows: listed.into_iter().map(cells).collect(),
        marked: None,
    }
}
