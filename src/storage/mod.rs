//! What a node keeps: a log in segments, a superblock, snapshots. Disk operations go out,
//! completions come in; only recovery, before the start, reads at once.

mod disk;
mod operations;

pub use disk::{Completion, Disk, DiskError, FileAction, FileName, Lane, Operation, OperationId};
