//! Fuzzes the decoding of frames: the input is a whole frame, and then the kind and the body of a
//! frame with valid checksums. `tests/wire/driver.rs` checks the outcome, and `cargo test --test
//! raft corpus` replays the kept corpus.
//!
//! The command is that of `hostile.rs`, with `--bin wire` and `corpus/wire`.

#![no_main]

#[path = "../../tests/wire/driver.rs"]
mod driver;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    driver::drive(bytes);
});
