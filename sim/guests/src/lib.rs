//! Chaos runs of the simulator for the consensus cores of other libraries.
//!
//! A core becomes a [`guest::Guest`] by an adapter of 100 to 300 lines. [`run::run`] then runs it
//! in a cluster with faults, as the simulator runs quorate: the same seeds, plans of faults,
//! scenarios, checks and shrinking.

pub mod adapters;
pub mod case;
mod checks;
pub mod cli;
mod clients;
mod cluster;
pub mod disk;
pub mod guest;
mod load;
pub mod machine;
mod nemesis;
mod node;
pub mod run;
mod schedule;
mod strikes;

/// The guide, whose example is tested.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/GUESTS.md")]
struct Guide;
