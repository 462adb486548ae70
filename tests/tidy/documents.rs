//! The rule that the documents stay true: every path they name exists, and they stay short.

use super::layers::ROOMS;
use super::tree::{FOLDERS, root};

pub(crate) const DOCUMENTS: [&str; 4] =
    ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md"];
/// The longest plan, in lines before the glossary.
const ARCHITECTURE_LINES_MAX: usize = 200;
/// The longest front page, in lines.
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

/// The rows of a Markdown table that begin with a folder of the library: name and floor.
fn table_of_rooms(text: &str) -> Vec<(String, String)> {
    let rows = text.lines().filter_map(|line| line.strip_prefix("| `src/"));
    let rooms = rows.filter_map(|row| {
        let (name, rest) = row.split_once("/`")?;
        let floor = rest.split('|').nth(1)?.trim();
        Some((name.to_owned(), floor.to_owned()))
    });
    rooms.collect()
}

#[test]
fn what_the_documents_name_exists() {
    for name in DOCUMENTS {
        let text = document(name);
        let planned = |path: &str| ROOMS.iter().any(|room| path == format!("src/{}/", room.name));
        let missing = missing(&text, |path| root().join(path).exists() || planned(path));
        assert!(missing.is_empty(), "{name} names what does not exist: {missing:?}");
    }
}

#[test]
fn the_front_page_is_short() {
    let lines = document("README.md").lines().count();
    assert!(lines <= README_LINES_MAX, "README.md has {lines} lines: link to a document instead");
}

#[test]
fn a_dead_name_is_noticed() {
    let text = "See [the plan](PLAN.md), [here](#there), [web](https://a.b/c), `src/raft/mod.rs`, \
                `sim/src/gone.rs`, `a/b`, `cargo sim --seeds 0..9`.";
    assert_eq!(missing(text, |path| path == "src/raft/mod.rs"), ["PLAN.md", "sim/src/gone.rs"]);
}

#[test]
fn the_plan_shows_every_room_on_its_floor() {
    let plan = document("ARCHITECTURE.md");
    let library = ROOMS.iter().filter(|room| room.name != "sim");
    let held = library.map(|room| (room.name.to_owned(), room.floor.to_string()));
    let (mut shown, mut held) = (table_of_rooms(&plan), held.collect::<Vec<_>>());
    shown.sort();
    held.sort();
    assert_eq!(shown, held, "the table of ARCHITECTURE.md and tests/tidy/layers.rs differ");
    let before_glossary = plan.lines().take_while(|line| *line != "## Glossary").count();
    assert!(before_glossary <= ARCHITECTURE_LINES_MAX, "ARCHITECTURE.md is a plan: shorten");
}

#[test]
fn a_row_of_the_table_is_read() {
    let text =
        "| folder | floor |\n|---|---|\n| `src/log/` | 2 | the log | types |\n| `tests/` | – |\n";
    assert_eq!(table_of_rooms(text), [("log".to_owned(), "2".to_owned())]);
}
