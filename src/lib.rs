//! Raft consensus as a sans-IO state machine, tested by deterministic simulation.
//!
//! The entry point of the algorithm is [`raft::Raft::step`], with the types of [`raft`] and
//! [`types`]. The other modules are public for drivers, simulators and model checkers.
//!
#![doc = include_str!("../README.md")]
#![cfg_attr(not(feature = "std"), no_std)]
#![cfg_attr(docsrs, feature(doc_cfg))]

extern crate alloc;

#[cfg(test)]
#[path = "../tests/common/fixtures.rs"]
mod fixtures;
#[cfg(feature = "http")]
pub mod http;
pub mod log;
#[cfg(feature = "std")]
pub mod machine;
pub mod progress;
pub mod quorum;
pub mod raft;
#[cfg(feature = "std")]
pub mod recording;
#[cfg(feature = "std")]
pub mod recovery;
#[cfg(feature = "std")]
pub mod replica;
#[cfg(feature = "tokio")]
pub mod runtime;
#[cfg(feature = "std")]
pub mod storage;
#[cfg(feature = "std")]
pub mod typed;
pub mod types;
#[cfg(feature = "std")]
pub mod wire;

/// The chapters of the book and other documents, whose code `cargo test` compiles and runs.
#[cfg(doctest)]
mod book {
    #[doc = include_str!("../docs/book/src/why-simulate.md")]
    struct WhySimulate;
    #[doc = include_str!("../docs/book/src/node-as-a-function.md")]
    struct NodeAsAFunction;
    #[doc = include_str!("../docs/book/src/the-log.md")]
    struct TheLog;
    #[doc = include_str!("../docs/book/src/elections.md")]
    struct Elections;
    #[doc = include_str!("../docs/book/src/before-the-disk.md")]
    struct BeforeTheDisk;
    #[doc = include_str!("../docs/book/src/reads.md")]
    struct Reads;
    #[doc = include_str!("../docs/book/src/membership.md")]
    struct Membership;
    #[doc = include_str!("../docs/book/src/the-disk-that-lies.md")]
    struct TheDiskThatLies;
    #[doc = include_str!("../docs/book/src/how-a-sweep-works.md")]
    struct HowASweepWorks;
    #[doc = include_str!("../docs/book/src/reading-a-failing-seed.md")]
    struct ReadingAFailingSeed;
    #[doc = include_str!("../docs/book/src/writing-a-check.md")]
    struct WritingACheck;
    #[doc = include_str!("../docs/book/src/operating-a-cluster.md")]
    struct OperatingACluster;
    #[doc = include_str!("../docs/RECORDING.md")]
    struct Recordings;
}
