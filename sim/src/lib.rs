//! Deterministic chaos simulation of a quorate cluster.
//!
//! One number decides a whole run: the cluster, its options, every delay and every fault.
//!
//! ```
//! use quorate_sim::run::{RunOptions, run};
//!
//! let outcome = run(7, &RunOptions::default());
//! assert_eq!(outcome.failure, None);
//! assert_eq!(outcome, run(7, &RunOptions::default()), "the same seed, the same run");
//! ```

pub mod check;
pub mod choice;
#[cfg(feature = "cli")]
pub mod cli;
pub mod coverage;
pub mod digest;
pub mod disk;
pub mod distinct;
pub mod explain;
pub mod fault;
pub mod fingerprint;
mod guided;
pub mod observe;
pub mod outcome;
pub mod picture;
pub mod plan;
pub mod profile;
pub mod record;
pub mod request;
pub mod run;
pub mod rung;
pub mod scenario;
pub mod settings;
pub mod shrink;
pub mod span;
pub mod spread;
pub mod storms;
mod subject;
pub mod summary;
pub mod sweep;
mod taint;
pub mod time;
pub mod trace;
mod witness;
pub(crate) mod words;
pub mod workload;
mod world;
