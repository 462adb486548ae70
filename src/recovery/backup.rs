//! Backups: writing a node's state to one stream of bytes while the node runs, and reading it back.

use std::fmt;
use std::io::{self, Read, Write};

use crate::recovery::copy::read_chunk;
use crate::recovery::format::{BackupHeader, OffsetReader, chunk_frame, end_frame, read_frame};
use crate::types::Root;

/// Writes a backup of the state in `content`: a `FrozenView` of a running node's machine, or a
/// `SnapshotReader` of its directory. The node continues to run. One chunk and the hashes of all
/// chunks are in memory.
///
/// Returns the root hash of the backup. Equal states with equal headers have equal roots.
///
/// # Errors
/// The error of reading the content or writing the backup, or [`io::ErrorKind::InvalidInput`] for
/// an invalid header.
pub fn backup(
    head: &BackupHeader,
    content: &mut dyn Read,
    into: &mut dyn Write,
) -> io::Result<Root> {
    if let Some((_, violation)) = head.violation() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, violation));
    }
    into.write_all(&head.encode())?;
    let (mut bytes, mut hashes) = (0, Vec::new());
    loop {
        let chunk = read_chunk(content, head.chunk_bytes)?;
        if chunk.is_empty() {
            let root = head.root(bytes, &hashes);
            into.write_all(&end_frame(bytes, root))?;
            into.flush()?;
            return Ok(root);
        }
        let is_next = bytes.is_multiple_of(u64::from(head.chunk_bytes));
        assert!(is_next, "contract: a reader that has ended stays at its end");
        let frame = chunk_frame(&chunk);
        hashes.extend(&frame[4..]);
        bytes += chunk.len() as u64;
        into.write_all(&frame)?;
        into.write_all(&chunk)?;
    }
}

/// A reader of a backup, which returns the bytes of the state. Each chunk is verified before its
/// bytes are returned, and the end is returned only if the whole backup is valid.
///
/// Corruption is an error of kind [`io::ErrorKind::InvalidData`] with a
/// [`BackupError`](crate::recovery::BackupError) that names the place.
pub struct Backup<'a> {
    head: BackupHeader,
    from: OffsetReader<'a>,
    bytes: u64,
    hashes: Vec<u8>,
    chunk: io::Cursor<Vec<u8>>,
    ended: bool,
}

impl<'a> Backup<'a> {
    /// Opens a backup and reads its header.
    ///
    /// # Errors
    /// The error of reading, or a [`BackupError`](crate::recovery::BackupError).
    pub fn open(from: &'a mut dyn Read) -> io::Result<Backup<'a>> {
        let mut from = OffsetReader::new(from);
        let head = BackupHeader::read(&mut from)?;
        let (chunk, hashes) = (io::Cursor::new(Vec::new()), Vec::new());
        Ok(Backup { head, from, bytes: 0, hashes, chunk, ended: false })
    }

    /// Returns the header of the backup.
    #[must_use]
    pub fn head(&self) -> &BackupHeader {
        &self.head
    }

    /// Reads the backup to its end, and returns its root hash if all of it is valid.
    ///
    /// # Errors
    /// The error of reading, or a [`BackupError`](crate::recovery::BackupError).
    pub fn verify(mut self) -> io::Result<Root> {
        io::copy(&mut self, &mut io::sink())?;
        Ok(self.root())
    }

    /// Returns the root hash of the backup, all of which was read.
    pub(crate) fn root(&self) -> Root {
        assert!(self.ended, "a backup is valid only with its end");
        self.head.root(self.bytes, &self.hashes)
    }
}

impl Read for Backup<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let given = self.chunk.read(buffer)?;
        if given > 0 || buffer.is_empty() || self.ended {
            return Ok(given);
        }
        match read_frame(&mut self.from, &self.head, self.bytes, &mut self.hashes)? {
            None => self.ended = true,
            Some(chunk) => {
                self.bytes += chunk.len() as u64;
                let chunks = self.bytes.div_ceil(u64::from(self.head.chunk_bytes));
                assert_eq!(self.hashes.len() as u64, chunks * 32, "each chunk has one hash");
                assert!(!chunk.is_empty(), "only the end has no bytes");
                self.chunk = io::Cursor::new(chunk);
            }
        }
        self.chunk.read(buffer)
    }
}

impl fmt::Debug for Backup<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "backup of {} at {}", self.head.cluster, self.head.last)
    }
}
