//! The state machine of a node: the cluster's registers, and the commands that it has executed.

use std::cell::RefCell;
use std::io::{self, Cursor, Read};
use std::rc::Rc;

use quorate_guests::disk::Bytes;
use quorate_guests::machine::Machine;

use super::quorate::machine::StateMachine;
use super::quorate::types::Index;

/// The executed commands of a node that were not taken yet, with their indices.
pub(super) type Executed = Rc<RefCell<Vec<(u64, Bytes)>>>;

/// The registers of the cluster's clients.
#[derive(Clone, Debug, Default)]
pub(super) struct Registers {
    pub(super) machine: Machine,
    pub(super) executed: Executed,
}

impl StateMachine for Registers {
    fn apply(&mut self, index: Index, command: &[u8]) -> Vec<u8> {
        self.machine.execute(command);
        self.executed.borrow_mut().push((index.0, Bytes::from(command)));
        self.machine.encode().to_vec()
    }

    fn query(&self, _: &[u8]) -> Vec<u8> {
        self.machine.encode().to_vec()
    }

    fn snapshot(&self) -> Box<dyn Read + Send> {
        Box::new(Cursor::new(self.machine.encode()))
    }

    fn restore(&mut self, snapshot: &mut dyn Read) -> io::Result<()> {
        let mut bytes = Vec::new();
        snapshot.read_to_end(&mut bytes)?;
        let invalid = || io::Error::new(io::ErrorKind::InvalidData, "not the registers");
        self.machine = Machine::decode(&bytes).ok_or_else(invalid)?;
        Ok(())
    }
}
