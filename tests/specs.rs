//! The specs: readable scripts under `tests/specs` that drive a small deterministic cluster and
//! show its behaviour, event by event. `tests/specs/README.md` describes the language.
//!
//! `UPDATE_SPECS=1 cargo test --test specs` writes the output of the scripts into them. Commit a
//! changed trace only if you can explain the change.

mod specs_runner;
mod survivors;

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use specs_runner::planted::{SourceCopy, bugs};
use specs_runner::report::{Outcome, check_file};
use specs_runner::script::Script;

/// Defines a test for each area of scripts; the number is the least number of its scripts.
macro_rules! areas {
    ($($area:ident: $count_min:literal,)*) => {
        const AREAS: &[&str] = &[$(stringify!($area)),*];

        $(#[test]
        fn $area() {
            check_area(stringify!($area), $count_min);
        })*
    };
}

areas! {
    election: 20,
    replication: 30,
    reads: 10,
    lease: 15,
    liveness: 8,
    snapshots: 10,
    acknowledge: 12,
    disk: 3,
    membership: 15,
    identity: 8,
    even: 9,
    transfer: 9,
    survivor: 12,
    quarantine: 7,
    repair: 6,
    uncertain: 9,
}

#[test]
fn every_script_names_a_bug_that_can_be_planted() {
    let bugs = bugs(root());
    for (id, scripts) in scripts_by_bug() {
        let bug = bugs.get(&id).unwrap_or_else(|| panic!("{scripts:?} names no known bug: {id}"));
        bug.planted(root()).unwrap_or_else(|why| panic!("{why}"));
    }
}

/// Builds the specs once for each bug, which takes minutes. `BUGS=EL07,SP01` selects bugs.
#[test]
#[ignore = "builds the specs once for each planted bug"]
fn every_script_fails_under_its_bugs() {
    let only = env::var("BUGS").ok();
    let is_selected =
        |id: &str| only.as_ref().is_none_or(|only| only.split(',').any(|it| it == id));
    let (bugs, copy) = (bugs(root()), SourceCopy::new(root()));
    let mut survivors = Vec::new();
    for (id, scripts) in scripts_by_bug().into_iter().filter(|(id, _)| is_selected(id)) {
        let failing = copy.failing(&bugs[&id]).unwrap_or_else(|why| panic!("{why}"));
        println!("{id}: {} scripts fail: {}", failing.len(), bugs[&id].wrong);
        let missed = scripts.into_iter().filter(|script| !failing.contains(script));
        survivors.extend(missed.map(|script| format!("{script} does not fail under {id}")));
    }
    assert!(survivors.is_empty(), "{}", survivors.join("\n"));
}

/// Returns the scripts that name each bug in `fails under`.
fn scripts_by_bug() -> BTreeMap<String, Vec<String>> {
    let mut by_bug: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for path in AREAS.iter().flat_map(|area| scripts(area)) {
        let text = fs::read_to_string(&path).expect("the script can be read");
        let shown = path.strip_prefix(root()).expect("it is below the root").display().to_string();
        let script =
            Script::parse(&text).unwrap_or_else(|error| panic!("{shown}: {}", error.message));
        for id in script.fails_under() {
            by_bug.entry(id.to_owned()).or_default().push(shown.clone());
        }
    }
    by_bug
}

/// Where silence does not mean death, a partition leaves two last survivors: `docs/SURVIVOR.md`
/// describes the run.
#[test]
fn a_partition_splits_the_brain() {
    let script = root().join("tests/data/survivor/partition_splits_the_brain.txt");
    let Outcome::Broken(text) = check_file(&script, false) else {
        panic!("both sides go on without a detected violation");
    };
    assert!(text.contains("n3 applies 2@t2, but 2@t1 was applied before"), "{text}");
}

fn check_area(area: &str, count_min: usize) {
    let update = env::var_os("UPDATE_SPECS").is_some();
    let scripts = scripts(area);
    let mut failures = Vec::new();
    for path in &scripts {
        match check_file(path, update) {
            Outcome::AsExpected => {}
            Outcome::Differs(text) | Outcome::Broken(text) => failures.push(text),
        }
    }
    println!("{area}: {} scripts, {} failures", scripts.len(), failures.len());
    assert!(scripts.len() >= count_min, "{area} has {} scripts", scripts.len());
    assert!(
        failures.is_empty(),
        "{} of {} scripts of {area}:\n\n{}\n\
         If the change is meant: UPDATE_SPECS=1 cargo test --test specs",
        failures.len(),
        scripts.len(),
        failures.join("\n")
    );
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Returns the scripts of an area, in the order of their names.
fn scripts(area: &str) -> Vec<PathBuf> {
    let folder = root().join("tests/specs").join(area);
    let entries = fs::read_dir(&folder).expect("the area has a folder");
    let mut paths: Vec<PathBuf> =
        entries.map(|entry| entry.expect("the entry is readable").path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "txt"));
    paths.sort();
    paths
}
