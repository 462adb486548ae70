//! A set model: add, remove, contains and read.

use std::collections::BTreeSet;

use crate::budget::{Budget, StopCheck};
use crate::collections::set::{self, Read, SetHistory};
use crate::collections::span::Span;
use crate::collections::switch::{Kind, SwitchOp};
use crate::history::{OpId, Subhistory};
use crate::model::{Effect, Model};
use crate::models::heap::tree_bytes;
use crate::value::{ValueId, ValueTable};
use crate::verdict::Verdict;

/// A set of values.
#[derive(Clone, Debug, Default)]
pub struct Set {
    /// The elements before the first operation.
    pub init: BTreeSet<ValueId>,
    /// The table of the elements.
    pub values: ValueTable,
}

/// An operation on a set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SetOp {
    /// Adds this element to the set.
    Add(ValueId),
    /// Removes this element from the set.
    Remove(ValueId),
    /// Tests whether this element is in the set.
    Contains(ValueId),
    /// Reads all elements of the set.
    Read,
}

/// The result of an operation on a set.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum SetRet {
    /// The operation took effect; whether the set changed is not known.
    Done,
    /// For `Add` and `Remove`, whether the set changed. For `Contains`, whether the element is in
    /// the set.
    Bool(bool),
    /// All elements, sorted. A result with an element twice is wrong.
    Members(Box<[ValueId]>),
}

impl Model for Set {
    type State = BTreeSet<ValueId>;
    type Op = SetOp;
    type Ret = SetRet;

    fn init(&self) -> BTreeSet<ValueId> {
        self.init.clone()
    }

    fn step(
        &self,
        state: &BTreeSet<ValueId>,
        op: &SetOp,
        ret: Option<&SetRet>,
    ) -> Option<BTreeSet<ValueId>> {
        let mut after = state.clone();
        let truth = match op {
            SetOp::Add(value) => after.insert(*value),
            SetOp::Remove(value) => after.remove(value),
            SetOp::Contains(value) => after.contains(value),
            SetOp::Read => false,
        };
        let legal = match ret {
            None | Some(SetRet::Done) => true,
            Some(SetRet::Bool(returned)) => *returned == truth && *op != SetOp::Read,
            Some(SetRet::Members(members)) => members.iter().eq(state),
        };
        legal.then_some(after)
    }

    fn effect(&self, op: &SetOp, ret: Option<&SetRet>) -> Effect {
        match (op, ret) {
            (SetOp::Contains(_) | SetOp::Read, _) | (_, Some(SetRet::Bool(false))) => {
                Effect::ReadOnly
            }
            (SetOp::Add(_) | SetOp::Remove(_), _) => Effect::Update,
        }
    }

    fn decide(&self, part: Subhistory<'_, SetOp, SetRet>, budget: &Budget<'_>) -> Option<Verdict> {
        let mut ops = Vec::with_capacity(part.len());
        let mut reads = Vec::new();
        for (id, operation) in part.iter() {
            let span = Span::of(operation);
            let (value, state, may_toggle) = match operation.op {
                SetOp::Add(value) => (value, true, true),
                SetOp::Remove(value) => (value, false, true),
                SetOp::Contains(value) => (value, true, false),
                SetOp::Read => match operation.ret() {
                    Some(SetRet::Members(members)) => {
                        reads.push(Read { id, span, members });
                        continue;
                    }
                    Some(SetRet::Bool(_)) => return None,
                    Some(SetRet::Done) | None => continue,
                },
            };
            let (kind, state) = match operation.ret() {
                None => (Kind::Write, state),
                Some(SetRet::Done) if may_toggle => (Kind::Write, state),
                Some(SetRet::Done) => continue,
                Some(SetRet::Bool(true)) if may_toggle => (Kind::Toggle, state),
                Some(SetRet::Bool(false)) if may_toggle => (Kind::Read, state),
                Some(SetRet::Bool(truth)) => (Kind::Read, *truth),
                Some(SetRet::Members(_)) => return None,
            };
            ops.push((value, SwitchOp { id, span, kind, state, may_toggle }));
        }
        let describe = |id: OpId| {
            let operation = part.history().operation(id);
            let ret = operation.ret().map(|ret| self.describe_ret(&operation.op, ret));
            let ret = ret.filter(|ret| !ret.is_empty() && operation.op != SetOp::Read);
            let ret = ret.map_or_else(String::new, |ret| format!(" -> {ret}"));
            format!("{} (operation {}{ret})", self.describe_op(&operation.op), id.0)
        };
        let stop = &StopCheck::new(budget);
        let history = SetHistory { ops: &ops, reads: &reads, describe: &describe, stop };
        set::decide(self.init.iter(), &history)
    }

    /// Counts the memory that a state owns.
    fn unhashed_bytes(&self, state: &BTreeSet<ValueId>) -> usize {
        tree_bytes::<ValueId>(state.len())
    }

    fn describe_op(&self, op: &SetOp) -> String {
        match *op {
            SetOp::Add(value) => format!("add {}", self.values.describe(value)),
            SetOp::Remove(value) => format!("remove {}", self.values.describe(value)),
            SetOp::Contains(value) => format!("contains {}", self.values.describe(value)),
            SetOp::Read => "read".to_owned(),
        }
    }

    fn describe_ret(&self, _: &SetOp, ret: &SetRet) -> String {
        match ret {
            SetRet::Done => String::new(),
            SetRet::Bool(truth) => truth.to_string(),
            SetRet::Members(members) => self.values.describe_list(members),
        }
    }

    fn describe_state(&self, state: &BTreeSet<ValueId>) -> String {
        self.values.describe_list(state)
    }
}
