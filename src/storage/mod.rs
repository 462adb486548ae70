//! What a node keeps: a log in segments, a superblock, snapshots. Disk operations go out,
//! completions come in; only recovery, before the start, reads at once.

mod ahead;
mod batch;
mod block;
mod bytes;
mod config;
mod contract;
mod disk;
mod failure;
mod file_disk;
mod foundation;
mod identity;
mod index;
mod inspection;
mod keeper;
mod log;
mod open;
mod operations;
mod reader;
mod recovery;
mod salvage;
mod scan;
mod sector;
mod segment;
mod shelf;
mod snapshots;
mod store;
mod superblock;
#[cfg(test)]
mod tests;

pub use config::StorageConfig;
pub use contract::check_disk;
pub use disk::{Completion, Disk, DiskError, FileAction, FileName, Lane, Operation, OperationId};
pub use failure::{Cause, Failure, OpenError};
pub use file_disk::FileDisk;
pub use foundation::Foundation;
pub use identity::{ClusterId, Identity, Origin};
pub use inspection::Inspection;
pub use open::Opened;
pub use reader::FetchId;
pub(crate) use snapshots::snapshot_root;
pub use snapshots::{AbandonReason, PartOutcome, SnapshotConfig, SnapshotEvent, SnapshotReader};
pub use store::{Event, Storage};
