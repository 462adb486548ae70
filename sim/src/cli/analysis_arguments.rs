//! The flags of `cargo sim explain`, `why-not`, `diff` and `trace`, which work on runs and on
//! recordings.

use std::path::PathBuf;

use clap::Args;
use quorate::types::NodeId;

use crate::cli::run_arguments::{RunArguments, SeedOptions};
use crate::cli::values::{self, DiffTarget};
use crate::values::time::SimTime;

/// A run, or recordings of real nodes.
#[derive(Args, Debug)]
pub(crate) struct SubjectArguments {
    /// Recordings of real nodes instead of a run: files, directories of such files, or data
    /// directories of stopped nodes (docs/RECORDING.md)
    #[arg(
        value_name = "RECORDING",
        conflicts_with_all = ["seed", "scenario", "profile", "strategy"]
    )]
    pub(crate) recordings: Vec<PathBuf>,
    /// Seed of the run
    #[arg(
        long,
        value_name = "N",
        value_parser = values::seed,
        required_unless_present_any = ["scenario", "recordings"]
    )]
    pub(crate) seed: Option<u64>,
    /// Scenario file to run instead of a seed
    #[arg(long, value_name = "FILE", conflicts_with_all = ["seed", "profile", "strategy"])]
    pub(crate) scenario: Option<PathBuf>,
    /// The profile and the search strategy of the run.
    #[command(flatten)]
    pub(crate) seed_options: SeedOptions,
}

impl SubjectArguments {
    /// The files of the recordings; `None` for a run.
    pub(crate) fn files(&self) -> Option<&[PathBuf]> {
        (!self.recordings.is_empty()).then_some(&self.recordings[..])
    }

    /// The arguments of the run, unless there are recordings.
    pub(crate) fn run(&self) -> RunArguments {
        let SubjectArguments { seed, scenario, seed_options, .. } = self;
        RunArguments { seed: *seed, scenario: scenario.clone(), seed_options: *seed_options }
    }
}

#[derive(Args, Debug)]
pub(crate) struct ExplainArguments {
    /// The run or the recordings to explain.
    #[command(flatten)]
    pub(crate) subject: SubjectArguments,
    /// Also measure when the failure became inevitable: for each of several points in time, repeat
    /// the run N times with new random choices from that point on, and count the failures
    /// [default: off; 20 without N]
    #[arg(
        long,
        value_name = "N",
        num_args = 0..=1,
        default_missing_value = "20",
        conflicts_with = "recordings",
        value_parser = values::number::<u32>(1..=10_000)
    )]
    pub(crate) redraws: Option<u32>,
}

#[derive(Args, Debug)]
#[group(id = "what", required = true, multiple = false, args = ["leader", "commit"])]
pub(crate) struct WhyNotArguments {
    /// The run or the recordings with the event that did not happen.
    #[command(flatten)]
    pub(crate) subject: SubjectArguments,
    /// Explain why this node was not elected leader
    #[arg(long, value_name = "NODE", value_parser = values::node)]
    pub(crate) leader: Option<NodeId>,
    /// Explain why this log index was not committed
    #[arg(
        long,
        value_name = "INDEX",
        value_parser = values::number::<u64>(1..=u64::MAX),
        conflicts_with = "from"
    )]
    pub(crate) commit: Option<u64>,
    /// Start of the time window, e.g. 2s [default: start of the run]
    #[arg(long, value_name = "TIME", value_parser = values::sim_time_from)]
    pub(crate) from: Option<SimTime>,
    /// End of the time window, e.g. 4s [default: end of the run]
    #[arg(long, value_name = "TIME", value_parser = values::sim_time)]
    pub(crate) to: Option<SimTime>,
}

#[derive(Args, Debug)]
pub(crate) struct DiffArguments {
    /// The run or the recordings to compare.
    #[command(flatten)]
    pub(crate) subject: SubjectArguments,
    /// Seed to compare with, or a file written by `cargo sim record` of another build; for
    /// recordings, another recording of the same node
    #[arg(long, value_name = "SEED|FILE", value_parser = values::diff_target)]
    pub(crate) with: DiffTarget,
}

#[derive(Args, Debug)]
pub(crate) struct TraceArguments {
    /// Write the steps of the nodes to this file, as a module of TLA+ that docs/tla/check_trace.sh
    /// compares with the specification; nothing is written if a recording has an error
    #[arg(long, value_name = "FILE.tla")]
    pub(crate) tla: PathBuf,
    /// The run, or the recordings of all nodes of a cluster.
    #[command(flatten)]
    pub(crate) subject: SubjectArguments,
    /// End the trace at this time of the run, e.g. 2s
    #[arg(long, value_name = "TIME", value_parser = values::sim_time)]
    pub(crate) until: Option<SimTime>,
    /// End the trace after the step that reaches this number of lines
    #[arg(
        long,
        value_name = "N",
        default_value = "3000",
        value_parser = values::number::<usize>(1..=u32::MAX.into())
    )]
    pub(crate) lines: usize,
}
