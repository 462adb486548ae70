//! Scans the snapshot files of a directory before the start, and changes nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::storage::disk::{Disk, FileName};
use crate::storage::error::StorageError;
use crate::storage::identity::ClusterId;
use crate::storage::snapshots::format::Manifest;
use crate::storage::snapshots::load::{load_manifest, read_manifest, verify_content};
use crate::types::{Index, Root, SnapshotMeta};

/// The snapshot files of a directory.
#[derive(Clone, Debug)]
pub(crate) struct SnapshotScan {
    /// The last index of the snapshot to start from; `None` for the empty state, or if no snapshot
    /// can be used.
    pub(crate) start: Option<Index>,
    /// The reason why the snapshot that the superblock names cannot be used, if it cannot.
    pub(crate) damage: Option<StorageError>,
    /// Every snapshot file, by its last index; with its manifest if the file may be served.
    pub(crate) files: BTreeMap<Index, Option<Arc<Manifest>>>,
    pub(crate) partials: BTreeSet<Index>,
    /// The manifest of a partial file that can be completed.
    pub(crate) resumable: Option<Arc<Manifest>>,
}

/// Scans every file and changes none. The snapshot that the superblock names is read in full. If it
/// is damaged, the start is the newest intact snapshot to which the log reaches back, which begins
/// after `base`. Otherwise only the manifest of the next older one is read.
pub(crate) fn scan(
    disk: &mut dyn Disk,
    cluster: ClusterId,
    current: &SnapshotMeta,
    base: Index,
) -> Result<SnapshotScan, StorageError> {
    let list = disk.list().map_err(|error| StorageError::disk(None, 0, &error))?;
    let mut found = SnapshotScan {
        start: None,
        damage: None,
        files: BTreeMap::new(),
        partials: BTreeSet::new(),
        resumable: None,
    };
    for (file, size) in &list {
        match *file {
            FileName::Snapshot(index) => drop(found.files.insert(index, None)),
            FileName::PartialSnapshot(index) => {
                found.partials.insert(index);
                let manifest = read_manifest(disk, cluster, *file, *size).ok();
                found.resumable = manifest.map(Arc::new).or(found.resumable);
            }
            FileName::Superblock | FileName::Segment(_) => {}
        }
    }
    if current.root == Root::default() {
        return Ok(found);
    }
    match load_whole(disk, cluster, &list, current) {
        Ok(manifest) => {
            found.start = Some(current.last.index);
            found.files.insert(current.last.index, Some(Arc::new(manifest)));
        }
        Err(damage) => found.damage = Some(damage),
    }
    let older = list.iter().rev().filter(
        |(file, _)| matches!(file, FileName::Snapshot(index) if *index < current.last.index),
    );
    for (file, size) in older {
        let Ok(manifest) = read_manifest(disk, cluster, *file, *size) else { continue };
        let index = manifest.meta().last.index;
        if found.start.is_none() {
            if index < base || verify_content(disk, *file, &manifest).is_err() {
                continue;
            }
            found.start = Some(index);
        }
        found.files.insert(index, Some(Arc::new(manifest)));
        break;
    }
    if let Some(start) = found.start {
        assert!(found.files.get(&start).is_some_and(Option::is_some), "the start has its manifest");
        assert!(start <= current.last.index, "no start is after the snapshot of the superblock");
        let is_current = start == current.last.index;
        assert_eq!(is_current, found.damage.is_none(), "only a damaged snapshot is replaced");
    }
    Ok(found)
}

fn load_whole(
    disk: &mut dyn Disk,
    cluster: ClusterId,
    list: &[(FileName, u64)],
    meta: &SnapshotMeta,
) -> Result<Manifest, StorageError> {
    let manifest = load_manifest(disk, cluster, list, meta)?;
    verify_content(disk, FileName::Snapshot(meta.last.index), &manifest)?;
    Ok(manifest)
}
