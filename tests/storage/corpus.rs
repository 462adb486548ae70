//! Mutated images of a disk: the fuzzer's kept corpus, and as many others as a test has time for.

use std::fs;
use std::path::Path;

use super::{copies, mutated};

/// Runs every file of the fuzz target `target`.
fn replay(target: &str, drive: impl Fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let files = fs::read_dir(&folder).expect("the corpus is part of the tree");
    let mut files: Vec<_> = files.map(|file| file.expect("a readable folder").path()).collect();
    files.sort();
    for file in &files {
        println!("{}", file.display());
        drive(&fs::read(file).expect("a readable file"));
    }
    assert!(!files.is_empty(), "{} is empty", folder.display());
}

#[test]
fn the_kept_corpus_of_recovery_runs_through() {
    let image = mutated::image();
    replay("wal", |bytes| mutated::drive(&image, bytes));
}

#[test]
fn the_kept_corpus_of_superblocks_runs_through() {
    let image = copies::image();
    replay("superblock", |bytes| copies::drive(&image, bytes));
}

#[test]
fn random_changes_are_refused_or_make_no_difference() {
    let image = mutated::image();
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    for _ in 0..2000 {
        let mut draw = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state
        };
        let changes = 1 + draw() % 4;
        let bytes: Vec<u8> = (0..changes).flat_map(|_| draw().to_le_bytes()).collect();
        mutated::drive(&image, &bytes);
    }
}
