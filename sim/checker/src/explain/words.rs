//! Evidence as text: why, and the few operations it takes.

use crate::explain::attempt::attempt;
use crate::history::{History, Moment, OpId, Operation, Outcome};
use crate::model::Model;
use crate::verdict::Evidence;

/// Operations of evidence that is not small that are listed at most: the last to return.
const LISTED_MAX: usize = 40;

/// Why `evidence` makes `history` wrong: the sentence, what fits nowhere after how much else, and
/// the operations with their clients, calls, results and moments.
pub fn words<M: Model>(model: &M, history: &History<M::Op, M::Ret>, evidence: &Evidence) -> String {
    let mut text = evidence.because.clone();
    text.push('\n');
    if let Some(attempt) = attempt(model, history, evidence) {
        let sentence = attempt.sentence(model, history, |id| id);
        if sentence != evidence.because {
            text.push_str(&sentence);
            text.push('\n');
        }
    }
    text.push('\n');
    let listed = listed(history, evidence, LISTED_MAX);
    let folded = evidence.operations.len() - listed.len();
    if folded > 0 {
        text.push_str(&format!("{folded} operations that returned earlier, and\n"));
    }
    text.push_str(&table(model, history, &listed));
    text
}

/// The `most` operations of `evidence` that returned last, in the order of invocation.
pub(crate) fn listed<O, R>(history: &History<O, R>, evidence: &Evidence, most: usize) -> Vec<OpId> {
    let mut ids = evidence.operations.clone();
    ids.sort_by_key(|id| std::cmp::Reverse(history.operation(*id).returned()));
    ids.truncate(most);
    ids.sort();
    ids
}

fn table<M: Model>(model: &M, history: &History<M::Op, M::Ret>, ids: &[OpId]) -> String {
    let titles = ["operation", "client", "call", "result", "invoked", "returned"];
    let mut rows = vec![titles.map(str::to_owned)];
    rows.extend(ids.iter().map(|id| row(model, *id, history.operation(*id))));
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max();
    let widths: Vec<usize> = (0..titles.len()).map(|column| width(column).unwrap_or(0)).collect();
    let mut text = String::new();
    for row in &rows {
        let cells = row.iter().zip(&widths).enumerate().map(|(column, (cell, width))| {
            // Words to the left, numbers to the right.
            let words = column == 2 || column == 3;
            if words { format!("{cell:<width$}") } else { format!("{cell:>width$}") }
        });
        text.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
        text.push('\n');
    }
    text
}

/// An operation in words: its number, client, call, result, and the moments of its invocation and
/// its return.
pub(crate) fn row<M: Model>(
    model: &M,
    id: OpId,
    operation: &Operation<M::Op, M::Ret>,
) -> [String; 6] {
    [
        id.0.to_string(),
        operation.client.0.to_string(),
        model.call_words(&operation.op),
        result(model, operation),
        operation.invoked.0.to_string(),
        match operation.returned() {
            Moment::NEVER => String::new(),
            Moment(at) => at.to_string(),
        },
    ]
}

/// What came of an operation, in words; empty if it returned and there is nothing to say.
pub(crate) fn result<M: Model>(model: &M, operation: &Operation<M::Op, M::Ret>) -> String {
    match &operation.outcome {
        Outcome::Returned { ret, .. } => model.ret_words(&operation.op, ret),
        Outcome::Failed => "failed".to_owned(),
        Outcome::Unknown => "unknown".to_owned(),
    }
}

/// An operation on one line: `get k -> 3`; only the call if it did not return.
pub(crate) fn label<M: Model>(model: &M, operation: &Operation<M::Op, M::Ret>) -> String {
    let call = model.call_words(&operation.op);
    match operation.ret().map(|ret| model.ret_words(&operation.op, ret)) {
        Some(ret) if !ret.is_empty() => format!("{call} -> {ret}"),
        _ => call,
    }
}
