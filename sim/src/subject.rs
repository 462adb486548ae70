//! The state machine of a workload as a node of the world has it: it notes what it carries out.

use std::cell::RefCell;
use std::io::{self, Read};

use quorate::machine::{Digest, StateMachine};
use quorate::types::Index;

use crate::observe::Executed;
use crate::request::unmark;
use crate::workload::AnyMachine;

/// A workload's state machine, and what it has carried out since it was last asked.
#[derive(Clone)]
pub(crate) struct Subject {
    machine: AnyMachine,
    executed: RefCell<Vec<Executed>>,
}

impl Subject {
    pub(crate) fn new(machine: AnyMachine) -> Subject {
        Subject { machine, executed: RefCell::default() }
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
        let reply = self.machine.apply(index, command);
        self.executed.get_mut().push(Executed { index, reply: reply.clone() });
        reply
    }

    fn query(&self, query: &[u8]) -> Vec<u8> {
        self.machine.query(query)
    }

    fn snapshot(&self) -> Box<dyn Read + Send> {
        self.machine.snapshot()
    }

    fn restore(&mut self, snapshot: &mut dyn Read) -> io::Result<()> {
        self.machine.restore(snapshot)
    }

    fn applied(&self) -> Index {
        self.machine.applied()
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
