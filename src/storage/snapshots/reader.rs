//! The content of a snapshot as a stream, every chunk checked before a byte of it is given out.

use std::io;

use crate::storage::disk::{Disk, FileName};
use crate::storage::failure::Failure;
use crate::storage::identity::ClusterId;
use crate::storage::snapshots::format::Manifest;
use crate::storage::snapshots::load::{named, read, wrong_chunk};
use crate::types::{Root, SnapshotMeta};

/// Reads a snapshot's content from its file, for a state machine that starts from it. It waits for
/// the disk: for use before the start, or on a thread that may wait.
///
/// Memory is one chunk and the manifest. Damage is an error of kind [`io::ErrorKind::InvalidData`]
/// that names file and offset; what was read before it was right.
#[derive(Debug)]
pub struct SnapshotReader<'d, D: Disk> {
    disk: &'d mut D,
    /// None for the empty state, which has no file.
    manifest: Option<Manifest>,
    /// The next chunk to read.
    next: u32,
    chunk: Vec<u8>,
    /// How much of the chunk has been given out.
    given: usize,
}

impl<'d, D: Disk> SnapshotReader<'d, D> {
    /// A reader of the snapshot that `meta` names, in the cluster `cluster`.
    ///
    /// # Errors
    /// The directory cannot be read, the file is missing or another snapshot's, or its header or
    /// manifest is damaged.
    pub fn open(
        disk: &'d mut D,
        cluster: ClusterId,
        meta: &SnapshotMeta,
    ) -> Result<SnapshotReader<'d, D>, Failure> {
        let mut manifest = None;
        if meta.root != Root::default() {
            let files = disk.list().map_err(|error| Failure::disk(None, 0, &error))?;
            manifest = Some(named(disk, cluster, &files, meta)?);
        }
        Ok(SnapshotReader { disk, manifest, next: 0, chunk: Vec::new(), given: 0 })
    }

    /// The next chunk is in memory, unless there is none.
    fn fill(&mut self) -> io::Result<()> {
        let Some(manifest) = &self.manifest else { return Ok(()) };
        if self.next == manifest.chunks() {
            return Ok(());
        }
        let file = FileName::Snapshot(manifest.meta().last.index);
        let one = self.next..self.next + 1;
        let bytes = read(self.disk, file, manifest.offset(one.start), manifest.bytes(&one));
        let right = bytes.and_then(|bytes| {
            let right = manifest.has(one.start, &bytes);
            if right { Ok(bytes) } else { Err(wrong_chunk(file, manifest, one.start)) }
        });
        self.chunk = right.map_err(|damage| io::Error::new(io::ErrorKind::InvalidData, damage))?;
        (self.next, self.given) = (one.end, 0);
        Ok(())
    }
}

impl<D: Disk> io::Read for SnapshotReader<'_, D> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.given == self.chunk.len() {
            self.fill()?;
        }
        let count = buffer.len().min(self.chunk.len() - self.given);
        buffer[..count].copy_from_slice(&self.chunk[self.given..self.given + count]);
        self.given += count;
        Ok(count)
    }
}
