//! The flags of `cargo sim trace`, except for those of the seed.

use std::path::PathBuf;

use clap::Args;

use crate::cli::values;
use crate::values::time::SimTime;

#[derive(Args, Debug)]
pub(crate) struct TraceOptions {
    /// Write the steps of the nodes to this file, as a module of TLA+ that docs/tla/check_trace.sh
    /// compares with the specification; nothing is written if a recording has an error
    #[arg(long, value_name = "FILE.tla")]
    pub(crate) tla: PathBuf,
    /// Recordings of all nodes of a cluster instead of a run (docs/RECORDING.md)
    #[arg(
        value_name = "RECORDING",
        conflicts_with_all = ["seed", "scenario", "profile", "strategy"]
    )]
    pub(crate) recordings: Vec<PathBuf>,
    /// Seed of the run
    #[arg(long, value_name = "N", required_unless_present_any = ["scenario", "recordings"])]
    pub(crate) seed: Option<u64>,
    /// Scenario file to run instead of a seed
    #[arg(long, value_name = "FILE", conflicts_with_all = ["seed", "profile", "strategy"])]
    pub(crate) scenario: Option<PathBuf>,
    /// End the trace at this time of the run, e.g. 2s
    #[arg(long, value_name = "TIME", value_parser = values::sim_time)]
    pub(crate) until: Option<SimTime>,
    /// End the trace after the step that reaches this number of lines
    #[arg(long, value_name = "N", default_value = "3000")]
    pub(crate) lines: usize,
}
