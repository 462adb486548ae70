//! What a node keeps: a log in segments, a superblock, snapshots. Disk operations go out,
//! completions come in; only recovery, before the start, reads at once.

mod contract;
mod disk;
mod file_disk;
mod operations;
mod snapshots;

pub use contract::check_disk;
pub use disk::{Completion, Disk, DiskError, FileAction, FileName, Lane, Operation, OperationId};
pub use file_disk::FileDisk;
pub use snapshots::{
    AbandonReason, Damage, PartOutcome, SnapshotConfig, SnapshotError, SnapshotEvent,
    SnapshotReader,
};
