//! Mutated disk images: the fuzzer's kept corpus, and random mutations.

use super::{copies, mutated};
use crate::corpus::replay;

#[test]
fn the_kept_corpus_of_recovery_is_replayed() {
    let image = mutated::image();
    replay("wal", |bytes| mutated::drive(&image, bytes));
}

#[test]
fn the_kept_corpus_of_superblocks_is_replayed() {
    let image = copies::image();
    replay("superblock", |bytes| copies::drive(&image, bytes));
}

#[test]
fn random_changes_are_rejected_or_make_no_difference() {
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
