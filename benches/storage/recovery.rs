//! Recovery of a long log, against one read and a checksum of the same files.
//!
//! Before each measurement of either side the directory is opened as the store opens it, which
//! syncs every file and drops its cached pages. The baseline reads every file of the directory once
//! from its beginning to its end, empty segments included, and computes one CRC-32C.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::time::Duration;

use quorate::storage::{FileDisk, Storage, StorageConfig};
use quorate::types::{Command, Index, WriteId};

use crate::carrier::settle;
use crate::{CLUSTER, Effort, NODE, first_write, fresh, median, timed, write};

const BYTES: usize = 1024;
const BATCH: usize = 1024;

/// Measures one log, whose length follows from `effort`, and prints three rows: the time to open
/// the store, the time of the baseline, and their ratio.
pub(crate) fn report(path: &Path, effort: Effort) {
    let (entries, rounds) = match effort {
        Effort::Full => (1 << 20, 5),
        Effort::Quick => (1 << 17, 3),
        Effort::Smoke => (1 << 11, 1),
    };
    let config = StorageConfig::default();
    fill(path, &config, entries);
    let (mut opens, mut reads) = (Vec::new(), Vec::new());
    let mut bytes = 0;
    for _ in 0..rounds {
        let mut disk = FileDisk::open(path).expect("the directory of the store");
        opens.push(timed(|| {
            let opened = Storage::open(&mut disk, CLUSTER, NODE, &config);
            let (_, opened) = opened.expect("the store is intact");
            assert_eq!(opened.last.index, Index(entries as u64));
        }));
        drop(disk);
        drop(FileDisk::open(path).expect("the directory of the store"));
        reads.push(timed(|| bytes = read(path)));
    }
    let ratios =
        opens.iter().zip(&reads).map(|(open, read)| open.as_secs_f64() / read.as_secs_f64());
    let ratio = median(&ratios.collect::<Vec<_>>());
    let millis = |times: &[Duration]| median(times).as_secs_f64() * 1e3;
    println!(
        "\nrecovery of {} MiB of commands, {BYTES} bytes each, medians of {rounds} rounds",
        (entries * BYTES) >> 20
    );
    println!("{:<34}{:>9.0} ms", "opening the store", millis(&opens));
    let label = format!("read and checksum of {} MiB", bytes >> 20);
    println!("{label:<34}{:>9.0} ms", millis(&reads));
    println!("{:<34}{ratio:>9.2}     (goal: at most 2.0)", "ratio");
}

fn fill(path: &Path, config: &StorageConfig, entries: usize) {
    let (mut disk, mut storage) = fresh(path, config);
    let mut events = Vec::new();
    storage.start(&mut events);
    storage.persist(first_write(), &mut events);
    let command = Command::from(vec![7; BYTES]);
    for batch in 0..entries / BATCH {
        let first = Index((batch * BATCH + 1) as u64);
        let id = WriteId(batch as u64 + 2);
        storage.persist(write(id, first, BATCH, &command), &mut events);
        settle(&mut storage, &mut disk, std::mem::take(&mut events), drop);
    }
}

/// Reads every file once, and returns the number of bytes read.
fn read(path: &Path) -> usize {
    let mut piece = vec![0; 1 << 20];
    let (mut bytes, mut sum) = (0, 0);
    for entry in std::fs::read_dir(path).expect("the directory is there") {
        let mut file = File::open(entry.expect("it is readable").path()).expect("it is readable");
        loop {
            match file.read(&mut piece).expect("a disk that works") {
                0 => break,
                length => {
                    sum = crc32c::crc32c_append(sum, &piece[..length]);
                    bytes += length;
                }
            }
        }
    }
    std::hint::black_box(sum);
    bytes
}
