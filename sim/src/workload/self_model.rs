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

/// A state of the machine: its snapshot, compared by two hashes of 64 bits each.
#[derive(Clone)]
pub(super) struct MachineState {
    digest: Digest,
    snapshot: Arc<[u8]>,
}

/// Two hashes of some bytes.
type Digest = [u64; 2];

/// The result of a step, and the state after it; `None` as long as no request got that result.
type StepResult = (Box<[u8]>, Option<MachineState>);

/// The states so far, by their digests. A search takes the same steps again and again, and many
/// from one state.
struct Steps<S> {
    states: BTreeMap<Digest, KnownState<S>>,
    /// The number of bytes of the snapshots that known steps ended with.
    bytes: usize,
    /// The memory for the next snapshot.
    buffer: Vec<u8>,
}

/// A state that a search has reached.
struct KnownState<S> {
    /// A machine in this state.
    machine: S,
    /// The steps from this state so far, by the digests of the operations.
    steps: BTreeMap<Digest, StepResult>,
}

/// The maximum number of bytes of snapshots that the known states keep. Beyond that, all states are
/// forgotten.
const STATE_BYTES_MAX: usize = 64 << 20;

/// An operation on the state machine.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum MachineOperation {
    Command(Box<[u8]>),
    Query(Box<[u8]>),
}

impl<S: StateMachine + Clone, F: Fn() -> S> SelfModel<S, F> {
    pub(super) fn new(fresh: F) -> SelfModel<S, F> {
        let steps = Steps { states: BTreeMap::new(), bytes: 0, buffer: Vec::new() };
        SelfModel { fresh, steps: Mutex::new(steps) }
    }

    /// Returns a machine in this state, for a state that no known step ended in.
    fn restored(&self, state: &MachineState) -> S {
        let mut machine = (self.fresh)();
        machine.restore(&mut &state.snapshot[..]).expect("a snapshot can be restored from");
        machine
    }
}

impl<S: StateMachine + Clone + Send, F: Fn() -> S + Sync> Model for SelfModel<S, F> {
    type State = MachineState;
    type Op = MachineOperation;
    type Ret = Box<[u8]>;

    fn init(&self) -> MachineState {
        MachineState::of(&(self.fresh)(), &mut Vec::new())
    }

    fn step(
        &self,
        state: &MachineState,
        op: &MachineOperation,
        ret: Option<&Box<[u8]>>,
    ) -> Option<MachineState> {
        let fits = |result: &[u8]| ret.is_none_or(|ret| **ret == *result);
        let mut steps = self.steps.lock().unwrap_or_else(PoisonError::into_inner);
        let Steps { states, bytes, buffer } = &mut *steps;
        if *bytes > STATE_BYTES_MAX {
            states.clear();
            *bytes = 0;
        }
        let known =
            states.entry(state.digest).or_insert_with(|| KnownState::new(self.restored(state)));
        let digest = op.digest();
        match known.steps.get(&digest) {
            Some((result, _)) if !fits(result) => return None,
            Some((_, Some(after))) => return Some(after.clone()),
            Some((_, None)) | None => {}
        }
        match op {
            MachineOperation::Command(command) => {
                let mut machine = known.machine.clone();
                let result = machine.apply(Index(1), command);
                // The state after an impossible result is of no use.
                let after = fits(&result).then(|| MachineState::of(&machine, buffer));
                known.steps.insert(digest, (result.into(), after.clone()));
                if let Some(after) = &after {
                    *bytes += after.snapshot.len();
                    states.entry(after.digest).or_insert_with(|| KnownState::new(machine));
                }
                after
            }
            MachineOperation::Query(query) => {
                let result = known.machine.query(query);
                let after = fits(&result).then(|| state.clone());
                known.steps.insert(digest, (result.into(), after.clone()));
                after
            }
        }
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

impl<S> KnownState<S> {
    fn new(machine: S) -> KnownState<S> {
        KnownState { machine, steps: BTreeMap::new() }
    }
}

impl MachineOperation {
    fn digest(&self) -> Digest {
        match self {
            MachineOperation::Command(command) => digest_of(command, 0),
            MachineOperation::Query(query) => digest_of(query, 1),
        }
    }
}

impl MachineState {
    /// Returns the state that the machine is in; `buffer` is memory for its snapshot.
    fn of(machine: &impl StateMachine, buffer: &mut Vec<u8>) -> MachineState {
        buffer.clear();
        machine.snapshot().read_to_end(buffer).expect("a state in memory can be read");
        MachineState { digest: digest_of(buffer, 0), snapshot: buffer.as_slice().into() }
    }
}

/// Returns two hashes of `bytes`, which go through them in both directions. The second one depends
/// on `seed`, too.
fn digest_of(bytes: &[u8], seed: u64) -> Digest {
    let (words, rest) = bytes.as_chunks::<8>();
    let mut last = [0; 8];
    last[..rest.len()].copy_from_slice(rest);
    let last = mix(u64::from_le_bytes(last), seed);
    let backward = words.iter().rev().fold(last, |hash, word| mix(u64::from_le_bytes(*word), hash));
    [of_bytes(bytes), backward]
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

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// A sum of bytes that counts how often it is restored.
    #[derive(Clone)]
    struct Sum(u64, Arc<AtomicUsize>);

    impl StateMachine for Sum {
        fn apply(&mut self, _: Index, command: &[u8]) -> Vec<u8> {
            self.0 += u64::from(command[0]);
            self.0.to_le_bytes().to_vec()
        }

        fn query(&self, _: &[u8]) -> Vec<u8> {
            self.0.to_le_bytes().to_vec()
        }

        fn snapshot(&self) -> Box<dyn Read + Send> {
            Box::new(io::Cursor::new(self.0.to_le_bytes()))
        }

        fn restore(&mut self, snapshot: &mut dyn Read) -> io::Result<()> {
            self.1.fetch_add(1, Ordering::Relaxed);
            let mut bytes = [0; 8];
            snapshot.read_exact(&mut bytes)?;
            self.0 = u64::from_le_bytes(bytes);
            Ok(())
        }
    }

    #[test]
    fn both_hashes_of_a_state_depend_on_each_of_its_bytes() {
        let bytes = [7; 11];
        for place in 0..bytes.len() {
            let mut other = bytes;
            other[place] ^= 1;
            let [forward, backward] = digest_of(&bytes, 0);
            let [other_forward, other_backward] = digest_of(&other, 0);
            assert!(forward != other_forward && backward != other_backward, "byte {place}");
        }
        let [command, query] = [MachineOperation::Command, MachineOperation::Query];
        assert_ne!(command([1].into()).digest(), query([1].into()).digest());
    }

    #[test]
    fn only_a_step_from_a_new_state_restores_a_machine() {
        let restored = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&restored);
        let model = SelfModel::new(move || Sum(0, Arc::clone(&restored)));
        let add = |number: u8| MachineOperation::Command([number].into());
        let sum = |number: u64| Box::<[u8]>::from(number.to_le_bytes());
        let init = model.init();
        let first = model.step(&init, &add(3), Some(&sum(3))).expect("3 is the sum");
        assert_eq!(count.swap(0, Ordering::Relaxed), 1, "no machine was in the first state");
        let second = model.step(&first, &add(4), None).expect("any result will do");
        let query = MachineOperation::Query([].into());
        assert_eq!(model.step(&second, &query, Some(&sum(7))), Some(second.clone()));
        assert_eq!(model.step(&second, &query, Some(&sum(8))), None);
        assert_eq!(model.step(&init, &add(3), Some(&sum(4))), None, "the step is known");
        assert_eq!(count.load(Ordering::Relaxed), 0);
        let other = model.step(&init, &add(7), None).expect("any result will do");
        assert_eq!(count.load(Ordering::Relaxed), 0, "the machine of the first state was kept");
        assert_eq!(other, second, "the same state by another way");
        assert_ne!(first, second);
    }
}
