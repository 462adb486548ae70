//! `cargo sim --scenario FILE`: one run as a person has written it.

use std::fs;
use std::path::Path;

use crate::cli::args::Family;
use crate::cli::console;
use crate::cli::exit::{Exit, Trouble};
use crate::cli::panics;
use crate::cli::program::Program;
use crate::cli::text::{counted, span};
use crate::cli::tracing::Trace;
use crate::outcome::Outcome;
use crate::run::RunOptions;
use crate::scenario::Scenario;

/// Runs the scenario and says whether what it expects came true.
pub(crate) fn go(program: &Program, file: &Path, traced: bool) -> Result<Exit, Trouble> {
    panics::keep_quiet_in_seeds();
    let mut options = program.options(Family::default());
    let scenario = read(file, &options)?;
    let trace = traced.then(Trace::to_stdout);
    options.trace = trace.as_ref().and_then(Trace::take);
    let outcome = panics::run_case(&scenario.case, &options);
    if let Some(trace) = &trace {
        trace.flush();
    }
    console::say(&told(&outcome));
    let Some(unmet) = scenario.unmet(&outcome) else {
        let expected = scenario.expect.iter().map(|expect| format!(" `{expect}`"));
        let expected: String = expected.collect();
        console::say(&format!(
            "as expected:{}",
            if expected.is_empty() { " `pass`" } else { &expected }
        ));
        return Ok(Exit::Fine);
    };
    console::say(&format!("FAIL  {}: {unmet}", file.display()));
    Ok(unmet.failure.as_ref().map_or(Exit::Vacuous, Exit::of))
}

/// The scenario in a file.
pub(crate) fn read(file: &Path, options: &RunOptions) -> Result<Scenario, Trouble> {
    let text = fs::read_to_string(file);
    let text = text.map_err(|error| Trouble::file("--scenario", file, &error))?;
    let scenario = Scenario::read(&text, &options.workload);
    scenario.map_err(|mistake| Trouble(format!("{}:{mistake}", file.display())))
}

/// What a run came to, in one line.
fn told(outcome: &Outcome) -> String {
    let tally = &outcome.tally;
    format!(
        "{} in {} simulated, {}, {} committed, {} landed · digest {:016x}",
        counted(tally.events, "event"),
        span(tally.simulated),
        counted(tally.elections, "election"),
        counted(tally.commands_committed, "command"),
        counted(tally.faults.values().sum(), "fault"),
        outcome.digest,
    )
}
