//! The sources of the workspace, and how a rule reports what it finds in them.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use super::exceptions::{EXCEPTIONS, Exception};
use super::source::Source;

/// The folders with sources, from the root of the workspace.
pub(crate) const FOLDERS: [&str; 12] = [
    "src",
    "sim/src",
    "sim/checker",
    "sim/explore",
    "sim/page",
    "sim/playground",
    "sim/tests",
    "sim/benches",
    "tests",
    "benches",
    "examples",
    "fuzz",
];

/// The name of every rule.
pub(crate) const RULES: [&str; 21] = [
    "calls",
    "cycles",
    "documentation",
    "expect",
    "fields",
    "file-length",
    "first-line",
    "function-length",
    "glossary",
    "layers",
    "line-length",
    "names",
    "outbox",
    "parameters",
    "paths",
    "roles",
    "select",
    "self-calls",
    "unfinished",
    "unwrap",
    "vocabulary",
];

/// One violation of a rule, and its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    pub(crate) path: String,
    /// The line, from 1; the file as a whole is line 1.
    pub(crate) line: usize,
    /// The item that breaks the rule: a function's name, an imported path, a forbidden word.
    pub(crate) item: String,
    /// The size of the item, where the rule is about size; else 0.
    pub(crate) size: usize,
    /// The violation, and what to do instead.
    pub(crate) advice: String,
}

/// Returns the root folder of the workspace.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Returns every source file of the workspace, ordered by path.
pub(crate) fn sources() -> &'static [Source] {
    static SOURCES: OnceLock<Vec<Source>> = OnceLock::new();
    SOURCES.get_or_init(|| {
        let files = files(&FOLDERS, &["rs"]);
        files.iter().map(|(path, text)| Source::new(path, text)).collect()
    })
}

/// Returns the path and the text of every file below these folders with one of the extensions,
/// ordered by path. A path begins at the root of the workspace.
pub(crate) fn files(folders: &[&str], extensions: &[&str]) -> Vec<(String, String)> {
    let mut paths = Vec::new();
    for folder in folders {
        collect(&root().join(folder), extensions, &mut paths);
    }
    paths.sort();
    paths.iter().map(|path| read(path)).collect()
}

fn collect(folder: &Path, extensions: &[&str], paths: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries {
        let path = entry.expect("the folder can be listed").path();
        if path.is_dir() && !path.ends_with("target") {
            collect(&path, extensions, paths);
        } else if extensions.iter().any(|it| path.extension().is_some_and(|own| own == *it)) {
            paths.push(path);
        }
    }
}

fn read(path: &Path) -> (String, String) {
    let text = std::fs::read_to_string(path).expect("a source file is readable text");
    let inside = path.strip_prefix(root()).expect("the file is in the workspace");
    (inside.to_string_lossy().replace('\\', "/"), text)
}

/// Panics with every finding that no exception excuses, and with every exception of the rule
/// that excuses nothing.
pub(crate) fn assert_clean(rule: &str, findings: &[Finding]) {
    assert!(RULES.contains(&rule), "no such rule: {rule}");
    let complaints = complaints(rule, findings, EXCEPTIONS);
    assert!(complaints.is_empty(), "rule `{rule}`:\n{}", complaints.join("\n"));
}

fn complaints(rule: &str, findings: &[Finding], exceptions: &[Exception]) -> Vec<String> {
    let excuses = |exception: &Exception, finding: &Finding| {
        exception.rule == rule
            && exception.path == finding.path
            && exception.item == finding.item
            && exception.size == finding.size
    };
    let breaches = findings
        .iter()
        .filter(|finding| !exceptions.iter().any(|exception| excuses(exception, finding)))
        .map(|Finding { path, line, advice, .. }| format!("  {path}:{line}: {advice}"));
    let stale = exceptions
        .iter()
        .filter(|exception| exception.rule == rule)
        .filter(|exception| !findings.iter().any(|finding| excuses(exception, finding)))
        .map(|Exception { path, item, size, .. }| {
            format!("  tests/tidy/exceptions.rs: no longer needed: {path} {item} {size}")
        });
    breaches.chain(stale).collect()
}

#[test]
fn the_tree_is_found() {
    for path in ["src/lib.rs", "src/raft/mod.rs", "sim/src/lib.rs", "tests/tidy/tree.rs"] {
        assert!(sources().iter().any(|source| source.path == path), "{path} is missing");
    }
}

#[test]
fn an_exception_excuses_exactly_one_thing_and_must_be_needed() {
    let finding = |item: &str, size| Finding {
        path: "src/a.rs".to_owned(),
        line: 1,
        item: item.to_owned(),
        size,
        advice: "too long".to_owned(),
    };
    let exception =
        Exception { rule: "long", path: "src/a.rs", item: "f", size: 80, reason: "one table" };
    let complaints_of = |findings: &[Finding]| complaints("long", findings, &[exception]).len();
    assert_eq!(complaints_of(&[finding("f", 80)]), 0);
    assert_eq!(complaints_of(&[finding("f", 80), finding("g", 80)]), 1, "g is not excused");
    assert_eq!(complaints_of(&[finding("f", 81)]), 2, "it grew: not excused, and stale");
    assert_eq!(complaints_of(&[finding("f", 79)]), 2, "it shrank: the line must follow");
    assert_eq!(complaints_of(&[]), 1, "stale");
    assert_eq!(complaints("other", &[], &[exception]).len(), 0, "the exception is of another rule");
}
