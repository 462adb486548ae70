//! Fuzzes the URIs that name the principals of certificates: the input is a URI, or the end of one.
//! `tests/runtime/uris.rs` checks the outcome, and `cargo test --test runtime corpus` replays the
//! kept corpus.
//!
//! The command is that of `hostile.rs`, with `--bin uri`, `-max_len=256` and `corpus/uri`.

#![no_main]

#[path = "../../tests/runtime/uris.rs"]
mod uris;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    uris::drive(bytes);
});
