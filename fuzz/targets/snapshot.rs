//! Fuzzes snapshots: the bytes are a snapshot's file, changes to a whole one, and the parts that a
//! peer sends. `tests/snapshot/driver.rs` says what must hold, and
//! `cargo test --test snapshot corpus` replays the kept corpus.
//!
//! The command is that of `hostile.rs`, with `--bin snapshot` and `corpus/snapshot`.

#![no_main]

#[path = "../../tests/snapshot/driver.rs"]
mod driver;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    driver::drive(bytes);
});
