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

#[cfg(test)]
mod tests {
    use quorate_guests::case;
    use quorate_guests::guest::Guest;
    use quorate_guests::run::run;
    use quorate_sim::run::RunOptions;

    use super::*;

    /// Runs a scenario of a found bug, which names the violated check.
    fn found<G: Guest>(text: &str) {
        let options = RunOptions { events_max: 300_000, ..RunOptions::default() };
        let scenario = case::read::<G>(text, &options).expect("a valid scenario");
        let outcome = run::<G>(&scenario.case, &options);
        assert_eq!(scenario.unmet(&outcome), [], "{:?}", outcome.failure);
    }

    #[test]
    fn the_bugs_of_old_versions_are_found() {
        found::<RaftRs03<false>>(include_str!("../found/votes-of-lost-election.scenario"));
        found::<RaftRs03<false>>(include_str!("../found/empty-log.scenario"));
        found::<RaftRs03<true>>(include_str!("../found/must-sync.scenario"));
    }
}
