//! The command for old versions with documented bugs.

mod raft_rs_03;

use std::process::ExitCode;

use quorate_guests::cli::{self, Core};

use crate::raft_rs_03::RaftRs03;

fn main() -> ExitCode {
    cli::main(&[
        Core::new::<RaftRs03<false>>("raft-rs-0.3.0"),
        Core::new::<RaftRs03<true>>("raft-rs-0.3.0-must-sync"),
    ])
}
