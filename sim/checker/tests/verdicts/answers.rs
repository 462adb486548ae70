//! Checks histories with known verdicts, in the folder that `QUORATE_DATA` names. Without it these
//! tests print that they were skipped.

use std::env;
use std::fs::File;
use std::path::{Path, PathBuf};

use quorate_checker::budget::Budget;
use quorate_checker::formats::{self, AnyHistory, Loaded, Options, Visitor};
use quorate_checker::history::{Client, History, Outcome};
use quorate_checker::model::Model;
use quorate_checker::verdict::Verdict;
use serde_json::{Map, Value};

/// One history file, and its known verdict.
struct Case {
    name: String,
    path: PathBuf,
    known: Value,
}

/// Returns the cases of both folders, or `None` if `QUORATE_DATA` is not set.
fn cases(test: &str) -> Option<Vec<Case>> {
    let Some(data) = env::var_os("QUORATE_DATA") else {
        println!("SKIPPED {test}: QUORATE_DATA is not set");
        return None;
    };
    let folders = ["facts", "public"].map(|name| Path::new(&data).join(name).join("histories"));
    let mut cases = Vec::new();
    for folder in folders {
        let path = folder.join("verdicts.json");
        let file = File::open(&path).unwrap_or_else(|error| panic!("{path:?}: {error}"));
        let known: Map<String, Value> = serde_json::from_reader(file).expect("the text is JSON");
        cases.extend(known.into_iter().map(|(name, known)| {
            let path = folder.join(known["file"].as_str().expect("each has a file"));
            Case { name, path, known }
        }));
    }
    assert!(!cases.is_empty());
    Some(cases)
}

fn load(case: &Case) -> Loaded {
    let file = File::open(&case.path).unwrap_or_else(|error| panic!("{}: {error}", case.name));
    let loaded = formats::read(file, &Options::default());
    loaded.unwrap_or_else(|error| panic!("{}: {error}", case.name))
}

/// Counts the operations, those of unknown outcome, and the clients.
struct Count;

impl Visitor for Count {
    type Out = [usize; 3];

    fn visit<M: Model>(self, _: &M, history: &History<M::Op, M::Ret>) -> [usize; 3] {
        let operations = history.operations();
        let unknown = operations.iter().filter(|op| matches!(op.outcome, Outcome::Unknown));
        let mut clients: Vec<Client> = operations.iter().map(|op| op.client).collect();
        clients.sort();
        clients.dedup();
        [operations.len(), unknown.count(), clients.len()]
    }
}

#[test]
fn every_history_is_parsed_completely() {
    let Some(cases) = cases("every_history_is_parsed_completely") else { return };
    for case in &cases {
        let loaded = load(case);
        let known = ["ops", "unknown_ops", "processes"]
            .map(|name| case.known[name].as_u64().expect("each is counted") as usize);
        assert_eq!(loaded.history.visit(Count), known, "{}", case.name);
        assert_eq!(loaded.name.as_deref(), Some(case.name.as_str()));
    }
    println!("read {} histories", cases.len());
}

#[test]
fn a_written_history_parses_the_same() {
    let Some(cases) = cases("a_written_history_parses_the_same") else { return };
    for case in &cases {
        let loaded = load(case);
        let mut text = Vec::new();
        formats::write(&mut text, &case.name, &loaded.history).expect("memory takes everything");
        let again = formats::parse(&text, &Options::default());
        let again = again.unwrap_or_else(|wrong| panic!("{}: {wrong}", case.name));
        let lines = |history: &AnyHistory| {
            let mut text = Vec::new();
            formats::write(&mut text, "", history).expect("memory takes everything");
            text
        };
        assert!(lines(&loaded.history) == lines(&again.history), "{}", case.name);
    }
}

#[test]
fn every_verdict_matches_the_known_one() {
    let Some(cases) = cases("every_verdict_matches_the_known_one") else { return };
    let mut different = Vec::new();
    for case in &cases {
        let known = case.known["linearizable"].as_bool().expect("each has a verdict");
        let found = match load(case).history.check(&Budget::default()) {
            Verdict::Linearizable => Some(true),
            Verdict::NotLinearizable(_) => Some(false),
            Verdict::Unknown(_) => None,
        };
        if found != Some(known) {
            different.push(format!("{}: {found:?} and not {known}", case.name));
        }
    }
    assert!(different.is_empty(), "{} of {}: {different:#?}", different.len(), cases.len());
    println!("checked {} histories", cases.len());
}
