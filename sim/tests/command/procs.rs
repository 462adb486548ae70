//! `cargo sim procs`: what is refused, and a scenario on real processes.
#![cfg(unix)]

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};

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
        "nodes 3\nflush 2ms\nat 1s put x=1\nwhen n3 submits vote, crash it\nexpect S1\nstorm 3s",
    );
    let output = run(&format!("procs {file}"));
    let said = stdout(&output);
    assert_eq!(output.status.code(), Some(2), "{said}");
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines.len(), 3, "{said}");
    for (line, part) in lines.iter().zip([":2: flush 2ms: ", ":4: when n3 submits vote", ":5: "]) {
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

/// Held by the test whose processes run: they are not to wait for those of another.
static TURN: Mutex<()> = Mutex::new(());

/// Waits until the test of this name may run; none if it cannot, which is told.
fn turn(test: &str) -> Option<MutexGuard<'static, ()>> {
    let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    can_run().inspect_err(|reason| skipped(test, reason)).ok().map(|()| turn)
}

/// The command on a scenario, its output to be read.
fn start(file: &str) -> Child {
    let mut command = command("procs");
    command.arg(file).stdout(Stdio::piped()).process_group(0);
    command.spawn().expect("the binary starts")
}

/// What it said, once it has ended with this code and left nothing behind.
fn ended(child: Child, code: i32) -> String {
    let pid = child.id();
    let output = child.wait_with_output().expect("it is ours");
    let said = stdout(&output);
    assert_eq!(output.status.code(), Some(code), "{said}");
    let spaces = Command::new("ip").args(["netns", "list"]).output().expect("there is an ip");
    let spaces = String::from_utf8_lossy(&spaces.stdout).into_owned();
    assert!(!spaces.contains(&format!("qp{pid}")), "left behind: {spaces}");
    said
}

#[test]
fn a_scenario_of_the_simulator_holds_on_real_processes() {
    let Some(_turn) = turn("a_scenario_of_the_simulator_holds_on_real_processes") else { return };
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/scenarios/isolated_leader.scenario");
    let said = ended(start(file), 0);
    for part in ["crash leader", "isolate leader", "get colour=blue", "ok    linearizable"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert!(!said.contains("messages between nodes"), "nothing is left to chance: {said}");
}

#[test]
fn messages_between_real_processes_are_late_lost_and_doubled() {
    let Some(_turn) = turn("messages_between_real_processes_are_late_lost_and_doubled") else {
        return;
    };
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/scenarios/poor_network.scenario");
    let said = ended(start(file), 0);
    for part in ["loss >= ", "duplicate >= ", "delay >= ", "ok    linearizable"] {
        assert!(said.contains(part), "{part}: {said}");
    }
}

#[test]
fn a_network_that_loses_everything_carries_nothing() {
    let Some(_turn) = turn("a_network_that_loses_everything_carries_nothing") else { return };
    let (_folder, file) = scenario(
        "nodes 3\nelection timeout 1s..2s\nloss 1000 in 1000\nclients 2\nstorm 12s\n\
         at 1s put x=1\nexpect operations <= 0\nexpect no leader from 9s to 10s\n",
    );
    let said = ended(start(&file), 0);
    let counts = said.lines().find_map(|line| line.split_once(" messages between nodes, loss "));
    let (messages, lost) = counts.unwrap_or_else(|| panic!("nothing is counted: {said}"));
    assert!(messages == lost && messages != "0", "{said}");
}

#[test]
fn ctrl_c_ends_it_and_nobody_ends_by_themselves() {
    let Some(_turn) = turn("ctrl_c_ends_it_and_nobody_ends_by_themselves") else { return };
    let (_folder, file) = scenario("nodes 3\nclients 1\nstorm 10m\nexpect leader any at 9m\n");
    let mut child = start(&file);
    let mut out = BufReader::new(child.stdout.take().expect("it is piped"));
    let mut said = String::new();
    while !said.contains(" leads") {
        let count = out.read_line(&mut said).expect("it is text");
        assert!(count > 0, "it ended early: {said}");
    }
    // A terminal sends it to the whole group.
    let group = format!("-{}", child.id());
    let sent = Command::new("kill").args(["-INT", "--", &group]).status().expect("there is a kill");
    assert!(sent.success());
    out.read_to_string(&mut said).expect("it is text");
    ended(child, 130);
    assert!(!said.contains("ended by itself") && !said.contains("FAIL"), "{said}");
    let kept = said.lines().find_map(|line| line.strip_prefix("logs and data are kept in "));
    fs::remove_dir_all(kept.expect("they are")).expect("it is there");
}
