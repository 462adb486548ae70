//! Fuzzes the opening of a superblock: the input decides the progress of an update, the damage of
//! the copies, and the content of a copy with a valid checksum. `tests/storage/copies.rs` checks
//! the outcome, and `cargo test --test storage corpus` replays the kept corpus. The command is that
//! of `hostile.rs`, with `--bin superblock`, `-max_len=256` and `corpus/superblock`.

#![no_main]

use std::sync::LazyLock;

#[path = "../../tests/storage/copies.rs"]
mod copies;
#[path = "../../tests/storage/host.rs"]
#[allow(dead_code, reason = "the tests use more than the fuzzer")]
mod host;

static IMAGE: LazyLock<copies::Image> = LazyLock::new(copies::image);

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    copies::drive(&IMAGE, bytes);
});
