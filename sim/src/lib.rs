//! Deterministic chaos simulation of a quorate cluster.
//!
//! One seed decides a whole run: the cluster, its options, every delay and every fault.
//!
//! ```
//! use quorate_sim::run::{RunOptions, run};
//!
//! let outcome = run(17, &RunOptions::default());
//! assert_eq!(outcome.failure, None);
//! assert_eq!(outcome, run(17, &RunOptions::default()), "the same seed, the same run");
//! ```
//!
//! # Stability
//!
//! An item has the mark of the closest module or type around it in this table.
//!
//! - A stable one follows semantic versioning. Before 1.0 a minor version may change it, and the
//!   changelog says what to do.
//! - An unstable one may change in every minor version, also after 1.0.
//! - An internal one is public because the command and other crates need it,
//!   and may change in every version.
//!
//! | mark | items | |
//! |---|---|---|
//! | stable | `chaos`, `cli` | a chaos run and the command line for a state machine |
//! | stable | `workload`, `values::choice::Draw` | a state machine and its clients' operations |
//! | stable | `observe::OpId`, `values::time::SimTime` | values that a workload receives |
//! | stable | `observe::outcome::Failure`, `observe::Violation` | why a run failed |
//! | stable | `observe::outcome::Tally` | what a run did |
//! | unstable | `observe::outcome::Tally.combinations` | the reached combinations of faults |
//! | unstable | `observe::outcome::Tally.partly_checked` | runs that were checked in part |
//! | unstable | `values::choice::Draw::within` | a draw from a range of settings |
//! | unstable | `workload::ReferenceMachine::follow` | a machine against which runs are checked |
//! | unstable | `run`, `scenario`, `settings`, `plan`, `faults` | how to build your own runs |
//! | unstable | `check`, `observe`, `values` | what is checked, and its parts |
//! | unstable | `explain`, `shrink`, `picture`, `tla` | a closer look at a run |
//! | unstable | `record`, `recordings`, `disk`, `link` | other parts of the simulator |

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
