//! Raft consensus as a sans-IO state machine, tested by deterministic simulation.
//!
//! The door is [`raft::Raft::step`]; [`raft`] and [`types`] have its words. The other rooms are
//! open to simulators and proofs.
//!
#![doc = include_str!("../README.md")]
#![cfg_attr(not(feature = "std"), no_std)]

extern crate alloc;

#[cfg(feature = "http")]
pub mod http;
pub mod log;
#[cfg(feature = "std")]
pub mod machine;
pub mod progress;
pub mod quorum;
pub mod raft;
#[cfg(feature = "std")]
pub mod recovery;
#[cfg(feature = "std")]
pub mod replica;
#[cfg(feature = "tokio")]
pub mod runtime;
#[cfg(feature = "std")]
pub mod storage;
pub mod types;
#[cfg(feature = "std")]
pub mod wire;
