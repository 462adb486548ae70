//! A linearizability checker: decides whether every operation of a concurrent history can be
//! assigned a linearization point between its invocation and its response, so that the resulting
//! order is legal for the object's sequential specification (Herlihy & Wing 1990, §2).
//!
//! ```
//! use quorate_checker::budget::Budget;
//! use quorate_checker::check::check;
//! use quorate_checker::history::{Client, Recorder};
//! use quorate_checker::model::Model;
//! use quorate_checker::verdict::Verdict;
//!
//! /// The model that a user writes: a counter that only grows.
//! struct Growing;
//!
//! #[derive(Clone, Debug, PartialEq, Eq, Hash)]
//! enum Op {
//!     Increment,
//!     Read,
//! }
//!
//! impl Model for Growing {
//!     type State = u64;
//!     type Op = Op;
//!     type Ret = u64;
//!     fn init(&self) -> u64 {
//!         0
//!     }
//!     fn step(&self, state: &u64, op: &Op, ret: Option<&u64>) -> Option<u64> {
//!         let after = match op {
//!             Op::Increment => state + 1,
//!             Op::Read => *state,
//!         };
//!         (ret.is_none() || ret == Some(&after)).then_some(after)
//!     }
//! }
//!
//! let recorder = Recorder::new();
//! let increment = recorder.invoke(Client(1), Op::Increment);
//! let read = recorder.invoke(Client(2), Op::Read);
//! read.returned(1); // it observes the increment, which is still pending
//! increment.returned(1);
//! recorder.invoke(Client(2), Op::Read).returned(0); // a stale read: the counter cannot shrink
//!
//! let verdict = check(&Growing, &recorder.history(), &Budget::default());
//! assert!(matches!(verdict, Verdict::NotLinearizable(_)));
//! ```
//!
//! # Stability
//!
//! An item has the mark of the closest module or type around it in this table.
//!
//! - A stable one follows semantic versioning. Before 1.0 a minor version may change it, and the
//!   changelog says what to do.
//! - An unstable one may change in every minor version, also after 1.0.
//! - An internal one is public because tests compare the checker with it,
//!   and may change in every version.
//!
//! | mark | items | |
//! |---|---|---|
//! | stable | `check`, `verdict`, `budget`, `hints` | a check and its result |
//! | stable | `history`, `stream`, `formats` | histories, complete or not, in files |
//! | stable | `model`, `models`, `value` | sequential specifications |
//! | unstable | `explain`, `search`, `generate` | a closer look |
//! | unstable | `order`, `relaxed` | conditions other than linearizability |
//! | internal | `brute_force` | the slow checker without optimizations |

#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod brute_force;
pub mod budget;
mod chain_search;
pub mod check;
mod collections;
pub mod explain;
#[cfg(feature = "formats")]
pub mod formats;
pub mod generate;
pub mod hints;
pub mod history;
pub mod model;
pub mod models;
pub mod order;
pub mod relaxed;
pub mod search;
pub mod stream;
pub mod value;
pub mod verdict;
mod zones;

/// The front page, whose code `cargo test` compiles and runs.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
