//! The paths that a file names, and the rule that each is a full path to where the name is defined.

use super::source::{Source, is_word_char, phrases};
use super::tree::{Finding, assert_clean, sources};

/// One path that a file names, in an import or in the middle of an expression.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct NamedPath {
    /// The position in the file at which the path begins.
    pub(crate) position: usize,
    /// Its parts after the root: `raft`, `input`, `Input` for `crate::raft::input::Input`.
    pub(crate) parts: Vec<String>,
}

/// Every path below `root` (`crate`, or the name of a crate) in production code; a group
/// `a::{b, c}` counts as `a::b` and `a::c`.
pub(crate) fn paths_below(source: &Source, root: &str) -> Vec<NamedPath> {
    let code = &source.production;
    let start = format!("{root}::");
    let mut found = Vec::new();
    for position in phrases(code, &start) {
        let before = code[..position].trim_end();
        let is_visibility = before.ends_with("(in");
        let is_inner = before.ends_with("::");
        if !is_visibility && !is_inner {
            let mut reader = Reader { code, at: position + start.len() };
            let mut lists = Vec::new();
            reader.read(&mut Vec::new(), &mut lists);
            found.extend(lists.into_iter().map(|parts| NamedPath { position, parts }));
        }
    }
    found
}

/// A parser of the tree of names after a root.
struct Reader<'a> {
    code: &'a str,
    at: usize,
}

impl Reader<'_> {
    fn read(&mut self, prefix: &mut Vec<String>, lists: &mut Vec<Vec<String>>) {
        self.skip_space();
        if self.take("{") {
            while !self.take("}") {
                self.read(&mut prefix.clone(), lists);
                self.skip_alias();
                assert!(self.take(",") || self.code[self.at..].starts_with('}'), "a group ends");
                self.skip_space();
            }
            return;
        }
        let rest = &self.code[self.at..];
        let length = if rest.starts_with('*') {
            1
        } else {
            rest.find(|c| !is_word_char(c)).unwrap_or(rest.len())
        };
        if length > 0 {
            prefix.push(rest[..length].to_owned());
            self.at += length;
        }
        if length > 0 && self.take("::") {
            self.read(prefix, lists);
        } else {
            lists.push(prefix.clone());
        }
    }

    fn skip_space(&mut self) {
        let rest = &self.code[self.at..];
        self.at += rest.len() - rest.trim_start().len();
    }

    fn skip_alias(&mut self) {
        self.skip_space();
        if self.code[self.at..].starts_with("as ") {
            let rest = &self.code[self.at..];
            self.at += rest.find([',', '}']).unwrap_or(rest.len());
        }
    }

    fn take(&mut self, token: &str) -> bool {
        let found = self.code[self.at..].starts_with(token);
        if found {
            self.at += token.len();
            if token != "::" {
                self.skip_space();
            }
        }
        found
    }
}

/// Every path that hides where a name comes from: `super::…` beyond tests, and glob imports.
fn hidden_origins(source: &Source) -> Vec<Finding> {
    let mut found = Vec::new();
    for position in phrases(&source.production, "super::") {
        found.push(Finding {
            path: source.path.clone(),
            line: source.line_of(position),
            item: "super".to_owned(),
            size: 0,
            advice: "`super::` outside tests: name the full path from `crate::`".to_owned(),
        });
    }
    let roots = ["crate", "quorate", "quorate_sim"];
    for NamedPath { position, parts } in roots.iter().flat_map(|root| paths_below(source, root)) {
        if parts.last().is_some_and(|last| last == "*") {
            let item = parts.join("::");
            found.push(Finding {
                path: source.path.clone(),
                line: source.line_of(position),
                advice: format!("`{item}` outside tests: import each name"),
                item,
                size: 0,
            });
        }
    }
    found
}

#[test]
fn names_are_imported_one_by_one_and_by_full_path() {
    let findings: Vec<Finding> = sources().iter().flat_map(hidden_origins).collect();
    assert_clean("paths", &findings);
}

#[test]
fn a_hidden_origin_is_noticed() {
    let found = |text: &str| hidden_origins(&Source::new("src/raft/input.rs", text)).len();
    assert_eq!(found("use super::action::Action;\n"), 1);
    assert_eq!(found("use crate::types::*;\n"), 1);
    assert_eq!(found("use crate::{types::{Term, id::*}, log::Log};\n"), 1);
    assert_eq!(found("use crate::types::Term;\n#[cfg(test)]\nmod t { use super::*; }\n"), 0);
}

#[test]
fn groups_aliases_and_paths_in_expressions_are_read() {
    let text = "use crate::{\n    log::{self, Log as L},\n    types::Term,\n};\n\
                pub(in crate::raft) fn f() -> T { crate::raft::common::g::<u8>(a::crate::x) }\n";
    let source = Source::new("src/raft/input.rs", text);
    let parts: Vec<String> =
        paths_below(&source, "crate").iter().map(|path| path.parts.join("::")).collect();
    assert_eq!(parts, ["log::self", "log::Log", "types::Term", "raft::common::g"]);
}
