//! Fuzzes hellos: the input is the kind and the body of the first frame of a connection.
//! `tests/wire/hellos.rs` checks the outcome, and `cargo test --test raft corpus` replays the kept
//! corpus.
//!
//! The command is that of `hostile.rs`, with `--bin hello`, `-max_len=256` and `corpus/hello`.

#![no_main]

#[path = "../../tests/wire/driver.rs"]
#[allow(dead_code, reason = "the tests use more than the fuzzer")]
mod driver;
#[path = "../../tests/wire/hellos.rs"]
mod hellos;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    hellos::drive(bytes);
});
