//! A set of values.

use std::collections::BTreeSet;

use crate::budget::Budget;
use crate::collections::set::{self, Read, Told};
use crate::collections::span::Span;
use crate::collections::switch::{Act, Kind};
use crate::history::{OpId, Part};
use crate::model::{Effect, Model};
use crate::value::{Value, Values};
use crate::verdict::Verdict;

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

    fn decide(&self, part: Part<'_, SetOp, SetRet>, _: &Budget<'_>) -> Option<Verdict> {
        let mut acts = Vec::with_capacity(part.len());
        let mut reads = Vec::new();
        for (id, operation) in part.iter() {
            let span = Span::of(operation);
            let (value, state, may_turn) = match operation.op {
                SetOp::Add(value) => (value, true, true),
                SetOp::Remove(value) => (value, false, true),
                SetOp::Contains(value) => (value, true, false),
                SetOp::Read => match operation.ret() {
                    Some(SetRet::Members(members)) => {
                        reads.push(Read { id, span, members });
                        continue;
                    }
                    Some(SetRet::Truth(_)) => return None,
                    Some(SetRet::Done) | None => continue,
                },
            };
            let (kind, state) = match operation.ret() {
                None => (Kind::Write, state),
                Some(SetRet::Done) if may_turn => (Kind::Write, state),
                Some(SetRet::Done) => continue,
                Some(SetRet::Truth(true)) if may_turn => (Kind::Turn, state),
                Some(SetRet::Truth(false)) if may_turn => (Kind::Look, state),
                Some(SetRet::Truth(truth)) => (Kind::Look, *truth),
                Some(SetRet::Members(_)) => return None,
            };
            acts.push((value, Act { id, span, kind, state, may_turn }));
        }
        let words = |id: OpId| {
            let operation = part.history().operation(id);
            let ret = operation.ret().map(|ret| self.ret_words(&operation.op, ret));
            let ret = ret.filter(|ret| !ret.is_empty() && operation.op != SetOp::Read);
            let ret = ret.map_or_else(String::new, |ret| format!(" -> {ret}"));
            format!("{} (operation {}{ret})", self.call_words(&operation.op), id.0)
        };
        set::decide(self.init.iter(), &Told { acts: &acts, reads: &reads, words: &words })
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
