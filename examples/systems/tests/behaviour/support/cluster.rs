//! The nodes of one system as processes, each with a directory of its own, and clients beside them.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::addresses::free_address;
use crate::processes::{Processes, eventually};
use crate::said::Told;
use crate::support::wires::Wires;

/// Nodes that run, and the wires before them. Commands of the system know where the nodes are.
pub(crate) struct Cluster {
    // The processes end before their directories go.
    processes: Processes,
    /// The network between them.
    pub(crate) wires: Wires,
    program: &'static str,
    /// What every node is told beyond its place.
    flags: &'static [&'static str],
    /// Where each listens, and where it is reached.
    places: BTreeMap<u64, (SocketAddr, SocketAddr)>,
    root: TempDir,
}

impl Cluster {
    /// Nodes 1 to `count` of the program, which is a system's command; somebody leads.
    pub(crate) fn start(program: &'static str, count: u64) -> Cluster {
        Cluster::start_with(program, count, &[])
    }

    /// The same, with these flags for each `serve`.
    pub(crate) fn start_with(
        program: &'static str,
        count: u64,
        flags: &'static [&'static str],
    ) -> Cluster {
        let wires = Wires::default();
        let place = |id| {
            let listen = free_address();
            (id, (listen, wires.before(id, listen)))
        };
        let places = (1..=count).map(place).collect();
        let root = TempDir::new().expect("there is room");
        let processes = Processes::default();
        let mut cluster = Cluster { processes, wires, program, flags, places, root };
        cluster.ids().into_iter().for_each(|id| cluster.serve(id));
        cluster.is_well();
        cluster
    }

    pub(crate) fn ids(&self) -> Vec<u64> {
        self.places.keys().copied().collect()
    }

    pub(crate) fn directory(&self, id: u64) -> PathBuf {
        self.root.path().join(format!("d{id}"))
    }

    /// Where these nodes are reached, as `--nodes` takes it.
    pub(crate) fn addresses(&self, ids: &[u64]) -> String {
        let addresses = ids.iter().map(|id| self.places[id].1.to_string());
        addresses.collect::<Vec<_>>().join(",")
    }

    /// Starts the node, for the first time or again.
    pub(crate) fn serve(&mut self, id: u64) {
        let members = self.places.iter().map(|(id, (_, address))| format!("{id}={address}"));
        let members: Vec<String> = members.collect();
        let mut command = self.command();
        command.args(["serve", "--id", &id.to_string(), "--members", &members.join(",")]);
        command.arg("--data-dir").arg(self.directory(id));
        command.args(["--listen", &self.places[&id].0.to_string()]).args(self.flags);
        let log = self.root.path().join(format!("d{id}.log"));
        self.processes.spawn(&format!("d{id}"), &mut command, &log);
    }

    /// `kill -9`.
    pub(crate) fn kill(&mut self, id: u64) {
        self.processes.kill(&format!("d{id}"));
    }

    /// Waits until the node has ended.
    pub(crate) fn ended(&mut self, id: u64) {
        self.processes.ended(&format!("d{id}"));
    }

    /// Sends `TERM`, `KILL`, `STOP` or `CONT`.
    pub(crate) fn signal(&self, id: u64, signal: &str) {
        self.processes.signal(&format!("d{id}"), signal);
    }

    /// Runs a command of the system until it ends; the nodes are where its variable says.
    pub(crate) fn ask(&self, words: &[&str]) -> Told {
        self.ask_of(&self.ids(), words)
    }

    /// The same, by a client that was told of these nodes alone.
    pub(crate) fn ask_of(&self, ids: &[u64], words: &[&str]) -> Told {
        let mut command = self.command();
        let name = Path::new(self.program).file_name().and_then(OsStr::to_str);
        let variable = format!("{}_NODES", name.expect("it has a name").to_uppercase());
        Told::of(command.env(variable, self.addresses(ids)).args(words))
    }

    /// A command that finds the nodes by itself, in the directory of this cluster's clients.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(self.program);
        command.current_dir(self.root.path()).env("XDG_STATE_HOME", self.root.path());
        command.stdin(Stdio::null());
        command
    }

    /// Types these lines at the prompt.
    pub(crate) fn type_in(&self, lines: &str) -> Told {
        let input = self.root.path().join("typed");
        let mut file = std::fs::File::create(&input).expect("there is room");
        file.write_all(lines.as_bytes()).expect("there is room");
        let mut command = self.command();
        command.args(["--nodes", &self.addresses(&self.ids()), "prompt"]);
        Told::of(command.stdin(std::fs::File::open(&input).expect("it is there")))
    }

    /// Who leads, once somebody does.
    pub(crate) fn leader(&self) -> u64 {
        self.leader_where(|_| true)
    }

    /// Who leads, once its side would go on in a split down the middle.
    pub(crate) fn leader_with_casting_vote(&self) -> u64 {
        self.leader_where(|line| line.contains("casting vote"))
    }

    fn leader_where(&self, is_so: impl Fn(&str) -> bool) -> u64 {
        let mut leader = None;
        eventually("somebody leads", || {
            let told = self.ask(&["status", "--timeout", "3"]);
            let mut lines = told.out.lines().filter(|line| line.contains(" leads"));
            leader = lines.find(|line| is_so(line)).and_then(first_number);
            leader.is_some()
        });
        leader.expect("it was waited for")
    }

    /// Waits until this one leads.
    pub(crate) fn leads(&self, id: u64) {
        eventually("the right one leads", || self.leader() == id);
    }

    /// Waits until somebody leads and all answer.
    pub(crate) fn is_well(&self) {
        eventually("all is well", || self.ask(&["status", "--timeout", "3"]).code == 0);
    }
}

/// The number that a line begins with, after a letter: `n4 127.0.0.1:7404 leads`.
fn first_number(line: &str) -> Option<u64> {
    line.split_whitespace().next()?.trim_start_matches(char::is_alphabetic).parse().ok()
}
