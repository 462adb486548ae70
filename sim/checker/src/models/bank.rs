//! Accounts, and money that moves between them.

use std::collections::BTreeMap;

use crate::budget::Budget;
use crate::collections::bank;
use crate::history::Part;
use crate::model::{Effect, Model};
use crate::value::{Value, Values};
use crate::verdict::Verdict;

/// Accounts, and money that moves between them: none is made or lost.
#[derive(Clone, Debug, Default)]
pub struct Bank {
    /// What every account has before the first operation.
    pub init: BTreeMap<Value, i64>,
    /// Whether an account may owe.
    pub overdraft: bool,
    /// What the accounts stand for.
    pub values: Values,
}

/// What a bank is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BankOp {
    /// What does every account have?
    Read,
    /// Move `amount` from one account to another.
    Transfer {
        /// From this one.
        from: Value,
        /// To that one.
        to: Value,
        /// So much.
        amount: i64,
    },
}

/// What a bank answers.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum BankRet {
    /// Whether the money was moved: not if `from` or `to` does not exist, or `from` would owe and
    /// may not.
    Moved(bool),
    /// What every account has, by account.
    Balances(Box<[(Value, i64)]>),
}

impl Bank {
    fn transfer(
        &self,
        state: &BTreeMap<Value, i64>,
        (from, to, amount): (Value, Value, i64),
    ) -> Option<BTreeMap<Value, i64>> {
        let left = state.get(&from)?.checked_sub(amount)?;
        if !state.contains_key(&to) || left < 0 && !self.overdraft {
            return None;
        }
        let mut after = state.clone();
        after.insert(from, left);
        let there = after.get_mut(&to)?;
        *there = there.checked_add(amount)?;
        Some(after)
    }
}

impl Model for Bank {
    type State = BTreeMap<Value, i64>;
    type Op = BankOp;
    type Ret = BankRet;

    fn init(&self) -> BTreeMap<Value, i64> {
        self.init.clone()
    }

    fn step(
        &self,
        state: &BTreeMap<Value, i64>,
        op: &BankOp,
        ret: Option<&BankRet>,
    ) -> Option<BTreeMap<Value, i64>> {
        match (*op, ret) {
            (BankOp::Read, None) => Some(state.clone()),
            (BankOp::Read, Some(BankRet::Balances(told))) => {
                let here = state.iter().map(|(account, balance)| (*account, *balance));
                told.iter().copied().eq(here).then(|| state.clone())
            }
            (BankOp::Transfer { from, to, amount }, None | Some(BankRet::Moved(_))) => {
                let after = self.transfer(state, (from, to, amount));
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
            (BankOp::Read, _) | (_, Some(BankRet::Moved(false))) => Effect::Observe,
            (BankOp::Transfer { .. }, _) => Effect::Update,
        }
    }

    fn decide(&self, part: Part<'_, BankOp, BankRet>, _: &Budget<'_>) -> Option<Verdict> {
        // To move less than nothing is to take from the other account, which may owe then.
        let (mut debts, mut reads) = (self.overdraft, Vec::new());
        debts |= self.init.values().any(|balance| *balance < 0);
        for (id, operation) in part.iter() {
            match (operation.op, operation.ret()) {
                (BankOp::Transfer { amount, .. }, _) => debts |= amount < 0,
                (BankOp::Read, Some(BankRet::Balances(told))) => reads.push((id, &**told)),
                (BankOp::Read, _) => {}
            }
        }
        bank::impossible(&self.init, debts, reads.into_iter(), &self.values)
    }

    fn call_words(&self, op: &BankOp) -> String {
        let words = |value: Value| self.values.words(value);
        match *op {
            BankOp::Read => "read".to_owned(),
            BankOp::Transfer { from, to, amount } => {
                format!("transfer {amount} from {} to {}", words(from), words(to))
            }
        }
    }

    fn ret_words(&self, _: &BankOp, ret: &BankRet) -> String {
        match ret {
            BankRet::Moved(moved) => moved.to_string(),
            BankRet::Balances(balances) => self.balances_words(balances.iter().copied()),
        }
    }

    fn state_words(&self, state: &BTreeMap<Value, i64>) -> String {
        self.balances_words(state.iter().map(|(account, balance)| (*account, *balance)))
    }
}

impl Bank {
    fn balances_words(&self, balances: impl Iterator<Item = (Value, i64)>) -> String {
        let pair = |(account, balance)| format!("{} = {balance}", self.values.words(account));
        balances.map(pair).collect::<Vec<_>>().join(", ")
    }
}
