//! Fuzzes recovery: the input mutates a disk image with superblock and segments, and decides which
//! mutated sectors get a valid checksum. `tests/storage/mutated.rs` applies the mutations, and
//! `cargo test --test storage corpus` replays the kept corpus. The command is that of `hostile.rs`,
//! with `--bin wal`, `-max_len=128` and `corpus/wal`.

#![no_main]

use std::sync::LazyLock;

use quorate_sim::disk::SimDisk;

#[path = "../../tests/storage/host.rs"]
#[allow(dead_code, reason = "the tests use more than the fuzzer")]
mod host;
#[path = "../../tests/storage/mutated.rs"]
mod mutated;

static IMAGE: LazyLock<SimDisk> = LazyLock::new(mutated::image);

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    mutated::drive(&IMAGE, bytes);
});
