//! Finds transactions that no registers allow: a read of a value that no transaction had begun to
//! write, or of a different value than the transaction observed or wrote just before.

use std::collections::BTreeMap;

use crate::collections::span::{Span, Time};
use crate::history::OpId;
use crate::value::{ValueId, ValueTable};
use crate::verdict::{Counterexample, Verdict};

/// One transaction and its steps.
#[derive(Clone, Debug)]
pub(crate) struct Transaction {
    pub(crate) id: OpId,
    pub(crate) span: Span,
    pub(crate) steps: Vec<Step>,
}

/// One step of a transaction.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Step {
    /// The transaction read this value of this key: (key, value).
    Read(ValueId, ValueId),
    /// The transaction wrote this value to this key: (key, value).
    Write(ValueId, ValueId),
}

/// Finds a transaction in `transactions` that no registers with the initial values `init` allow.
pub(crate) fn find_violation(
    init: &dyn Fn(ValueId) -> ValueId,
    transactions: &[Transaction],
    values: &ValueTable,
) -> Option<Verdict> {
    let mut first_write: BTreeMap<(ValueId, ValueId), Time> = BTreeMap::new();
    for transaction in transactions {
        for step in &transaction.steps {
            if let Step::Write(key, value) = *step {
                let first = first_write.entry((key, value)).or_insert(transaction.span.invoked);
                *first = transaction.span.invoked.min(*first);
            }
        }
    }
    let in_time = |key: ValueId, value: ValueId, by: Time| {
        value == init(key) || first_write.get(&(key, value)).is_some_and(|first| *first < by)
    };
    let completed = transactions.iter().filter(|transaction| transaction.span.is_known());
    for Transaction { id, span, steps } in completed {
        let mut own: BTreeMap<ValueId, ValueId> = BTreeMap::new();
        for step in steps {
            let (key, value) = match *step {
                Step::Write(key, value) => {
                    own.insert(key, value);
                    continue;
                }
                Step::Read(key, value) => (key, value),
            };
            let found = format!(
                "operation {} read {} {}",
                id.0,
                values.describe(key),
                values.describe(value)
            );
            let reason = match own.insert(key, value) {
                Some(before) if before != value => {
                    format!(
                        "{found}, although it had read or written {} just before",
                        values.describe(before)
                    )
                }
                None if !in_time(key, value, span.returned) => {
                    format!("{found}, which no transaction had begun to write by then")
                }
                _ => continue,
            };
            let counterexample = Counterexample { operations: vec![*id], reason, minimal: true };
            return Some(Verdict::NotLinearizable(counterexample));
        }
    }
    None
}
