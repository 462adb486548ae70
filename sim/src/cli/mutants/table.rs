//! The table of planted bugs, `sim/mutants.toml`. Each bug is a list of edits to the sources.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::cli::exit::{CommandError, CommandResult};
use crate::settings::profile::Profile;
use crate::values::substitution::substitute;

/// The path of the table, relative to the root of the sources.
pub(crate) const PATH: &str = "sim/mutants.toml";

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    mutant: Vec<Mutant>,
    #[serde(default)]
    impossible: Vec<Impossible>,
}

/// A known bug of Raft implementations that cannot be planted in this design.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Impossible {
    /// The id of the bug, unique in the table.
    pub(crate) id: String,
    /// The part of the design that rules out the bug.
    pub(crate) reason: String,
}

/// A bug that can be planted.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Mutant {
    /// The id of the bug, unique in the table; a letter at its end distinguishes forms of one bug.
    pub(crate) id: String,
    /// The wrong behaviour in one clause.
    pub(crate) wrong: String,
    /// The kind of property that the bug violates.
    #[serde(default)]
    pub(crate) kind: Kind,
    /// The profile of the sweeps; `None` for the default profile.
    pub(crate) profile: Option<String>,
    /// The arguments of `cargo test --package quorate`, if a test must detect the bug.
    pub(crate) test: Option<String>,
    /// The edits that plant the bug.
    pub(crate) edit: Vec<Edit>,
}

impl Mutant {
    /// The test method that must detect the bug.
    pub(crate) fn detector(&self) -> Detector {
        if self.test.is_some() { Detector::Test } else { Detector::Simulator }
    }

    /// Returns the edited files, with the edits applied to the contents that `text` returns.
    pub(crate) fn planted(
        &self,
        text: impl Fn(&Path) -> Result<String, String>,
    ) -> CommandResult<BTreeMap<PathBuf, String>> {
        let mut files = BTreeMap::new();
        for Edit { file, inside, find, replace } in &self.edit {
            let before = files.remove(file).map_or_else(|| text(file), Ok);
            let after = before.and_then(|text| substitute(&text, inside.as_deref(), find, replace));
            let after = after.map_err(|error| {
                let error = error.replace('\n', " ");
                CommandError(format!("{}: {}: {error}", self.id, file.display()))
            })?;
            files.insert(file.clone(), after);
        }
        Ok(files)
    }
}

/// The kind of property that a bug violates.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Kind {
    /// A forbidden state is reached.
    #[default]
    Safety,
    /// A required state, such as a commit, is never reached.
    Liveness,
}

/// The test method that must detect a bug.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Detector {
    /// A sweep of simulator seeds.
    Simulator,
    /// A test of the library, which fails with the bug and passes without it.
    Test,
}

/// One text substitution in a source file.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Edit {
    /// The path of the file, relative to the root of the sources.
    pub(crate) file: PathBuf,
    /// Text that occurs only in the first line of the item to change. Without it, `find` is
    /// searched in the whole file.
    pub(crate) inside: Option<String>,
    /// Text that occurs exactly once in the item.
    pub(crate) find: String,
    /// The text that replaces it.
    pub(crate) replace: String,
}

/// Returns the mutants of the sources below `root`, restricted to the ids `only` if not empty.
pub(crate) fn read(root: &Path, only: &[String]) -> CommandResult<Vec<Mutant>> {
    let table = table(root)?;
    let ids: BTreeSet<&str> = table.mutant.iter().map(|mutant| mutant.id.as_str()).collect();
    if let Some(unknown) = only.iter().find(|id| !ids.contains(id.as_str())) {
        let known = ids.into_iter().collect::<Vec<_>>().join(", ");
        return Err(CommandError(format!(
            "--only: unknown mutant `{unknown}`; known mutants: {known}"
        )));
    }
    let wanted = |mutant: &Mutant| only.is_empty() || only.contains(&mutant.id);
    let mutants: Vec<Mutant> = table.mutant.into_iter().filter(wanted).collect();
    let errors: Vec<String> =
        mutants.iter().filter_map(|mutant| planting_error(root, mutant)).collect();
    if errors.is_empty() { Ok(mutants) } else { Err(CommandError(errors.join("; "))) }
}

/// Returns the bugs that cannot be planted in this design.
pub(crate) fn impossible(root: &Path) -> CommandResult<Vec<Impossible>> {
    table(root).map(|table| table.impossible)
}

fn table(root: &Path) -> CommandResult<Table> {
    let path = root.join(PATH);
    let text =
        fs::read_to_string(&path).map_err(|error| CommandError::file("table", &path, &error))?;
    let table: Table = toml::from_str(&text).map_err(|error| {
        let message = error.message().replace('\n', " ");
        let at = error.span().map_or(0, |span| span.start);
        let line = text[..at].matches('\n').count() + 1;
        CommandError(format!("table: {}: line {line}: {message}", path.display()))
    })?;
    match table.mutant.iter().find_map(configuration_error) {
        None => Ok(table),
        Some(error) => Err(CommandError(format!("table: {}: {error}", path.display()))),
    }
}

/// Returns the error in the profile and the test of a mutant, if there is one.
fn configuration_error(mutant: &Mutant) -> Option<String> {
    let id = &mutant.id;
    match mutant.detector() {
        Detector::Test if mutant.profile.is_some() => Some(format!("{id}: a test has no profile")),
        _ => {
            let unknown = Profile::by_name(mutant.profile.as_ref()?).err()?;
            Some(format!("{id}: {unknown}"))
        }
    }
}

/// Returns the error if the mutant cannot be planted.
fn planting_error(root: &Path, mutant: &Mutant) -> Option<String> {
    let text = |file: &Path| fs::read_to_string(root.join(file)).map_err(|error| error.to_string());
    mutant.planted(text).err().map(|error| error.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn root() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
    }

    /// The bugs that the table must contain.
    const REQUIRED: &[&str] = &[
        "EL01", "EL02", "EL03", "EL04", "EL07", "EL19", "LR01", "LR02", "LR06", "LR09", "LR17",
        "LR18", "CM01", "CM07", "AP01", "AP05", "AP06", "AP08", "RD01", "RD02", "SN02", "SN03",
        "SN05", "SN07", "SN09", "SN10", "SN11", "SN14", "SN15", "ST01", "ST02", "ST04", "ST05",
        "ST07", "ST14", "ST15", "ST17", "ST19", "CL01", "CL03", "CL06", "EL09", "EL12", "EL14",
        "EL15", "EL17", "EL20", "EL22", "EL24", "LR04", "LR11", "LR12", "LR14", "LR15", "CM03",
        "CM05", "CM09", "CM10", "CM11", "MC01", "MC03", "MC04", "MC06", "MC09", "MC11", "MC13",
        "MC14", "ST12", "TR01", "TR02", "TR05", "FL02", "FL04", "FL05", "FL07", "TP04", "RD04",
        "RD06", "RD08", "RD09", "RD12", "RD13", "TR06", "CL07", "CL08", "VA01", "SEC01", "SEC03",
        "SEC04", "SEC07", "TP03", "TP05", "FL08",
    ];

    #[test]
    fn every_snippet_occurs_exactly_once() {
        let mutants = read(&root(), &[]).unwrap_or_else(|error| panic!("{error}"));
        for mutant in mutants {
            assert!(!mutant.edit.is_empty(), "{}: nothing is edited", mutant.id);
            let changes = |edit: &Edit| edit.find != edit.replace;
            assert!(mutant.edit.iter().all(changes), "{}: an edit changes nothing", mutant.id);
        }
    }

    #[test]
    fn every_required_bug_is_in_the_table_and_none_twice() {
        let mutants = read(&root(), &[]).expect("the table is well formed");
        let ids: BTreeSet<&str> = mutants.iter().map(|mutant| mutant.id.as_str()).collect();
        assert_eq!(ids.len(), mutants.len(), "an id occurs twice");
        let impossible = impossible(&root()).expect("the table is well formed");
        let excused: BTreeSet<&str> = impossible.iter().map(|bug| bug.id.as_str()).collect();
        assert_eq!(excused.len(), impossible.len(), "an impossible bug occurs twice");
        for id in REQUIRED.iter().copied() {
            assert!(ids.contains(id) != excused.contains(id), "{id}: planted, or impossible");
        }
    }

    #[test]
    fn an_impossible_bug_has_a_reason() {
        for bug in impossible(&root()).expect("the table is well formed") {
            let reason = bug.reason.trim();
            assert!(
                reason.len() > 40 && reason.ends_with('.'),
                "{}: the reason must be a sentence",
                bug.id
            );
        }
    }

    #[test]
    fn an_invalid_profile_is_rejected() {
        let mut mutant = read(&root(), &["CM01".to_owned()]).expect("it is there").remove(0);
        assert_eq!(configuration_error(&mutant), None);
        mutant.profile = Some("disk".to_owned());
        assert_eq!(configuration_error(&mutant), None);
        mutant.profile = Some("nowhere".to_owned());
        assert!(configuration_error(&mutant).is_some_and(|text| text.contains("unknown profile")));
        (mutant.profile, mutant.test) = (None, Some("--test storage".to_owned()));
        assert_eq!(configuration_error(&mutant), None);
        mutant.profile = Some("disk".to_owned());
        assert!(configuration_error(&mutant).is_some(), "a test has no profile");
    }

    #[test]
    fn a_missing_or_ambiguous_snippet_is_rejected() {
        let mut mutant = read(&root(), &["CM01".to_owned()]).expect("it is there").remove(0);
        assert_eq!(planting_error(&root(), &mutant), None);
        mutant.edit[0].find.push_str(" or not");
        assert!(
            planting_error(&root(), &mutant)
                .is_some_and(|text| text.starts_with("CM01: src/raft/"))
        );
        let edit = |find: &str, replace: &str| Edit {
            file: "f".into(),
            inside: None,
            find: find.into(),
            replace: replace.into(),
        };
        mutant.edit = vec![edit("b", "x"), edit("ax", "y")];
        let planted = |text: &str| mutant.planted(|_| Ok(text.to_owned()));
        let done = planted("abc").expect("each edit finds its text");
        assert_eq!(done, BTreeMap::from([("f".into(), "yc".to_owned())]));
        assert!(planted("ac").is_err_and(|error| error.0.contains("0 times")));
        assert!(planted("abcb").is_err_and(|error| error.0.contains("2 times")));
    }
}
