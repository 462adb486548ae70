//! The command `cargo sim`; all of it is in `quorate_sim::cli`.

use std::process::ExitCode;

fn main() -> ExitCode {
    quorate_sim::cli::main()
}
