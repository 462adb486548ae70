//! Fuzzes the reading of frames: the bytes are a frame as they are, and again as the kind and the
//! body of one whose checksums are right. `tests/wire/driver.rs` says what must hold, and
//! `cargo test --test wire corpus` replays the kept corpus.
//!
//! The command is that of `hostile.rs`, with `--bin wire` and `corpus/wire`.

#![no_main]

#[path = "../../tests/wire/driver.rs"]
mod driver;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    driver::drive(bytes);
});
