//! The scenarios of `sim/scenarios`: each meets its expectation, and is in the printed form.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use quorate_sim::run::RunOptions;
use quorate_sim::scenario::{Scenario, run_text};

/// Returns the texts of all scenarios, by file name.
fn scenarios() -> BTreeMap<String, String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
    let files = fs::read_dir(folder).expect("the folder is there");
    let files = files.map(|file| file.expect("it can be listed").path());
    files
        .map(|path| {
            let name = path.file_name().expect("a file has a name").to_string_lossy().into_owned();
            assert!(name.ends_with(".scenario"), "{name} is not a scenario");
            (name, fs::read_to_string(&path).expect("it can be read"))
        })
        .collect()
}

#[test]
fn every_scenario_meets_its_expectation() {
    assert!(scenarios().len() >= 8, "{:?}", scenarios().keys());
    for (name, text) in scenarios() {
        if let Err(error) = run_text(&text) {
            panic!("{name}: {error}");
        }
    }
}

#[test]
fn every_scenario_has_a_reason_and_an_expectation() {
    for (name, text) in scenarios() {
        assert!(text.starts_with("# "), "{name} has no comment with its reason");
        assert!(text.contains("\nexpect "), "{name} has no `expect` line");
    }
}

#[test]
fn every_scenario_is_in_the_printed_form() {
    let workload = RunOptions::default().workload;
    for (name, text) in scenarios() {
        let scenario = Scenario::read(&text, &workload).unwrap_or_else(|m| panic!("{name}:{m}"));
        let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
        let mut written: Vec<&str> = lines.collect();
        let mut printed = scenario.lines();
        written.sort_unstable();
        printed.sort_unstable();
        assert_eq!(printed, written, "{name} is not in the printed form");
    }
}
