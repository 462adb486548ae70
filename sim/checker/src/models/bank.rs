//! A bank model: accounts, and transfers that conserve the total.

use std::collections::BTreeMap;

use crate::budget::Budget;
use crate::collections::bank;
use crate::history::Subhistory;
use crate::model::{Effect, Model};
use crate::models::heap::tree_bytes;
use crate::value::{ValueId, ValueTable};
use crate::verdict::Verdict;

/// Accounts, and transfers between them. The total of all balances never changes.
#[derive(Clone, Debug, Default)]
pub struct Bank {
    /// The balance of every account before the first operation.
    pub init: BTreeMap<ValueId, i64>,
    /// Whether balances may be negative.
    pub overdraft: bool,
    /// The table of the account names.
    pub values: ValueTable,
}

/// An operation on a bank.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BankOp {
    /// Reads the balances of all accounts.
    Read,
    /// Moves `amount` from one account to another.
    Transfer {
        /// The account that pays.
        from: ValueId,
        /// The account that receives.
        to: ValueId,
        /// The amount to move.
        amount: i64,
    },
}

/// The result of an operation on a bank.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum BankRet {
    /// Whether the money was moved. It is not if `from` or `to` does not exist, if a balance would
    /// overflow, or if the balance of `from` would become negative and may not.
    Moved(bool),
    /// The balances of all accounts, sorted by account.
    Balances(Box<[(ValueId, i64)]>),
}

impl Bank {
    fn transfer(
        &self,
        state: &BTreeMap<ValueId, i64>,
        from: ValueId,
        to: ValueId,
        amount: i64,
    ) -> Option<BTreeMap<ValueId, i64>> {
        let left = state.get(&from)?.checked_sub(amount)?;
        if !state.contains_key(&to) || left < 0 && !self.overdraft {
            return None;
        }
        let mut after = state.clone();
        after.insert(from, left);
        let balance = after.get_mut(&to)?;
        *balance = balance.checked_add(amount)?;
        Some(after)
    }
}

impl Model for Bank {
    type State = BTreeMap<ValueId, i64>;
    type Op = BankOp;
    type Ret = BankRet;

    fn init(&self) -> BTreeMap<ValueId, i64> {
        self.init.clone()
    }

    fn step(
        &self,
        state: &BTreeMap<ValueId, i64>,
        op: &BankOp,
        ret: Option<&BankRet>,
    ) -> Option<BTreeMap<ValueId, i64>> {
        match (*op, ret) {
            (BankOp::Read, None) => Some(state.clone()),
            (BankOp::Read, Some(BankRet::Balances(returned))) => {
                let here = state.iter().map(|(account, balance)| (*account, *balance));
                returned.iter().copied().eq(here).then(|| state.clone())
            }
            (BankOp::Transfer { from, to, amount }, None | Some(BankRet::Moved(_))) => {
                let after = self.transfer(state, from, to, amount);
                match (after, ret) {
                    (Some(_), Some(BankRet::Moved(false))) => None,
                    (None, Some(BankRet::Moved(true))) => None,
                    (after, _) => Some(after.unwrap_or_else(|| state.clone())),
                }
            }
            (BankOp::Read, Some(BankRet::Moved(_)))
            | (BankOp::Transfer { .. }, Some(BankRet::Balances(_))) => None,
        }
    }

    fn effect(&self, op: &BankOp, ret: Option<&BankRet>) -> Effect {
        match (op, ret) {
            (BankOp::Read, _) | (_, Some(BankRet::Moved(false))) => Effect::ReadOnly,
            (BankOp::Transfer { .. }, _) => Effect::Update,
        }
    }

    fn decide(&self, part: Subhistory<'_, BankOp, BankRet>, _: &Budget<'_>) -> Option<Verdict> {
        // A negative transfer takes from the other account, which may then be overdrawn.
        let (mut overdraft_possible, mut reads) = (self.overdraft, Vec::new());
        overdraft_possible |= self.init.values().any(|balance| *balance < 0);
        for (id, operation) in part.iter() {
            match (operation.op, operation.ret()) {
                (BankOp::Transfer { amount, .. }, _) => overdraft_possible |= amount < 0,
                (BankOp::Read, Some(BankRet::Balances(returned))) => reads.push((id, &**returned)),
                (BankOp::Read, _) => {}
            }
        }
        bank::find_violation(&self.init, overdraft_possible, reads.into_iter(), &self.values)
    }

    /// Counts the memory that a state owns.
    fn unhashed_bytes(&self, state: &BTreeMap<ValueId, i64>) -> usize {
        tree_bytes::<(ValueId, i64)>(state.len())
    }

    fn describe_op(&self, op: &BankOp) -> String {
        let words = |value: ValueId| self.values.describe(value);
        match *op {
            BankOp::Read => "read".to_owned(),
            BankOp::Transfer { from, to, amount } => {
                format!("transfer {amount} from {} to {}", words(from), words(to))
            }
        }
    }

    fn describe_ret(&self, _: &BankOp, ret: &BankRet) -> String {
        match ret {
            BankRet::Moved(moved) => moved.to_string(),
            BankRet::Balances(balances) => {
                let pairs = balances.iter().map(|(account, balance)| (account, balance));
                self.values.describe_pairs(pairs, i64::to_string)
            }
        }
    }

    fn describe_state(&self, state: &BTreeMap<ValueId, i64>) -> String {
        self.values.describe_pairs(state, i64::to_string)
    }
}
