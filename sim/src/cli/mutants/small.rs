//! What is left of the run that killed a mutant, and the proof that it tells the two trees apart.

use std::fs;
use std::path::{Path, PathBuf};

use crate::cli::exit::Trouble;
use crate::cli::mutants::hunt::Hunt;
use crate::cli::mutants::programs::{Planted, finish};
use crate::cli::report::json::FailureRecord;
use crate::cli::shrink::ShrunkRecord;

/// Makes the run that killed a mutant small, and keeps its scenario and its test as `name` in the
/// folder. The
/// scenario has to fail alike with the bug, and to pass without it.
pub(crate) fn shrink(
    hunt: Hunt<'_>,
    failure: &FailureRecord,
    folder: &Path,
    name: &str,
) -> Result<Result<ShrunkRecord, String>, Trouble> {
    let made = fs::create_dir_all(folder);
    made.map_err(|error| Trouble::file("mutants", folder, &error))?;
    let mut command = hunt.mutant.command();
    command.args(["shrink", "--json", "--seed", &failure.seed.to_string()]).args(hunt.family());
    command.arg("--emit-test").arg(folder.join(format!("{name}.rs")));
    let Some((_, text)) = finish(&mut command)? else {
        return Ok(Err("shrinking did not end".to_owned()));
    };
    let Ok(shrunk) = serde_json::from_str::<ShrunkRecord>(&text) else {
        return Ok(Err("shrinking came to nothing".to_owned()));
    };
    let expects = |line: &&String| line.starts_with("expect ");
    let plain = shrunk.scenario.iter().filter(|line| !expects(line)).cloned();
    let fails = write(folder, &format!("{name}.scenario"), &shrunk.scenario)?;
    let passes = write(folder, &format!("{name}.passes"), &plain.collect::<Vec<_>>())?;
    let wrong = if !succeeds(hunt.mutant, &fails)? {
        "the scenario does not fail alike with the bug"
    } else if succeeds(hunt.mutant, &passes)? {
        "the test passes with the bug"
    } else if !succeeds(hunt.original, &passes)? {
        "the test fails without the bug"
    } else {
        return Ok(Ok(shrunk));
    };
    Ok(Err(wrong.to_owned()))
}

fn write(folder: &Path, name: &str, lines: &[String]) -> Result<PathBuf, Trouble> {
    let path = folder.join(name);
    let written = fs::write(&path, lines.join("\n"));
    written.map_err(|error| Trouble::file("mutants", &path, &error))?;
    Ok(path)
}

/// Whether a scenario comes out as it expects.
fn succeeds(planted: &Planted, scenario: &Path) -> Result<bool, Trouble> {
    let ended = finish(planted.command().arg("--scenario").arg(scenario))?;
    Ok(ended.is_some_and(|(succeeded, _)| succeeded))
}
