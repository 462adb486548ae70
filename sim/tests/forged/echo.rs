//! The state machine of the stage: it echoes and counts commands.

use std::cell::RefCell;
use std::io::{self, Cursor, Read};

use quorate::machine::{Digest, StateMachine};
use quorate::types::Index;
use quorate_sim::observe::{Executed, OpId};
use quorate_sim::values::choice::Draw;
use quorate_sim::workload::request::unmark;
use quorate_sim::workload::{AnyMachine, AnyWorkload, Workload};

/// Replies with each command and counts the commands.
#[derive(Clone, Default)]
pub(crate) struct Counter(u8);

/// A workload that accepts the results of [`Counter`] up to a number of commands.
#[derive(Clone)]
pub(crate) struct Echo {
    /// The number of commands that the workload accepts.
    pub(crate) accepted: u8,
}

impl Default for Echo {
    fn default() -> Echo {
        Echo { accepted: u8::MAX }
    }
}

impl StateMachine for Counter {
    fn apply(&mut self, _: Index, command: &[u8]) -> Vec<u8> {
        self.0 += 1;
        command.to_vec()
    }

    fn query(&self, _: &[u8]) -> Vec<u8> {
        vec![self.0]
    }

    fn snapshot(&self) -> Box<dyn Read + Send> {
        Box::new(Cursor::new([self.0]))
    }

    fn restore(&mut self, snapshot: &mut dyn Read) -> io::Result<()> {
        let mut count = [0; 1];
        snapshot.read_exact(&mut count)?;
        self.0 = count[0];
        Ok(())
    }
}

impl Workload for Echo {
    type Machine = Counter;

    fn machine(&self) -> Counter {
        Counter::default()
    }

    fn command(&self, _: OpId, _: &mut Draw<'_>) -> Vec<u8> {
        Vec::new()
    }

    fn query(&self, _: OpId, _: &mut Draw<'_>) -> Vec<u8> {
        Vec::new()
    }

    fn check_reply(&mut self, command: &[u8], reply: &[u8]) -> Result<(), String> {
        if command == b"bad" { Err(format!("bad got {reply:?}")) } else { Ok(()) }
    }

    fn check_answer(&self, _: &[u8], answer: &[u8]) -> Result<(), String> {
        if answer[0] > self.accepted {
            Err("too many commands in the answer".to_owned())
        } else {
            Ok(())
        }
    }

    fn check_state(&self, machine: &Counter) -> Result<(), String> {
        if machine.0 > self.accepted {
            Err("too many commands in the state".to_owned())
        } else {
            Ok(())
        }
    }
}

/// A [`Counter`] as a node runs it: it receives commands without marks and records their execution.
#[derive(Clone)]
pub(crate) struct Player {
    machine: AnyMachine,
    /// The index of the last command in the state, with which a node's snapshots begin.
    last: Index,
    executed: RefCell<Vec<Executed>>,
}

impl Player {
    /// The commands executed since the last call of `take_executed`.
    pub(crate) fn take_executed(&self) -> Vec<Executed> {
        self.executed.take()
    }

    /// This state machine as a workload's machine.
    pub(crate) fn as_any_machine(&self) -> AnyMachine {
        self.machine.clone()
    }
}

impl Default for Player {
    fn default() -> Player {
        let machine = AnyWorkload::new(Echo::default()).machine();
        Player { machine, last: Index::ZERO, executed: RefCell::default() }
    }
}

impl StateMachine for Player {
    fn apply(&mut self, index: Index, command: &[u8]) -> Vec<u8> {
        let (command, _) = unmark(command).expect("the stage marks every command");
        let reply = self.machine.apply(index, command);
        self.executed.get_mut().push(Executed { index, reply: reply.clone() });
        self.last = index;
        reply
    }

    fn query(&self, query: &[u8]) -> Vec<u8> {
        self.machine.query(query)
    }

    fn snapshot(&self) -> Box<dyn Read + Send> {
        Box::new(io::Cursor::new(self.last.0.to_le_bytes()).chain(self.machine.snapshot()))
    }

    fn restore(&mut self, snapshot: &mut dyn Read) -> io::Result<()> {
        let mut last = [0; 8];
        snapshot.read_exact(&mut last)?;
        self.last = Index(u64::from_le_bytes(last));
        self.machine.restore(snapshot)
    }

    fn digest(&self) -> io::Result<Digest> {
        self.machine.digest()
    }
}
