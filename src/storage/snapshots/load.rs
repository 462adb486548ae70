//! Reading a snapshot's file at once, before the start: what it is, and whether it is whole.

use crate::storage::disk::{Disk, FileAction, FileName};
use crate::storage::failure::Failure;
use crate::storage::identity::ClusterId;
use crate::storage::snapshots::format::{
    HEADER_BYTES, Header, Manifest, RUN_BYTES, manifest_offset,
};
use crate::types::{Root, SnapshotMeta};

/// Reads `bytes` bytes of a file at `offset`. What cannot be read is damaged.
pub(crate) fn read<D: Disk>(
    disk: &mut D,
    file: FileName,
    offset: u64,
    bytes: u64,
) -> Result<Vec<u8>, Failure> {
    assert!(bytes <= RUN_BYTES, "memory is bounded by what is read at once");
    let bytes = usize::try_from(bytes).expect("a run fits in memory");
    match disk.execute(&FileAction::Read { file, offset, bytes }) {
        Ok(read) if read.len() == bytes => Ok(read),
        Ok(read) => Err(Failure::damage(file, offset + read.len() as u64, "the file ends early")),
        Err(error) => Err(Failure::damage(file, offset, error.to_string())),
    }
}

/// The manifest of a file of `size` bytes, checked against the file's header. Whether the content
/// is what the manifest says is not looked at.
pub(crate) fn manifest<D: Disk>(
    disk: &mut D,
    cluster: ClusterId,
    file: FileName,
    size: u64,
) -> Result<Manifest, Failure> {
    let damage = |offset: u64, text: &str| Failure::damage(file, offset, text);
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
) -> Result<(), Failure> {
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
pub(crate) fn wrong_chunk(file: FileName, manifest: &Manifest, chunk: u32) -> Failure {
    let text = format!("chunk {chunk} does not have its hash");
    Failure::damage(file, manifest.offset(chunk), text)
}

/// The manifest of the snapshot that `meta` names, from its file.
pub(crate) fn named<D: Disk>(
    disk: &mut D,
    cluster: ClusterId,
    files: &[(FileName, u64)],
    meta: &SnapshotMeta,
) -> Result<Manifest, Failure> {
    assert_ne!(meta.root, Root::default(), "the empty state has no file");
    let file = FileName::Snapshot(meta.last.index);
    let Some((_, size)) = files.iter().find(|(name, _)| *name == file) else {
        return Err(Failure::damage(file, 0, "the file is missing"));
    };
    let manifest = manifest(disk, cluster, file, *size)?;
    if manifest.meta() != meta {
        let text = format!("snapshot {} where {} is in force", manifest.meta().root, meta.root);
        return Err(Failure::damage(file, 0, text));
    }
    Ok(manifest)
}
