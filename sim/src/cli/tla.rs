//! `cargo sim trace`: writes the trace of a run, or of recordings, for the TLA+ specification.

use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use quorate::types::NodeId;

use crate::cli::analysis_arguments::TraceArguments;
use crate::cli::console;
use crate::cli::exit::{CommandError, CommandResult, Exit};
use crate::cli::panics;
use crate::cli::program::Program;
use crate::cli::recordings;
use crate::cli::replay::Replay;
use crate::recordings::merge;
use crate::run::{CoreSink, RunOptions};
use crate::tla::{SimulatedCores, TlaModule, TlaTrace};
use crate::values::time::SimTime;

pub(crate) fn execute(program: &Program, wanted: &TraceArguments) -> CommandResult {
    let module = match wanted.subject.files() {
        Some(files) => match of_recordings(files, wanted)? {
            Ok(module) => module,
            Err(exit) => return Ok(exit),
        },
        None => of_run(Replay::find(program, &wanted.subject.run())?, wanted),
    };
    let written = fs::write(&wanted.tla, &module.text);
    written.map_err(|error| CommandError::file("--tla", &wanted.tla, &error))?;
    let path = wanted.tla.display();
    let end =
        module.left_out.map_or(String::new(), |what| format!("; the trace ends early, at {what}"));
    console::print_line(&format!("wrote {} lines to {path}{end}", module.lines));
    Ok(Exit::Success)
}

/// The trace of a run. The checks are off, so a run continues after a violation.
fn of_run(run: Replay, wanted: &TraceArguments) -> TlaModule {
    let state = Arc::new(Mutex::new((SimulatedCores::default(), TlaTrace::new(true))));
    let (sink, lines) = (Arc::clone(&state), wanted.lines);
    let until = wanted.until.unwrap_or(SimTime(u64::MAX));
    let cores: CoreSink = Arc::new(move |at, node, input| {
        let mut state = sink.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let (cores, trace) = &mut *state;
        if at <= until && trace.lines() < lines && !trace.has_ended() {
            cores.observe(at, node, input, |event| trace.observe(event));
        }
    });
    let options = RunOptions { cores: Some(cores), checks: false, ..run.options };
    panics::silenced(|| run.case.run(&options));
    let state = state.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    state.1.clone().finish()
}

/// The trace of recordings, or the exit code of their errors.
fn of_recordings(
    files: &[PathBuf],
    wanted: &TraceArguments,
) -> CommandResult<Result<TlaModule, Exit>> {
    let (found, unread) = panics::silenced(|| recordings::read(files))?;
    let errors = found.iter().flat_map(|recording| &recording.errors).chain(&unread);
    errors.for_each(|error| console::print_line(&format!("error: {error}")));
    let exit = recordings::exit_of(files, &found, &unread);
    if exit != Exit::Success {
        return Ok(Err(exit));
    }
    let mut trace = TlaTrace::new(false);
    let until = wanted.until.unwrap_or(SimTime(u64::MAX));
    // Causes come before effects, but the clocks of the nodes differ: after the first event that is
    // left out, another may be its effect.
    let mut is_over = false;
    panics::silenced(|| {
        merge(&found, |event| {
            is_over |= event.at > until || trace.lines() >= wanted.lines;
            if !is_over {
                trace.observe(event);
            }
        })
    });
    let is_recorded = |id: &NodeId| found.iter().any(|recording| recording.node == *id);
    let missing = trace.members().iter().copied().filter(|id| !is_recorded(id));
    match missing_text(&missing.collect::<Vec<_>>()) {
        Some(text) => Err(CommandError(text)),
        None => Ok(Ok(trace.finish())),
    }
}

/// Returns the error of members without a recording, if there are any.
fn missing_text(missing: &[NodeId]) -> Option<String> {
    let (last, rest) = missing.split_last()?;
    let rest: Vec<String> = rest.iter().map(NodeId::to_string).collect();
    let (nodes, members) = match rest.is_empty() {
        true => (last.to_string(), "a member"),
        false => (format!("{} and {last}", rest.join(", ")), "members"),
    };
    Some(format!(
        "trace: no recording of {nodes}, {members} of the cluster: pass the recordings of all \
         members"
    ))
}
