//! The shell parts of the recipes in `docs/CI.md`, run with few seeds.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::{stderr, stdout};

/// Runs a script of a recipe in a folder, with four seeds of a profile, and returns its exit code
/// and both outputs.
fn shell(script: &str, folder: &Path, variables: &[(&str, &str)], profile: &str) -> (i32, String) {
    let binary = env!("CARGO_BIN_EXE_quorate-sim");
    // The failures of the first seeds would take long to shrink; `--rotate` moves on to later ones.
    let seeds = if script.contains("--rotate") { "0..4" } else { "16..20" };
    // One failure for each part is enough to see what becomes of it.
    let sweep = format!("'{binary}' --jobs 2 --failures-max 1 --profile {profile} --seeds {seeds}");
    let script = script.replace(" --jobs 4", "").replace(" --jobs 1", "");
    let script = seed_ranges(&script, &sweep).replace("cargo sim", &format!("'{binary}'"));
    let script = script.replace("/parts", &folder.display().to_string());
    let mut shell = Command::new("sh");
    shell.args(["-c", &script]).current_dir(folder).env_remove("GITHUB_STEP_SUMMARY");
    let output = shell.envs(variables.iter().copied()).output().expect("there is a shell");
    let code = output.status.code().expect("it was not killed");
    (code, stdout(&output) + &stderr(&output))
}

/// Replaces `cargo sim --seeds A..B` by the words of a small sweep.
fn seed_ranges(script: &str, sweep: &str) -> String {
    let mut parts = script.split("cargo sim --seeds ");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| {
        let (_, rest) = part.split_once(' ').expect("more words follow the range");
        format!("{text}{sweep} {rest}")
    })
}

/// Returns the scripts under a heading of the document: the `sh` blocks as they are, and from
/// `yaml` blocks the block scalars (`|`) that run `cargo sim`.
fn scripts(heading: &str) -> Vec<String> {
    let text = include_str!("../../../docs/CI.md");
    let after = text.split_once(&format!("\n## {heading}\n")).expect("there is the heading").1;
    let section = after.split("\n## ").next().unwrap_or_default();
    let blocks = section.split("```").skip(1).step_by(2);
    let scripts = blocks.flat_map(|block| match block.split_once('\n') {
        Some(("sh", script)) => vec![script.to_owned()],
        Some(("yaml", text)) => block_scalars(text),
        other => panic!("a block of an unknown language: {other:?}"),
    });
    let scripts: Vec<String> = scripts.filter(|script| script.contains("cargo sim")).collect();
    assert_eq!(section.matches("cargo sim ").count(), {
        let scripts = scripts.concat();
        scripts.matches("cargo sim ").count()
    });
    scripts
}

/// Returns the literal block scalars of a YAML text, without their indentation.
fn block_scalars(text: &str) -> Vec<String> {
    let lines: Vec<&str> = text.lines().collect();
    let indent = |line: &str| line.len() - line.trim_start().len();
    let begins = lines.iter().enumerate().filter(|(_, line)| line.ends_with(" |"));
    begins
        .map(|(at, line)| {
            let block = lines[at + 1..].iter().take_while(|it| indent(it) > indent(line));
            let block: Vec<&str> = block.copied().collect();
            let margin = block.iter().map(|line| indent(line)).min().unwrap_or(0);
            block.iter().map(|line| format!("{}\n", &line[margin..])).collect()
        })
        .collect()
}

/// Asserts what a recipe with a failing profile leaves in the folder of the merged sweep.
fn assert_failures_kept(folder: &Path, printed: &str) {
    assert!(printed.contains("replay: cargo sim --seed "), "{printed}");
    assert!(printed.contains("\nshrunk "), "{printed}");
    let kept = fs::read_dir(folder.join("failures")).expect("the failures are kept");
    let mut ends: Vec<String> = kept
        .map(|entry| entry.expect("it is readable").path())
        .filter_map(|path| Some(path.extension()?.to_str()?.to_owned()))
        .collect();
    ends.sort_unstable();
    ends.dedup();
    assert_eq!(ends, ["html", "scenario"]);
}

const PASSING: &str = "default";
/// A profile whose seeds fail by design.
const FAILING: &str = "survivor-partitioned";

/// The number of parts of a sweep in a test.
const PARTS: usize = 2;

/// Runs the recipe's part script once for each part, and then its merge script, if it has one.
fn run_in_parts(
    heading: &str,
    profile: &str,
    part: impl Fn(&str, usize) -> (String, Vec<(&'static str, String)>),
) -> (i32, String) {
    let folder = tempfile::tempdir().expect("there is room");
    let mut scripts = scripts(heading).into_iter();
    let script = scripts.next().expect("a script runs a part");
    let mut last = (0, String::new());
    for number in 1..=PARTS {
        let (script, variables) = part(&script, number);
        let variables: Vec<(&str, &str)> =
            variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
        last = shell(&script, folder.path(), &variables, profile);
    }
    if let Some(merge) = scripts.next() {
        let parts = fs::read_dir(folder.path()).expect("it is there").count();
        assert_eq!(parts, PARTS, "{}", last.1);
        last = shell(&merge, folder.path(), &[], profile);
    }
    assert!(folder.path().join("sim.html").exists(), "{}", last.1);
    match profile {
        FAILING => assert_failures_kept(folder.path(), &last.1),
        _ => assert!(!folder.path().join("failures").exists(), "{}", last.1),
    }
    last
}

/// Runs the recipe with a profile that passes and with one that fails.
fn assert_recipe(
    heading: &str,
    part: impl Fn(&str, usize) -> (String, Vec<(&'static str, String)>),
) {
    for (profile, expected) in [(PASSING, 0), (FAILING, 10)] {
        let (code, printed) = run_in_parts(heading, profile, &part);
        assert_eq!(code, expected, "{heading}: {printed}");
        assert!(printed.contains(", in 2 parts"), "{heading}: {printed}");
    }
}

#[test]
fn the_recipe_with_several_processes_works_as_documented() {
    let scripts = scripts("Several processes on one machine");
    for (profile, expected) in [(PASSING, 0), (FAILING, 10)] {
        let folder = tempfile::tempdir().expect("there is room");
        let (code, printed) = shell(&scripts[0], folder.path(), &[], profile);
        assert_eq!(code, expected, "{printed}");
        assert!(printed.contains("seeds 28..32, in 4 parts"), "{printed}");
        for file in ["sim.xml", "sim.html"] {
            let written = fs::metadata(folder.path().join(file));
            assert!(written.is_ok_and(|file| file.len() > 100), "{file}");
        }
        if profile == FAILING {
            assert_failures_kept(folder.path(), &printed);
        }
    }
}

#[test]
fn the_recipe_for_github_works_as_documented() {
    assert_recipe("GitHub Actions", |script, number| {
        let script = script.replace("${{ matrix.shard }}/4", &format!("{number}/{PARTS}"));
        let script = script.replace("${{ matrix.shard }}", &number.to_string());
        (script.replace("${{ github.run_number }}", "4"), Vec::new())
    });
}

#[test]
fn the_recipe_for_gitlab_works_as_documented() {
    assert_recipe("GitLab CI", |script, number| {
        let variables = [
            ("CI_PIPELINE_IID", "4".to_owned()),
            ("CI_NODE_INDEX", number.to_string()),
            ("CI_NODE_TOTAL", PARTS.to_string()),
        ];
        (script.to_owned(), variables.into())
    });
}

#[test]
fn the_recipe_for_kubernetes_works_as_documented() {
    assert_recipe("A Kubernetes Indexed Job", |script, number| {
        let variables =
            [("JOB_COMPLETION_INDEX", (number - 1).to_string()), ("PARTS", PARTS.to_string())];
        (script.to_owned(), variables.into())
    });
}

#[test]
fn the_recipe_for_slurm_works_as_documented() {
    assert_recipe("A Slurm array", |script, number| {
        let variables = [
            ("SLURM_ARRAY_TASK_ID", number.to_string()),
            ("SLURM_ARRAY_TASK_COUNT", PARTS.to_string()),
        ];
        (script.to_owned(), variables.into())
    });
}

#[test]
fn github_outside_of_its_runner_writes_the_other_reports() {
    let folder = tempfile::tempdir().expect("there is room");
    let script = "cargo sim --seeds 0..2 --github --junit sim.xml --report sim.html --json";
    let (code, printed) = shell(script, folder.path(), &[], PASSING);
    assert_eq!(code, 0, "{printed}");
    assert!(printed.contains("note: --github has no effect here"), "{printed}");
    assert!(["sim.xml", "sim.html"].iter().all(|file| folder.path().join(file).exists()));
    let json = printed.split("note: ").next().unwrap_or_default();
    assert!(serde_json::from_str::<Value>(json).is_ok(), "{printed}");
}
