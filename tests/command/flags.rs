//! Every subcommand of `quorate` is run by a test with each of its flags.

use std::env::temp_dir;
use std::fs;
use std::path::Path;

use crate::cli::quorate_in;

/// The flags that many subcommands have, and that are the same for all.
const SHARED: [&str; 8] =
    ["--help", "--json", "--nodes", "--cluster", "--timeout", "--certs", "--as", "--plaintext"];

/// The pages whose commands a test runs, and the helpers of tests.
const PAGES: [&str; 2] =
    [include_str!("../../docs/OPERATIONS.md"), include_str!("../lin_kv/bench.rs")];

/// Returns the first words of the lines of a help text.
fn words(help: &str) -> impl Iterator<Item = &str> {
    help.lines().filter_map(|line| line.split_whitespace().next())
}

/// Whether a text has a word, and not only a longer one that contains it.
fn has(text: &str, word: &str) -> bool {
    let is_part = |letter: char| letter.is_alphanumeric() || letter == '-';
    let mut places = text.match_indices(word);
    places.any(|(at, _)| {
        !text[..at].ends_with(is_part) && !text[at + word.len()..].starts_with(is_part)
    })
}

/// Returns the commands without further subcommands, each with its help text.
fn commands(before: &[&str]) -> Vec<(Vec<String>, String)> {
    let help = quorate_in(&temp_dir(), before.iter().chain(&["--help"])).ok();
    let Some((_, rest)) = help.split_once("\nCommands:\n") else {
        return vec![(before.iter().map(|word| (*word).to_owned()).collect(), help)];
    };
    let lines = rest.lines().take_while(|line| !line.is_empty());
    // A description that is wrapped continues further to the right.
    let names = lines.filter(|line| !line.starts_with("   ")).filter_map(|line| words(line).next());
    let names = names.filter(|name| *name != "help");
    names.flat_map(|name| commands(&[before, &[name]].concat())).collect()
}

#[test]
fn a_test_runs_every_subcommand_with_each_of_its_flags() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/command");
    let files = fs::read_dir(&folder).expect("the sources of this test");
    let files = files.map(|file| file.expect("it is listed").path());
    let files: Vec<String> = files.filter_map(|file| fs::read_to_string(file).ok()).collect();
    let tests: Vec<&str> = files.iter().flat_map(|file| file.split("\n#[test]\n")).collect();
    let all = commands(&[]);
    assert!(all.len() > 25, "{} commands", all.len());
    let mut unused = Vec::new();
    for (command, help) in all {
        // The nodes of most tests are started by helpers.
        let is_helped = command == ["serve"];
        let runs = |test: &str| is_helped || command.iter().all(|word| has(test, word));
        let flags = words(&help).filter(|word| word.starts_with("--"));
        let flags = flags.map(|flag| flag.split('[').next().unwrap_or(flag));
        let own = flags.filter(|flag| is_helped || !SHARED.contains(flag));
        for flag in own.chain(command.last().map(String::as_str)) {
            if !tests.iter().chain(&PAGES).any(|test| runs(test) && has(test, flag)) {
                unused.push(format!("{} {flag}", command.join(" ")));
            }
        }
    }
    assert_eq!(unused, Vec::<String>::new(), "no test runs them");
}
