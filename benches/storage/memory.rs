//! Memory: bounded by the configured limits, however long the log is.
//!
//! The log grows in batches to some millions of small entries. At each length it is recovered, and
//! entries are fetched from all parts of it. The figure is the increase of the peak resident size
//! of the process over the resident size before the store was opened.

use std::path::Path;

use quorate::storage::{Event, FetchId, FileDisk, Storage, StorageConfig};
use quorate::types::{Command, Index, WriteId};

use crate::carrier::settle;
use crate::{CLUSTER, Effort, NODE, first_write, fresh, write};

const BYTES: usize = 16;
const BATCH: usize = 8192;
const FETCHES: u64 = 2000;
const FETCH_BYTES: usize = 4096;

/// Measures every length and prints a row for each.
pub(crate) fn report(path: &Path, effort: Effort) {
    let lengths: &[u64] = match effort {
        Effort::Full => &[1_000_000, 5_000_000, 10_000_000],
        Effort::Quick => &[100_000, 500_000, 1_000_000],
        Effort::Smoke => &[20_000],
    };
    let config = StorageConfig::default();
    let caps = config.tail_bytes_max + config.flush_bytes_max + config.read_bytes_max;
    println!(
        "memory of the store with commands of {BYTES} bytes; caps: tail, flush, read {} MiB",
        caps >> 20
    );
    println!(
        "{:>12}{:>12}{:>12}{:>12}{:>12}",
        "entries", "on disk", "appending", "opening", "fetching"
    );
    drop(fresh(path, &config));
    for entries in lengths {
        let before = reset_peak();
        append(path, &config, *entries);
        let appending = peak().saturating_sub(before);
        let before = reset_peak();
        let mut disk = FileDisk::open(path).expect("the directory of the store");
        let (mut storage, opened) =
            Storage::open(&mut disk, CLUSTER, NODE, &config).expect("the store is intact");
        assert!(opened.last.index.0 >= *entries);
        let opening = peak().saturating_sub(before);
        drop(opened);
        fetch(&mut storage, &mut disk);
        let fetching = peak().saturating_sub(before);
        let mib = |kib: u64| format!("{}.{} MiB", kib >> 10, ((kib & 1023) * 10) >> 10);
        println!(
            "{entries:>12}{:>12}{:>12}{:>12}{:>12}",
            mib(on_disk(path)),
            mib(appending),
            mib(opening),
            mib(fetching)
        );
    }
}

/// Appends until the log has `entries` entries.
fn append(path: &Path, config: &StorageConfig, entries: u64) {
    let mut disk = FileDisk::open(path).expect("the directory of the store");
    let (mut storage, opened) =
        Storage::open(&mut disk, CLUSTER, NODE, config).expect("the store is intact");
    drop(opened.tail);
    let mut events = Vec::new();
    storage.start(&mut events);
    storage.persist(first_write(), &mut events);
    settle(&mut storage, &mut disk, std::mem::take(&mut events), drop);
    let command = Command::from(vec![7; BYTES]);
    let mut id = WriteId(1);
    while storage.last().index.0 < entries {
        id = WriteId(id.0 + 1);
        storage.persist(write(id, storage.last().index.next(), BATCH, &command), &mut events);
        settle(&mut storage, &mut disk, std::mem::take(&mut events), drop);
    }
}

/// Fetches entries from all parts of the log.
fn fetch(storage: &mut Storage, disk: &mut FileDisk) {
    let last = storage.last().index;
    for turn in 0..FETCHES {
        let first = Index(turn.wrapping_mul(0x9e37_79b9_7f4a_7c15) % last.0 + 1);
        let mut events = Vec::new();
        storage.fetch(FetchId(turn), first, last, FETCH_BYTES, &mut events);
        let mut fetched = 0;
        settle(storage, disk, events, |event| {
            if let Event::Fetched { entries, .. } = event {
                assert_eq!(entries[0].id.index, first);
                fetched += 1;
            }
        });
        assert_eq!(fetched, 1, "every fetch is answered");
    }
}

/// The size of the directory's files, in KiB.
fn on_disk(path: &Path) -> u64 {
    let files = std::fs::read_dir(path).expect("the directory is there");
    let bytes = |file: std::io::Result<std::fs::DirEntry>| {
        file.and_then(|file| file.metadata()).expect("the file is readable").len()
    };
    files.map(bytes).sum::<u64>() >> 10
}

/// Resets the peak of the resident size, and returns the current size in KiB.
fn reset_peak() -> u64 {
    // If the system does not allow this, the peak is that of the process so far: never too small.
    drop(std::fs::write("/proc/self/clear_refs", "5"));
    status("VmRSS:")
}

/// The peak resident size since the last reset, in KiB.
fn peak() -> u64 {
    status("VmHWM:")
}

/// Reads a field of the process's status, in KiB; 0 where the system does not report it.
fn status(field: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(field));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}
