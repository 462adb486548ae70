//! Chaos runs of whole services: nodes of quorate together with the tasks, timers, sockets and
//! retries around them, on the simulated network and time of [turmoil], from one seed.
//!
//! ```
//! use std::io::{self, Cursor, Read};
//!
//! use quorate::machine::StateMachine;
//! use quorate::types::Index;
//! use quorate_turmoil::ChaosRun;
//!
//! /// A state machine that counts its commands.
//! #[derive(Default)]
//! struct Counter(u64);
//!
//! impl StateMachine for Counter {
//!     fn apply(&mut self, _: Index, _: &[u8]) -> Vec<u8> {
//!         self.0 += 1;
//!         self.0.to_le_bytes().to_vec()
//!     }
//!     fn query(&self, _: &[u8]) -> Vec<u8> {
//!         self.0.to_le_bytes().to_vec()
//!     }
//!     fn snapshot(&self) -> Box<dyn Read + Send> {
//!         Box::new(Cursor::new(self.0.to_le_bytes()))
//!     }
//!     fn restore(&mut self, snapshot: &mut dyn Read) -> io::Result<()> {
//!         let mut bytes = [0; 8];
//!         snapshot.read_exact(&mut bytes)?;
//!         self.0 = u64::from_le_bytes(bytes);
//!         Ok(())
//!     }
//! }
//!
//! let run = ChaosRun::new(7)
//!     .nodes(3, |_| Counter::default())
//!     .client("client", |world| async move {
//!         let client = world.client(|_| {})?;
//!         while !world.is_stable() {
//!             // The client of quorate sends a command again until it has a reply.
//!             let _ = client.propose(b"count").await;
//!         }
//!         Ok(())
//!     })
//!     .check(|world| async move {
//!         world.client(|_| {})?.propose(b"count").await?;
//!         Ok(())
//!     });
//! run.run().unwrap_or_else(|failure| panic!("{failure}"));
//! ```
//!
//! A run has a *fault phase*, in which faults of the seed or of a scenario strike, and a
//! *stabilization phase*, in which all faults are over: every client must end, and the check, which
//! begins once they have, must succeed.
//!
//! `docs/SERVICE.md` is the guide. The crate follows no semantic versioning: it changes with
//! turmoil.

#[cfg(not(tokio_unstable))]
compile_error!(
    "compile with `--cfg tokio_unstable`, for example with `rustflags` in `.cargo/config.toml`: \
     without it tokio draws numbers that no seed determines, in `select!` and in channels"
);

mod chaos_run;
mod clocks;
mod core_checks;
mod disk;
mod faults;
mod history;
mod lasting;
mod node;
mod report;
mod schedule;
mod shrink;
mod stream;
mod trail;
mod triggers;
mod world;

pub use chaos_run::{ChaosRun, Outcome};
pub use faults::FaultsError;
pub use history::linearizable;
pub use node::Node;
pub use report::{Failure, Report};
pub use shrink::sweep;
pub use world::World;
