//! The command name and the workload: `cargo sim` over the built-in key-value store, or another
//! command over a state machine of a user of the library.

use std::path::Path;

use crate::cli::exit::{CommandError, CommandResult};
use crate::cli::run_arguments::SeedOptions;
use crate::cli::text::replay_line;
use crate::run::RunOptions;
use crate::workload::AnyWorkload;

/// The name of the command that runs the built-in key-value store.
pub(crate) const CARGO_SIM: &str = "cargo sim";

/// The command name and the workload that all its runs use.
#[derive(Clone, Debug)]
pub(crate) struct Program {
    /// The words before the flags, shown in help texts and replay lines.
    pub(crate) name: String,
    /// The replicated state machine and the operations of its clients.
    pub(crate) workload: AnyWorkload,
    /// Whether the workload is the built-in key-value store of `cargo sim`, and not a user's.
    pub(crate) is_builtin: bool,
}

impl Program {
    /// Returns the run options with this profile and strategy, and defaults for the rest.
    pub(crate) fn options(&self, seed_options: SeedOptions) -> RunOptions {
        let workload = self.workload.clone();
        let SeedOptions { profile, strategy } = seed_options;
        RunOptions { profile, strategy, workload, ..RunOptions::default() }
    }

    /// Returns the command line that replays a seed.
    pub(crate) fn seed_line(&self, seed: u64, seed_options: SeedOptions) -> String {
        replay_line(&self.name, seed, seed_options)
    }

    /// Returns the command line that runs a scenario.
    pub(crate) fn scenario_line(&self, file: &Path) -> String {
        format!("{} --scenario {}", self.name, file.display())
    }

    /// Returns an error if `feature`, which supports only the built-in store, is used with another.
    pub(crate) fn require_builtin_workload(&self, feature: &str) -> CommandResult<()> {
        match self.is_builtin {
            true => Ok(()),
            false => Err(CommandError(format!(
                "{feature} is supported only by `{CARGO_SIM}`, not by `{}`",
                self.name
            ))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_users_command_is_not_the_built_in_store_whatever_its_name() {
        let workload = RunOptions::default().workload;
        let of = |is_builtin| Program {
            name: CARGO_SIM.to_owned(),
            workload: workload.clone(),
            is_builtin,
        };
        assert!(of(true).require_builtin_workload("procs").is_ok());
        assert!(of(false).require_builtin_workload("procs").is_err());
    }
}
