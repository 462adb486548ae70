//! Fuzzes recovery: the bytes say how the image of a disk, superblock and segments, is changed, and
//! which changes are sealed as if they had been written. `tests/storage/mutated.rs` carries them
//! out, and `cargo test --test storage corpus` replays the kept corpus. The command is that of
//! `hostile.rs`, with `--bin wal`, `-max_len=128` and `corpus/wal`.

#![no_main]

use std::sync::LazyLock;

use quorate_sim::disk::SimDisk;

#[path = "../../tests/storage/host.rs"]
#[allow(dead_code, reason = "the tests ask for more than the fuzzer does")]
mod host;
#[path = "../../tests/storage/mutated.rs"]
mod mutated;

static IMAGE: LazyLock<SimDisk> = LazyLock::new(mutated::image);

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    mutated::drive(&IMAGE, bytes);
});
