//! The rule that the glossary of ARCHITECTURE.md explains the public names: every type, message,
//! scenario word, profile and metric.

use std::collections::BTreeSet;

use quorate::types::MessageKind;
use quorate_sim::faults::{Fault, Verb};
use quorate_sim::plan::Trigger;
use quorate_sim::scenario::ROWS;
use quorate_sim::settings::profile::Profile;

use super::documents::document;
use super::source::{Source, spoken_words, words};
use super::tree::{Finding, assert_clean, sources};

/// Last words of type names that say what kind of item it is; the words before them carry the
/// meaning.
const KINDS: [&str; 10] = [
    "arguments",
    "builder",
    "config",
    "error",
    "flags",
    "id",
    "name",
    "options",
    "reason",
    "table",
];

/// Words of the Raft paper that need no line.
const COMMON: [&str; 5] = ["bytes", "client", "cluster", "follower", "leader"];

const DEFINING: [&str; 4] = ["struct", "enum", "trait", "type"];

/// The glossary's part of ARCHITECTURE.md.
fn glossary() -> String {
    let text = document("ARCHITECTURE.md");
    let (_, glossary) = text.split_once("\n## Glossary").expect("it has a glossary");
    glossary.to_owned()
}

/// The words in backticks or in the first column of the glossary's tables, in lower case.
fn explained(glossary: &str) -> BTreeSet<String> {
    let rows = glossary.lines().filter_map(|line| line.strip_prefix("| ")?.split(" | ").next());
    rows.flat_map(|cell| cell.split([',', '·'])).map(spoken_words).collect()
}

/// The words of a type's name that carry its meaning, in lower case: `ServerConfigError` is
/// `server`, `LeaderHint` is `leader hint`.
fn meaning(name: &str) -> String {
    let mut words: Vec<String> = spoken_words(name).split(' ').map(str::to_owned).collect();
    while words.len() > 1 && KINDS.contains(&words[words.len() - 1].as_str()) {
        words.pop();
    }
    words.join(" ")
}

/// Whether the glossary explains a name: the whole of it, or its last word.
fn is_explained(name: &str, glossary: &BTreeSet<String>) -> bool {
    let meaning = meaning(name);
    let root = meaning.rsplit(' ').next().unwrap_or(&meaning);
    let whole = spoken_words(name);
    let words = [whole.as_str(), meaning.as_str(), root];
    words.iter().any(|word| glossary.contains(*word) || COMMON.contains(word))
}

/// The public types of the libraries: no commands, no tests.
fn public_types(source: &Source) -> Vec<(usize, &str)> {
    let libraries = ["src/", "sim/src/", "sim/checker/src/"];
    let commands = ["src/bin/", "sim/src/cli/"];
    if !libraries.iter().any(|folder| source.path.starts_with(folder))
        || commands.iter().any(|folder| source.path.starts_with(folder))
    {
        return Vec::new();
    }
    let mut found = Vec::new();
    let mut before = ["", ""];
    for (position, word) in words(&source.production) {
        if before[0] == "pub" && DEFINING.contains(&before[1]) {
            found.push((position, word));
        }
        before = [before[1], word];
    }
    found
}

#[test]
fn the_glossary_explains_every_public_type() {
    let explained = explained(&glossary());
    let unexplained = sources().iter().flat_map(|source| {
        let types = public_types(source).into_iter();
        let unknown = types.filter(|(_, name)| !is_explained(name, &explained));
        unknown.map(move |(position, name)| Finding {
            path: source.path.clone(),
            line: source.line_of(position),
            item: name.to_owned(),
            size: 0,
            advice: format!("`{name}`: its last word has no line in ARCHITECTURE.md's glossary"),
        })
    });
    assert_clean("glossary", &unexplained.collect::<Vec<_>>());
}

#[test]
fn the_glossary_explains_every_message_scenario_word_profile_and_metric() {
    let glossary = glossary();
    let explained = explained(&glossary);
    let verbs = Verb::syntax().into_iter().map(|syntax| syntax.verb);
    let triggers = Trigger::ALL.iter().map(|(_, words)| *words);
    let faults = Fault::ALL.iter().map(|fault| fault.name());
    let settings = ROWS.iter().map(|row| row.name);
    let messages = MessageKind::ALL.iter().map(|kind| kind.name());
    for word in verbs.chain(triggers).chain(faults).chain(settings).chain(messages) {
        assert!(explained.contains(&spoken_words(word)), "ARCHITECTURE.md: no line for `{word}`");
    }
    for profile in Profile::all() {
        let row = format!("| {} | {} |", profile.name, profile.summary);
        assert!(glossary.contains(&row), "ARCHITECTURE.md: no line `{row}`");
    }
    let metrics = document("docs/METRICS.md");
    let names = metrics.split('`').filter_map(|word| word.split('{').next());
    for name in names.filter(|name| name.starts_with("quorate_")) {
        assert!(glossary.contains(&format!("`{name}`")), "ARCHITECTURE.md: no line for `{name}`");
    }
}

#[test]
fn a_name_without_a_line_is_noticed() {
    let terms = explained("| node, `NodeId` | a process | peer |\n| leader lease | a right | |\n");
    assert!(
        ["Node", "NodeError", "NodeId", "ServerNode", "LeaderLease"]
            .iter()
            .all(|name| is_explained(name, &terms))
    );
    assert!(["Desk", "NodeDesk", "Lease"].iter().all(|name| !is_explained(name, &terms)));
}
