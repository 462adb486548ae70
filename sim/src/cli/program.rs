//! What a command line is called and what its clusters run: `cargo sim` over the key-value store
//! at hand, or another command over somebody's own state machine.

use std::path::Path;

use crate::cli::args::Family;
use crate::cli::exit::Trouble;
use crate::cli::text::replay_line;
use crate::run::RunOptions;
use crate::workload::AnyWorkload;

/// The name of the command that runs the store at hand.
pub(crate) const OURS: &str = "cargo sim";

/// One command line.
#[derive(Clone, Debug)]
pub(crate) struct Program {
    /// What a person types before the flags.
    pub(crate) name: String,
    /// What every cluster replicates, and what its clients ask for.
    pub(crate) workload: AnyWorkload,
}

impl Program {
    /// How the runs of a family go, if nothing else is asked for.
    pub(crate) fn options(&self, family: Family) -> RunOptions {
        let workload = self.workload.clone();
        let Family { profile, rung } = family;
        RunOptions { profile, rung, workload, ..RunOptions::default() }
    }

    /// The command line that runs a seed again.
    pub(crate) fn seed_line(&self, seed: u64, family: Family) -> String {
        replay_line(&self.name, seed, family)
    }

    /// The command line that runs a scenario again.
    pub(crate) fn scenario_line(&self, file: &Path) -> String {
        format!("{} --scenario {}", self.name, file.display())
    }

    /// Says no to what exists for the store at hand alone.
    pub(crate) fn must_be_ours(&self, what: &str) -> Result<(), Trouble> {
        match self.name == OURS {
            true => Ok(()),
            false => Err(Trouble(format!("{what}: only `{OURS}` does that, not `{}`", self.name))),
        }
    }
}
