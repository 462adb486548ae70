//! A set of values.

use std::collections::BTreeSet;

use crate::model::{Effect, Model};
use crate::value::{Value, Values};

/// A set of values.
#[derive(Clone, Debug, Default)]
pub struct Set {
    /// What is in it before the first operation.
    pub init: BTreeSet<Value>,
    /// What the values stand for.
    pub values: Values,
}

/// What a set is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SetOp {
    /// Have this.
    Add(Value),
    /// Have this no longer.
    Remove(Value),
    /// Is it in the set?
    Contains(Value),
    /// What is in the set?
    Read,
}

/// What a set answers.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum SetRet {
    /// It is done; whether the set changed was not told.
    Done,
    /// To `Add` and `Remove`: whether the set changed. To `Contains`: whether it has it.
    Truth(bool),
    /// Everything in the set, sorted, each once.
    Members(Box<[Value]>),
}

impl Model for Set {
    type State = BTreeSet<Value>;
    type Op = SetOp;
    type Ret = SetRet;

    fn init(&self) -> BTreeSet<Value> {
        self.init.clone()
    }

    fn step(
        &self,
        state: &BTreeSet<Value>,
        op: &SetOp,
        ret: Option<&SetRet>,
    ) -> Option<BTreeSet<Value>> {
        let mut after = state.clone();
        let truth = match op {
            SetOp::Add(value) => after.insert(*value),
            SetOp::Remove(value) => after.remove(value),
            SetOp::Contains(value) => after.contains(value),
            SetOp::Read => false,
        };
        let legal = match ret {
            None | Some(SetRet::Done) => true,
            Some(SetRet::Truth(told)) => *told == truth && *op != SetOp::Read,
            Some(SetRet::Members(members)) => members.iter().eq(state),
        };
        legal.then_some(after)
    }

    fn effect(&self, op: &SetOp, ret: Option<&SetRet>) -> Effect {
        match (op, ret) {
            (SetOp::Contains(_) | SetOp::Read, _) | (_, Some(SetRet::Truth(false))) => {
                Effect::Observe
            }
            (SetOp::Add(_) | SetOp::Remove(_), _) => Effect::Update,
        }
    }

    fn call_words(&self, op: &SetOp) -> String {
        match *op {
            SetOp::Add(value) => format!("add {}", self.values.words(value)),
            SetOp::Remove(value) => format!("remove {}", self.values.words(value)),
            SetOp::Contains(value) => format!("contains {}", self.values.words(value)),
            SetOp::Read => "read".to_owned(),
        }
    }

    fn ret_words(&self, _: &SetOp, ret: &SetRet) -> String {
        match ret {
            SetRet::Done => String::new(),
            SetRet::Truth(truth) => truth.to_string(),
            SetRet::Members(members) => self.values.list_words(members),
        }
    }

    fn state_words(&self, state: &BTreeSet<Value>) -> String {
        self.values.list_words(state)
    }
}
