//! Describes a counterexample as text: the reason, and a table of its operations.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use crate::explain::longest::longest_linearization;
use crate::history::{EventIndex, History, OpId, Operation, Outcome};
use crate::model::Model;
use crate::verdict::Counterexample;

/// The maximum number of operations of a counterexample that are listed: the last to return.
const LISTED_MAX: usize = 40;

/// Describes why `counterexample` makes `history` not linearizable: its reason, the operation that
/// the longest linearizable order cannot explain, and a table of its operations with their clients,
/// calls, results and events.
pub fn describe<M: Model>(
    model: &M,
    history: &History<M::Op, M::Ret>,
    counterexample: &Counterexample,
) -> String {
    let mut text = counterexample.reason.clone();
    text.push('\n');
    if let Some(attempt) = longest_linearization(model, history, counterexample) {
        let sentence = attempt.sentence(model, history, |id| id);
        if sentence != counterexample.reason {
            text.push_str(&sentence);
            text.push('\n');
        }
    }
    text.push('\n');
    let listed = listed(history, counterexample, LISTED_MAX);
    let folded = counterexample.operations.len() - listed.len();
    if folded > 0 {
        text.push_str(&format!("({folded} operations that returned earlier are not listed)\n"));
    }
    text.push_str(&table(model, history, &listed));
    text
}

/// Returns at most `most` operations of `counterexample`, in the order of invocation: those without
/// a response, and those that returned last.
pub(crate) fn listed<O, R>(
    history: &History<O, R>,
    counterexample: &Counterexample,
    most: usize,
) -> Vec<OpId> {
    let returned = |id: &OpId| (history.operation(*id).returned(), Reverse(*id));
    let by_return: BTreeSet<_> = counterexample.operations.iter().map(returned).collect();
    let mut ids: Vec<OpId> = by_return.iter().rev().take(most).map(|(_, id)| id.0).collect();
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
            // Texts are aligned to the left, numbers to the right.
            let words = column == 2 || column == 3;
            if words { format!("{cell:<width$}") } else { format!("{cell:>width$}") }
        });
        text.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
        text.push('\n');
    }
    text
}

/// Returns the cells of an operation: number, client, call, result, and the events of its
/// invocation and response.
pub(crate) fn row<M: Model>(
    model: &M,
    id: OpId,
    operation: &Operation<M::Op, M::Ret>,
) -> [String; 6] {
    [
        id.0.to_string(),
        operation.client.0.to_string(),
        model.describe_op(&operation.op),
        result(model, operation),
        operation.invoked.0.to_string(),
        match operation.returned() {
            EventIndex::NEVER => String::new(),
            EventIndex(at) => at.to_string(),
        },
    ]
}

/// Describes the outcome of an operation. Empty if it returned without a value.
pub(crate) fn result<M: Model>(model: &M, operation: &Operation<M::Op, M::Ret>) -> String {
    match &operation.outcome {
        Outcome::Returned { ret, .. } => model.describe_ret(&operation.op, ret),
        Outcome::Failed => "failed".to_owned(),
        Outcome::Unknown => "unknown".to_owned(),
    }
}

/// Describes an operation on one line: `get k -> 3`, or only the call if it returned no value.
pub(crate) fn label<M: Model>(model: &M, operation: &Operation<M::Op, M::Ret>) -> String {
    let call = model.describe_op(&operation.op);
    match operation.ret().map(|ret| model.describe_ret(&operation.op, ret)) {
        Some(ret) if !ret.is_empty() => format!("{call} -> {ret}"),
        _ => call,
    }
}
