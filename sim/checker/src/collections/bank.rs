//! What no bank can show, whatever was asked of it: other accounts than it has, money made or
//! lost, and debts where there can be none.

use std::collections::BTreeMap;

use crate::history::OpId;
use crate::value::{Value, Values};
use crate::verdict::{Evidence, Verdict};

/// Looks for such a thing in `reads` of a bank that had `init` at first. `debts` says whether an
/// account may owe.
pub(crate) fn impossible<'a>(
    init: &BTreeMap<Value, i64>,
    debts: bool,
    mut reads: impl Iterator<Item = (OpId, &'a [(Value, i64)])>,
    values: &Values,
) -> Option<Verdict> {
    let total = |balances: &mut dyn Iterator<Item = i64>| balances.map(i128::from).sum::<i128>();
    let conserved = total(&mut init.values().copied());
    reads.find_map(|(id, balances)| {
        let read = format!("read {} returned", id.0);
        let accounts = balances.iter().map(|(account, _)| account);
        let found = total(&mut balances.iter().map(|(_, balance)| *balance));
        let owes = balances.iter().find(|(_, balance)| *balance < 0 && !debts);
        let because = if !accounts.eq(init.keys()) {
            format!("{read} other accounts than there are")
        } else if found != conserved {
            format!("{read} {found} in all, although there is always {conserved}")
        } else {
            let (account, balance) = owes?;
            format!("{read} {balance} of {}, which cannot owe", values.words(*account))
        };
        let evidence = Evidence { operations: vec![id], because, minimal: true };
        Some(Verdict::NotLinearizable(evidence))
    })
}
