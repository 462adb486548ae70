//! The command `cargo sim`; all of it is in `quorate_sim::cli`.

use std::process::ExitCode;

use mimalloc::MiMalloc;

/// Nodes allocate with every message. Long runs spread what they keep over more memory, and this
/// allocator keeps it closer together than the system's.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    quorate_sim::cli::main()
}
