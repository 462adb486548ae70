//! What no registers can show, whatever was written when: a value that nobody wrote in time, or
//! another than the transaction itself wrote just before.

use std::collections::BTreeMap;

use crate::collections::span::{Span, Time};
use crate::history::OpId;
use crate::value::{Value, Values};
use crate::verdict::{Evidence, Verdict};

/// One transaction.
#[derive(Clone, Debug)]
pub(crate) struct Transaction {
    pub(crate) id: OpId,
    pub(crate) span: Span,
    pub(crate) steps: Vec<Step>,
}

/// One step of it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Step {
    /// It found this value at this key.
    Found(Value, Value),
    /// It wrote this value to this key.
    Wrote(Value, Value),
}

/// Looks for such a thing in `transactions` on registers that all have `init` at first.
pub(crate) fn impossible(
    init: Value,
    transactions: &[Transaction],
    values: &Values,
) -> Option<Verdict> {
    let mut first_write: BTreeMap<(Value, Value), Time> = BTreeMap::new();
    for transaction in transactions {
        for step in &transaction.steps {
            if let Step::Wrote(key, value) = *step {
                let first = first_write.entry((key, value)).or_insert(transaction.span.invoked);
                *first = transaction.span.invoked.min(*first);
            }
        }
    }
    let in_time = |key: Value, value: Value, by: Time| {
        value == init || first_write.get(&(key, value)).is_some_and(|first| *first < by)
    };
    let told = transactions.iter().filter(|transaction| transaction.span.is_known());
    for Transaction { id, span, steps } in told {
        let mut own: BTreeMap<Value, Value> = BTreeMap::new();
        for step in steps {
            let (key, value) = match *step {
                Step::Wrote(key, value) => {
                    own.insert(key, value);
                    continue;
                }
                Step::Found(key, value) => (key, value),
            };
            let found =
                format!("operation {} read {} {}", id.0, values.words(key), values.words(value));
            let because = match own.insert(key, value) {
                Some(before) if before != value => {
                    format!("{found}, although it was {} to it just before", values.words(before))
                }
                None if !in_time(key, value, span.returned) => {
                    format!("{found}, which nobody had begun to write by then")
                }
                _ => continue,
            };
            let evidence = Evidence { operations: vec![*id], because, minimal: true };
            return Some(Verdict::NotLinearizable(evidence));
        }
    }
    None
}
