//! Raft consensus as a sans-IO state machine, tested by deterministic simulation.
//!
//! The entry point of the algorithm is [`raft::Raft::step`], with the types of [`raft`] and
//! [`types`]; that of a node on tokio is `runtime::Server`. The section [Stability](#stability)
//! says which items may change in which releases.
//!
#![doc = include_str!("../README.md")]
//!
//! # Stability
//!
//! An item has the mark of the closest module or type around it in this table.
//!
//! - A stable one follows semantic versioning. Before 1.0 a minor version may change it, and the
//!   changelog says what to do.
//! - An unstable one may change in every minor version, also after 1.0.
//! - An internal one may change in every version. It is public because the simulator and the model
//!   checker are other crates.
//!
//! The unstable and the internal items are public only with the feature `unstable`. Without it, the
//! compiler calls such an item private, or does not find it. The simulator turns the feature on: a
//! test that depends on `quorate-sim` can use items that are private in `cargo build`.
//!
//! | mark | items | |
//! |---|---|---|
//! | stable | `runtime`, `http` | nodes and clients on tokio |
//! | stable | `machine`, `typed` | a user's state machine |
//! | stable | `raft`, `types` | the core, for a driver of your own |
//! | stable | `replica::ReplicaConfig`, `replica::ReplicaConfigError` | in `ServerConfig` |
//! | stable | `storage::StorageConfig`, `storage::SnapshotConfig` | in `ReplicaConfig` |
//! | stable | `storage::StorageConfigError` | in `ReplicaConfigError` |
//! | stable | `storage::ClusterId`, `wire::ServiceRejectReason` | in the API of `runtime` |
//! | stable | `storage::OpenError`, `storage::StorageError`, `storage::ErrorCause` | errors |
//! | stable | `storage::Disk`, `storage::DiskError` | a disk of your own |
//! | stable | `storage::FileAction`, `storage::FileName` | what such a disk does |
//! | unstable | `replica`, `storage`, `wire` | the parts of a node |
//! | unstable | `runtime::Server::start_with_transport` | a transport of your own |
//! | unstable | `runtime::Transport`, `runtime::PacketInbox` | the same |
//! | unstable | `runtime::Server::start_simulated`, `runtime::Client::simulated` | simulations |
//! | unstable | `runtime::Simulation`, `runtime::Simulated` | the same |
//! | unstable | `runtime::SimulatedListener`, `runtime::Socket` | the same |
//! | unstable | `recovery`, `recording` | what the command `quorate` does |
//! | internal | `log`, `progress`, `quorum` | the parts of the core |
//! | internal | `raft::Raft::log` | the log of the core |
#![cfg_attr(not(feature = "std"), no_std)]
// Without the feature, the unstable items are private, and not all of them are used.
#![cfg_attr(not(feature = "unstable"), allow(dead_code, unreachable_pub, unused_imports))]
#![cfg_attr(docsrs, feature(doc_cfg))]

extern crate alloc;

/// Re-exports unstable items: public with the feature `unstable`, otherwise for this crate only. If
/// a program needs the feature and lacks it, the error of the compiler shows the line of the
/// re-export, with its comment.
#[cfg(feature = "std")]
macro_rules! unstable_use {
    ($($tree:tt)*) => {
        #[cfg(feature = "unstable")]
        pub use {$($tree)*};
        #[cfg(not(feature = "unstable"))]
        pub(crate) use {$($tree)*};
    };
}

// The name by which the files below `tests/` import this library.
#[cfg(test)]
extern crate self as quorate;

#[cfg(test)]
#[path = "../tests/common/draw.rs"]
mod draw;
#[cfg(test)]
#[path = "../tests/common/fixtures.rs"]
mod fixtures;
#[cfg(feature = "http")]
pub mod http;
#[cfg(feature = "unstable")]
pub mod log;
#[cfg(not(feature = "unstable"))]
mod log; // feature `unstable`
#[cfg(feature = "std")]
pub mod machine;
#[cfg(feature = "unstable")]
pub mod progress;
#[cfg(not(feature = "unstable"))]
mod progress; // feature `unstable`
#[cfg(feature = "unstable")]
pub mod quorum;
#[cfg(not(feature = "unstable"))]
mod quorum; // feature `unstable`
pub mod raft;
#[cfg(feature = "std")]
#[cfg(feature = "unstable")]
pub mod recording;
#[cfg(feature = "std")]
#[cfg(not(feature = "unstable"))]
mod recording; // feature `unstable`
#[cfg(feature = "std")]
#[cfg(feature = "unstable")]
pub mod recovery;
#[cfg(feature = "std")]
#[cfg(not(feature = "unstable"))]
mod recovery; // feature `unstable`
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
