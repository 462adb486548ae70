//! A sweep that runs in parts, and what its failing seeds leave behind.

use std::fs;

use serde_json::Value;

use crate::{assert_usage_error, command, json, run, stderr, stdout};

#[test]
fn the_merged_parts_of_a_sweep_equal_the_sweep() {
    let root = tempfile::tempdir().expect("there is room");
    let part = |number: u64| {
        let file = root.path().join(format!("{number}.json"));
        // The parts run concurrently, each in its own process.
        let output = fs::File::create(&file).expect("there is room");
        let words = format!("--seeds 0..4 --rotate 4 --shard {number}/3 --json");
        let process = command(&words).stdout(output).spawn().expect("the binary starts");
        (file, process)
    };
    let files: Vec<String> = [2, 3, 1].map(part).into_iter().map(finished).collect();
    let whole = json("--seeds 16..20 --json");
    let merged = json(&format!("merge {} --json", files.join(" ")));
    for same in [
        "seeds",
        "range",
        "verdict",
        "events",
        "simulated_seconds",
        "messages",
        "faults",
        "elections",
        "runs_without_checks",
        "runs_without_liveness",
        "median_seed",
        "marks",
        "first_seeds",
        "failure_rate_max",
        "missed_required_marks",
        "failures",
    ] {
        assert_eq!(merged[same], whole[same], "{same}");
    }
    assert_eq!(merged["subject"], "seeds 16..20, in 3 parts");
    assert_ne!(whole["canary"]["found_by"], Value::Null);
    assert_eq!(merged["canary"], whole["canary"], "each part runs the same seeds");

    let two = format!("merge {} {}", files[0], files[1]);
    assert_usage_error(&run(&two), "part 1 of 3 is missing");
    let twice = format!("merge {} {} {}", files.join(" "), files[0], files[0]);
    assert_usage_error(&run(&twice), "duplicated");
    let other = root.path().join("other.json");
    fs::write(&other, run("--seeds 16..18 --shard 1/3 --json").stdout).expect("there is room");
    assert_usage_error(&run(&format!("merge {} {}", files[1], other.display())), "same sweep");
    let text = fs::read_to_string(&files[0]).expect("a part was written");
    let mut foreign: Value = serde_json::from_str(&text).expect("a part is JSON");
    foreign["program"] = "cargo chaos".into();
    fs::write(&other, foreign.to_string()).expect("there is room");
    let foreign = format!("merge {} {} {}", other.display(), files[1], files[2]);
    assert_usage_error(&run(&foreign), "`cargo chaos` wrote the file, and this is `cargo sim`");
    fs::write(&other, "{}").expect("there is room");
    assert_usage_error(&run(&format!("merge {}", other.display())), "other.json");
    assert_usage_error(&run("merge no-such.json"), "no-such.json");
}

/// Returns the file after its process has exited with success.
fn finished((file, mut process): (std::path::PathBuf, std::process::Child)) -> String {
    assert!(process.wait().expect("it was started").success());
    file.display().to_string()
}

/// A profile whose seeds fail by design: the network partitions, and the last survivor takes over.
const FAILING: &str = "--profile survivor-partitioned";

#[test]
fn the_failures_of_parts_are_named_with_their_replay_lines() {
    let root = tempfile::tempdir().expect("there is room");
    let file = |number: u64| root.path().join(format!("{number}.json"));
    for number in [1, 2] {
        let output = run(&format!("{FAILING} --seeds 16..20 --shard {number}/2 --json"));
        fs::write(file(number), &output.stdout).expect("there is room");
        let part: Value = serde_json::from_slice(&output.stdout).expect("only JSON is printed");
        let failures = part["failures"].as_array().expect("it is a list");
        assert_eq!(output.status.code() == Some(0), failures.is_empty());
        let lines = stderr(&output);
        for failure in failures {
            let text = |name: &str| failure[name].as_str().expect("it is text").to_owned();
            let kind = format!("{} [{}]: ", text("check"), text("fingerprint"));
            assert_eq!(lines.matches(&kind).count(), 1, "one line for each kind: {lines}");
            assert!(text("replay").contains("--profile survivor-partitioned"), "{failure}");
        }
        let first = failures.first().expect("each part has a failing seed");
        let seed = format!("FAIL  seed {}", first["seed"]);
        let line = lines.lines().find(|line| line.starts_with(&seed)).expect("it is named");
        assert!(line.ends_with(&format!("replay: {}", first["replay"].as_str().unwrap_or("?"))));
    }
    let files = format!("{} {}", file(1).display(), file(2).display());
    let output = run(&format!("merge {files}"));
    let text = stdout(&output);
    assert_eq!(output.status.code(), Some(10), "{text}");
    let first = text.lines().position(|line| line.starts_with("FAIL  seed ")).expect("a failure");
    let replay = text.lines().nth(first + 2).expect("its replay line");
    assert!(replay.starts_with("      replay: cargo sim --seed "), "{text}");
    let merged = run(&format!("merge {files} --json"));
    assert!(stderr(&merged).contains("· replay: cargo sim --seed "), "{}", stderr(&merged));
}

#[test]
fn a_sweep_ends_with_the_number_of_failing_seeds_that_is_allowed() {
    for count in [1, 2] {
        let output =
            run(&format!("{FAILING} --seeds 16..24 --failures-max {count} --jobs 1 --json"));
        let report: Value = serde_json::from_slice(&output.stdout).expect("only JSON is printed");
        let ended = (report["failures"].as_array().map(Vec::len), report["end"].as_str());
        assert_eq!(ended, (Some(count), Some("failures")));
    }
}

#[test]
fn a_shrunk_seed_is_in_the_json_and_on_standard_error() {
    let root = tempfile::tempdir().expect("there is room");
    let folder = root.path().join("failures");
    let words = format!("{FAILING} --seed 1 --json --shrink-to");
    let output = command(&words).arg(&folder).output().expect("the binary starts");
    assert_eq!(output.status.code(), Some(10), "{}", stderr(&output));
    let report: Value = serde_json::from_slice(&output.stdout).expect("only JSON is printed");
    let shrunk = &report["failures"][0]["shrunk"];
    let lines = shrunk["scenario"].as_array().expect("the failure is shrunk");
    assert_eq!(shrunk["lines"], lines.len());
    for line in lines {
        let line = line.as_str().expect("it is text");
        assert!(stderr(&output).contains(&format!("\n  {line}")), "{}", stderr(&output));
    }
    // `merge` does not shrink it again, but writes it to the directory of the whole.
    let part = root.path().join("part.json");
    fs::write(&part, &output.stdout).expect("there is room");
    let merged = run(&format!("merge {} --shrink --json", part.display()));
    let report: Value = serde_json::from_slice(&merged.stdout).expect("only JSON is printed");
    assert_eq!(report["failures"][0]["shrunk"]["scenario"], shrunk["scenario"]);
    assert!(!stderr(&merged).contains("\nshrunk "), "{}", stderr(&merged));

    let name = format!("{}-seed-1", shrunk["fingerprint"].as_str().expect("it is text"));
    let again = command("--scenario").arg(folder.join(format!("{name}.scenario"))).output();
    assert_eq!(again.expect("the binary starts").status.code(), Some(0));
    let page = fs::read_to_string(folder.join(format!("{name}.html"))).expect("it was written");
    assert_eq!(page.matches("class=\"document\"").count(), 2);
}
