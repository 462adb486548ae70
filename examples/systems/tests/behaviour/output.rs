//! Standard output that nothing reads, or that is full.

use std::fs::File;
use std::io::pipe;
use std::process::{Command, Stdio};

use crate::command_output::CommandOutput;
use crate::support::Cluster;

/// Returns a command at the nodes of the cluster.
fn command(cluster: &Cluster, words: &[&str]) -> Command {
    let mut command = cluster.command();
    command.args(["--nodes", &cluster.addresses(&cluster.ids())]).args(words);
    command
}

/// Runs the command with this standard output; returns its exit code and its standard error.
fn run_with(command: &mut Command, out: impl Into<Stdio>) -> CommandOutput {
    let child = command.stdout(out).stderr(Stdio::piped()).spawn().expect("the binary starts");
    // The command has a copy of the output.
    command.stdout(Stdio::null());
    let output = child.wait_with_output().expect("the child can be waited for");
    let err = String::from_utf8(output.stderr).expect("the output is UTF-8");
    CommandOutput { code: output.status.code().unwrap_or(-1), out: String::new(), err }
}

fn full() -> File {
    File::options().write(true).open("/dev/full").expect("/dev/full exists")
}

#[test]
fn a_command_whose_result_cannot_be_printed_was_executed() {
    let cluster = Cluster::start(env!("CARGO_BIN_EXE_orders"), 1);
    let mut place = command(&cluster, &["place", "ann", "eve", "adam"]);
    run_with(&mut place, full()).fails_with(4, "the request was executed, but its result is lost");
    assert_eq!(cluster.run(&["last", "ann"]).ok(), "ann 1\n");
    let mut last = command(&cluster, &["last", "ann"]);
    run_with(&mut last, full()).fails_with(2, "cannot print");
}

#[test]
fn numbers_that_nothing_reads_are_not_drawn() {
    let cluster = Cluster::start(env!("CARGO_BIN_EXE_directory"), 1);
    let (reader, writer) = pipe().expect("a pipe can be created");
    drop(reader);
    let output = run_with(&mut command(&cluster, &["next", "50"]), writer);
    assert_eq!((output.code, output.err), (0, String::new()));
    assert_eq!(cluster.run(&["next"]).ok(), "2\n", "more than one number was lost");
}

#[test]
fn what_is_not_an_address_is_a_usage_error() {
    let cluster = Cluster::start(env!("CARGO_BIN_EXE_orders"), 1);
    let error = "`n1` is not an address like 127.0.0.1:7400";
    cluster.run(&["list", "--at", "n1"]).fails_with(2, error);
    cluster.run(&["list", "--nodes", "n1"]).fails_with(2, error);
    let mut list = cluster.command();
    let nodes = format!(" {}, ", cluster.addresses(&[1]));
    CommandOutput::run(list.env("ORDERS_NODES", nodes).arg("list")).ok();
}

#[test]
fn a_user_without_a_name_has_an_origin() {
    let cluster = Cluster::start(env!("CARGO_BIN_EXE_directory"), 1);
    let mut connect = command(&cluster, &["connect", "ann", "10.0.0.1:1"]);
    CommandOutput::run(connect.env("USER", "")).ok();
    cluster.run(&["connect", "ann", "10.0.0.2:2"]).fails_with(1, "at 10.0.0.1:1 by unknown");
}
