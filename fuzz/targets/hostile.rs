//! Fuzzes a node with Byzantine peers: the input decides the messages of the peers, and the
//! behaviour of the disk, the state machine and the clients. `tests/hostile` interprets the input,
//! and replays the kept corpus in `cargo test`.
//!
//! On stable Rust, without installing anything (run in `fuzz/`; stop with Ctrl-C):
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
//! New inputs go to `work/`, which is not kept; `corpus/hostile` is. With `-merge=1 corpus/hostile
//! work` at the end, the command adds the inputs that reach new code to the corpus, and with
//! `-set_cover_merge=1` a minimal set of them. To analyse a crash, move its input file to
//! `corpus/hostile` and run `cargo test --test raft corpus`, which prints every input of the
//! node. The file stays in the corpus.

#![no_main]

#[path = "../../tests/hostile/bytes.rs"]
mod bytes;
#[path = "../../tests/hostile/disk.rs"]
mod disk;
#[path = "../../tests/hostile/driver.rs"]
#[allow(dead_code, reason = "the tests use more than the fuzzer")]
mod driver;
#[path = "../../tests/hostile/messages.rs"]
mod messages;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    driver::drive(bytes);
});
