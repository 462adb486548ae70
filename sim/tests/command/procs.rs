//! `cargo sim procs`: what is refused, and a scenario on real processes.
#![cfg(unix)]

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::skip::skipped;
use crate::{assert_usage_error, command, run, stderr, stdout};

/// A file with this text, in a directory of its own.
fn scenario(text: &str) -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().expect("there is room");
    let file = folder.path().join("a.scenario");
    fs::write(&file, text).expect("there is room");
    let name = file.to_str().expect("the path is text").to_owned();
    (folder, name)
}

#[test]
fn lines_that_cannot_be_made_real_are_told_and_nothing_starts() {
    let (_folder, file) = scenario(
        "nodes 3\nlatency 2ms\nat 1s put x=1\nwhen n3 submits vote, crash it\nexpect S1\nstorm 3s",
    );
    let output = run(&format!("procs {file}"));
    let said = stdout(&output);
    assert_eq!(output.status.code(), Some(2), "{said}");
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines.len(), 3, "{said}");
    for (line, part) in lines.iter().zip([":2: latency 2ms: ", ":4: when n3 submits vote", ":5: "])
    {
        assert!(line.starts_with("cannot be made real") && line.contains(part), "{line}");
    }
    let error = stderr(&output);
    assert!(error.contains("3 lines cannot be made real") && error.contains("--skip"), "{error}");
}

#[test]
fn what_is_wrong_is_one_line() {
    let (_folder, file) = scenario("nodes 3\nat 1s put x");
    assert_usage_error(&run(&format!("procs {file}")), ":2:11: `x` is not a key and its value");
    let (_folder, file) = scenario("nodes 3\nstorm 1s");
    assert_usage_error(&run(&format!("procs {file} --binary /nowhere")), "cargo build --release");
    assert_usage_error(&run("procs /nowhere.scenario"), "/nowhere.scenario");
}

/// Whether namespaces can be had, and the program is built; else why not.
fn can_run() -> Result<(), String> {
    let own = Path::new(env!("CARGO_BIN_EXE_quorate-sim"));
    let program = own.parent().expect("it is in a directory").join("quorate");
    if !program.is_file() {
        return Err(format!("{}: `cargo build --features cli --bin quorate`", program.display()));
    }
    let name = format!("qptest{}", std::process::id());
    let space = |word: &str| Command::new("ip").args(["netns", word, &name]).output();
    let made = space("add").map_err(|error| format!("ip: {error}"))?;
    if !made.status.success() {
        return Err(String::from_utf8_lossy(&made.stderr).trim().to_owned());
    }
    let gone = space("del").map_err(|error| format!("ip: {error}"))?;
    assert!(gone.status.success(), "{gone:?}");
    Ok(())
}

#[test]
fn a_scenario_of_the_simulator_holds_on_real_processes() {
    if let Err(reason) = can_run() {
        return skipped("a_scenario_of_the_simulator_holds_on_real_processes", &reason);
    }
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/scenarios/isolated_leader.scenario");
    let child = command("procs").arg(file).stdout(std::process::Stdio::piped()).spawn();
    let child = child.expect("the binary starts");
    let pid = child.id();
    let output = child.wait_with_output().expect("it is ours");
    let said = stdout(&output);
    assert_eq!(output.status.code(), Some(0), "{said}");
    for part in ["crash leader", "isolate leader", "get colour=blue", "ok    linearizable"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    let spaces = Command::new("ip").args(["netns", "list"]).output().expect("there is an ip");
    let spaces = String::from_utf8_lossy(&spaces.stdout).into_owned();
    assert!(!spaces.contains(&format!("qp{pid}")), "left behind: {spaces}");
}
