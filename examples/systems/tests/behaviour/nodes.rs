//! The start of a node of each system, and its log.

use std::fs::{self, File};
use std::io::pipe;
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};

use quorate::storage::FileDisk;
use tempfile::TempDir;

use crate::addresses::free_address;
use crate::command_output::CommandOutput;
use crate::processes::eventually;

const CHAT: &str = env!("CARGO_BIN_EXE_chat");

const SYSTEMS: [&str; 5] = [
    CHAT,
    env!("CARGO_BIN_EXE_coordinator"),
    env!("CARGO_BIN_EXE_courier"),
    env!("CARGO_BIN_EXE_directory"),
    env!("CARGO_BIN_EXE_orders"),
];

/// A node, which is killed when this is dropped.
struct Node(Child);

impl Drop for Node {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Returns the command that starts node 1 of these members in the directory `d` of `root`.
fn serve(system: &str, root: &TempDir, members: &str) -> Command {
    let mut command = Command::new(system);
    command.current_dir(root.path()).env("XDG_STATE_HOME", root.path()).stdin(Stdio::null());
    command.args(["serve", "--plaintext", "--id", "1", "--data-dir", "d", "--members", members]);
    command
}

#[test]
fn the_exit_code_of_a_node_that_does_not_start_says_whether_it_may_start_later() {
    for system in SYSTEMS {
        let root = TempDir::new().expect("there is room");
        let members = |first| format!("1={first},2={},3={}", free_address(), free_address());
        let start = |members: &str, flags: &[&str]| {
            CommandOutput::run(serve(system, &root, members).args(flags))
        };
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let taken = listener.local_addr().expect("it is bound");
        let free = members(free_address());
        start(&members(taken), &[]).fails_with(3, "cannot listen at");
        start(&free, &["--ui", &taken.to_string()]).fails_with(3, "--ui: cannot listen at");
        let other = FileDisk::open(root.path().join("d")).expect("no process uses the directory");
        start(&free, &[]).fails_with(3, "in use");
        drop(other);
        fs::remove_dir_all(root.path().join("d")).expect("the directory exists");
        fs::write(root.path().join("d"), "a file").expect("there is room");
        start(&free, &[]).fails_with(2, "error: ");
    }
}

#[test]
fn a_node_whose_log_cannot_be_written_serves() {
    let (reader, closed) = pipe().expect("a pipe can be created");
    drop(reader);
    let full = File::options().write(true).open("/dev/full").expect("/dev/full exists");
    for log in [Stdio::from(closed), Stdio::from(full)] {
        let root = TempDir::new().expect("there is room");
        let address = free_address().to_string();
        let mut node = serve(CHAT, &root, &format!("1={address}"));
        node.args(["--log", "debug", "--recording-size", "1MiB"]);
        let node = node.stdout(Stdio::null()).stderr(log);
        let mut node = Node(node.spawn().expect("the binary starts"));
        eventually("the node serves", || {
            assert_eq!(node.0.try_wait().expect("it is ours"), None, "the node has ended");
            let mut client = Command::new(CHAT);
            client.current_dir(root.path()).env("XDG_STATE_HOME", root.path());
            CommandOutput::run(client.args(["list", "--nodes", &address, "--timeout", "1s"])).code
                == 0
        });
        assert!(root.path().join("d/recording").is_dir(), "its inputs are recorded");
    }
}
