//! What a user writes to run their own state machine in the simulator.

use quorate::machine::StateMachine;
use quorate_page::text::printable;

use crate::choice::Draw;
use crate::request::OpId;
use crate::workload::object::Object;

/// A state machine to be run in the simulator, and what is asked of it.
///
/// A run has one value that makes commands and queries and never changes, and, if it checks, a
/// clone of it that follows the log and may keep a model. So a run is the same whether it is
/// checked or not, and leaving out one operation changes no other.
pub trait Workload: Clone + Send + Sync + 'static {
    /// The user's state machine, as every node has one.
    type Machine: StateMachine + Clone + 'static;

    /// The machine before the first command; always the same.
    fn machine(&self) -> Self::Machine;

    /// The command that an operation wants carried out. `op` is another number for every
    /// operation of a run and makes values unique; everything else is drawn from `draw`, where the
    /// first option of each choice is the plainest.
    fn command(&self, op: OpId, draw: &mut Draw<'_>) -> Vec<u8>;

    /// The largest command that [`Workload::command`] ever makes, in bytes.
    fn command_bytes_max(&self) -> usize {
        64
    }

    /// The query that an operation wants answered, like [`Workload::command`].
    fn query(&self, op: OpId, draw: &mut Draw<'_>) -> Vec<u8>;

    /// What a command says, for people who look at a run.
    fn words(&self, command: &[u8]) -> String {
        printable(command)
    }

    /// Whether the machine takes every [`kv::Operation`] and answers with a [`kv::Reply`], so that
    /// a scenario may ask for `put`, `cas` and `get`.
    ///
    /// [`kv::Operation`]: crate::workload::kv::Operation
    /// [`kv::Reply`]: crate::workload::kv::Reply
    fn is_kv(&self) -> bool {
        false
    }

    /// What the clients believe they use, for the linearizability checker: it holds what they were
    /// told against this model, without a look at the log. None leaves that check out;
    /// [`Object::machine`] makes the state machine its own model.
    ///
    /// Of a register or a key-value map (`quorate_checker::models`) whose values are written once,
    /// for which `op` is good, the first answer that cannot be ends the run. Anything else is
    /// checked when the run is over.
    fn object(&self) -> Option<Object> {
        None
    }

    /// Follows one command that was carried out, and its reply. Commands come in the order of the
    /// log, each once, or once for every time it was carried out.
    ///
    /// # Errors
    /// What is wrong with the reply, in a sentence.
    fn check_reply(&mut self, command: &[u8], reply: &[u8]) -> Result<(), String> {
        let _ = (command, reply);
        Ok(())
    }

    /// Looks at the answer to a query of the state after the commands followed so far.
    ///
    /// # Errors
    /// What is wrong with the answer, in a sentence.
    fn check_answer(&self, query: &[u8], answer: &[u8]) -> Result<(), String> {
        let _ = (query, answer);
        Ok(())
    }

    /// Looks at a node's machine that has carried out exactly the commands followed so far.
    ///
    /// # Errors
    /// What is wrong with its state, in a sentence.
    fn check_state(&self, machine: &Self::Machine) -> Result<(), String> {
        let _ = machine;
        Ok(())
    }
}
