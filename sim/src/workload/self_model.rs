//! A state machine as its own sequential model, for the checker.

use std::io::Read;

use quorate::machine::StateMachine;
use quorate::types::Index;
use quorate_checker::model::{Effect, Model};

/// The model of a state machine, given the machine's constructor; a state of the model is a
/// snapshot.
#[derive(Clone)]
pub(super) struct SelfModel<F>(pub(super) F);

/// An operation on the state machine.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum MachineOperation {
    Command(Box<[u8]>),
    Query(Box<[u8]>),
}

impl<S: StateMachine, F: Fn() -> S + Sync> Model for SelfModel<F> {
    type State = Box<[u8]>;
    type Op = MachineOperation;
    type Ret = Box<[u8]>;

    fn init(&self) -> Box<[u8]> {
        state_of(&(self.0)())
    }

    fn step(
        &self,
        state: &Box<[u8]>,
        op: &MachineOperation,
        ret: Option<&Box<[u8]>>,
    ) -> Option<Box<[u8]>> {
        let mut machine = (self.0)();
        machine.restore(&mut &state[..]).expect("a snapshot can be restored from");
        let (result, after) = match op {
            MachineOperation::Command(command) => {
                (machine.apply(Index(1), command), state_of(&machine))
            }
            MachineOperation::Query(query) => (machine.query(query), state.clone()),
        };
        ret.is_none_or(|ret| **ret == result[..]).then_some(after)
    }

    fn effect(&self, op: &MachineOperation, _: Option<&Box<[u8]>>) -> Effect {
        match op {
            MachineOperation::Command(_) => Effect::Update,
            MachineOperation::Query(_) => Effect::ReadOnly,
        }
    }

    fn describe_op(&self, op: &MachineOperation) -> String {
        match op {
            MachineOperation::Command(command) => format!("command {}", command.escape_ascii()),
            MachineOperation::Query(query) => format!("query {}", query.escape_ascii()),
        }
    }

    fn describe_ret(&self, _: &MachineOperation, ret: &Box<[u8]>) -> String {
        ret.escape_ascii().to_string()
    }

    fn describe_state(&self, state: &Box<[u8]>) -> String {
        state.escape_ascii().to_string()
    }
}

fn state_of(machine: &impl StateMachine) -> Box<[u8]> {
    let mut bytes = Vec::new();
    machine.snapshot().read_to_end(&mut bytes).expect("a state in memory can be read");
    bytes.into()
}
