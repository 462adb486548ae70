//! A node whose output is not read: a pipe into a program that has stopped.

use std::io::{PipeReader, PipeWriter, Read, Write, pipe};
use std::process::{Child, Command};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustix::fs::{OFlags, fcntl_setfl};

use crate::cli::command;
use crate::nodes::{Nodes, eventually, pause, serving};

/// More bytes than a pipe holds.
const FILLED_BYTES: usize = 1 << 20;

/// A node whose output is a full pipe, which was not read yet.
struct Unread {
    node: Child,
    output: Option<PipeReader>,
    _filling: JoinHandle<()>,
}

impl Unread {
    fn start(nodes: &Nodes) -> Unread {
        let (output, pipe) = pipe().expect("a pipe can be created");
        Unread::start_with(nodes, output, pipe)
    }

    fn start_with(nodes: &Nodes, output: PipeReader, pipe: PipeWriter) -> Unread {
        let mut filler = pipe.try_clone().expect("it is open");
        // It waits until the pipe is read or closed.
        let filling = thread::spawn(move || fill(&mut filler));
        pause(Duration::from_millis(300));
        let mut node = command();
        serving(&mut node, 1, &nodes.directory(1)).args(["--members", &nodes.listed(&[1])]);
        node.args(["--log", "debug"]).stdout(pipe.try_clone().expect("it is open")).stderr(pipe);
        let node = node.spawn().expect("the command was built");
        Unread { node, output: Some(output), _filling: filling }
    }

    /// Reads the output from now on, and returns all of it once every writer has closed it.
    fn read(&mut self) -> JoinHandle<String> {
        let mut output = self.output.take().expect("it was not read yet");
        thread::spawn(move || {
            let mut text = String::new();
            output.read_to_string(&mut text).expect("the output is text");
            text
        })
    }

    /// Sends SIGTERM, and returns the exit code.
    fn end(&mut self) -> Option<i32> {
        let pid = self.node.id().to_string();
        let sent = Command::new("kill").args(["-TERM", &pid]).status();
        assert!(sent.expect("`kill` is installed").success());
        let mut status = None;
        eventually("the node ends", || {
            status = self.node.try_wait().expect("it is ours");
            status.is_some()
        });
        status.and_then(|status| status.code())
    }
}

impl Drop for Unread {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.node.kill();
        let _ = self.node.wait();
    }
}

fn fill(pipe: &mut PipeWriter) {
    let mut line = [b'x'; 4096];
    line[4095] = b'\n';
    for _ in 0..FILLED_BYTES / line.len() {
        if pipe.write_all(&line).is_err() {
            return;
        }
    }
}

#[test]
fn a_node_whose_output_is_not_read_serves_and_ends() {
    let nodes = Nodes::unstarted(1);
    let mut unread = Unread::start(&nodes);
    for value in ["1", "2", "3"] {
        nodes.ask(&["put", "k", value]).ok();
    }
    assert_eq!(unread.end(), Some(0));
}

#[test]
fn output_that_is_read_late_is_complete() {
    let nodes = Nodes::unstarted(1);
    is_complete_although_it_is_read_late(&nodes, Unread::start(&nodes));
}

/// Another program with the same pipe, such as an event loop, may have made it non-blocking.
#[test]
fn output_to_a_non_blocking_pipe_is_complete() {
    let nodes = Nodes::unstarted(1);
    let (output, pipe) = pipe().expect("a pipe can be created");
    fcntl_setfl(&pipe, OFlags::NONBLOCK).expect("the pipe is open");
    is_complete_although_it_is_read_late(&nodes, Unread::start_with(&nodes, output, pipe));
}

fn is_complete_although_it_is_read_late(nodes: &Nodes, mut unread: Unread) {
    nodes.ask(&["put", "k", "v"]).ok();
    let output = unread.read();
    assert_eq!(unread.end(), Some(0));
    let text = output.join().expect("the reader does not panic");
    let lines = ["listening address=", "n1 of cluster ", "role=Leader", "shutting down"];
    let mut rest = text.as_str();
    for line in lines {
        let at = rest.find(line);
        rest = &rest[at.unwrap_or_else(|| panic!("{line:?} is not in {rest}"))..];
    }
    assert!(rest.ends_with('\n') && !text.contains("left out"), "{rest}");
}
