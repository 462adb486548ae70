//! The run of one script file and the report of its first failure.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use super::cluster::Cluster;
use super::command::Command;
use super::diff::diff;
use super::script::{Script, ScriptError};

/// The outcome of a script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The script printed the expected output.
    AsExpected,
    /// The script printed different output; the text shows the first difference.
    Differs(String),
    /// The script could not be parsed or carried out, or it violated a safety property.
    Broken(String),
}

/// Runs the script at `path`; with `update`, it writes the output into the file.
pub(crate) fn check_file(path: &Path, update: bool) -> Outcome {
    let shown = path.strip_prefix(env!("CARGO_MANIFEST_DIR")).unwrap_or(path).display();
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) => return Outcome::Broken(format!("{shown}: {error}")),
    };
    let printed = Script::parse(&text).and_then(|script| Ok((run(&script)?, script)));
    let (printed, script) = match printed {
        Ok(printed) => printed,
        Err(ScriptError { line, message }) => {
            return Outcome::Broken(format!("{shown}:{line}: {message}"));
        }
    };
    if update {
        let updated = script.rewritten(&printed);
        if updated != text {
            // Other tests read the scripts at the same time and must not see a partial file.
            let half_written = path.with_extension("new");
            fs::write(&half_written, updated).expect("the specs can be written");
            fs::rename(&half_written, path).expect("the specs can be replaced");
        }
        return Outcome::AsExpected;
    }
    match first_difference(&script, &printed) {
        None => Outcome::AsExpected,
        Some((line, difference)) => Outcome::Differs(format!("{shown}:{line}: {difference}")),
    }
}

/// Carries out every command and returns the output of each.
pub(crate) fn run(script: &Script) -> Result<Vec<Vec<String>>, ScriptError> {
    let mut cluster = Cluster::new();
    let mut printed = Vec::new();
    for step in script.steps() {
        let broken = |message: String| ScriptError { line: step.line, message };
        let command = Command::parse(&step.text).map_err(broken)?;
        let lines = catch_unwind(AssertUnwindSafe(|| cluster.carry_out(command)));
        let lines = lines.map_err(|panic| broken(format!("the core panicked: {}", words(&*panic))));
        printed.push(lines?.map_err(broken)?);
    }
    Ok(printed)
}

fn words(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default()
}

/// Returns the line of the first command with unexpected output, and the difference.
fn first_difference(script: &Script, printed: &[Vec<String>]) -> Option<(usize, String)> {
    let mut pairs = script.steps().zip(printed);
    let (step, lines) = pairs.find(|(step, lines)| step.expected != **lines)?;
    let later = pairs.filter(|(step, lines)| step.expected != **lines).count();
    let mut text = format!("`{}` prints other lines (- expected, + printed)\n", step.text);
    for line in diff(&step.expected, lines) {
        text.push_str(&format!("    {line}\n"));
    }
    if later > 0 {
        text.push_str(&format!("  {later} later commands differ, too\n"));
    }
    Some((step.line, text))
}
