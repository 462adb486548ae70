//! Names that may not occur: those that hide what an item does, and synonyms of the words in the
//! glossary of ARCHITECTURE.md.

use super::layers::{LIBRARY_FOLDERS, folder_of};
use super::source::{Source, words};
use super::tree::{Finding, assert_clean, sources};

/// Prefixes that no name may have, each with the advice.
const PREFIXES: [(&str, &str); 2] = [
    ("maybe_", "hides a condition: name the action, and test the condition outside"),
    ("do_", "says no more than without `do_`: drop the prefix, or name the difference"),
];

/// Names that say nothing, for any item.
const EMPTY_NAMES: [&str; 7] = ["util", "utils", "misc", "helper", "helpers", "stuff", "process"];

/// Synonyms of words of the glossary, which the library and the simulator may not use, each with
/// the glossary's word.
const SYNONYMS: [(&str, &str); 15] = [
    ("voted_for", "vote"),
    ("commit_index", "committed"),
    ("last_applied", "applied"),
    ("match_index", "matched"),
    ("next_index", "next"),
    ("log_id", "EntryId"),
    ("LogId", "EntryId"),
    ("unstable", "durable"),
    ("stabled", "durable"),
    ("purge", "compact"),
    ("conf_state", "membership"),
    ("ConfState", "Membership"),
    ("configuration", "membership"),
    ("server_id", "node"),
    ("StateRole", "Role"),
];

const DEFINING_WORDS: [&str; 8] =
    ["fn", "mod", "struct", "enum", "trait", "type", "const", "static"];

/// The advice about a name that is defined here, if it breaks the rule.
fn wrong_with(name: &str) -> Option<String> {
    if let Some((_, advice)) = PREFIXES.iter().find(|(prefix, _)| name.starts_with(prefix)) {
        return Some(format!("`{name}` {advice}"));
    }
    if EMPTY_NAMES.contains(&name.to_lowercase().as_str()) || name.starts_with("process_") {
        return Some(format!("`{name}` says nothing: name what it does"));
    }
    let stem = name.strip_suffix('2')?;
    let counts = stem.len() > 2 && stem.ends_with(|c: char| c.is_alphabetic() || c == '_');
    counts.then(|| format!("`{name}` is a second `{stem}`: name the difference"))
}

fn empty_names(source: &Source) -> Vec<Finding> {
    let finding = |line: usize, item: &str, advice: String| Finding {
        path: source.path.clone(),
        line,
        item: item.to_owned(),
        size: 0,
        advice,
    };
    let mut found = Vec::new();
    for part in source.path.trim_end_matches(".rs").split('/') {
        found.extend(wrong_with(part).map(|advice| finding(1, part, advice)));
    }
    let mut before = "";
    for (position, word) in words(&source.code) {
        if DEFINING_WORDS.contains(&before) {
            let line = source.line_of(position);
            found.extend(wrong_with(word).map(|advice| finding(line, word, advice)));
        }
        before = word;
    }
    found
}

/// The synonyms in a file, if it belongs to the library or the simulator.
fn synonyms(source: &Source) -> Vec<Finding> {
    let folder = folder_of(&source.path);
    if !LIBRARY_FOLDERS.iter().any(|other| folder == Some(other.name)) {
        return Vec::new();
    }
    let mut found = Vec::new();
    for (position, word) in words(&source.code) {
        if let Some((_, ours)) = SYNONYMS.iter().find(|(synonym, _)| *synonym == word) {
            found.push(Finding {
                path: source.path.clone(),
                line: source.line_of(position),
                item: word.to_owned(),
                size: 0,
                advice: format!("`{word}`: the glossary says `{ours}`"),
            });
        }
    }
    found
}

fn wrong_names(source: &Source) -> Vec<Finding> {
    let mut found = empty_names(source);
    found.extend(synonyms(source));
    found
}

#[test]
fn names_say_what_things_are() {
    assert_clean("names", &sources().iter().flat_map(wrong_names).collect::<Vec<_>>());
}

#[test]
fn an_empty_name_is_noticed() {
    let found = |path: &str, text: &str| wrong_names(&Source::new(path, text)).len();
    assert_eq!(found("src/raft/util.rs", ""), 1);
    assert_eq!(found("sim/src/helpers/mod.rs", ""), 1);
    assert_eq!(found("src/raft/mod.rs", "mod misc;\n"), 1);
    assert_eq!(found("src/raft/mod.rs", "fn maybe_commit() {}\n"), 1);
    assert_eq!(found("src/raft/mod.rs", "fn do_commit() {}\n"), 1);
    assert_eq!(found("src/raft/mod.rs", "fn process() {}\n"), 1);
    assert_eq!(found("src/raft/mod.rs", "fn handle2() {}\n"), 1);
    assert_eq!(found("tests/a.rs", "struct Helper;\n"), 1);
    assert_eq!(found("src/raft/mod.rs", "fn f() { x.voted_for }\n"), 1);
}

#[test]
fn an_expressive_name_is_allowed() {
    let found = |text: &str| wrong_names(&Source::new("src/raft/mod.rs", text));
    assert_eq!(found("fn may_commit() { std::process::exit(2) }\n"), []);
    assert_eq!(found("fn on_append_entries() {}\nconst N2: u8 = 2;\nfn document() {}\n"), []);
    assert_eq!(found("// It was once called voted_for by maybe_commit.\n"), []);
}
