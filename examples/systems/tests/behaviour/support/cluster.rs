//! The nodes of one system as processes, each with its own data directory, and client commands.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead as _, BufReader, Lines, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use tempfile::TempDir;

use crate::addresses::free_address;
use crate::command_output::CommandOutput;
use crate::processes::{Processes, eventually};
use crate::support::network::ProxyNetwork;

/// The configuration of a cluster.
#[derive(Clone, Copy)]
pub(crate) struct Setup {
    /// The path of the system's command.
    pub(crate) program: &'static str,
    /// The number of bootstrap peers.
    pub(crate) count: u64,
    /// The additional flags of every node.
    pub(crate) server_flags: &'static [&'static str],
    /// The additional flags of every client.
    pub(crate) client_flags: &'static [&'static str],
    /// Whether nodes and clients use TLS.
    pub(crate) certs: bool,
    /// Whether the network captures its traffic.
    pub(crate) capture_traffic: bool,
}

/// The number of nodes that may join later; they get certificates, too.
const JOINING_NODES_MAX: u64 = 2;

/// The running nodes, and the proxies in front of them.
pub(crate) struct Cluster {
    // The processes end before their directories are deleted, because fields drop in order.
    processes: Processes,
    /// The network between the nodes.
    pub(crate) network: ProxyNetwork,
    setup: Setup,
    /// The listen address and the proxy address of each node.
    node_addresses: BTreeMap<u64, (SocketAddr, SocketAddr)>,
    root: TempDir,
}

/// A client, with its state files in the directory of the cluster.
#[derive(Clone)]
pub(crate) struct Client {
    setup: Setup,
    root: PathBuf,
    nodes: String,
}

impl Client {
    /// Runs a client command to its end, with the addresses in the environment variable.
    pub(crate) fn run(&self, words: &[&str]) -> CommandOutput {
        let mut command = command(&self.setup, &self.root);
        command.env(variable(&self.setup, "NODES"), &self.nodes);
        CommandOutput::run(command.args(words).args(self.setup.client_flags))
    }
}

/// Returns a command of the system without addresses.
fn command(setup: &Setup, root: &Path) -> Command {
    let mut command = Command::new(setup.program);
    command.current_dir(root).env("XDG_STATE_HOME", root).stdin(Stdio::null());
    if setup.certs {
        command.env(variable(setup, "CERTS"), root.join("certs"));
    }
    command
}

/// Returns the name of an environment variable of the system.
fn variable(setup: &Setup, end: &str) -> String {
    let name = Path::new(setup.program).file_name().and_then(OsStr::to_str);
    format!("{}_{end}", name.expect("the program has a name").to_uppercase())
}

impl Setup {
    /// Returns a setup of nodes 1 to `count` with plaintext connections.
    pub(crate) fn of(program: &'static str, count: u64) -> Setup {
        Setup {
            program,
            count,
            server_flags: &[],
            client_flags: &[],
            certs: false,
            capture_traffic: false,
        }
    }

    /// Starts the cluster and waits until it is healthy.
    pub(crate) fn start(self) -> Cluster {
        let network =
            if self.capture_traffic { ProxyNetwork::capturing() } else { ProxyNetwork::default() };
        let root = TempDir::new().expect("there is room");
        let (processes, node_addresses) = (Processes::default(), BTreeMap::new());
        let mut cluster = Cluster { processes, network, setup: self, node_addresses, root };
        (1..=self.count).for_each(|id| cluster.add_addresses(id));
        if self.certs {
            let ids: Vec<String> =
                (1..=self.count + JOINING_NODES_MAX).map(|id| id.to_string()).collect();
            let mut command = cluster.command();
            let holders = "client/user,admin/admin";
            CommandOutput::run(command.args([
                "certs",
                "certs",
                "--for",
                &ids.join(","),
                "--for",
                holders,
            ]))
            .ok();
        }
        cluster.ids().into_iter().for_each(|id| cluster.serve(id));
        cluster.wait_until_healthy();
        cluster
    }
}

impl Cluster {
    /// Starts nodes 1 to `count` of the program and waits until the cluster is healthy.
    pub(crate) fn start(program: &'static str, count: u64) -> Cluster {
        Setup::of(program, count).start()
    }

    /// Does the same as [`Cluster::start`], with these flags for every node.
    pub(crate) fn start_with(
        program: &'static str,
        count: u64,
        flags: &'static [&'static str],
    ) -> Cluster {
        Setup { server_flags: flags, ..Setup::of(program, count) }.start()
    }

    fn add_addresses(&mut self, id: u64) {
        let listen = free_address();
        self.node_addresses.insert(id, (listen, self.network.start_proxy(id, listen)));
    }

    /// Starts a node that waits to be added to the cluster. Returns its id and address for `add`.
    pub(crate) fn join(&mut self, id: u64) -> String {
        self.add_addresses(id);
        self.serve(id);
        format!("{id}={}", self.node_addresses[&id].1)
    }

    /// Kills a removed node and forgets its addresses.
    pub(crate) fn forget(&mut self, id: u64) {
        self.kill(id);
        self.node_addresses.remove(&id);
    }

    pub(crate) fn ids(&self) -> Vec<u64> {
        self.node_addresses.keys().copied().collect()
    }

    pub(crate) fn directory(&self, id: u64) -> PathBuf {
        self.root.path().join(format!("d{id}"))
    }

    /// Returns the addresses of these nodes as a value of `--nodes`.
    pub(crate) fn addresses(&self, ids: &[u64]) -> String {
        let addresses = ids.iter().map(|id| self.node_addresses[id].1.to_string());
        addresses.collect::<Vec<_>>().join(",")
    }

    /// Returns the address at which the node itself listens, without the proxy.
    pub(crate) fn listen_address(&self, id: u64) -> SocketAddr {
        self.node_addresses[&id].0
    }

    /// Returns the log of the node so far.
    pub(crate) fn log(&self, id: u64) -> String {
        self.processes.words(&format!("d{id}"))
    }

    /// Starts or restarts the node.
    pub(crate) fn serve(&mut self, id: u64) {
        let bootstrap_peers = self.node_addresses.iter().filter(|(id, _)| **id <= self.setup.count);
        let bootstrap_peers = bootstrap_peers.map(|(id, (_, address))| format!("{id}={address}"));
        let bootstrap_peers = bootstrap_peers.collect::<Vec<_>>().join(",");
        let flag = if id <= self.setup.count { "--members" } else { "--join" };
        let mut command = self.command();
        command.args(["serve", "--id", &id.to_string(), flag, &bootstrap_peers]);
        command.arg("--data-dir").arg(self.directory(id));
        command
            .args(["--listen", &self.node_addresses[&id].0.to_string()])
            .args(self.setup.server_flags);
        let log = self.root.path().join(format!("d{id}.log"));
        self.processes.spawn(&format!("d{id}"), &mut command, &log);
    }

    /// Kills the node with SIGKILL.
    pub(crate) fn kill(&mut self, id: u64) {
        self.processes.kill(&format!("d{id}"));
    }

    /// Waits until the process of the node has exited.
    pub(crate) fn wait_for_exit(&mut self, id: u64) {
        self.processes.ended(&format!("d{id}"));
    }

    /// Sends the signal `TERM`, `KILL`, `STOP`, `CONT` or `HUP` to the node.
    pub(crate) fn signal(&self, id: u64, signal: &str) {
        self.processes.signal(&format!("d{id}"), signal);
    }

    /// Runs a client command to its end, with the addresses of all nodes.
    pub(crate) fn run(&self, words: &[&str]) -> CommandOutput {
        self.run_at(&self.ids(), words)
    }

    /// Runs a client command to its end, with the addresses of these nodes only.
    pub(crate) fn run_at(&self, ids: &[u64], words: &[&str]) -> CommandOutput {
        self.client(ids).run(words)
    }

    /// Returns a client with the addresses of these nodes.
    pub(crate) fn client(&self, ids: &[u64]) -> Client {
        let (setup, root) = (self.setup, self.root.path().to_owned());
        Client { setup, root, nodes: self.addresses(ids) }
    }

    /// Returns a command without addresses, with the state files of this cluster.
    pub(crate) fn command(&self) -> Command {
        command(&self.setup, self.root.path())
    }

    /// Runs these lines at the prompt.
    pub(crate) fn run_prompt(&self, lines: &str) -> CommandOutput {
        let input = self.root.path().join("typed");
        let mut file = fs::File::create(&input).expect("there is room");
        file.write_all(lines.as_bytes()).expect("there is room");
        let input = fs::File::open(&input).expect("the file exists");
        CommandOutput::run(self.prompt().stdin(input))
    }

    /// Starts the prompt. Returns its process, its input, and the lines that it prints.
    pub(crate) fn start_prompt(&self) -> (Child, ChildStdin, Lines<BufReader<ChildStdout>>) {
        let mut command = self.prompt();
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut prompt = command.spawn().expect("the binary starts");
        let typed = prompt.stdin.take().expect("the stream is piped");
        let page = prompt.stdout.take().expect("the stream is piped");
        (prompt, typed, BufReader::new(page).lines())
    }

    fn prompt(&self) -> Command {
        let mut command = self.command();
        command
            .args(["--nodes", &self.addresses(&self.ids())])
            .args(self.setup.client_flags)
            .arg("prompt");
        command
    }

    /// Kills all nodes, and checks that the files of each contain this text.
    pub(crate) fn assert_all_have(&mut self, text: &str) {
        self.ids().into_iter().for_each(|id| self.kill(id));
        for id in self.ids() {
            let files = fs::read_dir(self.directory(id)).expect("the directory exists");
            let has_text = |file: fs::DirEntry| {
                // The folder of the recording cannot be read as a file, and holds no commands.
                let bytes = fs::read(file.path()).unwrap_or_default();
                bytes.windows(text.len()).any(|window| window == text.as_bytes())
            };
            let mut files = files.map(|file| file.expect("the directory can be read"));
            assert!(files.any(has_text), "node {id} does not have it");
        }
    }

    /// Waits until there is a leader, and returns its id.
    pub(crate) fn leader(&self) -> u64 {
        self.leader_where(|_| true)
    }

    /// Waits until the leader has the casting vote, and returns its id.
    pub(crate) fn leader_with_casting_vote(&self) -> u64 {
        self.leader_where(|line| line.contains("casting vote"))
    }

    fn leader_where(&self, matches: impl Fn(&str) -> bool) -> u64 {
        let mut leader = None;
        eventually("there is a leader", || {
            let status = self.run(&["status", "--timeout", "3s"]);
            let mut lines = status.out.lines().filter(|line| line.contains(" leader,"));
            leader = lines.find(|line| matches(line)).and_then(first_number);
            leader.is_some()
        });
        leader.expect("a leader was found")
    }

    /// Waits until this node is leader.
    pub(crate) fn wait_for_leader(&self, id: u64) {
        eventually("the expected node is leader", || self.leader() == id);
    }

    /// Waits until there is a leader and all nodes answer.
    pub(crate) fn wait_until_healthy(&self) {
        eventually("the cluster is healthy", || self.run(&["status", "--timeout", "3s"]).code == 0);
    }
}

/// Returns the node id at the beginning of a line: `n4 127.0.0.1:7404 leader, …`.
fn first_number(line: &str) -> Option<u64> {
    line.split_whitespace().next()?.trim_start_matches(char::is_alphabetic).parse().ok()
}
