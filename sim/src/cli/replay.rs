//! The run that a subcommand works on: of a seed or of a scenario.

use crate::cli::exit::CommandResult;
use crate::cli::panics;
use crate::cli::program::Program;
use crate::cli::run_arguments::{RunArguments, SeedOptions};
use crate::cli::scenario;
use crate::record::{RecordUntil, Recording};
use crate::run::{Case, RunOptions};

/// A run that can be replayed any number of times.
pub(crate) struct Replay {
    pub(crate) case: Case,
    pub(crate) options: RunOptions,
    /// The name shown to the user: `seed 7`, or the path of the scenario.
    pub(crate) name: String,
    /// The command line that replays the run.
    pub(crate) line: String,
}

impl Replay {
    /// Returns the run that the arguments select.
    pub(crate) fn find(program: &Program, arguments: &RunArguments) -> CommandResult<Replay> {
        match (&arguments.scenario, arguments.seed) {
            (Some(file), _) => {
                let options = program.options(arguments.seed_options);
                let case = scenario::read(file, &options)?.case;
                let name = file.display().to_string();
                let line = program.scenario_line(file);
                Ok(Replay { case, options, name, line })
            }
            (None, seed) => {
                Ok(Replay::of_seed(program, seed.unwrap_or_default(), arguments.seed_options))
            }
        }
    }

    /// Returns the run of `seed` with the profile and search strategy of `seed_options`.
    pub(crate) fn of_seed(program: &Program, seed: u64, seed_options: SeedOptions) -> Replay {
        let options = program.options(seed_options);
        let case = panics::silenced(|| Case::of_seed(seed, &options));
        let (name, line) = (format!("seed {seed}"), program.seed_line(seed, seed_options));
        Replay { case, options, name, line }
    }

    /// Replays the run and records its events.
    pub(crate) fn record(&self, until: RecordUntil) -> Recording {
        panics::silenced(|| self.case.record(&self.options, until))
    }
}
