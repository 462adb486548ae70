//! The trait that a user implements to run their own state machine in the simulator.

use quorate::machine::StateMachine;
use quorate_page::text::printable;

use crate::values::choice::Draw;
use crate::workload::object::Object;
use crate::workload::request::OpId;

/// A state machine to run in the simulator, and the operations of its clients.
///
/// Each run uses one value of this type to make commands and queries, and never changes it. If
/// checks are on, a clone of it follows the log and may keep a model. So a run is the same with and
/// without checks, and leaving out one operation changes no other.
///
/// Commands, queries and replies are bytes. Those of a
/// [`TypedMachine`](quorate::typed::TypedMachine) are the bytes of
/// [`encode`](quorate::typed::encode), [`decode_request`](quorate::typed::decode_request) and
/// [`decode_reply`](quorate::typed::decode_reply).
pub trait Workload: Clone + Send + Sync + 'static {
    /// The user's state machine; every node has its own. The simulator runs it with version 0 of
    /// its rules, even if it has more.
    type Machine: StateMachine + Clone + 'static;

    /// Returns the state machine before the first command; always the same one.
    fn machine(&self) -> Self::Machine;

    /// Returns the command of an operation. `op` is unique in a run, and makes values unique, such
    /// as `format!("v{op}")`; everything else is drawn from `draw`, where the first option of each
    /// choice is the simplest.
    fn command(&self, op: OpId, draw: &mut Draw<'_>) -> Vec<u8>;

    /// Returns the size of the largest command that [`Workload::command`] makes, in bytes; 64 by
    /// default, and at most 8 MB, for which a message between nodes has room. A longer command ends
    /// the run with a panic that names both sizes.
    fn command_bytes_max(&self) -> usize {
        64
    }

    /// Returns the query of an operation, as [`Workload::command`] does for commands.
    fn query(&self, op: OpId, draw: &mut Draw<'_>) -> Vec<u8>;

    /// Returns a readable description of a command, for traces and pages.
    fn describe_command(&self, command: &[u8]) -> String {
        printable(command)
    }

    /// Returns true if the machine accepts every [`kv::Operation`] and replies with a
    /// [`kv::Reply`], so that a scenario may use `put`, `cas` and `get`.
    ///
    /// [`kv::Operation`]: crate::workload::kv::Operation
    /// [`kv::Reply`]: crate::workload::kv::Reply
    fn is_kv(&self) -> bool {
        false
    }

    /// Returns the model of the object that the clients use, for the linearizability checker, which
    /// compares the clients' results with this model, without looking at the log. `None` disables
    /// that check; [`Object::machine`] makes the state machine its own model.
    ///
    /// For a register or a key-value map (`quorate_checker::models`) whose values are written only
    /// once, which `op` makes possible, the first impossible result ends the run. Everything else
    /// is checked at the end of the run.
    fn object(&self) -> Option<Object> {
        None
    }

    /// Checks the reply to one applied command. It is called in the order of the log, once for each
    /// time that a command is applied.
    ///
    /// # Errors
    /// A sentence that says what is wrong with the reply.
    fn check_reply(&mut self, command: &[u8], reply: &[u8]) -> Result<(), String> {
        let _ = (command, reply);
        Ok(())
    }

    /// Checks the reply to one admin command, as [`Workload::check_reply`] does for commands.
    ///
    /// # Errors
    /// A sentence that says what is wrong with the reply.
    fn check_admin_command(&mut self, command: &[u8], reply: &[u8]) -> Result<(), String> {
        let _ = (command, reply);
        Ok(())
    }

    /// Checks the answer to a query in the state after the commands so far.
    ///
    /// # Errors
    /// A sentence that says what is wrong with the answer.
    fn check_answer(&self, query: &[u8], answer: &[u8]) -> Result<(), String> {
        let _ = (query, answer);
        Ok(())
    }

    /// Checks the state of a node's machine that has applied exactly the commands so far.
    ///
    /// # Errors
    /// A sentence that says what is wrong with the state.
    fn check_state(&self, machine: &Self::Machine) -> Result<(), String> {
        let _ = machine;
        Ok(())
    }
}
