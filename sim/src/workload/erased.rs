//! Type-erased workloads and state machines, so that one world runs them all.

use std::any::Any;
use std::fmt;
use std::io::{self, Read};

use quorate::machine::{ConflictTest, Digest, StateMachine};
use quorate::types::{Index, QuotaUsage};

use crate::values::choice::Draw;
use crate::workload::contract::Workload;
use crate::workload::object::Object;
use crate::workload::request::OpId;

/// A type-erased [`Workload`].
pub struct AnyWorkload(Box<dyn ErasedWorkload>);

/// The type-erased state machine of a workload.
pub struct AnyMachine(Box<dyn ErasedMachine>);

trait ErasedWorkload: Send + Sync {
    fn boxed(&self) -> Box<dyn ErasedWorkload>;
    fn machine(&self) -> AnyMachine;
    fn command(&self, op: OpId, draw: &mut Draw<'_>) -> Vec<u8>;
    fn command_bytes_max(&self) -> usize;
    fn query(&self, op: OpId, draw: &mut Draw<'_>) -> Vec<u8>;
    fn describe_command(&self, command: &[u8]) -> String;
    fn is_kv(&self) -> bool;
    fn object(&self) -> Option<Object>;
    fn check_reply(&mut self, command: &[u8], reply: &[u8]) -> Result<(), String>;
    fn check_admin_command(&mut self, command: &[u8], reply: &[u8]) -> Result<(), String>;
    fn check_answer(&self, query: &[u8], answer: &[u8]) -> Result<(), String>;
    fn check_state(&self, machine: &AnyMachine) -> Result<(), String>;
}

trait ErasedMachine: StateMachine {
    fn boxed(&self) -> Box<dyn ErasedMachine>;
    fn as_any(&self) -> &dyn Any;
}

impl AnyWorkload {
    /// Erases the type of a workload.
    #[must_use]
    pub fn new(workload: impl Workload) -> AnyWorkload {
        AnyWorkload(Box::new(workload))
    }
}

impl Workload for AnyWorkload {
    type Machine = AnyMachine;

    fn machine(&self) -> AnyMachine {
        self.0.machine()
    }

    /// # Panics
    /// If the command is longer than the workload says: the log of a run may have no room for it.
    fn command(&self, op: OpId, draw: &mut Draw<'_>) -> Vec<u8> {
        let command = self.0.command(op, draw);
        let (bytes, bytes_max) = (command.len(), self.0.command_bytes_max());
        assert!(
            bytes <= bytes_max,
            "`Workload::command` returns {bytes} bytes, but `Workload::command_bytes_max` is \
             {bytes_max}"
        );
        command
    }

    fn command_bytes_max(&self) -> usize {
        self.0.command_bytes_max()
    }

    fn query(&self, op: OpId, draw: &mut Draw<'_>) -> Vec<u8> {
        self.0.query(op, draw)
    }

    fn describe_command(&self, command: &[u8]) -> String {
        self.0.describe_command(command)
    }

    fn is_kv(&self) -> bool {
        self.0.is_kv()
    }

    fn object(&self) -> Option<Object> {
        self.0.object()
    }

    fn check_reply(&mut self, command: &[u8], reply: &[u8]) -> Result<(), String> {
        self.0.check_reply(command, reply)
    }

    fn check_admin_command(&mut self, command: &[u8], reply: &[u8]) -> Result<(), String> {
        self.0.check_admin_command(command, reply)
    }

    fn check_answer(&self, query: &[u8], answer: &[u8]) -> Result<(), String> {
        self.0.check_answer(query, answer)
    }

    /// # Panics
    /// If the machine is that of another workload.
    fn check_state(&self, machine: &AnyMachine) -> Result<(), String> {
        self.0.check_state(machine)
    }
}

impl<W: Workload> ErasedWorkload for W {
    fn boxed(&self) -> Box<dyn ErasedWorkload> {
        Box::new(self.clone())
    }

    fn machine(&self) -> AnyMachine {
        AnyMachine(Box::new(Workload::machine(self)))
    }

    fn command(&self, op: OpId, draw: &mut Draw<'_>) -> Vec<u8> {
        Workload::command(self, op, draw)
    }

    fn command_bytes_max(&self) -> usize {
        Workload::command_bytes_max(self)
    }

    fn query(&self, op: OpId, draw: &mut Draw<'_>) -> Vec<u8> {
        Workload::query(self, op, draw)
    }

    fn describe_command(&self, command: &[u8]) -> String {
        Workload::describe_command(self, command)
    }

    fn is_kv(&self) -> bool {
        Workload::is_kv(self)
    }

    fn object(&self) -> Option<Object> {
        Workload::object(self)
    }

    fn check_reply(&mut self, command: &[u8], reply: &[u8]) -> Result<(), String> {
        Workload::check_reply(self, command, reply)
    }

    fn check_admin_command(&mut self, command: &[u8], reply: &[u8]) -> Result<(), String> {
        Workload::check_admin_command(self, command, reply)
    }

    fn check_answer(&self, query: &[u8], answer: &[u8]) -> Result<(), String> {
        Workload::check_answer(self, query, answer)
    }

    fn check_state(&self, machine: &AnyMachine) -> Result<(), String> {
        let own = machine.0.as_any().downcast_ref::<W::Machine>();
        Workload::check_state(self, own.expect("a run has the machines of one workload"))
    }
}

impl<M: StateMachine + Clone + 'static> ErasedMachine for M {
    fn boxed(&self) -> Box<dyn ErasedMachine> {
        Box::new(self.clone())
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

impl StateMachine for AnyMachine {
    fn apply(&mut self, index: Index, command: &[u8]) -> Vec<u8> {
        self.0.apply(index, command)
    }

    fn administer(&mut self, index: Index, command: &[u8]) -> Vec<u8> {
        self.0.administer(index, command)
    }

    fn quota(&self) -> Option<QuotaUsage> {
        self.0.quota()
    }

    fn query(&self, query: &[u8]) -> Vec<u8> {
        self.0.query(query)
    }

    fn snapshot(&self) -> Box<dyn Read + Send> {
        self.0.snapshot()
    }

    fn restore(&mut self, snapshot: &mut dyn Read) -> io::Result<()> {
        self.0.restore(snapshot)
    }

    fn conflict_test(&self) -> ConflictTest {
        self.0.conflict_test()
    }

    fn applied(&self) -> Option<Index> {
        self.0.applied()
    }

    fn digest(&self) -> io::Result<Digest> {
        self.0.digest()
    }
}

impl Clone for AnyWorkload {
    fn clone(&self) -> AnyWorkload {
        AnyWorkload(self.0.boxed())
    }
}

impl Clone for AnyMachine {
    fn clone(&self) -> AnyMachine {
        AnyMachine(self.0.boxed())
    }
}

impl fmt::Debug for AnyWorkload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a workload")
    }
}

impl fmt::Debug for AnyMachine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a state machine")
    }
}
