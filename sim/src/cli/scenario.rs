//! `cargo sim --scenario FILE`: runs a scenario file.

use std::fs;
use std::path::Path;

use crate::cli::console;
use crate::cli::exit::{CommandError, CommandResult, Exit};
use crate::cli::panics;
use crate::cli::program::Program;
use crate::cli::report::table;
use crate::cli::run_arguments::SeedOptions;
use crate::cli::text::{duration, quantity};
use crate::cli::tracing::Trace;
use crate::observe::outcome::Outcome;
use crate::run::RunOptions;
use crate::scenario::Scenario;

/// Runs the scenario and reports whether its expectations hold.
pub(crate) fn execute(program: &Program, file: &Path, traced: bool) -> CommandResult {
    let mut options = program.options(SeedOptions::default());
    let scenario = read(file, &options)?;
    let trace = traced.then(Trace::to_stdout);
    options.trace = trace.as_ref().and_then(Trace::take);
    let outcome = panics::run_case(&scenario.case, &options);
    if let Some(trace) = &trace {
        trace.flush();
    }
    console::print_line(&outcome_line(&outcome));
    if let Some(parts) = table::partly_checked(outcome.tally.partly_checked) {
        console::print_line(&format!("partly checked: {parts}"));
    }
    let unmet = scenario.unmet(&outcome);
    let Some(first) = unmet.first() else {
        let expected = scenario.expect.iter().map(|expect| format!(" `{expect}`"));
        let expected: String = expected.collect();
        console::print_line(&format!(
            "as expected:{}",
            if expected.is_empty() { " `pass`" } else { &expected }
        ));
        return Ok(Exit::Success);
    };
    for unmet in &unmet {
        console::print_line(&format!("FAIL  {}: {unmet}", file.display()));
    }
    Ok(first.failure.as_ref().map_or(Exit::ExpectationNotMet, Exit::of))
}

/// Reads the scenario in a file.
pub(crate) fn read(file: &Path, options: &RunOptions) -> CommandResult<Scenario> {
    let text = fs::read_to_string(file);
    let text = text.map_err(|error| CommandError::file("--scenario", file, &error))?;
    let scenario = Scenario::read(&text, &options.workload);
    scenario.map_err(|error| CommandError(format!("{}:{error}", file.display())))
}

/// Returns the totals of a run as one line.
fn outcome_line(outcome: &Outcome) -> String {
    let tally = &outcome.tally;
    format!(
        "{} in {} of simulated time, {}, {} answered, {} injected · digest {:016x}",
        quantity(tally.events, "event"),
        duration(tally.simulated),
        quantity(tally.elections, "election"),
        quantity(tally.commands_committed, "command"),
        quantity(tally.faults.values().sum(), "fault"),
        outcome.digest,
    )
}
