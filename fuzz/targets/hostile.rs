//! Fuzzes one node among lying peers: the bytes decide what they say, and what the disk, the
//! state machine and the users do meanwhile. `tests/hostile` is the interpreter of the bytes, and
//! replays the kept corpus in `cargo test`.
//!
//! On stable, with nothing to install (run in `fuzz/`; stop with Ctrl-C):
//!
//! ```text
//! RUSTFLAGS="-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
//!   -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
//!   -Cllvm-args=-sanitizer-coverage-pc-table \
//!   -Cllvm-args=-sanitizer-coverage-trace-compares --cfg fuzzing" \
//!   cargo run --release --target x86_64-unknown-linux-gnu --bin hostile -- \
//!   -max_len=4096 work corpus/hostile
//! ```
//!
//! New inputs go to `work/`, which is not kept; `corpus/hostile` is. `-merge=1 corpus/hostile work`
//! at the end of the command adds to it what reaches more, `-set_cover_merge=1` as little as can
//! be. To see how a crash came about, put the file it left into `corpus/hostile` and run
//! `cargo test --test hostile corpus`: it prints every input of the node. There the file stays.

#![no_main]

#[path = "../../tests/hostile/bytes.rs"]
mod bytes;
#[path = "../../tests/hostile/disk.rs"]
mod disk;
#[path = "../../tests/hostile/driver.rs"]
#[allow(dead_code, reason = "the tests ask for more than the fuzzer does")]
mod driver;
#[path = "../../tests/hostile/said.rs"]
mod said;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    driver::drive(bytes);
});
