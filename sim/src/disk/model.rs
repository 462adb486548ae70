//! Property tests of the disk against byte vectors, which have no sectors, sharing or caches.

use std::collections::BTreeMap;

use proptest::prelude::*;
use quorate::storage::{Disk, FileAction, FileName};

use crate::disk::{ChangeOrder, SECTOR_BYTES, SimDisk};

const FILES: [FileName; 3] = [FileName::Superblock, FileName::Segment(1), FileName::Segment(2)];

/// The content of a file, and its content after each write since the last sync.
#[derive(Clone, Debug, Default)]
struct Content {
    bytes: Vec<u8>,
    history: Vec<Vec<u8>>,
}

/// The files, by their index in `contents`.
#[derive(Clone, Debug, Default)]
struct Model {
    contents: Vec<Content>,
    shown: BTreeMap<FileName, usize>,
    durable: BTreeMap<FileName, usize>,
}

impl Model {
    fn apply(&mut self, action: &FileAction) -> Option<Vec<u8>> {
        match action {
            FileAction::Create { file, bytes } => {
                let bytes = vec![0; *bytes as usize];
                self.contents.push(Content { history: vec![bytes.clone()], bytes });
                self.shown.insert(*file, self.contents.len() - 1);
            }
            FileAction::Write { file, offset, bytes } => {
                let content = &mut self.contents[*self.shown.get(file)?];
                let start = *offset as usize;
                if !bytes.is_empty() && content.bytes.len() < start + bytes.len() {
                    content.bytes.resize(start + bytes.len(), 0);
                }
                if !bytes.is_empty() {
                    content.bytes[start..start + bytes.len()].copy_from_slice(bytes);
                }
                content.history.push(content.bytes.clone());
            }
            FileAction::Sync { file } => {
                let content = &mut self.contents[*self.shown.get(file)?];
                content.history = vec![content.bytes.clone()];
            }
            FileAction::Read { file, offset, bytes } => {
                let content = &self.contents[*self.shown.get(file)?].bytes;
                let start = (*offset as usize).min(content.len());
                let end = start.saturating_add(*bytes).min(content.len());
                return Some(content[start..end].to_vec());
            }
            FileAction::DropCache { file } => drop(self.shown.get(file)?),
            FileAction::Rename { from, to } => {
                let content = self.shown.remove(from)?;
                self.shown.insert(*to, content);
            }
            FileAction::Remove { file } => {
                self.shown.remove(file);
            }
            FileAction::SyncDirectory => self.durable.clone_from(&self.shown),
        }
        Some(Vec::new())
    }

    /// Returns the content of a file after a crash that keeps all or no writes.
    fn after_crash(&self, file: usize, all_kept: bool) -> &[u8] {
        let content = &self.contents[file];
        if all_kept { &content.bytes } else { &content.history[0] }
    }
}

fn any_file() -> impl Strategy<Value = FileName> {
    proptest::sample::select(&FILES[..])
}

fn any_action() -> impl Strategy<Value = FileAction> {
    let place = || 0u64..3000;
    let bytes = (any::<u8>(), 0usize..2000).prop_map(|(byte, count)| vec![byte; count]);
    prop_oneof![
        2 => (any_file(), place()).prop_map(|(file, bytes)| FileAction::Create { file, bytes }),
        8 => (any_file(), place(), bytes)
            .prop_map(|(file, offset, bytes)| FileAction::Write { file, offset, bytes }),
        2 => any_file().prop_map(|file| FileAction::Sync { file }),
        4 => (any_file(), place(), 0usize..4000)
            .prop_map(|(file, offset, bytes)| FileAction::Read { file, offset, bytes }),
        1 => (any_file(), any_file()).prop_map(|(from, to)| FileAction::Rename { from, to }),
        1 => any_file().prop_map(|file| FileAction::Remove { file }),
        2 => Just(FileAction::SyncDirectory),
    ]
}

/// Returns every file of a disk with its content.
fn files(disk: &mut SimDisk) -> BTreeMap<FileName, Vec<u8>> {
    let list = disk.list().expect("no fault is armed");
    let read = |(file, bytes): (FileName, u64)| {
        let bytes = bytes as usize;
        let content = disk.apply(&FileAction::Read { file, offset: 0, bytes });
        (file, content.expect("a listed file can be read"))
    };
    list.into_iter().map(read).collect()
}

/// Returns true if sector `number` of `found` equals that of one of `versions`.
fn is_one_of(versions: &[Vec<u8>], number: usize, found: &[u8]) -> bool {
    let sector = |bytes: &[u8]| -> Vec<u8> {
        let start = (number * SECTOR_BYTES).min(bytes.len());
        let mut sector = bytes[start..bytes.len().min(start + SECTOR_BYTES)].to_vec();
        sector.resize(SECTOR_BYTES, 0);
        sector
    };
    let found = sector(found);
    versions.iter().any(|version| sector(version) == found)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_disk_shows_what_byte_vectors_show(
        actions in proptest::collection::vec(any_action(), 0..60),
        choices in proptest::collection::vec(any::<bool>(), 1..50),
    ) {
        let mut disk = SimDisk::default();
        let mut model = Model::default();
        for action in &actions {
            let expected = model.apply(action);
            prop_assert_eq!(disk.apply(action).ok(), expected, "{:?}", action);
        }
        let shown = |names: &BTreeMap<FileName, usize>, kept| -> BTreeMap<FileName, Vec<u8>> {
            names.iter().map(|(&name, &at)| (name, model.after_crash(at, kept).to_vec())).collect()
        };
        prop_assert_eq!(files(&mut disk), shown(&model.shown, true));
        let mut kept = disk.clone();
        kept.crash(ChangeOrder::PerFile, |_| true);
        prop_assert_eq!(files(&mut kept), shown(&model.shown, true));
        let mut lost = disk.clone();
        lost.crash(ChangeOrder::PerFile, |_| false);
        prop_assert_eq!(files(&mut lost), shown(&model.durable, false));
        prop_assert_eq!(files(&mut disk.durable_copy()), shown(&model.durable, false));

        // Every name is durable, so any choice leaves each sector as some write left it.
        disk.apply(&FileAction::SyncDirectory).expect("no fault is armed");
        let mut choice = choices.iter().cycle();
        disk.crash(ChangeOrder::Prefix, |_| *choice.next().expect("a cycle never ends"));
        prop_assert!(disk.pending().is_empty());
        for (name, found) in files(&mut disk) {
            let content = &model.contents[model.shown[&name]];
            prop_assert!(content.history[0].len() <= found.len());
            prop_assert!(found.len() <= content.bytes.len());
            for number in 0..content.bytes.len().div_ceil(SECTOR_BYTES) {
                prop_assert!(is_one_of(&content.history, number, &found), "{} {}", name, number);
            }
        }
    }
}
