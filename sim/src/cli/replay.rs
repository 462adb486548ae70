//! The one run that a command looks at: a seed's, or a scenario's.

use crate::cli::args::Replayed;
use crate::cli::exit::Trouble;
use crate::cli::panics;
use crate::cli::program::Program;
use crate::cli::scenario;
use crate::record::{Recording, Until};
use crate::run::{Case, RunOptions};

/// A run, ready to be run again.
pub(crate) struct Replay {
    pub(crate) case: Case,
    pub(crate) options: RunOptions,
    /// What people call it: `seed 7`, or the file of the scenario.
    pub(crate) name: String,
    /// The command line that runs it.
    pub(crate) line: String,
}

impl Replay {
    /// The run that the arguments name. From now on a panic in it prints nothing by itself.
    pub(crate) fn find(program: &Program, replayed: &Replayed) -> Result<Replay, Trouble> {
        panics::keep_quiet_in_seeds();
        match (&replayed.scenario, replayed.seed) {
            (Some(file), _) => {
                let options = program.options(replayed.family);
                let case = scenario::read(file, &options)?.case;
                let name = file.display().to_string();
                let line = program.scenario_line(file);
                Ok(Replay { case, options, name, line })
            }
            (None, seed) => Ok(Replay::of_seed(program, seed.unwrap_or_default(), replayed)),
        }
    }

    /// The run of a seed of the same family.
    pub(crate) fn of_seed(program: &Program, seed: u64, replayed: &Replayed) -> Replay {
        let options = program.options(replayed.family);
        let case = panics::quietly(|| Case::of_seed(seed, &options));
        let (name, line) = (format!("seed {seed}"), program.seed_line(seed, replayed.family));
        Replay { case, options, name, line }
    }

    /// Runs it again, and takes down what happens.
    pub(crate) fn record(&self, until: Until) -> Recording {
        panics::quietly(|| self.case.record(&self.options, until))
    }
}
