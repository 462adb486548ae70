//! The durable state of a node: a log in segments, a superblock and snapshots. The store of a
//! running node emits disk operations and takes their completions. Opening, formatting, inspection,
//! import and the snapshot reader call the disk directly, and block.

mod batch;
mod block;
mod body_damage;
mod bytes;
mod config;
mod config_error;
mod contract;
mod directory;
mod disk;
mod error;
mod file_disk;
mod floor;
mod flush_bodies;
mod identity;
mod import;
mod index;
mod inspection;
mod invariants;
mod located_entry;
mod log;
mod log_end;
mod loss;
mod open;
mod operations;
mod os_error;
mod patched_disk;
mod pending_work;
mod read_cache;
mod reader;
mod rebuild;
mod recovery;
mod regular_file;
mod repair;
mod replayed_entries;
mod retry;
mod salvage;
mod scan;
mod scrub;
mod scrub_progress;
mod sector;
mod segment;
mod snapshot_requests;
mod snapshots;
mod spare_segments;
mod start_writes;
mod store;
mod superblock;
mod superblock_updater;
#[cfg(test)]
mod tests;
mod torn_flush;

pub use config::StorageConfig;
pub use config_error::StorageConfigError;
pub use disk::{Disk, DiskError, FileAction, FileName};
pub use error::{ErrorCause, OpenError, StorageError};
pub use identity::ClusterId;
pub use snapshots::SnapshotConfig;
pub(crate) use snapshots::snapshot_root;

unstable_use! {
    contract::check_disk, // feature `unstable`
    disk::{Completion, Lane, Operation, OperationId}, // feature `unstable`
    file_disk::FileDisk, // feature `unstable`
    identity::{Identity, Origin}, // feature `unstable`
    import::StorageImport, // feature `unstable`
    inspection::Inspection, // feature `unstable`
    open::OpenedStorage, // feature `unstable`
    reader::FetchId, // feature `unstable`
    regular_file::{open_own_file, open_regular_file}, // feature `unstable`
    regular_file::{read_bounded, read_bounded_text}, // feature `unstable`
    snapshots::{AbandonReason, PartOutcome, SnapshotEvent, SnapshotReader}, // feature `unstable`
    store::{Event, Storage}, // feature `unstable`
    torn_flush::TornFlush, // feature `unstable`
}
