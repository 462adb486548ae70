//! The scenarios of `sim/scenarios`: each comes out as it expects, and reads as it prints.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use quorate_sim::run::RunOptions;
use quorate_sim::scenario::{Scenario, run_text};

/// The texts of all scenarios, by the names of their files.
fn scenarios() -> BTreeMap<String, String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
    let files = fs::read_dir(folder).expect("the folder is there");
    let files = files.map(|file| file.expect("it can be listed").path());
    files
        .map(|path| {
            let name = path.file_name().expect("a file has a name").to_string_lossy().into_owned();
            assert!(name.ends_with(".scenario"), "{name} is no scenario");
            (name, fs::read_to_string(&path).expect("it can be read"))
        })
        .collect()
}

#[test]
fn each_comes_out_as_it_expects() {
    assert!(scenarios().len() >= 8, "{:?}", scenarios().keys());
    for (name, text) in scenarios() {
        if let Err(trouble) = run_text(&text) {
            panic!("{name}: {trouble}");
        }
    }
}

#[test]
fn each_says_why_and_what_it_expects() {
    for (name, text) in scenarios() {
        assert!(text.starts_with("# "), "{name} does not say why");
        assert!(text.contains("\nexpect "), "{name} expects nothing");
    }
}

#[test]
fn each_reads_as_it_prints() {
    let workload = RunOptions::default().workload;
    for (name, text) in scenarios() {
        let scenario = Scenario::read(&text, &workload).unwrap_or_else(|m| panic!("{name}:{m}"));
        let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
        let mut written: Vec<&str> = lines.collect();
        let mut printed = scenario.lines();
        written.sort_unstable();
        printed.sort_unstable();
        assert_eq!(printed, written, "{name} says what need not be said, or otherwise");
    }
}
