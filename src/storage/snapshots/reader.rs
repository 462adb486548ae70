//! Reads the content of a snapshot as a stream, and verifies every chunk before returning its
//! bytes.

use std::{fmt, io};

use crate::storage::disk::{Disk, FileName};
use crate::storage::error::StorageError;
use crate::storage::identity::ClusterId;
use crate::storage::snapshots::format::Manifest;
use crate::storage::snapshots::load::{chunk_damage, load_manifest, read};
use crate::types::{Root, SnapshotMeta};

/// Reads a snapshot's content from its file, to restore a state machine. It blocks on the disk: use
/// it before the start, or on a thread that may block.
///
/// It holds one chunk and the manifest in memory. Damage, and a chunk that cannot be read, is an
/// error of kind [`io::ErrorKind::InvalidData`] that names file and offset; the bytes returned
/// before the error are correct. If something other than the disk prevents the read, the kind is
/// [`io::ErrorKind::Other`]. The error contains the [`StorageError`].
pub struct SnapshotReader<'d> {
    disk: &'d mut dyn Disk,
    /// The manifest; `None` for the empty state, which has no file.
    manifest: Option<Manifest>,
    /// The number of the next chunk to read.
    next: u32,
    chunk: Vec<u8>,
    /// The number of bytes of `chunk` that were returned.
    consumed: usize,
    /// The last error that says nothing about the bytes on the disk.
    obstacle: Option<StorageError>,
}

impl<'d> SnapshotReader<'d> {
    /// Opens the snapshot that `meta` names, in the cluster `cluster`.
    ///
    /// # Errors
    /// A [`StorageError`] if the directory cannot be read, the file is missing or of another
    /// snapshot, or its header or manifest is damaged.
    pub fn open(
        disk: &'d mut dyn Disk,
        cluster: ClusterId,
        meta: &SnapshotMeta,
    ) -> Result<SnapshotReader<'d>, StorageError> {
        let mut manifest = None;
        if meta.root != Root::default() {
            let files = disk.list().map_err(|error| StorageError::disk(None, 0, &error))?;
            manifest = Some(load_manifest(disk, cluster, &files, meta)?);
        }
        let (chunk, obstacle) = (Vec::new(), None);
        Ok(SnapshotReader { disk, manifest, next: 0, chunk, consumed: 0, obstacle })
    }

    /// Returns the error of a read that something other than the disk has prevented, if there is
    /// one: the file may be intact.
    pub(crate) fn take_obstacle(&mut self) -> Option<StorageError> {
        self.obstacle.take()
    }

    /// Reads the next chunk into memory, if there is one.
    fn load_next_chunk(&mut self) -> io::Result<()> {
        let Some(manifest) = &self.manifest else { return Ok(()) };
        if self.next == manifest.chunks() {
            return Ok(());
        }
        let file = FileName::Snapshot(manifest.meta().last.index);
        assert!(self.next < manifest.chunks(), "the snapshot has the next chunk");
        let one = self.next..self.next + 1;
        let bytes = read(self.disk, file, manifest.offset(one.start), manifest.bytes(&one));
        let chunk = bytes.and_then(|bytes| {
            let is_match = manifest.chunk_matches(one.start, &bytes);
            if is_match { Ok(bytes) } else { Err(chunk_damage(file, manifest, one.start)) }
        });
        self.chunk = match chunk {
            Ok(chunk) => chunk,
            Err(obstacle) if obstacle.is_obstacle() => {
                self.obstacle = Some(obstacle.clone());
                return Err(io::Error::other(obstacle));
            }
            Err(damage) => return Err(io::Error::new(io::ErrorKind::InvalidData, damage)),
        };
        (self.next, self.consumed) = (one.end, 0);
        Ok(())
    }
}

impl fmt::Debug for SnapshotReader<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let SnapshotReader { manifest, next, .. } = self;
        f.debug_struct("SnapshotReader").field("manifest", manifest).field("next", next).finish()
    }
}

impl io::Read for SnapshotReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        assert!(self.consumed <= self.chunk.len(), "only bytes of the chunk were returned");
        if self.consumed == self.chunk.len() {
            self.load_next_chunk()?;
        }
        let count = buffer.len().min(self.chunk.len() - self.consumed);
        buffer[..count].copy_from_slice(&self.chunk[self.consumed..self.consumed + count]);
        self.consumed += count;
        Ok(count)
    }
}
