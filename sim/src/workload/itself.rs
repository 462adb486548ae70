//! A state machine as its own model.

use std::io::Read;

use quorate::machine::StateMachine;
use quorate::types::Index;
use quorate_checker::model::{Effect, Model};

/// A state machine, by how it begins: its state is its snapshot.
#[derive(Clone)]
pub(super) struct Itself<F>(pub(super) F);

/// What it is asked.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Asked {
    Command(Box<[u8]>),
    Query(Box<[u8]>),
}

impl<S: StateMachine, F: Fn() -> S + Sync> Model for Itself<F> {
    type State = Box<[u8]>;
    type Op = Asked;
    type Ret = Box<[u8]>;

    fn init(&self) -> Box<[u8]> {
        state_of(&(self.0)())
    }

    fn step(&self, state: &Box<[u8]>, op: &Asked, ret: Option<&Box<[u8]>>) -> Option<Box<[u8]>> {
        let mut machine = (self.0)();
        machine.restore(&mut &state[..]).expect("a snapshot can be restored from");
        let (told, after) = match op {
            Asked::Command(command) => (machine.apply(Index(1), command), state_of(&machine)),
            Asked::Query(query) => (machine.query(query), state.clone()),
        };
        ret.is_none_or(|ret| **ret == told[..]).then_some(after)
    }

    fn effect(&self, op: &Asked, _: Option<&Box<[u8]>>) -> Effect {
        match op {
            Asked::Command(_) => Effect::Update,
            Asked::Query(_) => Effect::Observe,
        }
    }

    fn call_words(&self, op: &Asked) -> String {
        match op {
            Asked::Command(command) => format!("command {}", command.escape_ascii()),
            Asked::Query(query) => format!("query {}", query.escape_ascii()),
        }
    }

    fn ret_words(&self, _: &Asked, ret: &Box<[u8]>) -> String {
        ret.escape_ascii().to_string()
    }

    fn state_words(&self, state: &Box<[u8]>) -> String {
        state.escape_ascii().to_string()
    }
}

fn state_of(machine: &impl StateMachine) -> Box<[u8]> {
    let mut bytes = Vec::new();
    machine.snapshot().read_to_end(&mut bytes).expect("a state in memory can be read");
    bytes.into()
}
