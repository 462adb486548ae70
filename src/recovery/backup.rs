//! A copy of a cluster's state in one stream of bytes: written while its node goes on, and read
//! back.

use std::fmt;
use std::io::{self, Read, Write};

use crate::recovery::fill::read_chunk;
use crate::recovery::format::{BackupHead, Counted, chunk_frame, end_frame, read_frame};
use crate::types::Root;

/// Writes a backup of the state that `content` gives: a `Frozen` view of a running node's machine,
/// or a `SnapshotReader` of its directory. The node goes on meanwhile; one chunk is in memory.
///
/// Returns what names the backup: equal states of equal heads have equal roots.
///
/// # Errors
/// The content cannot be read, the backup cannot be written, or no backup has such a head
/// ([`io::ErrorKind::InvalidInput`]).
pub fn backup(head: &BackupHead, content: &mut dyn Read, into: &mut dyn Write) -> io::Result<Root> {
    if let Some(flaw) = head.flaw() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, flaw));
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
        let frame = chunk_frame(&chunk);
        hashes.extend(&frame[4..]);
        bytes += chunk.len() as u64;
        into.write_all(&frame)?;
        into.write_all(&chunk)?;
    }
}

/// A backup that is read: the state's bytes, each chunk checked before a byte of it is given out.
/// The end is given only when all of it was right.
///
/// Damage is an error of kind [`io::ErrorKind::InvalidData`] with a
/// [`BackupDamage`](crate::recovery::BackupDamage) that names the place.
pub struct Backup<'a> {
    head: BackupHead,
    from: Counted<'a>,
    bytes: u64,
    hashes: Vec<u8>,
    chunk: io::Cursor<Vec<u8>>,
    ended: bool,
}

impl<'a> Backup<'a> {
    /// Reads the head of a backup.
    ///
    /// # Errors
    /// It cannot be read, or is damaged.
    pub fn open(from: &'a mut dyn Read) -> io::Result<Backup<'a>> {
        let mut from = Counted::new(from);
        let head = BackupHead::read(&mut from)?;
        let (chunk, hashes) = (io::Cursor::new(Vec::new()), Vec::new());
        Ok(Backup { head, from, bytes: 0, hashes, chunk, ended: false })
    }

    /// What it is of.
    #[must_use]
    pub fn head(&self) -> &BackupHead {
        &self.head
    }

    /// Reads it to its end, and says what names it if all of it is right.
    ///
    /// # Errors
    /// It cannot be read, or is damaged.
    pub fn verify(mut self) -> io::Result<Root> {
        io::copy(&mut self, &mut io::sink())?;
        Ok(self.head.root(self.bytes, &self.hashes))
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
