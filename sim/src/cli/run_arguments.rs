//! The flags that select a run: a seed with its options, or a scenario.

use std::path::PathBuf;

use clap::Args;

use crate::cli::values;
use crate::settings::profile::Profile;
use crate::settings::strategy::Strategy;

/// The run that a subcommand works on: a seed or a scenario.
#[derive(Args, Debug)]
pub(crate) struct RunArguments {
    /// Seed of the run
    #[arg(
        long,
        value_name = "N",
        value_parser = values::seed,
        required_unless_present = "scenario"
    )]
    pub(crate) seed: Option<u64>,
    /// Scenario file to run instead of a seed
    #[arg(long, value_name = "FILE", conflicts_with_all = ["seed", "profile", "strategy"])]
    pub(crate) scenario: Option<PathBuf>,
    /// The profile and the search strategy of the run.
    #[command(flatten)]
    pub(crate) seed_options: SeedOptions,
}

/// The options that, together with a seed, determine a run.
#[derive(Args, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct SeedOptions {
    /// Cluster shape and the kinds of faults that are injected
    #[arg(long, value_name = "NAME", value_parser = values::profile(), default_value = "default")]
    pub(crate) profile: &'static Profile,
    /// Search strategy: how runs are steered towards rare states
    #[arg(long, value_name = "NAME", value_parser = values::strategy(), default_value = "nemeses")]
    pub(crate) strategy: Strategy,
}
