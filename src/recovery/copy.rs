//! Copying the content of a snapshot into a new data directory.

use std::io::{self, Read};

use crate::storage::{Disk, OpenError, StorageConfig, StorageImport};

/// The error that prevented the copy of a snapshot.
#[derive(Debug)]
pub(crate) enum CopyError {
    /// The content of the snapshot cannot be read.
    Content(io::Error),
    /// The new directory cannot be written.
    Target(OpenError),
}

/// Copies the content up to its end, with one chunk in memory at a time.
pub(crate) fn copy_snapshot(
    import: &mut StorageImport,
    target: &mut dyn Disk,
    config: &StorageConfig,
    content: &mut dyn Read,
) -> Result<(), CopyError> {
    let chunk_bytes = config.snapshots.chunk_bytes;
    loop {
        let chunk = read_chunk(content, chunk_bytes).map_err(CopyError::Content)?;
        if chunk.is_empty() {
            return import.end_snapshot(target).map_err(CopyError::Target);
        }
        assert!(chunk.len() <= chunk_bytes as usize, "a chunk is at most chunk_bytes long");
        import.chunk(target, chunk).map_err(CopyError::Target)?;
    }
}

/// Reads `bytes` bytes, or fewer if the content ends before; no bytes at the end of the content.
pub(crate) fn read_chunk(content: &mut dyn Read, bytes: u32) -> io::Result<Vec<u8>> {
    let mut chunk = Vec::new();
    content.take(u64::from(bytes)).read_to_end(&mut chunk)?;
    Ok(chunk)
}
