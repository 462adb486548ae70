//! The rules on a small program, which is compiled with all its mutants: each must change what the
//! program prints, and nothing else may.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use crate::cli::mutants::auto::fold::{FoldedFile, fold};
use crate::cli::mutants::auto::sites::{self, Change};
use crate::cli::mutants::programs::ACTIVE_BUG_VARIABLE;

const PROGRAM: &str = r#"
fn less(a: u64, b: u64) -> bool {
    a < b
}

fn same(a: u64, b: u64) -> bool {
    a == b
}

fn both(a: bool, b: bool) -> bool {
    a && b
}

fn either(a: bool, b: bool) -> bool {
    a
        // A comment between the operands.
        || b
}

fn next(a: u64) -> u64 {
    a + 1
}

fn rest(a: u64, b: u64) -> u64 {
    a.saturating_sub(b)
}

fn least(a: u64, b: u64) -> u64 {
    a.min(
        b,
    )
}

fn guarded(a: Option<u64>) -> u64 {
    if let Some(a) = a {
        return a;
    }
    7
}

fn kinds(list: &[u64]) -> u64 {
    if list.is_empty() { 3 } else { 4 }
}

fn arm(a: u64) -> bool {
    match a {
        a if a > 3 => true,
        _ => false,
    }
}

fn effects(list: &mut Vec<u64>) {
    list.push(5);
    list.reverse();
    list[0] += 2;
}

fn tail(list: &mut Vec<u64>, empties: bool) {
    if empties {
        list.clear()
    }
}

fn ends(list: &[u64]) -> Option<&u64> {
    list.first()
}

#[derive(Debug)]
struct Message {
    term: Term,
    commit: u64,
    entries: Vec<u64>,
}

fn message(term: Term, commit: u64, entries: Vec<u64>) -> Message {
    Message { term, commit: commit, entries }
}

fn assert_small(a: u64) {
    if a > 9 {
        panic!();
    }
}

fn checked(a: u64) {
    crate::assert_small(a);
}

const fn fixed() -> u64 {
    1 + 1
}

#[cfg(test)]
mod tests {
    fn none() -> u64 {
        1 + 1
    }
}
"#;

/// Prints the results of all functions, for arguments that distinguish all mutants.
const MAIN: &str = r#"
mod planted;
mod types {
    #[derive(Debug)] pub struct Term(pub u64);
    pub struct Index(pub u64);
    pub struct NodeId(pub u64);
    pub struct Tag(pub u64);
    pub struct WriteId(pub u64);
    pub struct Incarnation(pub u128);
    pub struct EntryId { pub term: Term, pub index: Index }
}
use types::Term;
fn main() {
    let pairs = [(1, 2), (2, 2), (3, 2)];
    let flags = [(false, false), (false, true), (true, false), (true, true)];
    println!("{:?}", pairs.map(|(a, b)| (less(a, b), same(a, b), rest(a, b), least(a, b))));
    println!("{:?}", flags.map(|(a, b)| (both(a, b), either(a, b))));
    println!("{:?}", (next(4), guarded(Some(1)), guarded(None), kinds(&[]), kinds(&[1])));
    println!("{:?}", (arm(2), arm(3), arm(4), ends(&[1, 2]), fixed()));
    let mut list = vec![1];
    effects(&mut list);
    println!("{list:?}");
    tail(&mut list, false);
    println!("{list:?}");
    tail(&mut list, true);
    println!("{list:?} {:?}", message(Term(1), 2, vec![3]));
}
"#;

fn folded(is_in: impl Fn(usize) -> bool) -> (FoldedFile, Vec<Change>) {
    let found = sites::of_text(PROGRAM).expect("the program is valid");
    let folded = fold(PROGRAM, &found.sites, &found.functions, 1, is_in);
    syn::parse_file(&folded.text).unwrap_or_else(|why| panic!("{why}: {}", folded.text));
    (folded, found.changes)
}

/// Runs the program and returns what it prints: its own lines, and those about mutants.
fn run(command: &Path, active: &str) -> (Vec<String>, BTreeSet<String>) {
    let output = Command::new(command).env(ACTIVE_BUG_VARIABLE, active).output();
    let output = output.expect("the program starts");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let (seen, own): (Vec<String>, Vec<String>) =
        text.lines().map(str::to_owned).partition(|line| line.starts_with("seen "));
    (own, seen.into_iter().collect())
}

#[test]
fn each_mutant_changes_what_the_program_does_and_a_probe_sees_it() {
    let (folded, changes) = folded(|_| true);
    let folder = tempfile::tempdir().expect("a folder");
    let file = |name: &str| folder.path().join(name);
    let count = (changes.len() + 1).to_string();
    let switch = include_str!("planted.txt").replace("MUTANTS", &count);
    fs::write(file("planted.rs"), switch).expect("it is written");
    fs::write(file("main.rs"), format!("{}{MAIN}", folded.text)).expect("it is written");
    let compiler = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let mut build = Command::new(compiler);
    build.args(["--edition", "2024", "-Awarnings", "-o"]).arg(file("program"));
    let built = build.arg(file("main.rs")).output().expect("the compiler starts");
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));

    let (original, seen) = run(&file("program"), "");
    assert_eq!((original.len(), seen.len()), (7, 0), "{original:?} {seen:?}");
    let (probed, seen) = run(&file("program"), "probe");
    assert_eq!(probed, original, "a probe changes the program");
    for (at, change) in changes.iter().enumerate() {
        let marked = format!("seen {} 3", at + 1);
        assert!(seen.contains(&marked), "the probe does not see a difference: {change:?}");
        let (mutated, seen) = run(&file("program"), &(at + 1).to_string());
        assert_ne!(mutated, original, "{change:?} changes nothing");
        assert!(seen.contains(&marked), "{change:?}: {seen:?}");
        assert!(seen.len() <= 2, "another mutant is seen, too: {change:?}: {seen:?}");
    }
    let kinds: BTreeSet<&str> = changes.iter().map(|change| change.kind).collect();
    let all = ["arithmetic", "comparison", "condition", "field", "guard", "literal", "logic"];
    let all = all.into_iter().chain(["method", "order", "statement"]);
    assert_eq!(kinds, all.collect());
}

#[test]
fn constants_tests_and_assertions_have_no_mutants() {
    let (folded, changes) = folded(|_| true);
    for name in ["fixed", "none", "assert_small", "checked"] {
        assert!(changes.iter().all(|change| change.function != name), "{name}");
    }
    let comparison = changes.iter().find(|change| change.text == "`<` → `<=`");
    let comparison = comparison.expect("it is mutated");
    assert_eq!((comparison.line, comparison.column), (3, 7));
    assert_eq!(comparison.function, "less");
    let lines = folded.text.lines().count();
    assert_eq!(lines, PROGRAM.lines().count(), "a line number changed: {}", folded.text);
}

#[test]
fn an_error_is_blamed_on_the_smallest_part_around_it() {
    let (folded, changes) = folded(|_| true);
    let blamed = |code: &str| {
        let at = folded.text.find(code).unwrap_or_else(|| panic!("{code}: {}", folded.text));
        let ranges = folded.ranges.iter().filter(|(range, _)| range.contains(&at));
        let (_, numbers) = ranges.min_by_key(|(range, _)| range.len()).expect("it is in a range");
        numbers.iter().map(|number| changes[number - 1].text.as_str()).collect::<Vec<_>>()
    };
    assert_eq!(blamed("*l <= *r"), ["`<` → `<=`"]);
    assert_eq!(blamed("match (&(a)"), ["`<` → `<=`", "`<` → `>=`"]);
    assert_eq!(blamed("l.wrapping_sub(r)"), ["`saturating_sub` → `wrapping_sub`"]);
    assert!(blamed("return a;").len() == 3, "a function is not the last resort");
}

#[test]
fn a_mutant_that_is_left_out_leaves_no_trace() {
    let number = |changes: &[Change], text: &str| {
        changes.iter().position(|change| change.text == text).expect("it is a mutant") + 1
    };
    let (_, changes) = folded(|_| true);
    let out = number(&changes, "`<` → `<=`");
    let (one, _) = folded(|number| number != out);
    assert!(one.text.contains("*l < *r, [*l >= *r, ]"), "{}", one.text);
    let (none, _) = folded(|_| false);
    assert_eq!(none.text, PROGRAM);
    assert!(none.ranges.is_empty(), "{:?}", none.ranges);
}
