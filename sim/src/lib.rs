//! Deterministic chaos simulation of a quorate cluster.
//!
//! One seed decides a whole run: the cluster, its options, every delay and every fault.
//!
//! ```
//! use quorate_sim::run::{RunOptions, run};
//!
//! let outcome = run(7, &RunOptions::default());
//! assert_eq!(outcome.failure, None);
//! assert_eq!(outcome, run(7, &RunOptions::default()), "the same seed, the same run");
//! ```

pub mod chaos;
pub mod check;
pub mod choice;
#[cfg(feature = "cli")]
pub mod cli;
pub mod coverage;
pub mod digest;
pub mod disk;
pub mod distinct;
pub mod duration_range;
pub mod explain;
pub mod faults;
pub mod fingerprint;
mod guided;
pub mod histogram;
pub mod observe;
mod observer;
pub mod outcome;
pub mod picture;
pub mod plan;
pub mod profile;
pub mod record;
pub mod request;
pub mod run;
pub mod scenario;
pub mod settings;
pub mod shrink;
mod sim_machine;
pub mod strategy;
pub mod substitution;
pub mod summary;
pub mod sweep;
mod taint;
pub mod time;
pub mod trace;
pub(crate) mod words;
pub mod workload;
mod world;
