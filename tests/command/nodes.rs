//! Nodes that run as processes on free ports of this machine, with their directories in one root.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};

use quorate::runtime::ClientConfig;
use quorate::runtime::blocking::Client;
use quorate::storage::ClusterId;
use serde_json::Value;
use tempfile::TempDir;

use crate::addresses::free_address;
use crate::cli::{CommandOutput, PRESENT, command, command_of, quorate_in};
pub(crate) use crate::processes::{Processes, eventually, pause};

/// Running nodes, and the directories of all.
pub(crate) struct Nodes {
    // Dropped first: the processes end before their directories are removed.
    running: Processes,
    bootstrap_peers: Vec<u64>,
    addresses: BTreeMap<u64, SocketAddr>,
    root: TempDir,
}

impl Nodes {
    /// Starts nodes 1 to `count`, which bootstrap a cluster.
    pub(crate) fn start(count: u64) -> Nodes {
        let mut nodes = Nodes::unstarted(count);
        (1..=count).for_each(|id| nodes.serve(id));
        nodes
    }

    /// Reserves addresses for nodes 1 to `count`, which will bootstrap a cluster.
    pub(crate) fn unstarted(count: u64) -> Nodes {
        let mut nodes = Nodes::none(count);
        nodes.bootstrap_peers = (1..=count).collect();
        nodes
    }

    /// Starts nodes 1 to `count` with these flags, so that they bootstrap a cluster.
    pub(crate) fn bootstrap_with(&mut self, count: u64, words: &[&str]) {
        self.bootstrap_peers = (1..=count).collect();
        (1..=count).for_each(|id| self.serve_with(id, words));
    }

    /// Reserves addresses for nodes 1 to `count`, without starting them.
    pub(crate) fn none(count: u64) -> Nodes {
        let root = TempDir::new().expect("a temporary file can be created");
        let addresses = (1..=count).map(|id| (id, free_address())).collect();
        Nodes { running: Processes::default(), bootstrap_peers: Vec::new(), addresses, root }
    }

    /// Reserves addresses for nodes up to `count`.
    pub(crate) fn make_room(&mut self, count: u64) {
        for id in 1..=count {
            self.addresses.entry(id).or_insert_with(free_address);
        }
    }

    pub(crate) fn root(&self) -> &Path {
        self.root.path()
    }

    pub(crate) fn directory(&self, id: u64) -> PathBuf {
        self.root.path().join(format!("d{id}"))
    }

    pub(crate) fn address(&self, id: u64) -> SocketAddr {
        self.addresses[&id]
    }

    /// Returns `1=127.0.0.1:…,2=…` of these nodes.
    pub(crate) fn listed(&self, ids: &[u64]) -> String {
        let one = |id: &u64| format!("{id}={}", self.address(*id));
        ids.iter().map(one).collect::<Vec<_>>().join(",")
    }

    /// Returns the addresses of the bootstrap peers, for `--nodes`.
    pub(crate) fn nodes(&self) -> String {
        let one = |id: &u64| self.address(*id).to_string();
        self.bootstrap_peers.iter().map(one).collect::<Vec<_>>().join(",")
    }

    /// Starts the node as a bootstrap peer, for the first time or again.
    pub(crate) fn serve(&mut self, id: u64) {
        let members = self.listed(&self.bootstrap_peers);
        self.serve_with(id, &["--members", &members]);
    }

    /// Starts the node with these flags.
    pub(crate) fn serve_with(&mut self, id: u64, words: &[&str]) {
        self.serve_by(PRESENT, id, words);
    }

    /// Starts the node with these flags, by the command of this file.
    pub(crate) fn serve_by(&mut self, program: &str, id: u64, words: &[&str]) {
        let mut command = command_of(program);
        serving(&mut command, id, &self.directory(id)).args(words);
        self.running.spawn(&format!("d{id}"), &mut command, &self.log_file(id));
    }

    /// Starts node `id` on another directory, the one numbered `copy`, at a free address.
    pub(crate) fn serve_copy(&mut self, copy: u64, id: u64) {
        let mut command = command();
        serving(&mut command, id, &self.directory(copy)).args(["--listen", "127.0.0.1:0"]);
        self.running.spawn(&format!("d{copy}"), &mut command, &self.log_file(copy));
    }

    /// Starts the node as a bootstrap peer by a shell that runs `before` first.
    pub(crate) fn serve_after(&mut self, id: u64, before: &str, words: &[&str]) {
        let members = self.listed(&self.bootstrap_peers);
        let node = command();
        let mut shell = Command::new("sh");
        shell.args(["-c", &format!("{before} && exec \"$0\" \"$@\"")]).arg(node.get_program());
        for (name, _) in node.get_envs() {
            shell.env_remove(name);
        }
        serving(&mut shell, id, &self.directory(id)).args(["--members", &members]).args(words);
        self.running.spawn(&format!("d{id}"), &mut shell, &self.log_file(id));
    }

    /// Returns a client of the node, which connects with its first call.
    pub(crate) fn blocking_client(&self, id: u64) -> Client {
        let log = self.log(id);
        let named = log.split_once(" of cluster ").and_then(|(_, rest)| rest.split(' ').next());
        let cluster = named.and_then(|digits| u128::from_str_radix(digits, 16).ok());
        let cluster = ClusterId(cluster.expect("the node prints its cluster"));
        let config = ClientConfig::new(cluster, [self.address(id)]);
        Client::new(config).expect("the configuration is valid")
    }

    /// Returns the process id of the running node.
    pub(crate) fn pid(&self, id: u64) -> u32 {
        self.running.pid(&format!("d{id}"))
    }

    /// Kills the node with SIGKILL.
    pub(crate) fn kill(&mut self, id: u64) {
        self.running.kill(&format!("d{id}"));
    }

    /// Sends the signal `TERM`, `HUP`, `STOP` or `CONT`.
    pub(crate) fn signal(&self, id: u64, signal: &str) {
        self.running.signal(&format!("d{id}"), signal);
    }

    /// Waits until the node ends by itself, and returns its exit status.
    pub(crate) fn ended(&mut self, id: u64) -> ExitStatus {
        self.running.ended(&format!("d{id}"))
    }

    /// Returns the exit status of a node that has ended by itself.
    pub(crate) fn has_ended(&mut self, id: u64) -> Option<ExitStatus> {
        self.running.has_ended(&format!("d{id}"))
    }

    /// Returns the output of the node so far, over all its runs.
    pub(crate) fn log(&self, id: u64) -> String {
        fs::read_to_string(self.log_file(id)).unwrap_or_default()
    }

    fn log_file(&self, id: u64) -> PathBuf {
        self.root.path().join(format!("d{id}.log"))
    }

    /// Runs the command until it ends.
    pub(crate) fn quorate(&self, words: &[&str]) -> CommandOutput {
        quorate_in(self.root.path(), words)
    }
}

/// Adds the arguments that serve this node on its directory, with small segments and frequent
/// snapshots.
pub(crate) fn serving<'a>(command: &'a mut Command, id: u64, directory: &Path) -> &'a mut Command {
    command
        .arg("serve")
        .args(["--id", &id.to_string(), "--data-dir"])
        .arg(directory)
        .args(["--segment-size", "16MiB", "--spare-segments", "1"])
        .args(["--snapshot-entries", "200", "--trailing-entries", "50"])
}

/// Waits for a leader, as clients see it, and returns its id.
pub(crate) fn leader(ask: impl Fn(&[&str]) -> CommandOutput) -> u64 {
    let mut leader = None;
    eventually("a leader is elected", || {
        let status: Option<Value> = serde_json::from_str(&ask(&["status", "--json"]).out).ok();
        leader = status.and_then(|status| status["leader"].as_u64());
        leader.is_some()
    });
    leader.expect("a leader was elected")
}
