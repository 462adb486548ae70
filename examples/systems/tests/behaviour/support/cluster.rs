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

/// What a cluster is made of.
#[derive(Clone, Copy)]
pub(crate) struct Setup {
    /// A system's command.
    pub(crate) program: &'static str,
    /// How many nodes found it.
    pub(crate) count: u64,
    /// What every node is told beyond its place.
    pub(crate) serve: &'static [&'static str],
    /// What every client is told.
    pub(crate) ask: &'static [&'static str],
    /// Whether all have certificates.
    pub(crate) certs: bool,
    /// Whether somebody listens on the wires.
    pub(crate) listens: bool,
}

/// How many nodes may join that did not found the cluster: they have certificates, too.
const JOINING_MAX: u64 = 2;

/// Nodes that run, and the wires before them. Commands of the system know where the nodes are.
pub(crate) struct Cluster {
    // The processes end before their directories go.
    processes: Processes,
    /// The network between them.
    pub(crate) wires: Wires,
    setup: Setup,
    /// Where each listens, and where it is reached.
    places: BTreeMap<u64, (SocketAddr, SocketAddr)>,
    root: TempDir,
}

/// Somebody who asks, in the directory of a cluster's clients.
#[derive(Clone)]
pub(crate) struct Client {
    setup: Setup,
    root: PathBuf,
    nodes: String,
}

impl Client {
    /// Runs a command of the system until it ends; the nodes are where its variable says.
    pub(crate) fn ask(&self, words: &[&str]) -> Told {
        let mut command = command(&self.setup, &self.root);
        command.env(variable(&self.setup, "NODES"), &self.nodes);
        Told::of(command.args(words).args(self.setup.ask))
    }
}

/// A command that finds the nodes by itself.
fn command(setup: &Setup, root: &Path) -> Command {
    let mut command = Command::new(setup.program);
    command.current_dir(root).env("XDG_STATE_HOME", root).stdin(Stdio::null());
    if setup.certs {
        command.env(variable(setup, "CERTS"), root.join("certs"));
    }
    command
}

/// A variable of the system's.
fn variable(setup: &Setup, end: &str) -> String {
    let name = Path::new(setup.program).file_name().and_then(OsStr::to_str);
    format!("{}_{end}", name.expect("it has a name").to_uppercase())
}

impl Setup {
    /// Nodes 1 to `count` of the program that speak in the clear.
    pub(crate) fn of(program: &'static str, count: u64) -> Setup {
        Setup { program, count, serve: &[], ask: &[], certs: false, listens: false }
    }

    /// The cluster, once somebody leads.
    pub(crate) fn start(self) -> Cluster {
        let wires = if self.listens { Wires::listening() } else { Wires::default() };
        let root = TempDir::new().expect("there is room");
        let (processes, places) = (Processes::default(), BTreeMap::new());
        let mut cluster = Cluster { processes, wires, setup: self, places, root };
        (1..=self.count).for_each(|id| cluster.place(id));
        if self.certs {
            let ids: Vec<String> =
                (1..=self.count + JOINING_MAX).map(|id| id.to_string()).collect();
            let mut command = cluster.command();
            let guests = "client/user,admin/admin";
            Told::of(command.args(["certs", "certs", "--for", &ids.join(","), "--for", guests]))
                .ok();
        }
        cluster.ids().into_iter().for_each(|id| cluster.serve(id));
        cluster.is_well();
        cluster
    }
}

impl Cluster {
    /// Nodes 1 to `count` of the program, which is a system's command; somebody leads.
    pub(crate) fn start(program: &'static str, count: u64) -> Cluster {
        Setup::of(program, count).start()
    }

    /// The same, with these flags for each `serve`.
    pub(crate) fn start_with(
        program: &'static str,
        count: u64,
        flags: &'static [&'static str],
    ) -> Cluster {
        Setup { serve: flags, ..Setup::of(program, count) }.start()
    }

    fn place(&mut self, id: u64) {
        let listen = free_address();
        self.places.insert(id, (listen, self.wires.before(id, listen)));
    }

    /// Starts a node that did not found the cluster, and waits to be added: `add` takes what this
    /// gives.
    pub(crate) fn join(&mut self, id: u64) -> String {
        self.place(id);
        self.serve(id);
        format!("{id}={}", self.places[&id].1)
    }

    /// The node was removed: it ends, and nobody knows of it any more.
    pub(crate) fn forget(&mut self, id: u64) {
        self.kill(id);
        self.places.remove(&id);
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

    /// Where the node itself listens, with no wire before it.
    pub(crate) fn listens(&self, id: u64) -> SocketAddr {
        self.places[&id].0
    }

    /// What the node has said so far.
    pub(crate) fn words(&self, id: u64) -> String {
        self.processes.words(&format!("d{id}"))
    }

    /// Starts the node, for the first time or again.
    pub(crate) fn serve(&mut self, id: u64) {
        let founders = self.places.iter().filter(|(id, _)| **id <= self.setup.count);
        let founders = founders.map(|(id, (_, address))| format!("{id}={address}"));
        let founders = founders.collect::<Vec<_>>().join(",");
        let how = if id <= self.setup.count { "--members" } else { "--join" };
        let mut command = self.command();
        command.args(["serve", "--id", &id.to_string(), how, &founders]);
        command.arg("--data-dir").arg(self.directory(id));
        command.args(["--listen", &self.places[&id].0.to_string()]).args(self.setup.serve);
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
        self.client(ids).ask(words)
    }

    /// A client that was told of these nodes.
    pub(crate) fn client(&self, ids: &[u64]) -> Client {
        let (setup, root) = (self.setup, self.root.path().to_owned());
        Client { setup, root, nodes: self.addresses(ids) }
    }

    /// A command that finds the nodes by itself, in the directory of this cluster's clients.
    pub(crate) fn command(&self) -> Command {
        command(&self.setup, self.root.path())
    }

    /// Types these lines at the prompt.
    pub(crate) fn type_in(&self, lines: &str) -> Told {
        let input = self.root.path().join("typed");
        let mut file = std::fs::File::create(&input).expect("there is room");
        file.write_all(lines.as_bytes()).expect("there is room");
        let mut command = self.command();
        command.args(["--nodes", &self.addresses(&self.ids())]).args(self.setup.ask).arg("prompt");
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
