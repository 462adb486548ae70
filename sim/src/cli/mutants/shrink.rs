//! Shrinks the run that killed a mutant, and verifies that the shrunk run detects the bug.

use std::fs;
use std::path::{Path, PathBuf};

use crate::cli::exit::{CommandError, CommandResult};
use crate::cli::mutants::mutant_sweep::SweepCommand;
use crate::cli::mutants::programs::{MutantBinary, run_with_timeout};
use crate::cli::report::json::FailureRecord;
use crate::cli::shrunk_record::ShrunkRecord;

/// Shrinks the run that killed a mutant, and writes its scenario and its test as `name` in the
/// folder. The scenario must fail in the same way with the bug and pass without it; the inner error
/// says which condition does not hold, or why there is no shrunk run.
pub(crate) fn shrink(
    command: SweepCommand<'_>,
    failure: &FailureRecord,
    folder: &Path,
    name: &str,
) -> CommandResult<Result<ShrunkRecord, String>> {
    let made = fs::create_dir_all(folder);
    made.map_err(|error| CommandError::file("mutants", folder, &error))?;
    let mut process = command.mutant.command();
    process
        .args(["shrink", "--json", "--seed", &failure.seed.to_string()])
        .args(command.seed_arguments());
    process.arg("--emit-test").arg(folder.join(format!("{name}.rs")));
    let Some((_, text)) = run_with_timeout(&mut process)? else {
        return Ok(Err("shrinking reached the time limit".to_owned()));
    };
    let Ok(shrunk) = serde_json::from_str::<ShrunkRecord>(&text) else {
        return Ok(Err("shrinking failed".to_owned()));
    };
    let expects = |line: &&String| line.starts_with("expect ");
    let plain = shrunk.scenario.iter().filter(|line| !expects(line)).cloned();
    let with_failure = write(folder, &format!("{name}.scenario"), &shrunk.scenario)?;
    let without_failure = write(folder, &format!("{name}.passes"), &plain.collect::<Vec<_>>())?;
    let error = if !holds(command.mutant, &with_failure)? {
        "the shrunk scenario does not fail in the same way with the bug"
    } else if holds(command.mutant, &without_failure)? {
        "the shrunk scenario passes with the bug"
    } else if !holds(command.original, &without_failure)? {
        "the shrunk scenario fails without the bug"
    } else {
        return Ok(Ok(shrunk));
    };
    Ok(Err(error.to_owned()))
}

fn write(folder: &Path, name: &str, lines: &[String]) -> CommandResult<PathBuf> {
    let path = folder.join(name);
    let written = fs::write(&path, lines.join("\n"));
    written.map_err(|error| CommandError::file("mutants", &path, &error))?;
    Ok(path)
}

/// Runs a scenario and returns whether its expectations hold.
fn holds(planted: &MutantBinary, scenario: &Path) -> CommandResult<bool> {
    let ended = run_with_timeout(planted.command().arg("--scenario").arg(scenario))?;
    Ok(ended.is_some_and(|(succeeded, _)| succeeded))
}
