//! Compares the file of a snapshot, which is read in pieces, with its manifest in memory.

use std::ops::Range;
use std::sync::Arc;

use crate::storage::disk::{DiskError, FileName};
use crate::storage::error::StorageError;
use crate::storage::identity::ClusterId;
use crate::storage::read_cache::FileRange;
use crate::storage::snapshots::format::{HEADER_BYTES, Header, Manifest, RUN_BYTES};
use crate::storage::snapshots::load::chunk_damage;

/// The progress of the verification of one file.
#[derive(Clone, Debug)]
pub(crate) struct Verification {
    manifest: Arc<Manifest>,
    next: Piece,
}

/// The piece of the file to read next; each is one read.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Header,
    Chunks(Range<u32>),
    /// This range of the encoded manifest; empty once it was compared.
    Manifest(Range<usize>),
}

impl Verification {
    pub(crate) fn new(manifest: Arc<Manifest>) -> Verification {
        Verification { manifest, next: Piece::Header }
    }

    /// Returns a verification that begins at this chunk, or after the last one.
    pub(crate) fn at(manifest: Arc<Manifest>, chunk: u32) -> Verification {
        let next = Piece::from(&manifest, chunk);
        Verification { manifest, next }
    }

    /// Returns the first chunk that was not compared; after the last one, the number of chunks.
    pub(crate) fn next_chunk(&self) -> u32 {
        match &self.next {
            Piece::Header => 0,
            Piece::Chunks(run) => run.start,
            Piece::Manifest(_) => self.manifest.chunks(),
        }
    }

    pub(crate) fn manifest(&self) -> &Arc<Manifest> {
        &self.manifest
    }

    /// Returns true once every byte except the padding was compared.
    pub(crate) fn is_done(&self) -> bool {
        matches!(&self.next, Piece::Manifest(range) if range.is_empty())
    }

    /// Returns the range of the next piece.
    pub(crate) fn piece(&self) -> FileRange {
        let manifest = &self.manifest;
        let (offset, bytes) = match &self.next {
            Piece::Header => (0, HEADER_BYTES as usize),
            Piece::Chunks(run) => {
                let bytes = usize::try_from(manifest.bytes(run)).expect("a run fits in memory");
                (manifest.offset(run.start), bytes)
            }
            Piece::Manifest(range) => (manifest.file_offset() + range.start as u64, range.len()),
        };
        (FileName::Snapshot(manifest.meta().last.index), offset, bytes)
    }

    /// Compares the piece that was read. Returns its size in bytes.
    ///
    /// # Errors
    /// The damage of the piece.
    pub(crate) fn on_read(
        &mut self,
        cluster: ClusterId,
        read: Result<Vec<u8>, DiskError>,
    ) -> Result<usize, StorageError> {
        assert!(!self.is_done(), "nothing is left to compare");
        let (file, offset, bytes) = self.piece();
        let damage = |message: String| StorageError::damage(file, offset, message);
        let read = read.map_err(|error| damage(error.to_string()))?;
        let manifest = &self.manifest;
        let is_equal = match &self.next {
            Piece::Header => read == Header::of(cluster, manifest).encode(),
            Piece::Manifest(range) => read == manifest.encoded()[range.clone()],
            Piece::Chunks(run) => {
                let wrong = manifest.check_run(run.clone(), &read).find(|(_, is_match)| !is_match);
                if let Some((chunk, _)) = wrong {
                    return Err(chunk_damage(file, manifest, chunk));
                }
                true
            }
        };
        if !is_equal {
            return Err(damage("the bytes read back differ from those written".to_owned()));
        }
        assert_eq!(read.len(), bytes, "contract: a disk reads no more than was requested");
        self.next = self.following();
        let (_, next, _) = self.piece();
        let skipped = next.checked_sub(offset + bytes as u64);
        assert!(skipped < Some(HEADER_BYTES), "only the padding before the manifest is skipped");
        assert!(skipped.is_some(), "the pieces ascend in the file");
        Ok(read.len())
    }

    fn following(&self) -> Piece {
        match &self.next {
            Piece::Header => Piece::from(&self.manifest, 0),
            Piece::Chunks(run) => Piece::from(&self.manifest, run.end),
            Piece::Manifest(range) => Piece::of_manifest(&self.manifest, range.end),
        }
    }
}

impl Piece {
    /// Returns the piece that begins with this chunk, or the first piece of the manifest if there
    /// is no such chunk.
    fn from(manifest: &Manifest, chunk: u32) -> Piece {
        if chunk < manifest.chunks() {
            return Piece::Chunks(manifest.run(chunk));
        }
        Piece::of_manifest(manifest, 0)
    }

    /// Returns the piece of the manifest that begins at this byte.
    fn of_manifest(manifest: &Manifest, byte: usize) -> Piece {
        let end = byte.saturating_add(RUN_BYTES as usize).min(manifest.encoded().len());
        Piece::Manifest(byte..end)
    }
}
