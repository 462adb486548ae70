//! Reads and verifies a snapshot file synchronously: when a directory is opened or inspected, and
//! for `SnapshotReader`.

use crate::storage::disk::{self, Disk, FileName};
use crate::storage::error::StorageError;
use crate::storage::identity::ClusterId;
use crate::storage::snapshots::format::{
    HEADER_BYTES, Header, Manifest, RUN_BYTES, manifest_offset,
};
use crate::types::{EntryId, Index, Root, SnapshotMeta};

/// Reads `bytes` bytes of a file at `offset`; bytes that cannot be read are
/// reported as damage, unless the reason is not the disk's.
pub(crate) fn read(
    disk: &mut dyn Disk,
    file: FileName,
    offset: u64,
    bytes: u64,
) -> Result<Vec<u8>, StorageError> {
    assert!(bytes <= RUN_BYTES, "a read is at most RUN_BYTES long");
    let bytes = usize::try_from(bytes).expect("a run fits in memory");
    match disk::read(disk, file, offset, bytes) {
        Ok(read) if read.len() == bytes => Ok(read),
        Ok(read) => {
            Err(StorageError::damage(file, offset + read.len() as u64, "unexpected end of file"))
        }
        Err(error) => Err(StorageError::of_read(file, offset, &error)),
    }
}

/// Returns the last entry of the complete snapshot that ends at `index`, or `None` if there is no
/// such file.
///
/// # Errors
/// The damage of that file.
pub(crate) fn last_entry_of_snapshot(
    disk: &mut dyn Disk,
    cluster: ClusterId,
    index: Index,
) -> Result<Option<EntryId>, StorageError> {
    let file = FileName::Snapshot(index);
    let list = disk.list().map_err(|error| StorageError::disk(None, 0, &error))?;
    let Some((_, size)) = list.into_iter().find(|(name, _)| *name == file) else {
        return Ok(None);
    };
    read_manifest(disk, cluster, file, size).map(|manifest| Some(manifest.meta().last))
}

/// Reads the manifest of a file of `size` bytes, and checks it against the file's header. Does not
/// verify the content.
pub(crate) fn read_manifest(
    disk: &mut dyn Disk,
    cluster: ClusterId,
    file: FileName,
    size: u64,
) -> Result<Manifest, StorageError> {
    let damage = |offset: u64, message: &str| StorageError::damage(file, offset, message);
    let block = read(disk, file, 0, HEADER_BYTES)?;
    let header = Header::decode(&block).map_err(|error| error.at(file, 0))?;
    if header.cluster != cluster {
        return Err(damage(16, "the snapshot belongs to another cluster"));
    }
    let index = header.last.index;
    if ![FileName::Snapshot(index), FileName::PartialSnapshot(index)].contains(&file) {
        return Err(damage(40, "the index in the header contradicts the file name"));
    }
    let start = manifest_offset(header.bytes);
    if start.checked_add(u64::from(header.manifest_bytes)) != Some(size) {
        return Err(damage(48, "the file size contradicts the header"));
    }
    let mut encoded = Vec::new();
    for offset in (start..size).step_by(RUN_BYTES as usize) {
        encoded.extend(read(disk, file, offset, RUN_BYTES.min(size - offset))?);
    }
    let manifest = Manifest::decode(encoded).map_err(|error| error.at(file, start))?;
    if Header::of(cluster, &manifest) != header {
        return Err(damage(start, "the manifest does not match the header"));
    }
    Ok(manifest)
}

/// Verifies the file's content against the manifest.
pub(crate) fn verify_content(
    disk: &mut dyn Disk,
    file: FileName,
    manifest: &Manifest,
) -> Result<(), StorageError> {
    let mut next = 0;
    while next < manifest.chunks() {
        let run = manifest.run(next);
        assert!(run.start == next && run.end > next, "the runs cover every chunk");
        next = run.end;
        let bytes = read(disk, file, manifest.offset(run.start), manifest.bytes(&run))?;
        if let Some((chunk, _)) = manifest.check_run(run, &bytes).find(|(_, is_match)| !is_match) {
            return Err(chunk_damage(file, manifest, chunk));
        }
    }
    Ok(())
}

/// Reads the complete snapshots that end before `index`, and returns the damage of each damaged
/// one.
///
/// # Errors
/// A [`StorageError`] if the directory cannot be listed, or if a file cannot be read for a reason
/// that is not the disk's.
pub(crate) fn damaged_before(
    disk: &mut dyn Disk,
    cluster: ClusterId,
    index: Index,
) -> Result<Vec<StorageError>, StorageError> {
    let mut files = disk.list().map_err(|error| StorageError::disk(None, 0, &error))?;
    files.retain(|(file, _)| matches!(file, FileName::Snapshot(last) if *last < index));
    let mut damaged = Vec::new();
    for (file, size) in files {
        let manifest = read_manifest(disk, cluster, file, size);
        match manifest.and_then(|manifest| verify_content(disk, file, &manifest)) {
            Ok(()) => {}
            Err(obstacle) if obstacle.is_obstacle() => return Err(obstacle),
            Err(damage) => damaged.push(damage),
        }
    }
    Ok(damaged)
}

/// Returns the error about a chunk whose bytes do not match its hash.
pub(crate) fn chunk_damage(file: FileName, manifest: &Manifest, chunk: u32) -> StorageError {
    let message = format!("chunk {chunk} does not match its hash");
    StorageError::damage(file, manifest.offset(chunk), message)
}

/// Reads the manifest of the snapshot that `meta` names from its file.
pub(crate) fn load_manifest(
    disk: &mut dyn Disk,
    cluster: ClusterId,
    files: &[(FileName, u64)],
    meta: &SnapshotMeta,
) -> Result<Manifest, StorageError> {
    assert_ne!(meta.root, Root::default(), "the empty state has no file");
    let file = FileName::Snapshot(meta.last.index);
    let Some((_, size)) = files.iter().find(|(name, _)| *name == file) else {
        return Err(StorageError::damage(file, 0, "the file is missing"));
    };
    let manifest = read_manifest(disk, cluster, file, *size)?;
    if manifest.meta() != meta {
        let message =
            format!("the file holds snapshot {} instead of {}", manifest.meta().root, meta.root);
        return Err(StorageError::damage(file, 0, message));
    }
    Ok(manifest)
}
