//! The rules about owners of state: few fields in a struct, few parameters, none of them hidden in
//! a tuple, and calls through `self` from file to file in one direction only.

use std::collections::{BTreeMap, BTreeSet};

use super::layers::{LIBRARY_FOLDERS, folder_of};
use super::source::{Source, end_of_item, is_word_char, words};
use super::tree::{Finding, assert_clean, sources};

/// The maximum number of fields of a struct of the core: a struct with more fields holds the state
/// of several owners.
const CORE_FIELDS_MAX: usize = 12;
/// The structs of the core that are lists by their nature: settings, and a report.
const LISTS: [&str; 2] = ["Config", "Status"];
/// The maximum number of parameters of a function, `self` included.
const PARAMETERS_MAX: usize = 7;

/// One `impl` block of a type, without a trait.
struct Impl<'a> {
    of: &'a str,
    body: &'a str,
}

/// Every inherent `impl` block of a file's production code.
fn impls(source: &Source) -> Vec<Impl<'_>> {
    let code = &source.production;
    let mut found = Vec::new();
    for (at, _) in words(code).filter(|(_, word)| *word == "impl") {
        // `impl` inside a signature is a type, and is not at the beginning of its line.
        let line_start = code[..at].rfind('\n').map_or(0, |line| line + 1);
        let Some(open) = code[at..].find('{').map(|open| at + open) else { continue };
        let header = without_generics(&code[at + "impl".len()..open]);
        let is_item = code[line_start..at].trim().is_empty();
        if !is_item || header.split_whitespace().any(|word| word == "for") {
            continue;
        }
        let name = header.split_whitespace().next().unwrap_or_default();
        let name = name.rsplit("::").next().unwrap_or_default();
        let of = code[at..open].find(name).map(|begin| &code[at + begin..at + begin + name.len()]);
        if let (Some(of), Some(end)) = (of, end_of_item(code, at)) {
            found.push(Impl { of, body: &code[open..end] });
        }
    }
    found
}

/// The text outside of `<` and `>`.
fn without_generics(text: &str) -> String {
    let mut depth = 0;
    let mut before = ' ';
    let outside = text.chars().filter(|&c| {
        let arrow = c == '>' && before == '-';
        before = c;
        match c {
            '<' => depth += 1,
            '>' if !arrow => depth -= 1,
            _ => return depth == 0,
        }
        false
    });
    outside.collect()
}

/// The methods that the block defines.
fn methods<'a>(block: &Impl<'a>) -> BTreeSet<&'a str> {
    let mut after_fn = false;
    let mut found = BTreeSet::new();
    for (_, word) in words(block.body) {
        if after_fn {
            found.insert(word);
        }
        after_fn = word == "fn";
    }
    found
}

/// The methods that the block calls on its own type, with their positions in its body.
fn own_calls<'a>(block: &Impl<'a>) -> Vec<(usize, &'a str)> {
    let called = words(block.body).filter(|(at, word)| {
        let before = &block.body[..*at];
        let through_type = before
            .strip_suffix("::")
            .is_some_and(|before| before.ends_with("Self") || before.ends_with(block.of));
        let through_self =
            before.strip_suffix("self.").is_some_and(|before| !before.ends_with(is_word_char));
        block.body[at + word.len()..].starts_with('(') && (through_self || through_type)
    });
    called.collect()
}

/// One finding for each cycle of files that call one another's methods of one type.
fn self_call_cycles(sources: &[Source]) -> Vec<Finding> {
    // The crate is part of the key, because two crates may have types of one name.
    let mut owners: BTreeMap<(&str, &str), BTreeMap<&str, &str>> = BTreeMap::new();
    let blocks: Vec<(&Source, Impl<'_>)> = sources
        .iter()
        .flat_map(|source| impls(source).into_iter().map(move |i| (source, i)))
        .collect();
    for (source, block) in &blocks {
        let methods = methods(block).into_iter().map(|name| (name, source.path.as_str()));
        owners.entry((crate_of(&source.path), block.of)).or_default().extend(methods);
    }
    let mut calls: BTreeMap<(&str, &str), BTreeMap<&str, BTreeSet<&str>>> = BTreeMap::new();
    for (source, block) in &blocks {
        let key = (crate_of(&source.path), block.of);
        for (_, name) in own_calls(block) {
            if let Some(to) = owners[&key].get(name).filter(|to| **to != source.path) {
                calls.entry(key).or_default().entry(&source.path).or_default().insert(to);
            }
        }
    }
    let mut found = Vec::new();
    for ((_, of), edges) in &calls {
        let reaches = |from: &str, to: &str| is_reachable(edges, from, to);
        let inside: Vec<&str> = edges.keys().copied().filter(|file| reaches(file, file)).collect();
        if let Some(first) = inside.first() {
            found.push(Finding {
                path: (*first).to_owned(),
                line: 1,
                item: (*of).to_owned(),
                size: inside.len(),
                advice: format!(
                    "methods of `{of}` call one another in a cycle of {} files: {}",
                    inside.len(),
                    inside.join(", ")
                ),
            });
        }
    }
    found
}

fn crate_of(path: &str) -> &str {
    path.split_once("/src/").map_or("", |(name, _)| name)
}

fn is_reachable(edges: &BTreeMap<&str, BTreeSet<&str>>, from: &str, to: &str) -> bool {
    let mut seen = BTreeSet::new();
    let mut open = vec![from];
    while let Some(file) = open.pop() {
        for next in edges.get(file).into_iter().flatten() {
            if *next == to {
                return true;
            }
            if seen.insert(*next) {
                open.push(next);
            }
        }
    }
    false
}

/// The number of items in a list between brackets, at its outermost level.
fn list_length(list: &str) -> usize {
    items(list).len()
}

/// The items of a list between brackets, split at the commas of its outermost level.
fn items(list: &str) -> Vec<&str> {
    let (mut depth, mut start) = (0, 0);
    let mut found = Vec::new();
    let mut before = ' ';
    for (at, c) in list.char_indices() {
        match c {
            '(' | '[' | '{' | '<' => depth += 1,
            '>' if before == '-' || before == '=' => {}
            ')' | ']' | '}' | '>' => depth -= 1,
            ',' if depth == 0 => {
                found.push(&list[start..at]);
                start = at + 1;
            }
            _ => {}
        }
        before = c;
    }
    found.push(&list[start..]);
    found.retain(|item| !item.trim().is_empty());
    found
}

/// Structs of the core with too many fields.
fn wide_structs(source: &Source) -> Vec<Finding> {
    let folder = folder_of(&source.path);
    let is_core = LIBRARY_FOLDERS.iter().any(|it| it.no_std && folder == Some(it.name));
    let code = &source.production;
    let structs = words(code).filter(|(_, word)| is_core && *word == "struct");
    let mut found = Vec::new();
    for (at, _) in structs {
        let Some((_, name)) = words(&code[at + "struct".len()..]).next() else { continue };
        let Some(end) = end_of_item(code, at) else { continue };
        let Some(open) = code[at..end].find('{') else { continue };
        let fields = list_length(&code[at + open + 1..end - 1]);
        if fields > CORE_FIELDS_MAX && !LISTS.contains(&name) {
            found.push(Finding {
                path: source.path.clone(),
                line: source.line_of(at),
                item: name.to_owned(),
                size: fields,
                advice: format!(
                    "`{name}` has {fields} fields, over {CORE_FIELDS_MAX}: group them by owner"
                ),
            });
        }
    }
    found
}

/// Functions with too many parameters, and parameters that hide several in a tuple.
fn long_parameter_lists(source: &Source) -> Vec<Finding> {
    let code = &source.production;
    let mut found = Vec::new();
    for (at, _) in words(code).filter(|(_, word)| *word == "fn") {
        let Some((offset, name)) = words(&code[at + 2..]).next() else { continue };
        if !code[at + 2..at + 2 + offset].trim().is_empty() {
            continue;
        }
        let after_name = at + 2 + offset + name.len();
        let Some(open) = parameters_begin(&code[after_name..]).map(|open| after_name + open) else {
            continue;
        };
        let Some(length) = bracket_length(&code[open..]) else { continue };
        let parameters = items(&code[open + 1..open + length - 1]);
        let count = parameters.len();
        let tuples = parameters.iter().filter(|one| one.trim_start().starts_with('(')).count();
        let finding = |size, advice| Finding {
            path: source.path.clone(),
            line: source.line_of(at),
            item: name.to_owned(),
            size,
            advice,
        };
        if count > PARAMETERS_MAX {
            found.push(finding(count, format!("`{name}` has {count} parameters: name a struct")));
        }
        if tuples > 0 {
            found.push(finding(
                tuples,
                format!(
                    "`{name}` hides parameters in a tuple: name a struct, or pass them one by one"
                ),
            ));
        }
    }
    found
}

/// The position of the bracket that opens the parameters, after generics.
fn parameters_begin(text: &str) -> Option<usize> {
    let mut depth = 0;
    let mut before = ' ';
    for (at, c) in text.char_indices() {
        match c {
            '<' => depth += 1,
            '>' if before != '-' => depth -= 1,
            '(' if depth == 0 => return Some(at),
            '{' | ';' if depth == 0 => return None,
            _ => {}
        }
        before = c;
    }
    None
}

/// The length of the text from its opening bracket to the matching one.
fn bracket_length(text: &str) -> Option<usize> {
    let mut depth = 0;
    for (at, c) in text.char_indices() {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return Some(at + 1);
        }
    }
    None
}

#[test]
fn structs_of_the_core_have_few_fields() {
    let findings: Vec<Finding> = sources().iter().flat_map(wide_structs).collect();
    assert_clean("fields", &findings);
}

#[test]
fn a_wide_struct_is_noticed() {
    let of = |path: &str, count: usize| {
        let fields = "    a: BTreeMap<u8, (u8, u8)>,\n".repeat(count);
        wide_structs(&Source::new(path, &format!("struct S {{\n{fields}}}\n"))).len()
    };
    assert_eq!(of("src/raft/a.rs", 12), 0);
    assert_eq!(of("src/raft/a.rs", 13), 1);
    assert_eq!(of("src/runtime/a.rs", 13), 0);
}

#[test]
fn functions_take_few_parameters_one_by_one() {
    let findings: Vec<Finding> = sources().iter().flat_map(long_parameter_lists).collect();
    assert_clean("parameters", &findings);
}

#[test]
fn a_long_parameter_list_is_noticed() {
    let found = |text: &str| long_parameter_lists(&Source::new("src/a.rs", text)).len();
    assert_eq!(found("fn f<T: Fn(u8) -> u8>(&self, a: A<B, C>, b: (u8, u8)) -> (u8, u8) {}\n"), 0);
    assert_eq!(found("fn f(a: A, b: A, c: A, d: A, e: A, f: A, g: A) {}\n"), 0);
    assert_eq!(found("fn f(a: A, b: A, c: A, d: A, e: A, f: A, g: A, h: A) {}\n"), 1);
    assert_eq!(found("fn f(\n    &self,\n    (a, b): (A, B),\n) {}\n"), 1);
}

#[test]
fn methods_of_one_type_call_one_another_in_one_direction() {
    assert_clean("self-calls", &self_call_cycles(sources()));
}

#[test]
fn a_cycle_of_self_calls_is_noticed() {
    let found = |b: &str| {
        let a = "impl<T: Fn() -> u8> S<T> {\n    fn a(&self) { self.b() }\n    fn c() {}\n}\n";
        let files = [Source::new("src/x/a.rs", a), Source::new("src/x/b.rs", b)];
        self_call_cycles(&files)
    };
    assert_eq!(found("impl<T> S<T> {\n    fn b(&self) { self.a() }\n}\n")[0].size, 2);
    assert_eq!(found("impl<T> S<T> {\n    fn b(&self) { Self::c() }\n}\n").len(), 1);
    assert_eq!(found("impl<T> S<T> {\n    fn b(&self) { self.d() }\n    fn d() {}\n}\n"), []);
    assert_eq!(found("impl Other {\n    fn b(&self) { self.a() }\n}\n"), []);
    assert_eq!(found("impl<T> S<T> {\n    fn b(&self) { self.x.a() }\n}\n"), []);
}
