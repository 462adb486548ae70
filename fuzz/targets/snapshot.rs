//! Fuzzes snapshots: the input is a snapshot file, mutations of an intact one, and the parts that a
//! peer sends. `tests/snapshot/driver.rs` checks the outcome, and `cargo test --test storage
//! corpus` replays the kept corpus.
//!
//! The command is that of `hostile.rs`, with `--bin snapshot` and `corpus/snapshot`.

#![no_main]

#[path = "../../tests/snapshot/driver.rs"]
mod driver;
#[path = "../../tests/common/fixture_text.rs"]
mod fixture_text;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    driver::drive(bytes);
});
