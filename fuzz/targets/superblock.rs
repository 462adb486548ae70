//! Fuzzes the opening of a superblock: the bytes say how far an update went, how copies are
//! damaged, and what a sealed one holds. `tests/storage/copies.rs` says what must hold, and
//! `cargo test --test storage corpus` replays the kept corpus. The command is that of `hostile.rs`,
//! with `--bin superblock`, `-max_len=256` and `corpus/superblock`.

#![no_main]

use std::sync::LazyLock;

#[path = "../../tests/storage/copies.rs"]
mod copies;
#[path = "../../tests/storage/host.rs"]
#[allow(dead_code, reason = "the tests ask for more than the fuzzer does")]
mod host;

static IMAGE: LazyLock<copies::Image> = LazyLock::new(copies::image);

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    copies::drive(&IMAGE, bytes);
});
