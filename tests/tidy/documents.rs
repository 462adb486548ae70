//! The rule that the documents stay true: every path they name exists, and they stay short.

use super::layers::{LIBRARY_FOLDERS, SIMULATOR_FOLDERS};
use super::tree::{FOLDERS, root};

pub(crate) const DOCUMENTS: [&str; 4] =
    ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md"];
/// The other files at the root of the workspace.
const ROOT_FILES: [&str; 7] = [
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE-APACHE",
    "LICENSE-MIT",
    "clippy.toml",
    "deny.toml",
    "rustfmt.toml",
];
/// The maximum length of ARCHITECTURE.md before the glossary, in lines.
const ARCHITECTURE_LINES_MAX: usize = 200;
/// The maximum length of README.md, in lines.
const README_LINES_MAX: usize = 150;

/// Returns the text of a document at the root of the workspace.
pub(crate) fn document(name: &str) -> String {
    std::fs::read_to_string(root().join(name)).expect("the document is there")
}

/// Every file or folder that a document names: the target of a link inside the project, or a
/// path from the root between backticks.
fn named_paths(text: &str) -> Vec<&str> {
    let links = text.split("](").skip(1).filter_map(|rest| rest.split([')', '#']).next());
    let inside = links.filter(|link| !link.is_empty() && !link.contains("://"));
    let quoted = text.split('`').skip(1).step_by(2);
    let paths = quoted.filter(|word| {
        let folder = word.split('/').next().unwrap_or(word);
        let plain = word.chars().all(|c| c.is_ascii_alphanumeric() || "/_-.".contains(c));
        plain && word.contains('/') && (FOLDERS.contains(&folder) || folder == "sim")
    });
    inside.chain(paths).collect()
}

fn missing(text: &str, exists: impl Fn(&str) -> bool) -> Vec<&str> {
    named_paths(text).into_iter().filter(|path| !exists(path)).collect()
}

/// The rows of a Markdown table that begin with a folder of the library, as its name and its layer.
fn folder_table(text: &str) -> Vec<(String, String)> {
    let rows = text.lines().filter_map(|line| line.strip_prefix("| `src/"));
    let folders = rows.filter_map(|row| {
        let (name, rest) = row.split_once("/`")?;
        let layer = rest.split('|').nth(1)?.trim();
        Some((name.to_owned(), layer.to_owned()))
    });
    folders.collect()
}

/// The rows of the table of the simulator: each file or folder and its layer.
fn simulator_table(text: &str) -> Vec<(String, String)> {
    let rows = text.lines().skip_while(|line| !line.starts_with("| file or folder of `sim/src/`"));
    let rows = rows.skip(2).map_while(|line| line.strip_prefix("| "));
    let folders = rows.filter_map(|row| {
        let (names, rest) = row.split_once(" | ")?;
        let layer = rest.split(" | ").next()?;
        let name = |quoted: &str| {
            let name = quoted.trim_matches('`').trim_end_matches('/').trim_end_matches(".rs");
            (name.to_owned(), layer.to_owned())
        };
        Some(names.split(", ").map(name).collect::<Vec<_>>())
    });
    folders.flatten().collect()
}

#[test]
fn every_path_in_a_document_exists() {
    for name in DOCUMENTS {
        let text = document(name);
        let planned = |path: &str| {
            LIBRARY_FOLDERS.iter().any(|folder| path == format!("src/{}/", folder.name))
        };
        let missing = missing(&text, |path| root().join(path).exists() || planned(path));
        assert!(missing.is_empty(), "{name} names paths that do not exist: {missing:?}");
    }
}

#[test]
fn no_other_file_is_at_the_root() {
    let entries = std::fs::read_dir(root()).expect("the root can be listed");
    let files = entries
        .map(|entry| entry.expect("it can be listed"))
        .filter(|entry| entry.file_type().expect("an entry has a type").is_file());
    for name in files.map(|file| file.file_name().into_string().expect("names are UTF-8")) {
        // Tools keep files of their own there.
        if name.starts_with('.') {
            continue;
        }
        let is_known = DOCUMENTS.iter().chain(&ROOT_FILES).any(|known| *known == name);
        assert!(is_known, "{name} does not belong at the root: remove it, or list it here");
    }
}

#[test]
fn the_readme_is_short() {
    let lines = document("README.md").lines().count();
    assert!(lines <= README_LINES_MAX, "README.md has {lines} lines: link to a document instead");
}

#[test]
fn a_missing_path_is_noticed() {
    let text = "See [the plan](PLAN.md), [here](#there), [web](https://a.b/c), `src/raft/mod.rs`, \
                `sim/src/gone.rs`, `a/b`, `cargo sim --seeds 0..9`.";
    assert_eq!(missing(text, |path| path == "src/raft/mod.rs"), ["PLAN.md", "sim/src/gone.rs"]);
}

#[test]
fn architecture_md_lists_every_folder_with_its_layer() {
    let plan = document("ARCHITECTURE.md");
    let library = LIBRARY_FOLDERS.iter().filter(|folder| folder.name != "sim");
    let held = library.map(|folder| (folder.name.to_owned(), folder.layer.to_string()));
    let (mut shown, mut held) = (folder_table(&plan), held.collect::<Vec<_>>());
    shown.sort();
    held.sort();
    assert_eq!(shown, held, "the table of ARCHITECTURE.md and tests/tidy/layers.rs differ");
    let held = SIMULATOR_FOLDERS.iter().map(|(name, layer)| (name.to_string(), layer.to_string()));
    let (mut shown, mut held) = (simulator_table(&plan), held.collect::<Vec<_>>());
    shown.sort();
    held.sort();
    assert_eq!(shown, held, "the simulator's table and tests/tidy/layers.rs differ");
    let before_glossary = plan.lines().take_while(|line| *line != "## Glossary").count();
    assert!(
        before_glossary <= ARCHITECTURE_LINES_MAX,
        "ARCHITECTURE.md has {before_glossary} lines: shorten it"
    );
}

#[test]
fn a_row_of_the_table_is_read() {
    let text =
        "| folder | layer |\n|---|---|\n| `src/log/` | 2 | the log | types |\n| `tests/` | – |\n";
    assert_eq!(folder_table(text), [("log".to_owned(), "2".to_owned())]);
}

#[test]
fn a_row_of_the_table_of_the_simulator_is_read() {
    let text = "| file or folder of `sim/src/` | layer |\n|---|---|\n| `a/`, `b.rs` | 9 | x |\n\n\
                | `c/` | 1 |\n";
    let row = |name: &str| (name.to_owned(), "9".to_owned());
    assert_eq!(simulator_table(text), [row("a"), row("b")]);
}
