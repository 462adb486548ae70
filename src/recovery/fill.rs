//! The content of a snapshot, from wherever it comes into a directory that is being made.

use std::io::{self, Read};

use crate::storage::{Disk, Foundation, OpenError, StorageConfig};

/// Why a directory was not filled.
#[derive(Debug)]
pub(crate) enum FillError {
    /// The content cannot be read.
    Content(io::Error),
    /// It cannot be written.
    Target(OpenError),
}

/// Copies the content to its end, one chunk in memory at a time.
pub(crate) fn fill(
    foundation: &mut Foundation,
    target: &mut impl Disk,
    config: &StorageConfig,
    content: &mut dyn Read,
) -> Result<(), FillError> {
    let chunk_bytes = config.snapshots.chunk_bytes;
    loop {
        let chunk = read_chunk(content, chunk_bytes).map_err(FillError::Content)?;
        if chunk.is_empty() {
            return foundation.end_snapshot(target).map_err(FillError::Target);
        }
        foundation.chunk(target, chunk).map_err(FillError::Target)?;
    }
}

/// As many bytes as there are, up to `bytes`; none at the end.
pub(crate) fn read_chunk(content: &mut dyn Read, bytes: u32) -> io::Result<Vec<u8>> {
    let mut chunk = Vec::new();
    content.take(u64::from(bytes)).read_to_end(&mut chunk)?;
    Ok(chunk)
}
