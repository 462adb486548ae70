//! The file of measured mutants, from which a stopped run continues.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::cli::exit::{CommandError, CommandResult};
use crate::cli::mutants::auto::worker::SeedFailure;
use crate::cli::mutants::sources::hash;

/// The part that all records of a file have in common; its first line.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
pub(crate) struct Header {
    /// A hash of the sources, in hexadecimal.
    pub(crate) sources: String,
    /// The name of the search strategy.
    pub(crate) strategy: String,
    /// The number of seeds of each profile.
    pub(crate) seeds: u64,
    /// The names of the profiles, in their order.
    pub(crate) profiles: Vec<String>,
}

impl Header {
    /// Returns a name for the file that is different for each header.
    pub(crate) fn name(&self) -> String {
        let json = serde_json::to_string(self).expect("a record is always valid JSON");
        format!("{:016x}", hash(0, json.as_bytes()))
    }
}

/// The result of one mutant, a line of the file.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(crate) struct AutoRecord {
    /// The identity of the mutant in this version of the sources.
    pub(crate) id: String,
    /// The value of `PLANTED_BUG` that turns it on in the build of these sources.
    pub(crate) number: usize,
    pub(crate) module: String,
    pub(crate) file: String,
    pub(crate) line: usize,
    pub(crate) column: usize,
    pub(crate) function: String,
    pub(crate) kind: String,
    /// The change in words.
    pub(crate) change: String,
    pub(crate) verdict: Verdict,
    /// The failure that killed the mutant.
    pub(crate) killer: Option<Killer>,
}

/// The result of all seeds that a mutant may change.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Verdict {
    /// No seed reached its place.
    NotReached,
    /// Seeds reached its place, always with the value of the original.
    NotDifferent,
    /// Seeds reached its place with a different value, and none failed that passes without the
    /// mutant.
    Alive,
    /// A seed failed that passes without the mutant.
    Killed,
}

/// The failure that killed a mutant.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(crate) struct Killer {
    pub(crate) profile: String,
    pub(crate) seed: u64,
    /// The number of seeds of the profile up to this one.
    pub(crate) after_seeds: u64,
    /// Whether this is the first of the profiles.
    pub(crate) is_first: bool,
    #[serde(flatten)]
    pub(crate) failure: SeedFailure,
}

/// The records of one header.
pub(crate) struct Records {
    path: PathBuf,
    file: File,
    known: BTreeMap<String, AutoRecord>,
}

impl Records {
    /// Opens the file, or creates it.
    pub(crate) fn open(path: &Path, header: &Header) -> CommandResult<Records> {
        let failed = |error| CommandError::file("mutants", path, &error);
        let present = match fs::read_to_string(path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            present => present.map_err(failed)?,
        };
        let file = OpenOptions::new().create(true).append(true).open(path);
        let mut file = file.map_err(failed)?;
        let mut lines = present.lines();
        match lines.next().map(serde_json::from_str::<Header>) {
            Some(Ok(other)) if other == *header => {}
            Some(Ok(other)) => return Err(CommandError(difference(path, &other, header))),
            Some(Err(error)) => {
                let error = format!("line 1: no header of `mutants --auto`: {error}");
                return Err(CommandError::invalid_file(path, &error));
            }
            None => {
                let json = serde_json::to_string(header).expect("a record is always valid JSON");
                writeln!(file, "{json}").map_err(failed)?;
            }
        }
        // The last line may be incomplete if the process was stopped while it wrote it.
        if !present.is_empty() && !present.ends_with('\n') {
            writeln!(file).map_err(failed)?;
        }
        let known = lines.filter_map(|line| serde_json::from_str::<AutoRecord>(line).ok());
        let known = known.map(|record| (record.id.clone(), record)).collect();
        Ok(Records { path: path.to_owned(), file, known })
    }

    /// Returns the record of a mutant that was measured before.
    pub(crate) fn known(&self, id: &str) -> Option<&AutoRecord> {
        self.known.get(id)
    }

    pub(crate) fn add(&mut self, record: &AutoRecord) -> CommandResult<()> {
        let line = serde_json::to_string(record).expect("a record is always valid JSON");
        let written = writeln!(self.file, "{line}");
        written.map_err(|error| CommandError::file("mutants", &self.path, &error))
    }
}

/// Returns the first difference of two headers as an error.
fn difference(path: &Path, other: &Header, header: &Header) -> String {
    let what = if other.sources != header.sources {
        format!("other sources ({}, not {})", other.sources, header.sources)
    } else if other.strategy != header.strategy {
        format!("the strategy {}, not {}", other.strategy, header.strategy)
    } else if other.seeds != header.seeds {
        format!("{} seeds of each profile, not {}", other.seeds, header.seeds)
    } else {
        format!("the profiles {}, not {}", other.profiles.join(","), header.profiles.join(","))
    };
    format!("mutants: {}: the file has results of {what}: name another --results", path.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(seeds: u64) -> Header {
        let profiles = vec!["default".to_owned()];
        Header { sources: "a".to_owned(), strategy: "nemeses".to_owned(), seeds, profiles }
    }

    fn record(id: &str) -> AutoRecord {
        serde_json::from_value(serde_json::json!({
            "id": id, "number": 1, "module": "log", "file": "src/log/mod.rs", "line": 3,
            "column": 5, "function": "last", "kind": "comparison", "change": "",
            "verdict": "killed",
            "killer": {
                "profile": "default", "seed": 4, "after_seeds": 5, "is_first": true,
                "kind": "safety", "check": "S1 election-safety", "detail": "two leaders",
            },
        }))
        .expect("the record is valid")
    }

    #[test]
    fn a_stopped_run_continues_from_the_file() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("results.jsonl");
        let mut records = Records::open(&path, &header(9)).expect("it opens");
        records.add(&record("one")).expect("it is written");
        write!(records.file, "{{\"cut sho").expect("it is written");
        drop(records);
        let mut records = Records::open(&path, &header(9)).expect("it opens");
        assert_eq!(records.known("one"), Some(&record("one")));
        records.add(&record("two")).expect("it is written");
        let records = Records::open(&path, &header(9)).expect("it opens");
        assert!(records.known("two").is_some(), "the incomplete line broke the next one");
    }

    #[test]
    fn results_of_other_sources_or_seeds_are_rejected() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("results.jsonl");
        drop(Records::open(&path, &header(9)).expect("it opens"));
        let error = |header: &Header| match Records::open(&path, header) {
            Err(error) => error.0,
            Ok(_) => panic!("{header:?} was accepted"),
        };
        assert!(error(&header(8)).contains("9 seeds of each profile, not 8"));
        let other = Header { sources: "b".to_owned(), ..header(9) };
        assert!(error(&other).contains("other sources (a, not b)"));
        fs::write(&path, "no json\n").expect("it is written");
        assert!(error(&header(9)).contains("no header"));
    }
}
