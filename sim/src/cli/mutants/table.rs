//! The table of planted bugs, `sim/mutants.toml`: each a few edits to the sources, as data.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::cli::exit::Trouble;
use crate::profile::Profile;

/// The table's place below the root of the sources.
pub(crate) const PATH: &str = "sim/mutants.toml";

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    mutant: Vec<Mutant>,
    #[serde(default)]
    impossible: Vec<Impossible>,
}

/// A bug of the list that cannot be planted here.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Impossible {
    /// Its name in the list of bugs.
    pub(crate) id: String,
    /// Which part of the design leaves it no place.
    pub(crate) reason: String,
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
    /// The profile of the simulator's sweeps; the default one if it is not named.
    pub(crate) profile: Option<String>,
    /// What `cargo test --package quorate` is told to run, if a test is the hunter.
    pub(crate) test: Option<String>,
    /// How it is planted.
    pub(crate) edit: Vec<Edit>,
}

impl Mutant {
    /// The files it edits, with its edits made to what `text` says is in them.
    pub(crate) fn planted(
        &self,
        text: impl Fn(&Path) -> Result<String, String>,
    ) -> Result<BTreeMap<PathBuf, String>, Trouble> {
        let mut files = BTreeMap::new();
        for Edit { file, find, replace } in &self.edit {
            let before = files.remove(file).map_or_else(|| text(file), Ok);
            let after = before.and_then(|text| match text.matches(find).count() {
                1 => Ok(text.replacen(find, replace, 1)),
                times => Err(format!("`{find}` occurs {times} times, not once")),
            });
            let after = after.map_err(|error| {
                let error = error.replace('\n', " ");
                Trouble(format!("{}: {}: {error}", self.id, file.display()))
            })?;
            files.insert(file.clone(), after);
        }
        Ok(files)
    }
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
    /// A sweep of the simulator.
    Simulator,
    /// One of the library's tests, which fails with the bug and passes without.
    Test,
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

/// The mutants of the sources below `root`, or only those called `only`.
pub(crate) fn read(root: &Path, only: &[String]) -> Result<Vec<Mutant>, Trouble> {
    let table = table(root)?;
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

/// The bugs that cannot be planted in the sources below `root`.
pub(crate) fn impossible(root: &Path) -> Result<Vec<Impossible>, Trouble> {
    table(root).map(|table| table.impossible)
}

fn table(root: &Path) -> Result<Table, Trouble> {
    let path = root.join(PATH);
    let text = fs::read_to_string(&path).map_err(|error| Trouble::file("table", &path, &error))?;
    let table: Table = toml::from_str(&text).map_err(|error| {
        let message = error.message().replace('\n', " ");
        let at = error.span().map_or(0, |span| span.start);
        let line = text[..at].matches('\n').count() + 1;
        Trouble(format!("table: {}: line {line}: {message}", path.display()))
    })?;
    match table.mutant.iter().find_map(misled) {
        None => Ok(table),
        Some(wrong) => Err(Trouble(format!("table: {}: {wrong}", path.display()))),
    }
}

/// Why nobody can hunt the mutant as it is described, if so.
fn misled(mutant: &Mutant) -> Option<String> {
    let id = &mutant.id;
    match (mutant.hunter, &mutant.profile, &mutant.test) {
        (Hunter::Simulator, Some(profile), None) => {
            let unknown = Profile::by_name(profile).err()?;
            Some(format!("{id}: {unknown}"))
        }
        (Hunter::Simulator, None, None) | (Hunter::Test, None, Some(_)) => None,
        (Hunter::Simulator, _, Some(_)) => Some(format!("{id}: the simulator runs no test")),
        (Hunter::Test, ..) => Some(format!("{id}: a test is named, and no profile")),
    }
}

/// Why the mutant can no longer be planted, if it cannot.
fn rot(root: &Path, mutant: &Mutant) -> Option<String> {
    let text = |file: &Path| fs::read_to_string(root.join(file)).map_err(|error| error.to_string());
    mutant.planted(text).err().map(|trouble| trouble.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn root() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
    }

    /// The bugs that must be found at the least.
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
    fn what_is_impossible_is_said_to_be_with_a_reason() {
        for bug in impossible(&root()).expect("the table is well formed") {
            let reason = bug.reason.trim();
            assert!(reason.len() > 40 && reason.ends_with('.'), "{}: a sentence says why", bug.id);
        }
    }

    #[test]
    fn a_hunter_that_cannot_hunt_is_refused() {
        let mut mutant = read(&root(), &["CM01".to_owned()]).expect("it is there").remove(0);
        assert_eq!(misled(&mutant), None);
        mutant.profile = Some("disk".to_owned());
        assert_eq!(misled(&mutant), None);
        mutant.profile = Some("nowhere".to_owned());
        assert!(misled(&mutant).is_some_and(|text| text.contains("unknown profile")));
        mutant.hunter = Hunter::Test;
        assert!(misled(&mutant).is_some(), "a test knows no profile");
        (mutant.profile, mutant.test) = (None, Some("--test storage".to_owned()));
        assert_eq!(misled(&mutant), None);
        mutant.hunter = Hunter::Simulator;
        assert!(misled(&mutant).is_some(), "the simulator runs no test");
    }

    #[test]
    fn a_snippet_that_is_gone_or_no_longer_unique_is_refused() {
        let mut mutant = read(&root(), &["CM01".to_owned()]).expect("it is there").remove(0);
        assert_eq!(rot(&root(), &mutant), None);
        mutant.edit[0].find.push_str(" or not");
        assert!(rot(&root(), &mutant).is_some_and(|text| text.starts_with("CM01: src/raft/")));
        let edit = |find: &str, replace: &str| Edit {
            file: "f".into(),
            find: find.into(),
            replace: replace.into(),
        };
        mutant.edit = vec![edit("b", "x"), edit("ax", "y")];
        let planted = |text: &str| mutant.planted(|_| Ok(text.to_owned()));
        let done = planted("abc").expect("each edit finds its text");
        assert_eq!(done, BTreeMap::from([("f".into(), "yc".to_owned())]));
        assert!(planted("ac").is_err_and(|trouble| trouble.0.contains("0 times")));
        assert!(planted("abcb").is_err_and(|trouble| trouble.0.contains("2 times")));
    }
}
