//! The flags of `cargo sim mutants --auto`, and of the process that runs seeds for it.

use std::num::NonZeroUsize;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use crate::cli::values::{self, Shard};
use crate::settings::profile::Profile;

#[derive(Args, Debug)]
pub(crate) struct AutoArguments {
    /// Derive mutants from the syntax tree of the library, and do not use the bugs of
    /// sim/mutants.toml: change comparisons, literals, arithmetic, method calls, logic, conditions,
    /// guards, statements and struct fields. One build has all mutants that compile, each behind a
    /// switch. Print for each module of the library how many mutants are reached, how many of these
    /// change a value, and how many of those are killed (docs/KILLS.md)
    #[arg(long, conflicts_with_all = ["only", "sweeps", "explain", "shrink", "strategies"])]
    pub(crate) auto: bool,
    /// Measure only the mutants of these modules of the library: quorum, log, progress,
    /// raft, machine, replica, storage, types
    #[arg(long, value_name = "MODULE,..", value_delimiter = ',', requires = "auto")]
    pub(crate) module: Vec<String>,
    /// Measure only this many mutants of each module, drawn at random
    #[arg(long, value_name = "N", value_parser = values::items, requires = "auto")]
    pub(crate) sample: Option<NonZeroUsize>,
    /// Seed of the random choice of --sample
    #[arg(
        long,
        value_name = "SEED",
        default_value = "0",
        value_parser = values::seed,
        requires = "sample"
    )]
    pub(crate) draw: u64,
    /// Measure only part K of N of the mutants
    #[arg(long, value_name = "K/N", value_parser = values::shard, requires = "auto")]
    pub(crate) shard: Option<Shard>,
    /// Profiles of the seeds, in order; a later profile runs only the mutants that the earlier ones
    /// did not kill [default: `default`, then all others]
    #[arg(
        long,
        value_name = "NAME,..",
        value_delimiter = ',',
        value_parser = values::profile(),
        requires = "auto"
    )]
    pub(crate) profile: Vec<&'static Profile>,
    /// File of the results, one JSON line per mutant; a stopped run continues from it [default: a
    /// file in target/mutants for each version of the sources]
    #[arg(long, value_name = "FILE", requires = "auto")]
    pub(crate) results: Option<PathBuf>,
    /// Write a self-contained HTML page with the sources, line by line, and their mutants
    #[arg(long, value_name = "FILE.html", requires = "auto")]
    pub(crate) html: Option<PathBuf>,
}

#[derive(Args, Debug)]
pub(crate) struct SeedsOfMutant {
    /// Seeds to run: A inclusive to B exclusive
    #[arg(long, value_name = "A..B", value_parser = values::seed_range)]
    pub(crate) seeds: RangeInclusive<u64>,
    /// CPU time of one seed after which it counts as hung
    #[arg(long, value_name = "DURATION", value_parser = values::duration)]
    pub(crate) cpu: Duration,
}
