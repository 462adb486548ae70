//! What a start finds of the snapshots, before anything may be changed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::storage::disk::{Disk, FileName};
use crate::storage::failure::Failure;
use crate::storage::identity::ClusterId;
use crate::storage::snapshots::format::Manifest;
use crate::storage::snapshots::load::{content, manifest, named};
use crate::types::{Index, Root, SnapshotMeta};

/// What the directory holds.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    /// The snapshot to start from, if it is not the empty state.
    pub(crate) start: Option<Index>,
    /// Why that is not the one in force.
    pub(crate) damage: Option<Failure>,
    /// Every snapshot file; with its manifest, if it may be served.
    pub(crate) files: BTreeMap<Index, Option<Arc<Manifest>>>,
    pub(crate) partials: BTreeSet<Index>,
    /// A partial file that can be gone on with.
    pub(crate) resumable: Option<Arc<Manifest>>,
}

/// Looks at every file and changes none. The snapshot in force is read in full; if it is damaged,
/// the one before it is, and takes its place.
pub(crate) fn look<D: Disk>(
    disk: &mut D,
    cluster: ClusterId,
    in_force: &SnapshotMeta,
) -> Result<Found, Failure> {
    let list = disk.list().map_err(|error| Failure::disk(None, 0, &error))?;
    let mut found = Found {
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
                let manifest = manifest(disk, cluster, *file, *size).ok();
                found.resumable = manifest.map(Arc::new).or(found.resumable);
            }
            FileName::Superblock | FileName::Segment(_) => {}
        }
    }
    if in_force.root == Root::default() {
        return Ok(found);
    }
    match whole(disk, cluster, &list, in_force) {
        Ok(manifest) => {
            found.start = Some(in_force.last.index);
            found.files.insert(in_force.last.index, Some(Arc::new(manifest)));
        }
        Err(damage) => found.damage = Some(damage),
    }
    let older = list.iter().rev().filter(
        |(file, _)| matches!(file, FileName::Snapshot(index) if *index < in_force.last.index),
    );
    for (file, size) in older {
        let Ok(manifest) = manifest(disk, cluster, *file, *size) else { continue };
        let index = manifest.meta().last.index;
        if found.start.is_none() {
            if content(disk, *file, &manifest).is_err() {
                continue;
            }
            found.start = Some(index);
        }
        found.files.insert(index, Some(Arc::new(manifest)));
        break;
    }
    match (found.start, found.damage) {
        (None, Some(damage)) => Err(damage),
        (_, damage) => Ok(Found { damage, ..found }),
    }
}

fn whole<D: Disk>(
    disk: &mut D,
    cluster: ClusterId,
    list: &[(FileName, u64)],
    meta: &SnapshotMeta,
) -> Result<Manifest, Failure> {
    let manifest = named(disk, cluster, list, meta)?;
    content(disk, FileName::Snapshot(meta.last.index), &manifest)?;
    Ok(manifest)
}
