//! Nodes that run as processes of their own, on free ports of this machine, in one directory.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};

use serde_json::Value;
use tempfile::TempDir;

use crate::addresses::free_address;
pub(crate) use crate::processes::{Processes, eventually, pause};
use crate::told::{Told, command, quorate_in};

/// Nodes that run, and the directories of all.
pub(crate) struct Nodes {
    // The processes end before their directories go.
    running: Processes,
    founders: Vec<u64>,
    addresses: BTreeMap<u64, SocketAddr>,
    root: TempDir,
}

impl Nodes {
    /// Nodes 1 to `count`, which found their cluster.
    pub(crate) fn start(count: u64) -> Nodes {
        let mut nodes = Nodes::none(count);
        nodes.founders = (1..=count).collect();
        (1..=count).for_each(|id| nodes.serve(id));
        nodes
    }

    /// Room for nodes 1 to `count`, none of which runs.
    pub(crate) fn none(count: u64) -> Nodes {
        let root = TempDir::new().expect("there is room");
        let addresses = (1..=count).map(|id| (id, free_address())).collect();
        Nodes { running: Processes::default(), founders: Vec::new(), addresses, root }
    }

    /// Addresses for nodes up to `count`.
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

    /// `1=127.0.0.1:…,2=…` of these nodes.
    pub(crate) fn listed(&self, ids: &[u64]) -> String {
        let one = |id: &u64| format!("{id}={}", self.address(*id));
        ids.iter().map(one).collect::<Vec<_>>().join(",")
    }

    /// Where clients ask: every founder.
    pub(crate) fn nodes(&self) -> String {
        let one = |id: &u64| self.address(*id).to_string();
        self.founders.iter().map(one).collect::<Vec<_>>().join(",")
    }

    /// The node as a founder, for the first time or again.
    pub(crate) fn serve(&mut self, id: u64) {
        let members = self.listed(&self.founders);
        self.serve_with(id, &["--members", &members]);
    }

    /// The node with whatever else it is told.
    pub(crate) fn serve_with(&mut self, id: u64, words: &[&str]) {
        let mut command = command();
        serving(&mut command, id, &self.directory(id)).args(words);
        self.running.spawn(&format!("d{id}"), &mut command, &self.log_file(id));
    }

    /// `kill -9`.
    pub(crate) fn kill(&mut self, id: u64) {
        self.running.kill(&format!("d{id}"));
    }

    /// Sends `TERM`, `STOP` or `CONT`.
    pub(crate) fn signal(&self, id: u64, signal: &str) {
        self.running.signal(&format!("d{id}"), signal);
    }

    /// How the node ended, once it has by itself.
    pub(crate) fn ended(&mut self, id: u64) -> ExitStatus {
        self.running.ended(&format!("d{id}"))
    }

    /// What the node has said so far, in all of its lives.
    pub(crate) fn log(&self, id: u64) -> String {
        fs::read_to_string(self.log_file(id)).unwrap_or_default()
    }

    fn log_file(&self, id: u64) -> PathBuf {
        self.root.path().join(format!("d{id}.log"))
    }

    /// Runs the command until it ends.
    pub(crate) fn quorate(&self, words: &[&str]) -> Told {
        quorate_in(self.root.path(), words)
    }
}

/// Has the command serve this node on its directory, with small files and frequent snapshots.
pub(crate) fn serving<'a>(command: &'a mut Command, id: u64, directory: &Path) -> &'a mut Command {
    command
        .arg("serve")
        .args(["--id", &id.to_string(), "--data-dir"])
        .arg(directory)
        .args(["--segment-size", "16MiB", "--segments-ahead", "1"])
        .args(["--snapshot-entries", "200", "--trailing-entries", "50"])
}

/// Who leads, once somebody does, as a client is told that asks so.
pub(crate) fn leader(ask: impl Fn(&[&str]) -> Told) -> u64 {
    let mut leader = None;
    eventually("somebody leads", || {
        let status: Option<Value> = serde_json::from_str(&ask(&["status", "--json"]).out).ok();
        leader = status.and_then(|status| status["leader"].as_u64());
        leader.is_some()
    });
    leader.expect("it was waited for")
}
