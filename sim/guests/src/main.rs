//! The command for the cores of this package.

use std::process::ExitCode;

#[cfg(feature = "omnipaxos")]
use quorate_guests::adapters::omnipaxos::OmniPaxos;
#[cfg(feature = "raft-rs")]
use quorate_guests::adapters::raft_rs::RaftRs;
use quorate_guests::adapters::tiny::Tiny;
use quorate_guests::cli::{self, Core};

fn main() -> ExitCode {
    cli::main(&[
        Core::new::<Tiny>("tiny"),
        #[cfg(feature = "raft-rs")]
        Core::new::<RaftRs>("raft-rs"),
        #[cfg(feature = "omnipaxos")]
        Core::new::<OmniPaxos<false>>("omnipaxos"),
        #[cfg(feature = "omnipaxos")]
        Core::new::<OmniPaxos<true>>("omnipaxos-snapshots"),
    ])
}
