//! The rule that no file imports itself through others, inside a folder or across folders, and that
//! no file imports a `lib.rs`.

use std::collections::BTreeMap;

use super::paths::paths_below;
use super::source::{Source, phrases};
use super::tree::{Finding, assert_clean, sources};

/// The files that each file of one crate imports from, by path.
type Imports = BTreeMap<String, BTreeMap<String, usize>>;

/// The root folders of the crates whose files import one another.
const CRATES: [&str; 8] = [
    "src/",
    "src/bin/quorate/",
    "sim/src/",
    "sim/checker/src/",
    "sim/explore/src/",
    "sim/page/src/",
    "sim/playground/src/",
    "examples/systems/src/",
];

/// The path of a module below the root of its crate: `raft::input`; empty for `lib.rs`, and for the
/// `main.rs` of a crate below `bin/`. None for another command, which is a crate of its own.
fn module_of(path: &str, root: &str) -> Option<String> {
    let inside = path.strip_prefix(root)?.strip_suffix(".rs")?;
    let in_command = root.contains("/bin/");
    if (inside == "main" && !in_command) || inside.starts_with("bin/") {
        return None;
    }
    let module = inside.strip_suffix("/mod").unwrap_or(inside);
    let is_root = module == "lib" || (in_command && module == "main");
    Some(if is_root { String::new() } else { module.replace('/', "::") })
}

/// Every import between files of the crate at `root`, and the imports from its `lib.rs`.
fn imports(sources: &[Source], root: &str) -> (Imports, Vec<Finding>) {
    let modules: BTreeMap<String, &Source> =
        sources.iter().filter_map(|s| Some((module_of(&s.path, root)?, s))).collect();
    let mut imports = Imports::new();
    let mut from_lib = Vec::new();
    for (module, source) in &modules {
        let edges = imports.entry(source.path.clone()).or_default();
        for path in paths_below(source, "crate") {
            let line = source.line_of(path.position);
            let lengths = (1..=path.parts.len()).rev();
            let owner = lengths.map(|n| path.parts[..n].join("::")).find_map(|m| modules.get(&m));
            match owner {
                Some(owner) => drop(edges.insert(owner.path.clone(), line)),
                None => from_lib.push(lib_import(source, line, &path.parts.join("::"))),
            }
        }
        for (child, owner) in children(&modules, module) {
            for position in phrases(&source.production, &format!("{child}::")) {
                if !source.production[..position].ends_with("::") {
                    edges.insert(owner.path.clone(), source.line_of(position));
                }
            }
        }
        edges.remove(&source.path);
    }
    (imports, from_lib)
}

/// The files directly below a module, each with the name by which its parent declares it.
fn children<'a>(
    modules: &'a BTreeMap<String, &'a Source>,
    parent: &'a str,
) -> impl Iterator<Item = (&'a str, &'a Source)> {
    modules.iter().filter_map(move |(module, source)| {
        let name = match parent {
            "" => module.as_str(),
            _ => module.strip_prefix(parent)?.strip_prefix("::")?,
        };
        (!name.is_empty() && !name.contains("::")).then_some((name, *source))
    })
}

fn lib_import(source: &Source, line: usize, item: &str) -> Finding {
    Finding {
        path: source.path.clone(),
        line,
        item: item.to_owned(),
        size: 0,
        advice: format!("`crate::{item}` comes through lib.rs: import it from its module"),
    }
}

/// One finding for each import that closes a cycle.
fn cycles(imports: &Imports) -> Vec<Finding> {
    let mut found = Vec::new();
    let mut done = Vec::new();
    for start in imports.keys() {
        walk(imports, &mut vec![start], &mut done, &mut found);
    }
    found
}

fn walk<'a>(
    imports: &'a Imports,
    trail: &mut Vec<&'a String>,
    done: &mut Vec<&'a String>,
    found: &mut Vec<Finding>,
) {
    let here = *trail.last().expect("a trail begins with a file");
    if done.contains(&here) {
        return;
    }
    for (next, line) in &imports[here] {
        if let Some(first) = trail.iter().position(|file| *file == next) {
            let cycle: Vec<&str> = trail[first..].iter().map(|file| file.as_str()).collect();
            found.push(Finding {
                path: here.clone(),
                line: *line,
                item: next.clone(),
                size: 0,
                advice: format!("a cycle of imports: {} → {next}", cycle.join(" → ")),
            });
        } else {
            trail.push(next);
            walk(imports, trail, done, found);
            trail.pop();
        }
    }
    done.push(here);
}

fn cycles_and_lib_imports(sources: &[Source]) -> Vec<Finding> {
    let mut found = Vec::new();
    for root in CRATES {
        let (imports, from_lib) = imports(sources, root);
        found.extend(from_lib);
        found.extend(cycles(&imports));
    }
    found
}

#[test]
fn no_file_imports_itself_through_others() {
    assert_clean("cycles", &cycles_and_lib_imports(sources()));
}

#[test]
fn a_cycle_is_noticed() {
    let found = |files: &[(&str, &str)]| -> Vec<Finding> {
        let sources: Vec<Source> =
            files.iter().map(|(path, text)| Source::new(path, text)).collect();
        cycles_and_lib_imports(&sources)
    };
    let two = [
        ("src/raft/a.rs", "use crate::raft::b::B;\n"),
        ("src/raft/b.rs", "use crate::raft::a::A;\n"),
    ];
    assert_eq!(
        found(&two)[0].advice,
        "a cycle of imports: src/raft/a.rs → src/raft/b.rs → src/raft/a.rs"
    );
    let three = [
        ("src/log/mod.rs", "use crate::raft::a::A;\n"),
        ("src/raft/a.rs", "use crate::raft::b::B;\n"),
        ("src/raft/b.rs", "fn f() -> crate::log::Log {}\n"),
    ];
    assert_eq!(found(&three).len(), 1);
    let through_mod_rs = [
        ("sim/src/check/mod.rs", "mod a;\npub use a::A;\npub trait Check {}\n"),
        ("sim/src/check/a.rs", "use crate::check::Check;\n"),
    ];
    assert_eq!(found(&through_mod_rs).len(), 1);
    let through_lib = [("src/lib.rs", "pub mod a;\n"), ("src/a.rs", "use crate::Term;\n")];
    assert_eq!(found(&through_lib)[0].item, "Term");
}

#[test]
fn imports_without_a_cycle_are_allowed() {
    let diamond = [
        ("src/lib.rs", "pub mod raft;\n"),
        ("src/raft/mod.rs", "mod a;\nmod b;\npub use a::A;\nuse crate::raft::b::B;\n"),
        ("src/raft/a.rs", "use crate::raft::b::B;\nuse crate::types::Term;\n"),
        ("src/raft/b.rs", "#[cfg(test)]\nmod tests { use crate::raft::a::A; }\n"),
        ("src/types.rs", "pub struct Term;\nimpl Term { fn f() { crate::types::g() } }\n"),
        ("sim/src/main.rs", "use quorate_sim::run;\n"),
    ];
    let sources: Vec<Source> = diamond.iter().map(|(path, text)| Source::new(path, text)).collect();
    assert_eq!(cycles_and_lib_imports(&sources), []);
}
