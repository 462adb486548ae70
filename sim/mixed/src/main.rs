//! The command for clusters of two builds, and of each build alone.

use std::process::ExitCode;

use quorate_guests::cli::{self, Core};
use quorate_mixed::mixed::{Mixed, Present, Previous};

fn main() -> ExitCode {
    cli::main(&[
        Core::new::<Mixed<true>>("mixed"),
        Core::new::<Mixed<false>>("upgrades"),
        Core::new::<Previous>("previous"),
        Core::new::<Present>("present"),
    ])
}
