//! `cargo sim mutants`: mutation tests. Plants each bug of `sim/mutants.toml` in a copy of the
//! sources and runs simulator seeds or a test until the bug is detected.

mod auto;
mod builds;
mod combine;
mod emitted;
mod explained;
mod first_effect;
mod kills;
mod mutant_sweep;
mod mutant_sweeps;
mod parallel;
mod programs;
mod results;
mod shrink;
mod sources;
mod strategy_table;
mod table;
mod test_output;
mod test_verdict;
mod tree;

use crate::cli::args::{MutantSeedsArguments, MutantsArguments};
use crate::cli::console;
use crate::cli::exit::{CommandError, CommandResult, Exit};
use crate::cli::mutants::builds::Builds;
use crate::cli::mutants::emitted::EmittedTestResults;
use crate::cli::mutants::mutant_sweep::{SWEEP_STRIDE, Verdict};
use crate::cli::mutants::results::Results;
use crate::cli::mutants::sources::Sources;
use crate::cli::mutants::table::{Detector, Mutant};
use crate::cli::program::Program;
use crate::settings::strategy::Strategy;

/// Runs seeds in this process, in which a mutant that was made by rule may be active.
pub(crate) fn run_seeds(program: &Program, arguments: &MutantSeedsArguments) -> CommandResult {
    auto::run_seeds(program, arguments)
}

/// Runs the mutation tests that the arguments select, and prints their results.
pub(crate) fn execute(arguments: &MutantsArguments) -> CommandResult {
    let (sweeps, seeds) = (arguments.sweeps, arguments.seeds_max());
    let end = sweeps.get().checked_mul(SWEEP_STRIDE).and_then(|end| end.checked_add(seeds));
    if end.is_none() {
        let error = format!("--sweeps {sweeps} with {seeds} seeds each: too many seeds");
        return Err(CommandError(error));
    }
    let sources = Sources::read(sources::root()?)?;
    if arguments.automatic.auto {
        return auto::execute(arguments, &sources);
    }
    let all = table::read(&sources.root, &[])?;
    let mutants = table::read(&sources.root, &arguments.only)?;
    let impossible = table::impossible(&sources.root)?;
    let builds = Builds::prepare(sources, &all, &mutants)?;
    let combined = all.len() - builds.separate.len();
    let others = if builds.separate.is_empty() { "" } else { "; built separately:" };
    eprintln!("{combined} of {} bugs are in one combined build{others}", all.len());
    builds.separate.iter().for_each(|(id, why)| eprintln!("  {id}: {why}"));
    if let Some(which) = arguments.explain {
        return explained::execute(arguments, which, &builds, &mutants);
    }
    let run_sweeps = |strategy, mutants: &[Mutant]| {
        let results = Results::open(&builds.sources.folder(), builds.sources.fingerprint)?;
        mutant_sweeps::run_all(arguments, &builds, mutants, strategy, results)
    };
    if arguments.strategies {
        let (swept, tested): (Vec<Mutant>, Vec<Mutant>) =
            mutants.into_iter().partition(|mutant| mutant.detector() == Detector::Simulator);
        let mut strategies = Vec::new();
        for strategy in Strategy::ALL {
            strategies.push((strategy, kills::rows(&swept, &run_sweeps(strategy, &swept)?)));
        }
        let tested = kills::rows(&tested, &run_sweeps(arguments.strategy, &tested)?);
        console::print_line(&strategy_table::markdown(&strategies, &tested, arguments.seeds_max()));
        return Ok(Exit::Success);
    }
    let sweeps = run_sweeps(arguments.strategy, &mutants)?;
    let rows = kills::rows(&mutants, &sweeps);
    let text = match arguments.json {
        true => kills::json(&rows),
        false => kills::table(&rows, &impossible),
    };
    console::print_line(&text);
    let mut all_killed = sweeps.iter().all(|sweep| sweep.verdict == Verdict::Killed);
    if arguments.shrink {
        let EmittedTestResults { tests, errors } = emitted::verify(&builds, &mutants, &sweeps)?;
        let valid = tests - errors.len();
        eprintln!("{valid} of {tests} emitted tests fail with their bug and pass without it");
        errors.iter().for_each(|error| eprintln!("  {error}"));
        all_killed &= errors.is_empty();
    }
    Ok(if all_killed { Exit::Success } else { Exit::ExpectationNotMet })
}
