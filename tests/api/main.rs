//! The public API of each library, one line per item, with the item's stability.
//!
//! The lines are in `tests/data/api`. A changed line is a changed promise to users: the test shows
//! the difference and the command that accepts it. The section "Stability" on the front page of a
//! library states how stable its items are.

mod lines;
mod resolve;
mod stability;
mod tree;

use std::collections::BTreeSet;
use std::path::PathBuf;

use lines::Lines;
use stability::Stability;
use tree::Tree;

const COMMAND: &str = "    UPDATE_API=1 cargo test --workspace --all-features --test api";

/// Compares the API of the library whose root is `root` with the lines that are kept.
fn check(name: &str, root: &str) {
    let workspace = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let tree = Tree::read(name, &workspace.join(root));
    let stability = Stability::read(&tree.front_page());
    let lines = Lines::of(&tree);
    let (marked, mut errors) = stability.marked(&lines, &tree);
    errors.extend(lines.unresolved.iter().map(|path| format!("{path} leads to no item")));
    assert!(errors.is_empty(), "{root}:\n  {}", errors.join("\n  "));
    let file = format!("tests/data/api/{name}.txt");
    let path = workspace.join(&file);
    let text: String = marked.iter().map(|line| format!("{line}\n")).collect();
    if std::env::var_os("UPDATE_API").is_some() {
        std::fs::write(path, text).expect("the tree is writable");
        return;
    }
    let kept = std::fs::read_to_string(path).unwrap_or_default();
    let (old, new): (BTreeSet<&str>, BTreeSet<&str>) =
        (kept.lines().collect(), text.lines().collect());
    let mut changes: Vec<(&str, char)> = old.difference(&new).map(|line| (*line, '-')).collect();
    changes.extend(new.difference(&old).map(|line| (*line, '+')));
    changes.sort_by_key(|(line, sign)| (line.split(' ').skip(1).collect::<String>(), *sign));
    let shown: String = changes.iter().map(|(line, sign)| format!("{sign} {line}\n")).collect();
    assert!(
        kept == text,
        "{file}: the public API changed:\n{shown}A change of a stable item breaks its users, so a \
         release after it has a new minor version before 1.0, and a new major one from then on. \
         Note it in CHANGELOG.md, then accept it:\n{COMMAND}"
    );
}

#[test]
fn the_api_of_the_library_is_the_one_that_is_kept() {
    check("quorate", "src/lib.rs");
}

#[test]
fn the_api_of_the_simulator_is_the_one_that_is_kept() {
    check("quorate_sim", "sim/src/lib.rs");
}

#[test]
fn the_api_of_the_checker_is_the_one_that_is_kept() {
    check("quorate_checker", "sim/checker/src/lib.rs");
}

#[test]
fn the_api_of_the_page_is_the_one_that_is_kept() {
    check("quorate_page", "sim/page/src/lib.rs");
}
