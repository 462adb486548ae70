//! A state machine as its own sequential model, for the checker.

use std::collections::BTreeMap;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::io::Read;
use std::sync::{Arc, Mutex, PoisonError};

use quorate::machine::StateMachine;
use quorate::types::Index;
use quorate_checker::model::{Effect, Model};

use crate::values::digest::{mix, of_bytes};

/// The model of a state machine, given the machine's constructor.
pub(super) struct SelfModel<S, F> {
    fresh: F,
    steps: Mutex<Steps<S>>,
}

/// A state of the machine: its snapshot, compared by a digest of 128 bits.
#[derive(Clone)]
pub(super) struct MachineState {
    digest: [u64; 2],
    snapshot: Arc<[u8]>,
}

/// The steps so far. A search takes the same steps again and again, and most steps begin in the
/// state in which the one before ended: neither restores a machine.
struct Steps<S> {
    /// The machine of the last step, and the digest of its state.
    machine: Option<([u64; 2], S)>,
    known: BTreeMap<([u64; 2], MachineOperation), (Box<[u8]>, MachineState)>,
    /// The bytes of the snapshots of the known steps.
    bytes: usize,
}

/// The most bytes of snapshots that the known steps keep; then all are forgotten.
const STEP_BYTES_MAX: usize = 64 << 20;

/// An operation on the state machine.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum MachineOperation {
    Command(Box<[u8]>),
    Query(Box<[u8]>),
}

impl<S: StateMachine, F: Fn() -> S> SelfModel<S, F> {
    pub(super) fn new(fresh: F) -> SelfModel<S, F> {
        let steps = Steps { machine: None, known: BTreeMap::new(), bytes: 0 };
        SelfModel { fresh, steps: Mutex::new(steps) }
    }

    /// Returns a machine in a state: that of the last step, or a restored one.
    fn machine_in(&self, state: &MachineState, last: Option<([u64; 2], S)>) -> S {
        if let Some((_, machine)) = last.filter(|(digest, _)| *digest == state.digest) {
            return machine;
        }
        let mut machine = (self.fresh)();
        machine.restore(&mut &state.snapshot[..]).expect("a snapshot can be restored from");
        machine
    }
}

impl<S: StateMachine + Send, F: Fn() -> S + Sync> Model for SelfModel<S, F> {
    type State = MachineState;
    type Op = MachineOperation;
    type Ret = Box<[u8]>;

    fn init(&self) -> MachineState {
        MachineState::of(&(self.fresh)())
    }

    fn step(
        &self,
        state: &MachineState,
        op: &MachineOperation,
        ret: Option<&Box<[u8]>>,
    ) -> Option<MachineState> {
        let fits = |result: &[u8]| ret.is_none_or(|ret| **ret == *result);
        let mut steps = self.steps.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (state.digest, op.clone());
        if let Some((result, after)) = steps.known.get(&key) {
            return fits(result).then(|| after.clone());
        }
        let mut machine = self.machine_in(state, steps.machine.take());
        let (result, after) = match op {
            MachineOperation::Command(command) => {
                let result = machine.apply(Index(1), command);
                (result, MachineState::of(&machine))
            }
            MachineOperation::Query(query) => (machine.query(query), state.clone()),
        };
        steps.machine = Some((after.digest, machine));
        let after_step = fits(&result).then(|| after.clone());
        steps.bytes += after.snapshot.len() + result.len();
        if steps.bytes > STEP_BYTES_MAX {
            steps.known.clear();
            steps.bytes = 0;
        }
        steps.known.insert(key, (result.into(), after));
        after_step
    }

    fn unhashed_bytes(&self, state: &MachineState) -> usize {
        state.snapshot.len()
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

    fn describe_state(&self, state: &MachineState) -> String {
        state.snapshot.escape_ascii().to_string()
    }
}

impl MachineState {
    fn of(machine: &impl StateMachine) -> MachineState {
        let mut bytes = Vec::new();
        machine.snapshot().read_to_end(&mut bytes).expect("a state in memory can be read");
        let other = bytes.chunks(8).rev().fold(0, |hash, word| mix(hash, of_bytes(word)));
        MachineState { digest: [of_bytes(&bytes), other], snapshot: bytes.into() }
    }
}

impl PartialEq for MachineState {
    fn eq(&self, other: &MachineState) -> bool {
        self.digest == other.digest
    }
}

impl Eq for MachineState {}

impl Hash for MachineState {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        self.digest.hash(hasher);
    }
}

impl fmt::Debug for MachineState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.snapshot.escape_ascii())
    }
}
