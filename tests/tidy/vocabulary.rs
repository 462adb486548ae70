//! Words that may not come back: each has a standard word in its place. The rule reads code,
//! comments, messages, documents, specs and scenarios.

use super::documents::{DOCUMENTS, document};
use super::source::{Source, is_word_char, spoken_words};
use super::tree::{Finding, assert_clean, files, sources};

/// A word or phrase in lower case, and what to write in its place. An identifier is read as its
/// words: `toldBy`, `told_by` and `ToldBy` all contain "told".
const REPLACED: [(&str, &str); 36] = [
    ("told", "say who sent or reported what: received, reported, answered"),
    ("tells", "reports, returns, says, distinguishes"),
    ("nobody", "name the actor: no node, no client, nothing"),
    ("somebody", "name the actor: a client, another node"),
    ("anybody", "name the actor: any client, any node"),
    ("everybody", "name the actor: every node"),
    ("whoever", "name the actor: the node that, the caller"),
    ("whomever", "name the actor"),
    ("whom", "name the actor"),
    ("who counts", "the active membership, its voters"),
    ("founder", "bootstrap peer"),
    ("founders", "bootstrap peers"),
    ("founding", "bootstrap"),
    ("stranger", "an unknown incarnation, an unauthenticated peer, not a member"),
    ("strangers", "unauthenticated peers, non-members"),
    ("loan", "read lease"),
    ("loans", "read leases"),
    ("lend", "grant (a read lease)"),
    ("lends", "grants (a read lease)"),
    ("borrower", "holder (of a read lease)"),
    ("tenure", "leader lease"),
    ("storm", "chaos run, fault phase"),
    ("storms", "chaos runs"),
    ("calm", "stabilization phase"),
    ("rung", "search strategy"),
    ("rungs", "search strategies"),
    ("imprint", "state digest"),
    ("errand", "scripted request, job"),
    ("bringer", "membership source"),
    ("vouch", "LogIsComplete"),
    ("treason", "the name of what the disk does"),
    ("usurp", "the name of what the candidate does"),
    ("reign", "leader term"),
    ("denial", "a reject reason"),
    ("misspeaks", "replies wrongly"),
    ("as asked", "say what the field holds"),
];

/// Beginnings of a documentation comment that put a relative clause in the subject's place.
const OPENINGS: [&str; 6] = ["What ", "Who ", "Whoever ", "Whose ", "Whatever ", "How far "];

/// The fewest words with which documentation can say more than the name of its item.
const DOCUMENTATION_WORDS_MIN: usize = 4;

/// The kinds of text files other than sources that people read, and the folders that hold them.
const TEXT_EXTENSIONS: [&str; 7] = ["md", "txt", "scenario", "toml", "js", "css", "html"];
const TEXT_FOLDERS: [&str; 7] =
    ["docs", "examples", "sim", "tests/specs", "benches", "src", "fuzz"];

/// The sources outside the workspace that are read like those inside.
fn outside_sources() -> Vec<Source> {
    let files = files(&["sim/guests", "sim/mixed/src"], &["rs"]);
    files.iter().map(|(path, text)| Source::new(path, text)).collect()
}

/// Returns the advice for every replaced word of a line.
fn replaced_words(line: &str) -> Vec<String> {
    let spoken = format!(" {} ", spoken_words(line));
    let found = REPLACED.iter().filter(|(word, _)| spoken.contains(&format!(" {word} ")));
    found.map(|(word, instead)| format!("`{word}`: write {instead}")).collect()
}

fn finding(path: &str, line: usize, advice: String) -> Finding {
    Finding { path: path.to_owned(), line, item: advice.clone(), size: 0, advice }
}

fn replaced(path: &str, text: &str) -> Vec<Finding> {
    let lines = text.lines().enumerate();
    let found = lines.flat_map(|(at, line)| {
        replaced_words(line).into_iter().map(move |advice| finding(path, at + 1, advice))
    });
    found.collect()
}

/// The documentation comments of a file, its own and those of its items: the line of each one's
/// beginning, and its text.
fn documentation(text: &str) -> Vec<(usize, String)> {
    let mut found: Vec<(usize, String)> = Vec::new();
    let mut inside = false;
    for (at, line) in text.lines().enumerate() {
        let line = line.trim_start();
        let item = line.strip_prefix("///").filter(|rest| !rest.starts_with('/'));
        let comment = item.or_else(|| line.strip_prefix("//!"));
        match (comment, inside) {
            (Some(text), true) => found.last_mut().expect("it began").1.push_str(text),
            (Some(text), false) => found.push((at + 1, text.trim_start().to_owned())),
            (None, _) => {}
        }
        inside = comment.is_some();
    }
    found
}

fn empty_documentation(source: &Source) -> Vec<Finding> {
    let mut found = Vec::new();
    for (line, text) in documentation(&source.text) {
        if let Some(opening) = OPENINGS.iter().find(|opening| text.starts_with(**opening)) {
            let advice = format!("`{}…`: begin with the thing or the verb", opening.trim_end());
            found.push(finding(&source.path, line, advice));
        }
        let words = text.split(|c: char| !is_word_char(c)).filter(|word| !word.is_empty()).count();
        if words < DOCUMENTATION_WORDS_MIN {
            let advice = format!("`{text}` says nothing: meaning, unit or range, or a better name");
            found.push(finding(&source.path, line, advice));
        }
    }
    found
}

#[test]
fn replaced_words_do_not_come_back() {
    let own = "tests/tidy/vocabulary.rs";
    let outside = outside_sources();
    let sources = sources().iter().chain(&outside).filter(|source| source.path != own);
    let mut found: Vec<Finding> =
        sources.flat_map(|source| replaced(&source.path, &source.text)).collect();
    let mut others = files(&TEXT_FOLDERS, &TEXT_EXTENSIONS);
    let documents = DOCUMENTS.into_iter().chain(["Cargo.toml"]);
    others.extend(documents.map(|name| (name.to_owned(), document(name))));
    found.extend(others.iter().flat_map(|(path, text)| replaced(path, text)));
    assert_clean("vocabulary", &found);
}

#[test]
fn documentation_says_something() {
    let outside = outside_sources();
    let sources = sources().iter().chain(&outside);
    let found: Vec<Finding> = sources.flat_map(empty_documentation).collect();
    assert_clean("documentation", &found);
}

#[test]
fn a_replaced_word_is_noticed_wherever_it_stands() {
    let found = |line: &str| replaced_words(line).len();
    assert_eq!(found("/// The node is told so."), 1);
    assert_eq!(found("struct ToldBy { whom_told: u8 }"), 2);
    assert_eq!(found("let x = founders_of(Storm);"), 2);
    assert_eq!(found("assert!(who_counts(x));"), 1);
    assert_eq!(found("A brainstorm of totally retold foundations."), 0);
}

#[test]
fn empty_documentation_is_noticed() {
    let found = |text: &str| empty_documentation(&Source::new("src/a.rs", text)).len();
    assert_eq!(found("/// What it is.\nstruct A;\n"), 2);
    assert_eq!(found("/// What it is for.\nstruct A;\n"), 1);
    assert_eq!(found("//! What the file is for.\n"), 1);
    assert_eq!(found("/// The node.\nstruct A;\n"), 1);
    assert_eq!(found("/// Why.\nstruct A;\n"), 1);
    assert_eq!(found("/// The node that restarted.\nstruct A;\n"), 0);
    assert_eq!(found("/// The\n/// node that\n/// restarted.\nstruct A;\n"), 0);
    assert_eq!(found("//// What a line.\n// What a comment.\nstruct A;\n"), 0);
}
