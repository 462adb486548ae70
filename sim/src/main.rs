//! The entry point of `cargo sim`; the command is in `quorate_sim::cli`.

use std::process::ExitCode;

use mimalloc::MiMalloc;

/// Nodes allocate memory for every message. This allocator keeps the memory of long runs more
/// compact than the system's.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    quorate_sim::cli::main()
}
