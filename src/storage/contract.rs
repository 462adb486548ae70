//! A conformance test for implementations of [`Disk`], which implementers call from a test.

use std::collections::BTreeMap;

use crate::storage::disk::{Disk, DiskError, FileAction, FileName};
use crate::types::Index;

/// Two files of different kinds, and a third name.
const A: FileName = FileName::Segment(1);
const B: FileName = FileName::PartialSnapshot(Index(7));
const C: FileName = FileName::Snapshot(Index(7));

/// The number of random actions that are compared with a map of byte vectors.
const STEPS: u64 = 2_000;

/// Checks that a disk fulfils the contract of [`Disk`] and [`FileAction`], as far as that is
/// visible without a crash. Each call of `make` returns a disk with a new, empty directory.
///
/// # Panics
/// At the first violation of the contract; the message names it.
pub fn check_disk<D: Disk>(mut make: impl FnMut() -> D) {
    created_files_are_zeros(&mut make());
    writes_are_read_at_their_offset(&mut make());
    reads_end_at_the_end_of_the_file(&mut make());
    renames_and_removals_free_names(&mut make());
    a_missing_file_is_an_error(&mut make());
    large_writes_are_whole(&mut make());
    random_actions_match_a_map(&mut make());
}

fn created_files_are_zeros(disk: &mut dyn Disk) {
    assert_eq!(disk.list(), Ok(Vec::new()), "a new directory is empty");
    done(disk, FileAction::Create { file: A, bytes: 3 << 20 });
    done(disk, FileAction::SyncDirectory);
    assert_eq!(disk.list(), Ok(vec![(A, 3 << 20)]), "a created file has its size");
    assert!(read(disk, A, 0, 3 << 20).iter().all(|byte| *byte == 0), "a created file is all zeros");
    write(disk, A, 0, b"old");
    done(disk, FileAction::Create { file: A, bytes: 5 });
    assert_eq!(read(disk, A, 0, 9), [0; 5], "a created file replaces one of the same name");
    done(disk, FileAction::Create { file: A, bytes: 0 });
    assert_eq!(disk.list(), Ok(vec![(A, 0)]), "a file may be empty");
}

fn writes_are_read_at_their_offset(disk: &mut dyn Disk) {
    done(disk, FileAction::Create { file: A, bytes: 8 });
    write(disk, A, 2, b"abc");
    assert_eq!(read(disk, A, 0, 8), b"\0\0abc\0\0\0", "a write goes to its offset only");
    write(disk, A, 6, b"wxyz");
    assert_eq!(read(disk, A, 5, 5), b"\0wxyz", "a write across the end extends the file");
    write(disk, A, 5000, b"!");
    assert_eq!(disk.list(), Ok(vec![(A, 5001)]), "a write beyond the end extends the file");
    let gap = read(disk, A, 10, 4991);
    assert!(gap[..4990].iter().all(|byte| *byte == 0), "the gap before the write is zeros");
    assert_eq!(gap[4990], b'!', "the bytes are after the gap");
    write(disk, A, 3, b"");
    done(disk, FileAction::Sync { file: A });
    assert_eq!(read(disk, A, 2, 3), b"abc", "a sync does not change the content");
}

fn reads_end_at_the_end_of_the_file(disk: &mut dyn Disk) {
    done(disk, FileAction::Create { file: A, bytes: 4 });
    write(disk, A, 0, b"abcd");
    assert_eq!(read(disk, A, 1, 100), b"bcd", "a read across the end returns the bytes before it");
    assert_eq!(read(disk, A, 4, 1), b"", "a read at the end returns nothing");
    assert_eq!(read(disk, A, u64::MAX, 1), b"", "a read beyond the end returns nothing");
    assert_eq!(read(disk, A, 2, 0), b"", "a read of 0 bytes returns nothing");
    assert_eq!(
        read(disk, A, 2, usize::MAX),
        b"cd",
        "a read of any length ends at the end of the file"
    );
}

fn renames_and_removals_free_names(disk: &mut dyn Disk) {
    for (file, bytes) in [(B, b"bbb"), (C, b"ccc"), (A, b"aaa")] {
        done(disk, FileAction::Create { file, bytes: 3 });
        write(disk, file, 0, bytes);
        done(disk, FileAction::Sync { file });
    }
    let mut all = vec![(A, 3), (B, 3), (C, 3)];
    all.sort_unstable();
    assert_eq!(disk.list(), Ok(all), "files are listed in ascending order");
    done(disk, FileAction::Rename { from: B, to: C });
    done(disk, FileAction::SyncDirectory);
    assert_eq!(read(disk, C, 0, 3), b"bbb", "a renamed file replaces another");
    assert_eq!(disk.list(), Ok(vec![(A, 3), (C, 3)]), "a renamed file loses its old name");
    write(disk, C, 0, b"x");
    done(disk, FileAction::Create { file: B, bytes: 1 });
    assert_eq!(read(disk, C, 0, 3), b"xbb", "a new file with the old name is another file");
    for file in [B, C, C] {
        done(disk, FileAction::Remove { file });
    }
    done(disk, FileAction::SyncDirectory);
    assert_eq!(disk.list(), Ok(vec![(A, 3)]), "removed files are gone; removing is idempotent");
}

fn a_missing_file_is_an_error(disk: &mut dyn Disk) {
    let bytes = vec![1];
    let actions = [
        FileAction::Write { file: B, offset: 0, bytes },
        FileAction::Sync { file: B },
        FileAction::Read { file: B, offset: 0, bytes: 1 },
        FileAction::DropCache { file: B },
        FileAction::Rename { from: B, to: C },
    ];
    for action in &actions {
        let failed = matches!(disk.execute(action), Err(DiskError::Failed(_)));
        assert!(failed, "{action:?} of a missing file must fail with DiskError::Failed");
    }
    assert_eq!(disk.list(), Ok(Vec::new()), "a failed action creates no file");
}

fn large_writes_are_whole(disk: &mut dyn Disk) {
    let bytes: Vec<u8> = (0..3_000_001_u32).map(|n| (n % 251) as u8).collect();
    done(disk, FileAction::Create { file: B, bytes: 4096 });
    write(disk, B, 4096, &bytes);
    done(disk, FileAction::Sync { file: B });
    let same = read(disk, B, 4096, bytes.len()) == bytes;
    assert!(same, "a large write is written and read whole");
}

/// Executes a long sequence of actions, drawn from a fixed seed.
fn random_actions_match_a_map(disk: &mut dyn Disk) {
    let mut model: BTreeMap<FileName, Vec<u8>> = BTreeMap::new();
    let mut state = 1_u64;
    let mut draw = |below: u64| {
        // The low bits of a linear congruential generator are poor.
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    for step in 0..STEPS {
        let file = [A, B, C][draw(3) as usize];
        let offset = draw(3_000);
        let action = match draw(13) {
            0 => FileAction::Create { file, bytes: offset },
            1 => FileAction::Rename { from: file, to: [A, B, C][draw(3) as usize] },
            2 => FileAction::Remove { file },
            3 => FileAction::SyncDirectory,
            4 | 5 => FileAction::Sync { file },
            6..9 => FileAction::Read { file, offset, bytes: draw(2_000) as usize },
            9 => FileAction::DropCache { file },
            _ => {
                let bytes = vec![step as u8; draw(1_000) as usize];
                FileAction::Write { file, offset, bytes }
            }
        };
        let expected = on_map(&mut model, &action);
        let got = disk.execute(&action).ok();
        assert_eq!(got, expected, "step {step}: {action:?}");
        if let Some(content) = model.get(&file) {
            let same = read(disk, file, 0, content.len() + 1) == *content;
            assert!(same, "the content after step {step}: {action:?}");
        }
        let list = disk.list().expect("a directory can be listed");
        let sizes: Vec<_> = model.iter().map(|(file, bytes)| (*file, bytes.len() as u64)).collect();
        assert_eq!(list, sizes, "the files after step {step}: {action:?}");
    }
}

/// Applies the same action to a map; returns `None` if the action must fail.
fn on_map(model: &mut BTreeMap<FileName, Vec<u8>>, action: &FileAction) -> Option<Vec<u8>> {
    match action {
        FileAction::Create { file, bytes } => {
            model.insert(*file, vec![0; *bytes as usize]);
        }
        FileAction::Write { file, offset, bytes } => {
            let content = model.get_mut(file)?;
            let (start, end) = (*offset as usize, *offset as usize + bytes.len());
            if !bytes.is_empty() {
                content.resize(content.len().max(end), 0);
                content[start..end].copy_from_slice(bytes);
            }
        }
        FileAction::Sync { file } | FileAction::DropCache { file } => drop(model.get(file)?),
        FileAction::Read { file, offset, bytes } => {
            let content = model.get(file)?;
            let start = (*offset as usize).min(content.len());
            return Some(content[start..content.len().min(start + bytes)].to_vec());
        }
        FileAction::Rename { from, to } => {
            let content = model.remove(from)?;
            model.insert(*to, content);
        }
        FileAction::Remove { file } => drop(model.remove(file)),
        FileAction::SyncDirectory => {}
    }
    Some(Vec::new())
}

fn done(disk: &mut dyn Disk, action: FileAction) {
    let result = disk.execute(&action);
    assert_eq!(result, Ok(Vec::new()), "{action:?} succeeds and returns no bytes");
}

fn write(disk: &mut dyn Disk, file: FileName, offset: u64, bytes: &[u8]) {
    done(disk, FileAction::Write { file, offset, bytes: bytes.to_vec() });
}

fn read(disk: &mut dyn Disk, file: FileName, offset: u64, bytes: usize) -> Vec<u8> {
    let result = disk.execute(&FileAction::Read { file, offset, bytes });
    result.unwrap_or_else(|error| panic!("reading {file} at {offset}: {error}"))
}
