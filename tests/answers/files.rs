//! The check that every file of cases has a test that runs it, or is listed as skipped.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use crate::answers::cases::shared_folder;
use crate::skip;

/// The folders of cases, in this repository and below `facts` of `QUORATE_DATA`.
const FOLDERS: [&str; 4] = ["oracle", "raft-paper", "figures", "scenarios"];

/// Returns the files of cases below `root`, as `folder/name`.
fn files(root: &Path) -> BTreeSet<String> {
    let in_folder = |folder: &str| {
        let entries = fs::read_dir(root.join(folder)).into_iter().flatten();
        let name = |entry: fs::DirEntry| entry.file_name().to_string_lossy().into_owned();
        let names = entries.map(|entry| name(entry.expect("the folder is readable")));
        names.map(|name| format!("{folder}/{name}")).collect::<Vec<_>>()
    };
    FOLDERS.into_iter().flat_map(in_folder).collect()
}

/// Appends the sources of these tests to `text`.
fn sources(folder: &Path, text: &mut String) {
    for entry in fs::read_dir(folder).expect("the sources exist") {
        let path = entry.expect("the folder is readable").path();
        if path.is_dir() {
            sources(&path, text);
        } else {
            text.push_str(&fs::read_to_string(path).expect("a source is text"));
        }
    }
}

#[test]
fn every_file_of_cases_has_a_test() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let mut text = String::new();
    sources(&root.join("answers"), &mut text);
    let ours = files(&root.join("data"));
    assert!(ours.len() >= FOLDERS.len(), "the cases exist");
    for file in &ours {
        let named = match file.strip_prefix("scenarios/") {
            Some(name) => format!("run(\"{}\"", name.trim_end_matches(".json")),
            None => format!("\"{file}\""),
        };
        assert!(text.contains(&named), "no test runs {file}");
    }
    let Some(shared) = shared_folder() else { return };
    for file in files(&shared.join("facts")).difference(&ours) {
        skip::skipped(&format!("QUORATE_DATA/facts/{file}"), "no test knows this file");
    }
}
