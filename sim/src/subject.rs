//! The state machine of a workload as a node of the world has it: it notes what it carries out, and
//! may keep its state through a restart by itself.

use std::cell::{Cell, RefCell};
use std::io::{self, Cursor, Read};
use std::num::NonZero;

use quorate::machine::{ConflictTest, Digest, StateMachine};
use quorate::types::Index;

use crate::observe::Executed;
use crate::plan::Slip;
use crate::request::unmark;
use crate::workload::AnyMachine;

/// A workload's state machine, and what it has carried out since it was last asked.
#[derive(Clone)]
pub(crate) struct Subject {
    machine: AnyMachine,
    executed: RefCell<Vec<Executed>>,
    /// The index of the last command in the state.
    last: Index,
    /// After every so many commands the state is durable; none are if it lives in memory.
    keeps_each: Option<NonZero<u64>>,
    /// How many commands it has carried out.
    count: u64,
    kept: Option<Kept>,
    /// How it errs with its next command, and which bit that is about.
    slips: Cell<Option<(Slip, u64)>>,
}

/// A state that survives a restart.
#[derive(Clone, Debug)]
pub(crate) struct Kept {
    machine: AnyMachine,
    /// The index of the last command in the state.
    last: Index,
}

impl Subject {
    /// A machine that lives in memory.
    pub(crate) fn new(machine: AnyMachine) -> Subject {
        let (executed, last) = (RefCell::default(), Index::ZERO);
        Subject {
            machine,
            executed,
            last,
            keeps_each: None,
            count: 0,
            kept: None,
            slips: Cell::new(None),
        }
    }

    /// A machine that makes its state durable after every `each` commands, as an earlier start has
    /// left it.
    pub(crate) fn durable(machine: AnyMachine, each: NonZero<u64>, kept: Option<Kept>) -> Subject {
        let mut subject = Subject { keeps_each: Some(each), ..Subject::new(machine) };
        if let Some(Kept { machine, last }) = &kept {
            (subject.machine, subject.last) = (machine.clone(), *last);
        }
        subject.kept = kept;
        subject
    }

    /// It will err with its next command.
    pub(crate) fn slip_next(&self, slip: Slip, bit: u64) {
        self.slips.set(Some((slip, bit)));
    }

    /// Carries a command out, and errs.
    fn slip(&mut self, slip: Slip, bit: u64, index: Index, command: &[u8]) -> Vec<u8> {
        match slip {
            Slip::Skips => Vec::new(),
            Slip::Repeats => {
                self.machine.apply(index, command);
                self.machine.apply(index, command)
            }
            Slip::Misspeaks => {
                let mut reply = self.machine.apply(index, command);
                reply.push(bit as u8);
                reply
            }
            Slip::Forgets => {
                let reply = self.machine.apply(index, command);
                self.flip(bit);
                reply
            }
        }
    }

    /// Flips a bit of the state, if there is a state that differs in it.
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

    /// What a restart would find.
    pub(crate) fn kept(&self) -> Option<Kept> {
        self.kept.clone()
    }

    fn keep(&mut self) {
        if self.keeps_each.is_some() {
            self.kept = Some(Kept { machine: self.machine.clone(), last: self.last });
        }
    }

    /// What was carried out since the last call, in order.
    pub(crate) fn take_executed(&self) -> Vec<Executed> {
        self.executed.take()
    }

    /// The workload's machine.
    pub(crate) fn machine(&self) -> &AnyMachine {
        &self.machine
    }
}

impl StateMachine for Subject {
    fn apply(&mut self, index: Index, command: &[u8]) -> Vec<u8> {
        let command = unmark(command).map_or(command, |(command, _)| command);
        let reply = match self.slips.take() {
            None => self.machine.apply(index, command),
            Some((slip, bit)) => self.slip(slip, bit, index, command),
        };
        self.executed.get_mut().push(Executed { index, reply: reply.clone() });
        self.last = index;
        self.count += 1;
        if self.keeps_each.is_some_and(|each| self.count.is_multiple_of(each.get())) {
            self.keep();
        }
        reply
    }

    fn query(&self, query: &[u8]) -> Vec<u8> {
        self.machine.query(query)
    }

    fn snapshot(&self) -> Box<dyn Read + Send> {
        Box::new(Cursor::new(self.last.0.to_le_bytes()).chain(self.machine.snapshot()))
    }

    fn restore(&mut self, snapshot: &mut dyn Read) -> io::Result<()> {
        let mut last = [0; 8];
        snapshot.read_exact(&mut last)?;
        self.machine.restore(snapshot)?;
        self.slips.set(None);
        self.last = Index(u64::from_le_bytes(last));
        self.keep();
        Ok(())
    }

    fn conflict_test(&self) -> ConflictTest {
        let test = self.machine.conflict_test();
        ConflictTest::new(move |query, command| {
            let command = unmark(command).map_or(command, |(command, _)| command);
            test.may_change(query, command)
        })
    }

    fn applied(&self) -> Index {
        if self.keeps_each.is_some() { self.last } else { self.machine.applied() }
    }

    fn digest(&self) -> io::Result<Digest> {
        self.machine.digest()
    }
}

impl std::fmt::Debug for Subject {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Subject")
    }
}
