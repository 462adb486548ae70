//! A lock that one client at a time holds.

use crate::budget::Budget;
use crate::collections::lock;
use crate::collections::span::Span;
use crate::collections::switch::{Act, Kind};
use crate::history::{OpId, Operation, Part};
use crate::model::{Effect, Model};
use crate::verdict::Verdict;

/// A lock. It is acquired only when it is free, and released only when it is held; who holds it is
/// not its business.
#[derive(Clone, Copy, Debug, Default)]
pub struct Lock {
    /// Whether it is held before the first operation.
    pub held: bool,
}

/// What a lock is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LockOp {
    /// Be held.
    Acquire,
    /// Be free.
    Release,
}

impl Model for Lock {
    type State = bool;
    type Op = LockOp;
    type Ret = ();

    fn init(&self) -> bool {
        self.held
    }

    fn step(&self, held: &bool, op: &LockOp, _: Option<&()>) -> Option<bool> {
        match op {
            LockOp::Acquire => (!held).then_some(true),
            LockOp::Release => held.then_some(false),
        }
    }

    fn effect(&self, _: &LockOp, _: Option<&()>) -> Effect {
        Effect::Update
    }

    fn decide(&self, part: Part<'_, LockOp, ()>, _: &Budget<'_>) -> Option<Verdict> {
        let act = |(id, operation): (OpId, &Operation<LockOp, ()>)| {
            let state = operation.op == LockOp::Acquire;
            Act { id, span: Span::of(operation), kind: Kind::Turn, state, may_turn: true }
        };
        let acts: Vec<Act> = part.iter().map(act).collect();
        lock::decide(self.held, &acts, &|id| {
            format!("{} {}", self.call_words(&part.history().operation(id).op), id.0)
        })
    }

    fn call_words(&self, op: &LockOp) -> String {
        match op {
            LockOp::Acquire => "acquire".to_owned(),
            LockOp::Release => "release".to_owned(),
        }
    }

    fn ret_words(&self, _: &LockOp, (): &()) -> String {
        String::new()
    }

    fn state_words(&self, held: &bool) -> String {
        if *held { "held".to_owned() } else { "free".to_owned() }
    }
}
