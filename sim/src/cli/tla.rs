//! `cargo sim trace`: writes the trace of a run, or of recordings, for the TLA+ specification.

use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use clap::Args;

use crate::cli::args::SeedOptions;
use crate::cli::console;
use crate::cli::exit::{CommandError, Exit};
use crate::cli::panics;
use crate::cli::program::Program;
use crate::cli::recordings;
use crate::cli::scenario;
use crate::cli::values;
use crate::recordings::merge;
use crate::run::{Case, RunOptions};
use crate::tla::{SimulatedCores, TlaModule, TlaTrace};
use crate::values::time::SimTime;

#[derive(Args, Debug)]
pub(crate) struct TraceArguments {
    /// Write the steps of the nodes to this file, as a module of TLA+ that docs/tla/check_trace.sh
    /// compares with the specification
    #[arg(long, value_name = "FILE.tla")]
    pub(crate) tla: PathBuf,
    /// Recordings of all nodes of a cluster instead of a run (docs/RECORDING.md)
    #[arg(value_name = "RECORDING", conflicts_with_all = ["seed", "scenario"])]
    pub(crate) recordings: Vec<PathBuf>,
    /// Seed of the run
    #[arg(long, value_name = "N", required_unless_present_any = ["scenario", "recordings"])]
    pub(crate) seed: Option<u64>,
    /// Scenario file to run instead of a seed
    #[arg(long, value_name = "FILE", conflicts_with_all = ["seed", "profile", "strategy"])]
    pub(crate) scenario: Option<PathBuf>,
    /// The profile and the search strategy that the seed is drawn with.
    #[command(flatten)]
    pub(crate) seed_options: SeedOptions,
    /// End the trace at this time of the run, e.g. 2s
    #[arg(long, value_name = "TIME", value_parser = values::sim_time)]
    pub(crate) until: Option<SimTime>,
    /// End the trace after the step that reaches this number of lines
    #[arg(long, value_name = "N", default_value = "3000")]
    pub(crate) lines: usize,
}

pub(crate) fn execute(
    program: &Program,
    arguments: &TraceArguments,
) -> Result<Exit, CommandError> {
    panics::silence_in_seeds();
    let module = match (&arguments.scenario, arguments.seed) {
        _ if !arguments.recordings.is_empty() => of_recordings(arguments)?,
        (Some(file), _) => {
            let options = program.options(arguments.seed_options);
            of_run(&scenario::read(file, &options)?.case, options, arguments)
        }
        (None, seed) => {
            let options = program.options(arguments.seed_options);
            let case = panics::silenced(|| Case::of_seed(seed.unwrap_or_default(), &options));
            of_run(&case, options, arguments)
        }
    };
    let written = fs::write(&arguments.tla, &module.text);
    written.map_err(|error| CommandError::file("--tla", &arguments.tla, &error))?;
    let path = arguments.tla.display();
    let end = module.left_out.map_or(String::new(), |what| format!(", which end at {what}"));
    console::print_line(&format!("wrote {} lines to {path}{end}", module.lines));
    Ok(Exit::Success)
}

/// The trace of a run. The checks are off: a run that violates one goes on.
fn of_run(case: &Case, options: RunOptions, arguments: &TraceArguments) -> TlaModule {
    let state = Arc::new(Mutex::new((SimulatedCores::default(), TlaTrace::new(true))));
    let (sink, lines) = (Arc::clone(&state), arguments.lines);
    let until = arguments.until.unwrap_or(SimTime(u64::MAX));
    let cores: crate::run::CoreSink = Arc::new(move |at, node, input| {
        let mut state = sink.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let (cores, trace) = &mut *state;
        if at <= until && trace.lines() < lines {
            cores.observe(at, node, input, |event| trace.observe(event));
        }
    });
    let options = RunOptions { cores: Some(cores), checks: false, ..options };
    panics::silenced(|| case.run(&options));
    let state = state.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    state.1.clone().finish()
}

fn of_recordings(arguments: &TraceArguments) -> Result<TlaModule, CommandError> {
    let (found, unread) = panics::silenced(|| recordings::read(&arguments.recordings))?;
    let errors = found.iter().flat_map(|recording| &recording.errors).chain(&unread);
    errors.for_each(|error| console::print_line(&format!("error: {error}")));
    let mut trace = TlaTrace::new(false);
    let until = arguments.until.unwrap_or(SimTime(u64::MAX));
    panics::silenced(|| {
        merge(&found, |event| {
            if event.at <= until && trace.lines() < arguments.lines {
                trace.observe(event);
            }
        })
    });
    Ok(trace.finish())
}
