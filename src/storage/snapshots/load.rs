//! Reading a snapshot's file at once, before the start: what it is, and whether it is whole.

use std::fmt;

use crate::storage::disk::{Disk, DiskError, FileAction, FileName};
use crate::storage::snapshots::format::{
    Damage, HEADER_BYTES, Header, Manifest, RUN_BYTES, manifest_offset,
};
use crate::types::{Root, SnapshotMeta};

/// Why a node cannot start from its snapshot. None of these is ever answered by an empty start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SnapshotError {
    /// The file is missing, damaged, unreadable, or another one than it should be.
    Damaged(Damage),
    /// The directory cannot be read.
    Disk(DiskError),
}

/// Reads `bytes` bytes of a file at `offset`. What cannot be read is damaged.
pub(crate) fn read<D: Disk>(
    disk: &mut D,
    file: FileName,
    offset: u64,
    bytes: u64,
) -> Result<Vec<u8>, Damage> {
    assert!(bytes <= RUN_BYTES, "memory is bounded by what is read at once");
    let bytes = usize::try_from(bytes).expect("a run fits in memory");
    match disk.execute(&FileAction::Read { file, offset, bytes }) {
        Ok(read) if read.len() == bytes => Ok(read),
        Ok(read) => Err(Damage {
            file,
            offset: offset + read.len() as u64,
            text: "the file ends early".to_owned(),
        }),
        Err(error) => Err(Damage { file, offset, text: error.to_string() }),
    }
}

/// The manifest of a file of `size` bytes, checked against the file's header. Whether the content
/// is what the manifest says is not looked at.
pub(crate) fn manifest<D: Disk>(
    disk: &mut D,
    cluster: [u8; 16],
    file: FileName,
    size: u64,
) -> Result<Manifest, Damage> {
    let damage = |offset: u64, text: &str| Damage { file, offset, text: text.to_owned() };
    let block = read(disk, file, 0, HEADER_BYTES)?;
    let header = Header::decode(&block).map_err(|flaw| flaw.of(file, 0))?;
    if header.cluster != cluster {
        return Err(damage(16, "a snapshot of another cluster"));
    }
    let index = header.last.index;
    if ![FileName::Snapshot(index), FileName::PartialSnapshot(index)].contains(&file) {
        return Err(damage(40, "a snapshot of another index than its name says"));
    }
    let start = manifest_offset(header.bytes);
    if start.checked_add(u64::from(header.manifest_bytes)) != Some(size) {
        return Err(damage(48, "the file is not as large as its header says"));
    }
    let mut encoded = Vec::new();
    for offset in (start..size).step_by(RUN_BYTES as usize) {
        encoded.extend(read(disk, file, offset, RUN_BYTES.min(size - offset))?);
    }
    let manifest = Manifest::decode(encoded).map_err(|flaw| flaw.of(file, start))?;
    if Header::of(cluster, &manifest) != header {
        return Err(damage(start, "the manifest is not the one the header names"));
    }
    Ok(manifest)
}

/// Whether the file's content is what the manifest says.
pub(crate) fn content<D: Disk>(
    disk: &mut D,
    file: FileName,
    manifest: &Manifest,
) -> Result<(), Damage> {
    let mut next = 0;
    while next < manifest.chunks() {
        let run = manifest.run(next);
        next = run.end;
        let bytes = read(disk, file, manifest.offset(run.start), manifest.bytes(&run))?;
        if let Some((chunk, _)) = manifest.check(run, &bytes).find(|(_, right)| !right) {
            return Err(wrong_chunk(file, manifest, chunk));
        }
    }
    Ok(())
}

/// The damage of a chunk whose bytes do not have its hash.
pub(crate) fn wrong_chunk(file: FileName, manifest: &Manifest, chunk: u32) -> Damage {
    let text = format!("chunk {chunk} does not have its hash");
    Damage { file, offset: manifest.offset(chunk), text }
}

/// The manifest of the snapshot that `meta` names, from its file.
pub(crate) fn named<D: Disk>(
    disk: &mut D,
    cluster: [u8; 16],
    files: &[(FileName, u64)],
    meta: &SnapshotMeta,
) -> Result<Manifest, Damage> {
    assert_ne!(meta.root, Root::default(), "the empty state has no file");
    let file = FileName::Snapshot(meta.last.index);
    let Some((_, size)) = files.iter().find(|(name, _)| *name == file) else {
        return Err(Damage { file, offset: 0, text: "the file is missing".to_owned() });
    };
    let manifest = manifest(disk, cluster, file, *size)?;
    if manifest.meta() != meta {
        let text = format!("snapshot {} where {} is in force", manifest.meta().root, meta.root);
        return Err(Damage { file, offset: 0, text });
    }
    Ok(manifest)
}

impl fmt::Display for SnapshotError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SnapshotError::Damaged(damage) => damage.fmt(f),
            SnapshotError::Disk(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for SnapshotError {}

impl From<Damage> for SnapshotError {
    fn from(damage: Damage) -> SnapshotError {
        SnapshotError::Damaged(damage)
    }
}

impl From<DiskError> for SnapshotError {
    fn from(error: DiskError) -> SnapshotError {
        SnapshotError::Disk(error)
    }
}
