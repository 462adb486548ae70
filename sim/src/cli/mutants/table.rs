//! The table of planted bugs, `sim/mutants.toml`: each a few edits to the sources, as data.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::cli::exit::Trouble;

/// The table's place below the root of the sources.
pub(crate) const PATH: &str = "sim/mutants.toml";

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    mutant: Vec<Mutant>,
}

/// One bug.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Mutant {
    /// Its name in the list of bugs, with a letter after it if it is one of several forms.
    pub(crate) id: String,
    /// The wrong behaviour.
    pub(crate) wrong: String,
    /// What it puts at risk.
    pub(crate) kind: Kind,
    /// Who is to find it.
    pub(crate) hunter: Hunter,
    /// How it is planted.
    pub(crate) edit: Vec<Edit>,
}

/// What a bug puts at risk.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Kind {
    /// Something bad happens.
    Safety,
    /// Something good never does.
    Liveness,
}

/// Who is to find a bug.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Hunter {
    /// A sweep of the default profile.
    Simulator,
}

/// One substitution.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Edit {
    /// The file, below the root of the sources.
    pub(crate) file: PathBuf,
    /// A text that occurs exactly once in it.
    pub(crate) find: String,
    /// The text in its place.
    pub(crate) replace: String,
}

impl Edit {
    /// The text with the substitution made.
    pub(crate) fn apply(&self, text: &str) -> Result<String, String> {
        match text.matches(&self.find).count() {
            1 => Ok(text.replacen(&self.find, &self.replace, 1)),
            times => Err(format!("`{}` occurs {times} times, not once", self.find)),
        }
    }
}

/// The table of the sources below `root`, or only the mutants called `only`.
pub(crate) fn read(root: &Path, only: &[String]) -> Result<Vec<Mutant>, Trouble> {
    let path = root.join(PATH);
    let text = fs::read_to_string(&path).map_err(|error| Trouble::file("table", &path, &error))?;
    let table: Table = toml::from_str(&text).map_err(|error| {
        let message = error.message().replace('\n', " ");
        let at = error.span().map_or(0, |span| span.start);
        let line = text[..at].matches('\n').count() + 1;
        Trouble(format!("table: {}: line {line}: {message}", path.display()))
    })?;
    let ids: BTreeSet<&str> = table.mutant.iter().map(|mutant| mutant.id.as_str()).collect();
    if let Some(unknown) = only.iter().find(|id| !ids.contains(id.as_str())) {
        let known = ids.into_iter().collect::<Vec<_>>().join(", ");
        return Err(Trouble(format!("--only: no mutant `{unknown}`; there are: {known}")));
    }
    let wanted = |mutant: &Mutant| only.is_empty() || only.contains(&mutant.id);
    let mutants: Vec<Mutant> = table.mutant.into_iter().filter(wanted).collect();
    let rotten: Vec<String> = mutants.iter().filter_map(|mutant| rot(root, mutant)).collect();
    if rotten.is_empty() { Ok(mutants) } else { Err(Trouble(rotten.join("; "))) }
}

/// Why the mutant can no longer be planted, if it cannot.
fn rot(root: &Path, mutant: &Mutant) -> Option<String> {
    let wrong = |edit: &Edit| {
        let text = fs::read_to_string(root.join(&edit.file)).map_err(|error| error.to_string());
        let error = text.and_then(|text| edit.apply(&text)).err()?.replace('\n', " ");
        Some(format!("{}: {}: {error}", mutant.id, edit.file.display()))
    };
    mutant.edit.iter().find_map(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn root() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
    }

    /// The bugs that the simulator must find at the least.
    const REQUIRED: [&str; 13] = [
        "EL01", "EL02", "EL03", "EL04", "EL07", "EL19", "LR01", "LR02", "LR06", "CM01", "CM07",
        "RD01", "RD02",
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
        for id in REQUIRED {
            assert!(ids.contains(id), "{id} is not planted");
        }
    }

    #[test]
    fn a_snippet_that_is_gone_or_no_longer_unique_is_refused() {
        let mut mutant = read(&root(), &["CM01".to_owned()]).expect("it is there").remove(0);
        assert_eq!(rot(&root(), &mutant), None);
        mutant.edit[0].find.push_str(" or not");
        assert!(rot(&root(), &mutant).is_some_and(|text| text.starts_with("CM01: src/raft/")));
        let edit = Edit { file: PathBuf::new(), find: "b".into(), replace: "x".into() };
        assert_eq!(edit.apply("abc"), Ok("axc".to_owned()));
        assert!(edit.apply("ac").is_err_and(|text| text.contains("0 times")));
        assert!(edit.apply("abcb").is_err_and(|text| text.contains("2 times")));
    }
}
