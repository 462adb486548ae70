//! A lock model: acquire and release.

use crate::budget::{Budget, StopCheck};
use crate::collections::lock;
use crate::collections::span::Span;
use crate::collections::switch::{Kind, SwitchOp};
use crate::history::{OpId, Operation, Subhistory};
use crate::model::{Effect, Model};
use crate::verdict::Verdict;

/// A lock. It can be acquired only when it is free, and released only when it is held. The model
/// does not record the holder, so any client may release it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Lock {
    /// Whether the lock is held before the first operation.
    pub held: bool,
}

/// An operation on a lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LockOp {
    /// Acquires the lock, which must be free.
    Acquire,
    /// Releases the lock, which must be held.
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

    fn decide(&self, part: Subhistory<'_, LockOp, ()>, budget: &Budget<'_>) -> Option<Verdict> {
        let act = |(id, operation): (OpId, &Operation<LockOp, ()>)| {
            let state = operation.op == LockOp::Acquire;
            SwitchOp { id, span: Span::of(operation), kind: Kind::Toggle, state, may_toggle: true }
        };
        let ops: Vec<SwitchOp> = part.iter().map(act).collect();
        let describe =
            |id| format!("{} {}", self.describe_op(&part.history().operation(id).op), id.0);
        lock::decide(self.held, &ops, &describe, &StopCheck::new(budget))
    }

    fn describe_op(&self, op: &LockOp) -> String {
        match op {
            LockOp::Acquire => "acquire".to_owned(),
            LockOp::Release => "release".to_owned(),
        }
    }

    fn describe_ret(&self, _: &LockOp, _ret: &()) -> String {
        String::new()
    }

    fn describe_state(&self, held: &bool) -> String {
        if *held { "held".to_owned() } else { "free".to_owned() }
    }
}
