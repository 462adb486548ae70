//! Calls that may not occur: those that make two runs of a seed differ, leave work unfinished, or
//! panic without a reason.

use super::layers::{LIBRARY_FOLDERS, folder_of};
use super::source::{Source, phrases};
use super::tree::{Finding, assert_clean, sources};

/// Sources of nondeterminism: clocks, entropy, the iteration order of a hash map.
const NONDETERMINISTIC: [&str; 14] = [
    "HashMap",
    "HashSet",
    "RandomState",
    "SystemTime",
    "std::time::Instant",
    "time::{Duration, Instant}",
    "Instant::now",
    "thread_rng",
    "rand::rng",
    "getrandom",
    "thread::sleep",
    "thread::current",
    "process::id",
    "env::var",
];

/// Number types whose rounding may differ between machines.
const ROUNDED: [&str; 4] = ["f32", "f64", "as_secs_f32", "as_secs_f64"];

/// Types and calls that the core must build without.
const NOT_IN_THE_CORE: [&str; 1] = ["std::"];

/// The one file of the simulator that reads a clock, for progress output; no run depends on it.
const CLOCK_READERS: [&str; 1] = ["sim/src/cli/clock.rs"];

/// The folder of the simulator's command line, which may show rounded numbers.
const ROUNDED_IN: &str = "sim/src/cli/";

/// The one file that has to name the types of rounded numbers, to refuse them.
const REFUSES_ROUNDED: &str = "src/recording/encoding.rs";

/// Folders that may use clocks and threads, because real time and real sockets decide there anyway.
const NONDETERMINISTIC_FOLDERS: [&str; 2] = ["runtime", "http"];

fn must_be_deterministic(source: &Source) -> bool {
    let folder = folder_of(&source.path);
    folder.is_some_and(|folder| !NONDETERMINISTIC_FOLDERS.contains(&folder))
        && !CLOCK_READERS.contains(&source.path.as_str())
}

fn is_core(source: &Source) -> bool {
    let folder = folder_of(&source.path);
    LIBRARY_FOLDERS.iter().any(|other| other.no_std && folder == Some(other.name))
}

/// Every place in production code that contains one of `words`.
fn findings_of(source: &Source, words: &[&str], why: &str) -> Vec<Finding> {
    let found = words.iter().flat_map(|word| {
        phrases(&source.production, word).map(move |position| Finding {
            path: source.path.clone(),
            line: source.line_of(position),
            item: (*word).to_owned(),
            size: 0,
            advice: format!("`{word}`: {why}"),
        })
    });
    found.collect()
}

fn nondeterministic(source: &Source) -> Vec<Finding> {
    let mut found = Vec::new();
    if must_be_deterministic(source) {
        found.extend(findings_of(source, &NONDETERMINISTIC, "two runs of a seed would differ"));
    }
    let may_name_rounded = source.path.starts_with(ROUNDED_IN) || source.path == REFUSES_ROUNDED;
    if must_be_deterministic(source) && !may_name_rounded {
        found.extend(findings_of(source, &ROUNDED, "code that decides must use integers"));
    }
    if is_core(source) {
        found.extend(findings_of(source, &NOT_IN_THE_CORE, "the core is built without it"));
    }
    found
}

/// Every `select!` of the runtime that polls its branches in random order, which would make two
/// runs of a seed on simulated sockets differ.
fn random_selects(source: &Source) -> Vec<Finding> {
    const CALL: &str = "select! {";
    let unfair =
        |at: &usize| !source.production[at + CALL.len()..].trim_start().starts_with("biased;");
    let found = phrases(&source.production, CALL).filter(unfair);
    let finding = |position| Finding {
        path: source.path.clone(),
        line: source.line_of(position),
        item: "select".to_owned(),
        size: 0,
        advice: "begin with `biased;`, and order the branches: the rare and short ones first"
            .to_owned(),
    };
    let repeats = folder_of(&source.path) == Some("runtime");
    found.map(finding).filter(|_| repeats).collect()
}

fn unwraps(source: &Source) -> Vec<Finding> {
    let calls = [".unwrap()", ".unwrap_unchecked()", ".unwrap_err()"];
    findings_of(source, &calls, "use `expect` with the reason why the call cannot fail")
}

/// Every `expect` in production code whose reason is not a text of at least two words.
fn bare_expects(source: &Source) -> Vec<Finding> {
    let calls = [".expect(", ".expect_err("];
    let positions = calls.iter().flat_map(|call| {
        phrases(&source.production, call).map(|position| (position, position + call.len()))
    });
    let bare = positions.filter(|(_, argument)| {
        let text = source.text[*argument..].trim_start();
        let reason = text.strip_prefix('"').and_then(|text| text.split('"').next());
        reason.is_none_or(|reason| reason.split_whitespace().count() < 2)
    });
    bare.map(|(position, _)| Finding {
        path: source.path.clone(),
        line: source.line_of(position),
        item: "expect".to_owned(),
        size: 0,
        advice: "`expect` without a reason of at least two words".to_owned(),
    })
    .collect()
}

/// Markers of unfinished work, in code and in comments, tests included.
fn unfinished(source: &Source) -> Vec<Finding> {
    let calls = ["todo!", "unimplemented!", "dbg!"];
    let notes = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("X", "XX")];
    let in_code =
        calls.iter().flat_map(|word| phrases(&source.code, word).map(move |at| (at, word)));
    let in_text =
        notes.iter().flat_map(|word| phrases(&source.text, word).map(move |at| (at, word)));
    in_code
        .chain(in_text)
        .map(|(position, word)| Finding {
            path: source.path.clone(),
            line: source.line_of(position),
            item: (*word).to_owned(),
            size: 0,
            advice: format!("`{word}`: finish the work, or write an issue"),
        })
        .collect()
}

#[test]
fn code_that_decides_makes_no_nondeterministic_call() {
    let findings: Vec<Finding> = sources().iter().flat_map(nondeterministic).collect();
    assert_clean("calls", &findings);
}

#[test]
fn a_nondeterministic_call_is_noticed() {
    let found = |path: &str, text: &str| nondeterministic(&Source::new(path, text)).len();
    for word in NONDETERMINISTIC {
        assert_eq!(found("sim/src/world.rs", &format!("fn f() {{ {word} }}\n")), 1, "{word}");
    }
    for word in ROUNDED {
        let text = format!("fn f() {{ {word} }}\n");
        assert_eq!(found("sim/src/world.rs", &text), 1, "{word}");
        assert_eq!(found("sim/src/cli/text.rs", &text), 0, "{word}");
    }
    for word in NOT_IN_THE_CORE {
        assert_eq!(found("src/log/mod.rs", &format!("fn f() {{ {word} }}\n")), 1, "{word}");
    }
    assert_eq!(found("src/log/mod.rs", "// No HashMap: its order differs.\n"), 0);
    assert_eq!(found("src/log/mod.rs", "#[cfg(test)]\nmod t { use std::env::var; }\n"), 0);
    assert_eq!(found("src/runtime/mod.rs", "use std::time::Instant;\n"), 0);
    assert_eq!(found(CLOCK_READERS[0], "use std::time::Instant;\n"), 0);
}

#[test]
fn no_branch_is_taken_by_chance() {
    assert_clean("select", &sources().iter().flat_map(random_selects).collect::<Vec<_>>());
}

#[test]
fn a_branch_taken_by_chance_is_noticed() {
    let found = |path: &str, text: &str| random_selects(&Source::new(path, text)).len();
    let fair = "fn f() { tokio::select! {\n biased;\n () = a => {} } }\n";
    let unfair = "fn f() { tokio::select! {\n () = a => {} } }\n";
    assert_eq!(found("src/runtime/driver.rs", unfair), 1);
    assert_eq!(found("src/runtime/driver.rs", fair), 0);
    assert_eq!(found("src/bin/quorate/main.rs", unfair), 0);
}

#[test]
fn nothing_is_unwrapped_without_a_reason() {
    assert_clean("unwrap", &sources().iter().flat_map(unwraps).collect::<Vec<_>>());
    assert_clean("expect", &sources().iter().flat_map(bare_expects).collect::<Vec<_>>());
}

#[test]
fn an_unwrap_is_noticed() {
    let found = |text: &str| {
        let source = Source::new("src/raft/mod.rs", text);
        unwraps(&source).len() + bare_expects(&source).len()
    };
    assert_eq!(found("fn f() { x.unwrap() }\n"), 1);
    assert_eq!(found("fn f() { x\n    .unwrap() }\n"), 1);
    assert_eq!(found("fn f() { x.expect(\"\") }\n"), 1);
    assert_eq!(found("fn f() { x.expect(\"index\") }\n"), 1);
    assert_eq!(found("fn f() { x.expect(REASON) }\n"), 1);
    assert_eq!(found("fn f() { x.expect(\n    \"a leader has a term\") }\n"), 0);
    assert_eq!(found("fn f() { x.unwrap_or(0) }\n"), 0);
    assert_eq!(found("#[cfg(test)]\nfn f() { x.unwrap() }\n"), 0);
}

#[test]
fn nothing_is_left_for_later() {
    assert_clean("unfinished", &sources().iter().flat_map(unfinished).collect::<Vec<_>>());
}

#[test]
fn unfinished_work_is_noticed() {
    let found = |text: &str| unfinished(&Source::new("tests/a.rs", text)).len();
    assert_eq!(found("fn f() { todo!() }\n"), 1);
    assert_eq!(found("fn f() { unimplemented!(\"later\") }\n"), 1);
    assert_eq!(found("fn f() { dbg!(x) }\n"), 1);
    assert_eq!(found(concat!("// TO", "DO: later\n")), 1);
    assert_eq!(found(concat!("// FIX", "ME\n")), 1);
    assert_eq!(found("// todo!() is not called here\n"), 0);
}
