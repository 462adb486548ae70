//! Runs the specs: readable scripts under `tests/specs` that drive a little deterministic cluster
//! and show, event by event, what it does. `tests/specs/README.md` has the language.
//!
//! `UPDATE_SPECS=1 cargo test --test specs` writes what the scripts print into them. Commit a
//! changed trace only if you can say why it changed.

mod specs_runner;

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use specs_runner::report::{Outcome, check_file};

#[test]
fn election() {
    check_area("election", 15);
}

#[test]
fn replication() {
    check_area("replication", 20);
}

#[test]
fn reads() {
    check_area("reads", 8);
}

#[test]
fn liveness() {
    check_area("liveness", 4);
}

/// Runs every script of the area, which must be at least `count_min`.
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

/// The scripts of an area, in the order of their names.
fn scripts(area: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/specs").join(area);
    let entries = fs::read_dir(&folder).expect("the area has a folder");
    let mut paths: Vec<PathBuf> =
        entries.map(|entry| entry.expect("it is listed").path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "txt"));
    paths.sort();
    paths
}
