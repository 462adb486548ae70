//! A sweep that runs in parts, and the recipe for it in `docs/CI.md`.

use std::fs;
use std::process::Command;

use serde_json::Value;

use crate::{assert_usage_error, command, json, run, stderr, stdout};

#[test]
fn the_merged_parts_of_a_sweep_equal_the_sweep() {
    let root = tempfile::tempdir().expect("there is room");
    let part = |number: u64| {
        let file = root.path().join(format!("{number}.json"));
        // The parts run concurrently, each in its own process.
        let output = fs::File::create(&file).expect("there is room");
        let words = format!("--seeds 0..14 --rotate 2 --shard {number}/3 --json");
        let process = command(&words).stdout(output).spawn().expect("the binary starts");
        (file, process)
    };
    let files: Vec<String> = [2, 3, 1].map(part).into_iter().map(finished).collect();
    let whole = json("--seeds 28..42 --json");
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
        "median_seed",
        "marks",
        "first_seeds",
        "failure_rate_max",
        "missed_required_marks",
        "failures",
    ] {
        assert_eq!(merged[same], whole[same], "{same}");
    }
    assert_eq!(merged["subject"], "seeds 28..42, in 3 parts");
    assert_ne!(whole["canary"]["found_by"], Value::Null);
    assert_ne!(merged["canary"]["found_by"], Value::Null);

    let two = format!("merge {} {}", files[0], files[1]);
    assert_usage_error(&run(&two), "part 1 of 3 is missing");
    let twice = format!("merge {} {} {}", files.join(" "), files[0], files[0]);
    assert_usage_error(&run(&twice), "duplicated");
    let other = root.path().join("other.json");
    fs::write(&other, run("--seeds 0..2 --shard 1/3 --json").stdout).expect("there is room");
    assert_usage_error(&run(&format!("merge {} {}", files[1], other.display())), "same sweep");
    fs::write(&other, "{}").expect("there is room");
    assert_usage_error(&run(&format!("merge {}", other.display())), "other.json");
    assert_usage_error(&run("merge no-such.json"), "no-such.json");
}

/// Returns the file after its process has exited with success.
fn finished((file, mut process): (std::path::PathBuf, std::process::Child)) -> String {
    assert!(process.wait().expect("it was started").success());
    file.display().to_string()
}

#[test]
fn the_recipe_with_several_processes_works_as_documented() {
    let root = tempfile::tempdir().expect("there is room");
    let text = include_str!("../../../docs/CI.md");
    let after = text.split_once("```sh\n").expect("it has a recipe").1;
    let recipe = after.split_once("```").expect("it ends").0;
    assert!(recipe.contains("0..200"), "{recipe}");
    let bin = env!("CARGO_BIN_EXE_quorate-sim");
    let recipe = recipe.replace("cargo sim", bin).replace("0..200", "0..8");
    let shell = Command::new("sh").args(["-ec", &recipe]).current_dir(&root).output();
    let output = shell.expect("there is a shell");
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(stdout(&output).contains("8 in "), "{}", stdout(&output));
    assert!(stdout(&output).contains("seeds 56..64, in 4 parts"), "{}", stdout(&output));
    for file in ["sim.xml", "sim.html"] {
        assert!(fs::metadata(root.path().join(file)).is_ok_and(|file| file.len() > 100));
    }
}
