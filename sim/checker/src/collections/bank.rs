//! Finds reads that no bank can return: unknown accounts, a changed total, or a forbidden negative
//! balance.

use std::collections::BTreeMap;

use crate::history::OpId;
use crate::value::{ValueId, ValueTable};
use crate::verdict::{Counterexample, Verdict};

/// Finds a read in `reads` that a bank with the initial balances `init` cannot return.
/// `overdraft_possible` allows negative balances.
pub(crate) fn find_violation<'a>(
    init: &BTreeMap<ValueId, i64>,
    overdraft_possible: bool,
    mut reads: impl Iterator<Item = (OpId, &'a [(ValueId, i64)])>,
    values: &ValueTable,
) -> Option<Verdict> {
    let total = |balances: &mut dyn Iterator<Item = i64>| balances.map(i128::from).sum::<i128>();
    let conserved = total(&mut init.values().copied());
    reads.find_map(|(id, balances)| {
        let read = format!("read {} returned", id.0);
        let accounts = balances.iter().map(|(account, _)| account);
        let found = total(&mut balances.iter().map(|(_, balance)| *balance));
        let owes = balances.iter().find(|(_, balance)| *balance < 0 && !overdraft_possible);
        let reason = if !accounts.eq(init.keys()) {
            format!("{read} accounts other than those of the bank")
        } else if found != conserved {
            format!("{read} a total of {found}, although the total is always {conserved}")
        } else {
            let (account, balance) = owes?;
            format!(
                "{read} a balance of {balance} for {}, which cannot be negative",
                values.describe(*account)
            )
        };
        let counterexample = Counterexample { operations: vec![id], reason, minimal: true };
        Some(Verdict::NotLinearizable(counterexample))
    })
}
