//! Workloads: the state machine of a simulated cluster, and the operations of its clients. A user
//! runs their own state machine by implementing [`Workload`]; [`kv::Kv`] is a built-in one.
//!
//! ```
//! use quorate::typed::{TypedMachine, decode_reply, decode_request, encode};
//! use quorate::types::Index;
//! use quorate_sim::observe::OpId;
//! use quorate_sim::values::choice::Draw;
//! use quorate_sim::workload::{Object, Workload};
//! use serde::{Deserialize, Serialize};
//!
//! /// A counter that adds up numbers; the reply is the sum.
//! #[derive(Clone, Default, Serialize, Deserialize)]
//! struct Sum(u64);
//!
//! #[derive(Debug, Serialize, Deserialize)]
//! enum Command {
//!     Add(u64),
//! }
//!
//! impl TypedMachine for Sum {
//!     type Command = Command;
//!     type Reply = u64;
//!     type Query = ();
//!     type Answer = u64;
//!     fn apply(&mut self, _: Index, Command::Add(number): Command) -> u64 {
//!         self.0 += number;
//!         self.0
//!     }
//!     fn query(&self, (): ()) -> u64 {
//!         self.0
//!     }
//! }
//!
//! #[derive(Clone)]
//! struct Adding;
//!
//! impl Workload for Adding {
//!     type Machine = Sum;
//!     fn machine(&self) -> Sum {
//!         Sum::default()
//!     }
//!     fn command(&self, _: OpId, draw: &mut Draw<'_>) -> Vec<u8> {
//!         encode(&Command::Add(2 * draw.below(10))).expect("a command is short")
//!     }
//!     fn query(&self, _: OpId, _: &mut Draw<'_>) -> Vec<u8> {
//!         encode(&()).expect("a query is short")
//!     }
//!     fn describe_command(&self, command: &[u8]) -> String {
//!         decode_request(command).map_or_else(|e| e.to_string(), |c: Command| format!("{c:?}"))
//!     }
//!     fn object(&self) -> Option<Object> {
//!         Some(Object::machine(Sum::default))
//!     }
//!     fn check_answer(&self, _: &[u8], answer: &[u8]) -> Result<(), String> {
//!         let sum: u64 = decode_reply(answer).map_err(|error| error.to_string())?;
//!         if sum % 2 == 0 { Ok(()) } else { Err(format!("the sum is {sum}")) }
//!     }
//! }
//!
//! quorate_sim::chaos::run(Adding, 1..3).unwrap_or_else(|failure| panic!("{failure}"));
//! ```
//!
//! A state machine on bytes needs no serde: `examples/own_machine.rs` of quorate has one.

mod contract;
mod erased;
pub mod kv;
mod object;
mod principal;
mod reference;
pub mod request;
pub(crate) mod rules;
mod self_model;

pub use contract::Workload;
pub use erased::{AnyMachine, AnyWorkload};
pub(crate) use object::HistoryResult;
pub use object::{Object, ParseOperation, ParseResult, RequestBytes};
pub(crate) use principal::Principal;
pub use reference::{MachineView, ReferenceMachine, ReferenceMismatch};
