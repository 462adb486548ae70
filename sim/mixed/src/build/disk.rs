//! The disk of a node: the cluster's files, as the interface of this build's storage.

use std::collections::BTreeMap;

use quorate_guests::disk::{Bytes, FileChange};

use super::quorate::storage::{Disk, DiskError, FileAction, FileName};
use super::quorate::types::Index;

/// The files of a node, and the changes since the cluster last took them.
#[derive(Clone, Debug)]
pub(super) struct Files {
    files: BTreeMap<String, Vec<u8>>,
    pub(super) changes: Vec<Change>,
}

/// A change of the files, or the wait until all of them are durable.
#[derive(Clone, Debug)]
pub(super) enum Change {
    File(String, FileChange),
    Sync,
}

impl Files {
    pub(super) fn new(files: &BTreeMap<String, Vec<u8>>) -> Files {
        Files { files: files.clone(), changes: Vec::new() }
    }

    fn change(&mut self, name: FileName, change: FileChange) {
        change.apply(&name.to_string(), &mut self.files);
        self.changes.push(Change::File(name.to_string(), change));
    }

    fn read(&self, name: FileName, offset: u64, bytes: usize) -> Result<Vec<u8>, DiskError> {
        let Some(file) = self.files.get(&name.to_string()) else {
            return Err(DiskError::Failed(format!("there is no file {name}")));
        };
        let from = (offset as usize).min(file.len());
        Ok(file[from..(from + bytes).min(file.len())].to_vec())
    }
}

impl Disk for Files {
    fn list(&mut self) -> Result<Vec<(FileName, u64)>, DiskError> {
        let sizes = self.files.iter().map(|(name, bytes)| (name, bytes.len() as u64));
        let mut found: Vec<(FileName, u64)> =
            sizes.filter_map(|(name, size)| Some((named(name)?, size))).collect();
        found.sort_unstable();
        Ok(found)
    }

    fn execute(&mut self, action: &FileAction) -> Result<Vec<u8>, DiskError> {
        match action {
            FileAction::Create { file, bytes } => self.change(*file, FileChange::Create(*bytes)),
            FileAction::Write { file, offset, bytes } => {
                self.change(*file, FileChange::Write(*offset, Bytes::from(&bytes[..])));
            }
            FileAction::Rename { from, to } => {
                self.change(*from, FileChange::Rename(to.to_string()));
            }
            FileAction::Remove { file } => self.change(*file, FileChange::Remove),
            FileAction::Sync { .. } | FileAction::SyncDirectory => self.changes.push(Change::Sync),
            FileAction::Read { file, offset, bytes } => return self.read(*file, *offset, *bytes),
            FileAction::DropCache { .. } => {}
        }
        Ok(Vec::new())
    }
}

/// Returns the file with this name in a directory.
fn named(text: &str) -> Option<FileName> {
    let number = |digits: &str| u64::from_str_radix(digits, 16).ok();
    if text == "superblock" {
        return Some(FileName::Superblock);
    }
    if let Some(digits) = text.strip_prefix("log-") {
        return number(digits).map(FileName::Segment);
    }
    let rest = text.strip_prefix("snapshot-")?;
    match rest.strip_suffix(".part") {
        Some(digits) => number(digits).map(|index| FileName::PartialSnapshot(Index(index))),
        None => number(rest).map(|index| FileName::Snapshot(Index(index))),
    }
}
