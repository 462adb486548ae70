//! The state machine of a workload on a simulated node: it records the commands that it applies,
//! can fail on request, and may keep a durable checkpoint.

pub(crate) mod taint;

use std::cell::{Cell, RefCell};
use std::io::{self, Cursor, Read};
use std::num::NonZero;

use quorate::machine::{ConflictTest, Digest, StateMachine};
use quorate::types::{Index, QuotaUsage};

use crate::faults::MachineFault;
use crate::observe::Executed;
use crate::workload::AnyMachine;
use crate::workload::request::unmark;
use crate::workload::rules::Rules;

/// A workload's state machine, and the commands that it has applied since they were last taken.
#[derive(Clone)]
pub(crate) struct SimMachine {
    machine: AnyMachine,
    executed: RefCell<Vec<Executed>>,
    rules: Rules,
    /// The highest version of the rules that the node's build has.
    build: u32,
    /// The index of the last entry that the state contains.
    last: Index,
    /// The number of counted entries after which the state is made durable; `None` if it lives in
    /// memory.
    checkpoint_every: Option<NonZero<u64>>,
    /// The number of commands, admin commands and version raises applied so far.
    count: u64,
    checkpoint: Option<MachineCheckpoint>,
    /// The fault of the next command, and a random number for its details.
    next_fault: Cell<Option<(MachineFault, u64)>>,
    /// Whether a fault has struck a command since this was last asked.
    has_failed: Cell<bool>,
}

/// A state that survives a restart.
#[derive(Clone, Debug)]
pub(crate) struct MachineCheckpoint {
    machine: AnyMachine,
    rules: Rules,
    /// The index of the last entry that the state contains.
    last: Index,
}

impl SimMachine {
    /// Returns a machine that lives in memory.
    pub(crate) fn new(machine: AnyMachine) -> SimMachine {
        let (executed, last) = (RefCell::default(), Index::ZERO);
        SimMachine {
            machine,
            executed,
            rules: Rules::default(),
            build: 0,
            last,
            checkpoint_every: None,
            count: 0,
            checkpoint: None,
            next_fault: Cell::new(None),
            has_failed: Cell::new(false),
        }
    }

    /// Returns a machine that makes its state durable after every `each` counted entries, and
    /// begins with the checkpoint of an earlier start, if there is one.
    pub(crate) fn durable(
        machine: AnyMachine,
        each: NonZero<u64>,
        kept: Option<MachineCheckpoint>,
    ) -> SimMachine {
        let mut subject = SimMachine { checkpoint_every: Some(each), ..SimMachine::new(machine) };
        if let Some(MachineCheckpoint { machine, rules, last }) = &kept {
            (subject.machine, subject.rules, subject.last) = (machine.clone(), *rules, *last);
        }
        subject.checkpoint = kept;
        subject
    }

    /// Returns the machine of a build that has the rules up to this version.
    pub(crate) fn of_build(self, build: u32) -> SimMachine {
        SimMachine { build, ..self }
    }

    /// Makes the machine fail with its next command.
    /// The number `random` decides the details of the fault.
    pub(crate) fn fail_next(&self, fault: MachineFault, random: u64) {
        self.next_fault.set(Some((fault, random)));
    }

    /// Returns true if a fault has struck a command since the last call.
    pub(crate) fn take_failed(&self) -> bool {
        self.has_failed.take()
    }

    /// Applies a command with a fault.
    fn apply_with_fault(
        &mut self,
        fault: MachineFault,
        random: u64,
        index: Index,
        command: &[u8],
    ) -> Vec<u8> {
        match fault {
            MachineFault::SkippedCommand => Vec::new(),
            MachineFault::RepeatedCommand => {
                self.machine.apply(index, command);
                self.machine.apply(index, command)
            }
            MachineFault::WrongReply => {
                let mut reply = self.machine.apply(index, command);
                reply.push(random as u8);
                reply
            }
            MachineFault::BitFlip => {
                let reply = self.machine.apply(index, command);
                self.flip(random);
                reply
            }
        }
    }

    /// Flips a bit of the state, if the result is a valid state.
    fn flip(&mut self, bit: u64) {
        let mut bytes = Vec::new();
        let mut flipped = self.machine.clone();
        self.machine.snapshot().read_to_end(&mut bytes).expect("a state in memory can be read");
        if bytes.is_empty() {
            return;
        }
        let place = (bit / 8) as usize % bytes.len();
        bytes[place] ^= 1 << (bit % 8);
        if flipped.restore(&mut &bytes[..]).is_ok() {
            self.machine = flipped;
        }
    }

    /// Returns the durable state, which the node starts with after a crash.
    pub(crate) fn checkpoint(&self) -> Option<MachineCheckpoint> {
        self.checkpoint.clone()
    }

    /// Counts a command, an admin command or a version raise, and makes the state durable
    /// after every `checkpoint_every` of them.
    fn count_command(&mut self, index: Index) {
        self.last = index;
        self.count += 1;
        if self.checkpoint_every.is_some_and(|each| self.count.is_multiple_of(each.get())) {
            self.save_checkpoint();
        }
    }

    fn save_checkpoint(&mut self) {
        if self.checkpoint_every.is_some() {
            self.checkpoint = Some(MachineCheckpoint {
                machine: self.machine.clone(),
                rules: self.rules,
                last: self.last,
            });
        }
    }

    /// Returns the commands applied since the last call, in order.
    pub(crate) fn take_executed(&self) -> Vec<Executed> {
        self.executed.take()
    }

    /// Returns the workload's machine.
    pub(crate) fn machine(&self) -> &AnyMachine {
        &self.machine
    }
}

impl StateMachine for SimMachine {
    fn apply(&mut self, index: Index, command: &[u8]) -> Vec<u8> {
        let command = unmark(command).map_or(command, |(command, _)| command);
        let reply = match self.next_fault.take() {
            None => self.machine.apply(index, command),
            Some((fault, random)) => {
                self.has_failed.set(true);
                self.apply_with_fault(fault, random, index, command)
            }
        };
        self.rules.apply(index);
        self.executed.get_mut().push(Executed { index, reply: reply.clone() });
        self.count_command(index);
        reply
    }

    fn administer(&mut self, index: Index, command: &[u8]) -> Vec<u8> {
        let reply = self.machine.administer(index, command);
        self.count_command(index);
        reply
    }

    fn quota(&self) -> Option<QuotaUsage> {
        self.machine.quota()
    }

    fn query(&self, query: &[u8]) -> Vec<u8> {
        self.machine.query(query)
    }

    fn snapshot(&self) -> Box<dyn Read + Send> {
        let first = [&self.rules.snapshot()[..], &self.last.0.to_le_bytes()].concat();
        Box::new(Cursor::new(first).chain(self.machine.snapshot()))
    }

    fn restore(&mut self, snapshot: &mut dyn Read) -> io::Result<()> {
        self.restore_version(0, snapshot)
    }

    fn version_max(&self) -> u32 {
        self.build
    }

    fn set_version(&mut self, index: Index, version: u32) {
        self.rules.set_version(version);
        self.count_command(index);
    }

    fn restore_version(&mut self, version: u32, snapshot: &mut dyn Read) -> io::Result<()> {
        let rules = Rules::restore(version, snapshot)?;
        let mut last = [0; 8];
        snapshot.read_exact(&mut last)?;
        self.machine.restore(snapshot)?;
        self.next_fault.set(None);
        self.rules = rules;
        self.last = Index(u64::from_le_bytes(last));
        self.save_checkpoint();
        Ok(())
    }

    fn conflict_test(&self) -> ConflictTest {
        let test = self.machine.conflict_test();
        ConflictTest::new(move |query| {
            let test = test.prepare(query);
            Box::new(move |command| test(unmark(command).map_or(command, |(command, _)| command)))
        })
    }

    fn applied(&self) -> Option<Index> {
        if self.checkpoint_every.is_some() { Some(self.last) } else { self.machine.applied() }
    }

    fn digest(&self) -> io::Result<Digest> {
        Ok(self.rules.digest(self.machine.digest()?))
    }
}

impl std::fmt::Debug for SimMachine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SimMachine")
    }
}
