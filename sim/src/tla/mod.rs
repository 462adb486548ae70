//! Traces for the TLA+ specification of the core (`docs/tla/README.md`).
//!
//! A trace has the steps of the cores of a run, or of recordings, as lines that each name an action
//! of `docs/tla/quorate_trace.tla`. TLC accepts the trace if every line is explained by its action.

mod cores;
mod knowledge;
mod line;
mod memberships;
mod messages;
mod outgoing;
mod reads;
mod state;
mod step_lines;
mod steps;
mod trace;

pub use cores::SimulatedCores;
pub use trace::{TlaModule, TlaTrace};
