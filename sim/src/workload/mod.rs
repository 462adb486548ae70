//! Workloads: the state machine of a simulated cluster, and the operations of its clients. A user
//! runs their own state machine by implementing [`Workload`]; [`kv::Kv`] is a built-in one.
//!
//! ```
//! use std::io::{self, Read};
//!
//! use quorate::machine::StateMachine;
//! use quorate::types::Index;
//! use quorate_sim::values::choice::Draw;
//! use quorate_sim::observe::OpId;
//! use quorate_sim::workload::Workload;
//!
//! /// A counter that adds up bytes; the reply is the sum.
//! #[derive(Clone, Default)]
//! struct Sum(u64);
//!
//! impl StateMachine for Sum {
//!     fn apply(&mut self, _: Index, command: &[u8]) -> Vec<u8> {
//!         self.0 += u64::from(command[0]);
//!         self.0.to_le_bytes().to_vec()
//!     }
//!     fn query(&self, _: &[u8]) -> Vec<u8> {
//!         self.0.to_le_bytes().to_vec()
//!     }
//!     fn snapshot(&self) -> Box<dyn Read + Send> {
//!         Box::new(io::Cursor::new(self.0.to_le_bytes()))
//!     }
//!     fn restore(&mut self, snapshot: &mut dyn Read) -> io::Result<()> {
//!         let mut bytes = [0; 8];
//!         snapshot.read_exact(&mut bytes)?;
//!         self.0 = u64::from_le_bytes(bytes);
//!         Ok(())
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
//!         vec![draw.below(10) as u8]
//!     }
//!     fn query(&self, _: OpId, _: &mut Draw<'_>) -> Vec<u8> {
//!         Vec::new()
//!     }
//! }
//! ```

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
