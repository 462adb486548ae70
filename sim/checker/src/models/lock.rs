//! A lock that one client at a time holds.

use crate::model::{Effect, Model};

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
