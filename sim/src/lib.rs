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

#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod chaos;
pub mod check;
#[cfg(feature = "cli")]
pub mod cli;
pub mod disk;
pub mod explain;
pub mod faults;
pub mod link;
mod machine;
pub mod observe;
mod observer;
pub mod picture;
pub mod plan;
pub mod record;
pub mod recordings;
pub mod run;
pub mod scenario;
pub mod settings;
pub mod shrink;
pub mod tla;
pub mod values;
pub mod workload;
mod world;
