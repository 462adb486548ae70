//! `cargo sim procs`: unsupported lines, and scenarios on real processes.
#![cfg(unix)]

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::skip::skipped;
use crate::{assert_usage_error, command, run, stderr, stdout};

/// Writes a scenario file with this text to its own directory.
fn scenario(text: &str) -> (tempfile::TempDir, String) {
    let directory = tempfile::tempdir().expect("there is room");
    let file = directory.path().join("a.scenario");
    fs::write(&file, text).expect("there is room");
    let name = file.to_str().expect("the path is text").to_owned();
    (directory, name)
}

#[test]
fn unsupported_lines_are_listed_and_nothing_starts() {
    let (_folder, file) = scenario(
        "nodes 3\nflush 2ms\nat 1s put x=1\nwhen n3 submits vote, crash it\nexpect S1\n\
         fault phase 3s",
    );
    let output = run(&format!("procs {file}"));
    let output_text = stdout(&output);
    assert_eq!(output.status.code(), Some(2), "{output_text}");
    let lines: Vec<&str> = output_text.lines().collect();
    assert_eq!(lines.len(), 3, "{output_text}");
    for (line, part) in lines.iter().zip([":2: flush 2ms: ", ":4: when n3 submits vote", ":5: "]) {
        assert!(line.starts_with("unsupported") && line.contains(part), "{line}");
    }
    let error = stderr(&output);
    assert!(error.contains("3 lines are not supported") && error.contains("--skip"), "{error}");
}

#[test]
fn an_error_is_one_line() {
    let (_folder, file) = scenario("nodes 3\nat 1s put x");
    assert_usage_error(&run(&format!("procs {file}")), ":2:11: `x` is not a key and its value");
    let (_folder, file) = scenario("nodes 3\nfault phase 1s");
    assert_usage_error(&run(&format!("procs {file} --binary /nowhere")), "cargo build --release");
    assert_usage_error(&run("procs /nowhere.scenario"), "/nowhere.scenario");
}

/// Returns the reason if namespaces cannot be created or the binary is not built.
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

/// Held by the running test, so that the processes of tests do not compete.
static TURN: Mutex<()> = Mutex::new(());

/// Waits for the turn of the test of this name; prints the reason and returns `None` if it cannot
/// run.
fn turn(test: &str) -> Option<MutexGuard<'static, ()>> {
    let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    can_run().inspect_err(|reason| skipped(test, reason)).ok().map(|()| turn)
}

/// Starts the command on a scenario, with piped output.
fn start(file: &str) -> Child {
    let mut command = command("procs");
    command.arg(file).stdout(Stdio::piped()).process_group(0);
    command.spawn().expect("the binary starts")
}

/// Waits for the end, asserts the exit code and that no namespace is left, and returns the output.
fn ended(child: Child, code: i32) -> String {
    let pid = child.id();
    let output = child.wait_with_output().expect("the child can be waited for");
    let output_text = stdout(&output);
    assert_eq!(output.status.code(), Some(code), "{output_text}");
    let spaces = Command::new("ip").args(["netns", "list"]).output().expect("there is an ip");
    let spaces = String::from_utf8_lossy(&spaces.stdout).into_owned();
    assert!(!spaces.contains(&format!("qp{pid}")), "left behind: {spaces}");
    output_text
}

#[test]
fn a_scenario_of_the_simulator_holds_on_real_processes() {
    let Some(_turn) = turn("a_scenario_of_the_simulator_holds_on_real_processes") else { return };
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/scenarios/isolated_leader.scenario");
    let output_text = ended(start(file), 0);
    for part in ["crash leader", "isolate leader", "get colour=blue", "ok    linearizable"] {
        assert!(output_text.contains(part), "{part}: {output_text}");
    }
    assert!(
        !output_text.contains("messages between nodes"),
        "random faults without a setting: {output_text}"
    );
}

#[test]
fn messages_between_real_processes_are_delayed_lost_and_duplicated() {
    let Some(_turn) = turn("messages_between_real_processes_are_delayed_lost_and_duplicated")
    else {
        return;
    };
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/scenarios/poor_network.scenario");
    let output_text = ended(start(file), 0);
    for part in ["loss >= ", "duplicate >= ", "delay >= ", "ok    linearizable"] {
        assert!(output_text.contains(part), "{part}: {output_text}");
    }
}

#[test]
fn a_network_that_loses_everything_carries_nothing() {
    let Some(_turn) = turn("a_network_that_loses_everything_carries_nothing") else { return };
    let (_folder, file) = scenario(
        "nodes 3\nelection timeout 1s..2s\nloss 1000 in 1000\nclients 2\nfault phase 12s\n\
         at 1s put x=1\nexpect operations <= 0\nexpect no leader from 9s to 10s\n",
    );
    let output_text = ended(start(&file), 0);
    let counts =
        output_text.lines().find_map(|line| line.split_once(" messages between nodes, loss "));
    let (messages, lost) = counts.unwrap_or_else(|| panic!("no message counts: {output_text}"));
    assert!(messages == lost && messages != "0", "{output_text}");
}

#[test]
fn ctrl_c_ends_the_run_and_no_node_exits_unexpectedly() {
    let Some(_turn) = turn("ctrl_c_ends_the_run_and_no_node_exits_unexpectedly") else { return };
    let (_folder, file) =
        scenario("nodes 3\nclients 1\nfault phase 10m\nexpect leader any at 9m\n");
    let mut child = start(&file);
    let mut out = BufReader::new(child.stdout.take().expect("it is piped"));
    let mut output_text = String::new();
    while !output_text.contains(" is leader") {
        let count = out.read_line(&mut output_text).expect("it is text");
        assert!(count > 0, "it ended early: {output_text}");
    }
    // A terminal sends Ctrl-C to the whole process group.
    let group = format!("-{}", child.id());
    let sent = Command::new("kill").args(["-INT", "--", &group]).status().expect("there is a kill");
    assert!(sent.success());
    out.read_to_string(&mut output_text).expect("it is text");
    ended(child, 130);
    assert!(
        !output_text.contains("exited unexpectedly") && !output_text.contains("FAIL"),
        "{output_text}"
    );
    let kept = output_text.lines().find_map(|line| line.strip_prefix("logs and data are kept in "));
    fs::remove_dir_all(kept.expect("the directory is named")).expect("the directory exists");
}
