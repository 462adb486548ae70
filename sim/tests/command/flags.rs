//! Every subcommand of `cargo sim` is run by a test with each of its flags.

use crate::{run, stdout};

/// The sources of the tests that run the command, and the recipes, which a test runs, too.
const TESTS: [&str; 7] = [
    include_str!("analysis.rs"),
    include_str!("histories.rs"),
    include_str!("main.rs"),
    include_str!("parts.rs"),
    include_str!("procs.rs"),
    include_str!("recordings.rs"),
    include_str!("../../../docs/CI.md"),
];

/// Subcommands that take too long for a test. Unit tests beside their sources run their parts.
const LONG: [&str; 2] = ["bench", "mutants"];

/// The flags that select a run in the same way for all subcommands.
const SHARED: [&str; 4] = ["--seed", "--scenario", "--profile", "--strategy"];

/// Returns the long flags of a help text.
fn flags(help: &str) -> Vec<&str> {
    let words = help.lines().filter_map(|line| line.split_whitespace().next());
    words.filter(|word| word.starts_with("--") && *word != "--help").collect()
}

/// Whether a text has a flag, and not only a longer one that begins with it.
fn has_flag(text: &str, flag: &str) -> bool {
    let ends = |rest: &str| !rest.starts_with(|next: char| next.is_alphanumeric() || next == '-');
    text.split(flag).skip(1).any(ends)
}

/// Whether a test has the first word of a command line, or a helper that begins with it.
fn runs(test: &str, subcommand: &str) -> bool {
    let helper = subcommand.replace('-', "_");
    let begins = ["\"", "cargo sim "].map(|before| format!("{before}{subcommand} "));
    let helpers = [" ", "&", "("].map(|before| format!("{before}{helper}("));
    begins.iter().chain(&helpers).any(|words| test.contains(words))
}

#[test]
fn a_test_runs_every_subcommand_with_each_of_its_flags() {
    // A table of usage errors shows that a flag is parsed, not that it has an effect.
    let tests = TESTS.iter().flat_map(|file| file.split("\n#[test]\n"));
    let tests: Vec<&str> = tests.filter(|test| !test.contains("fn every_usage_error")).collect();
    let help = stdout(&run("--help"));
    let (_, rest) = help.split_once("Commands:\n").expect("there are subcommands");
    let subcommands = rest.lines().map_while(|line| line.split_whitespace().next());
    let subcommands: Vec<&str> = subcommands.filter(|one| !LONG.contains(one)).collect();
    assert!(subcommands.len() > 10 && flags(&help).len() > 10, "{help}");
    let is_unused = |flag: &&str| !tests.iter().any(|test| has_flag(test, flag));
    let mut unused: Vec<String> =
        flags(&help).into_iter().filter(is_unused).map(str::to_owned).collect();
    for subcommand in subcommands {
        let help = stdout(&run(&format!("{subcommand} --help")));
        for flag in flags(&help).into_iter().filter(|flag| !SHARED.contains(flag)) {
            if !tests.iter().any(|test| runs(test, subcommand) && has_flag(test, flag)) {
                unused.push(format!("{subcommand} {flag}"));
            }
        }
    }
    assert_eq!(unused, Vec::<String>::new(), "no test runs them");
}
