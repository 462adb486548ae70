//! Runs the specs: readable scripts under `tests/specs` that drive a little deterministic cluster
//! and show, event by event, what it does. `tests/specs/README.md` has the language.
//!
//! `UPDATE_SPECS=1 cargo test --test specs` writes what the scripts print into them. Commit a
//! changed trace only if you can say why it changed.

mod specs_runner;
mod survivors;

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use specs_runner::planted::{Copy, bugs};
use specs_runner::report::{Outcome, check_file};
use specs_runner::script::Script;

const AREAS: &[&str] = &[
    "election",
    "replication",
    "reads",
    "lease",
    "liveness",
    "snapshots",
    "acknowledge",
    "disk",
    "membership",
    "identity",
    "even",
    "transfer",
    "survivor",
    "quarantine",
];

#[test]
fn election() {
    check_area("election", 20);
}

#[test]
fn replication() {
    check_area("replication", 30);
}

#[test]
fn reads() {
    check_area("reads", 10);
}

#[test]
fn lease() {
    check_area("lease", 15);
}

#[test]
fn liveness() {
    check_area("liveness", 8);
}

#[test]
fn snapshots() {
    check_area("snapshots", 10);
}

#[test]
fn disk() {
    check_area("disk", 3);
}

#[test]
fn acknowledge() {
    check_area("acknowledge", 12);
}

#[test]
fn membership() {
    check_area("membership", 15);
}

#[test]
fn identity() {
    check_area("identity", 8);
}

#[test]
fn even() {
    check_area("even", 9);
}

#[test]
fn survivor() {
    check_area("survivor", 12);
}

#[test]
fn quarantine() {
    check_area("quarantine", 7);
}

#[test]
fn transfer() {
    check_area("transfer", 9);
}

#[test]
fn every_script_names_a_bug_that_can_be_planted() {
    let bugs = bugs(root());
    for (id, scripts) in scripts_by_bug() {
        let bug = bugs.get(&id).unwrap_or_else(|| panic!("{scripts:?} names no known bug: {id}"));
        bug.planted(root()).unwrap_or_else(|why| panic!("{why}"));
    }
}

/// Takes some minutes: it builds the specs once for each bug. `BUGS=EL07,SP01` plants only those.
#[test]
#[ignore = "builds the specs once for each planted bug"]
fn every_script_fails_under_its_bugs() {
    let only = env::var("BUGS").ok();
    let wanted = |id: &str| only.as_ref().is_none_or(|only| only.split(',').any(|it| it == id));
    let (bugs, copy) = (bugs(root()), Copy::new(root()));
    let mut survivors = Vec::new();
    for (id, scripts) in scripts_by_bug().into_iter().filter(|(id, _)| wanted(id)) {
        let failing = copy.failing(&bugs[&id]).unwrap_or_else(|why| panic!("{why}"));
        println!("{id}: {} scripts fail: {}", failing.len(), bugs[&id].wrong);
        let missed = scripts.into_iter().filter(|script| !failing.contains(script));
        survivors.extend(missed.map(|script| format!("{script} does not fail under {id}")));
    }
    assert!(survivors.is_empty(), "{}", survivors.join("\n"));
}

/// Which scripts say that they fail under which bug.
fn scripts_by_bug() -> BTreeMap<String, Vec<String>> {
    let mut by_bug: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for path in AREAS.iter().flat_map(|area| scripts(area)) {
        let text = fs::read_to_string(&path).expect("the script can be read");
        let shown = path.strip_prefix(root()).expect("it is below the root").display().to_string();
        let script = Script::parse(&text).unwrap_or_else(|why| panic!("{shown}: {}", why.what));
        for id in script.fails_under() {
            by_bug.entry(id.to_owned()).or_default().push(shown.clone());
        }
    }
    by_bug
}

/// Runs every script of the area, which must be at least `count_min`.
/// Where silence does not mean death, the last survivor is one of two: `docs/SURVIVOR.md` shows it.
#[test]
fn under_partition_the_brain_splits() {
    let script = root().join("tests/data/survivor/partition_splits_the_brain.txt");
    let Outcome::Broken(what) = check_file(&script, false) else {
        panic!("both sides go on, and nobody notices");
    };
    assert!(what.contains("n3 applies 2@t2, but 2@t1 was applied before"), "{what}");
}

fn check_area(area: &str, count_min: usize) {
    let update = env::var_os("UPDATE_SPECS").is_some();
    let scripts = scripts(area);
    let mut troubles = Vec::new();
    for path in &scripts {
        match check_file(path, update) {
            Outcome::AsExpected => {}
            Outcome::Differs(what) | Outcome::Broken(what) => troubles.push(what),
        }
    }
    println!("{area}: {} scripts, {} not as expected", scripts.len(), troubles.len());
    assert!(scripts.len() >= count_min, "{area} has {} scripts", scripts.len());
    assert!(
        troubles.is_empty(),
        "{} of {} scripts of {area}:\n\n{}\n\
         If the change is meant: UPDATE_SPECS=1 cargo test --test specs",
        troubles.len(),
        scripts.len(),
        troubles.join("\n")
    );
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The scripts of an area, in the order of their names.
fn scripts(area: &str) -> Vec<PathBuf> {
    let folder = root().join("tests/specs").join(area);
    let entries = fs::read_dir(&folder).expect("the area has a folder");
    let mut paths: Vec<PathBuf> =
        entries.map(|entry| entry.expect("it is listed").path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "txt"));
    paths.sort();
    paths
}
