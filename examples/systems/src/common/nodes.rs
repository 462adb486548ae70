//! Clusters that are there as long as they are measured: processes, their files, and their end.
#![expect(clippy::disallowed_methods, reason = "it waits for other processes")]

use std::env;
use std::fs::{self, File};
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use quorate::raft::RoleName;
use quorate::runtime::ClientConfig;
use quorate::runtime::blocking::Client;
use tempfile::TempDir;

use crate::common::exit::{Exit, Trouble};
use crate::orders::SYSTEM;
use crate::orders::bench::cpu;
use crate::orders::bench::measured::Setup;

/// How long a cluster may take to find its first leader.
const START_MAX: Duration = Duration::from_secs(60);
/// How often somebody looks.
pub(super) const LOOK: Duration = Duration::from_millis(50);

/// Nodes that run. They end with this, or, if the whole process is killed, with their input.
pub(super) struct Nodes {
    children: Vec<Child>,
    addresses: Vec<SocketAddr>,
    root: TempDir,
}

impl Nodes {
    /// A new cluster that has a leader, and all of whose nodes answer.
    ///
    /// # Errors
    /// Why there is none.
    pub(super) fn start(setup: Setup, scratch: Option<&Path>) -> Result<Nodes, Trouble> {
        let trouble = |error: io::Error| Trouble::wrong(format!("no cluster of {setup}: {error}"));
        let root = match scratch {
            Some(scratch) => TempDir::new_in(scratch),
            None => TempDir::new(),
        };
        let root = root.map_err(trouble)?;
        let addresses = free_addresses(setup.nodes).map_err(trouble)?;
        let mut nodes = Nodes { children: Vec::new(), addresses, root };
        for id in 1..=setup.nodes {
            let child = nodes.command(id, setup).and_then(|mut command| command.spawn());
            nodes.children.push(child.map_err(trouble)?);
        }
        nodes.await_leader()?;
        Ok(nodes)
    }

    /// A client of its own for all of them.
    ///
    /// # Errors
    /// The system has no thread for it.
    pub(super) fn client(&self) -> Result<Client, Trouble> {
        let mut config = ClientConfig::new(SYSTEM.cluster, self.addresses());
        // A pause of the machine is measured, and no reason to give up.
        config.deadline = START_MAX;
        Client::new(config).map_err(Trouble::wrong)
    }

    pub(super) fn addresses(&self) -> Vec<String> {
        self.addresses.iter().map(SocketAddr::to_string).collect()
    }

    /// The processor time of each node so far; none where the system does not tell.
    pub(super) fn cpu(&self) -> Option<Vec<Duration>> {
        self.children.iter().map(|child| cpu::of(child.id())).collect()
    }

    fn command(&self, id: u64, setup: Setup) -> io::Result<Command> {
        let member = |(id, address)| format!("{id}={address}");
        let members: Vec<String> = std::iter::zip(1u64.., &self.addresses).map(member).collect();
        let mut command = Command::new(env::current_exe()?);
        command.args(["serve", "--until-eof", "--log", "warn", "--id", &id.to_string()]);
        command.args(["--members", &members.join(",")]);
        command.arg("--data-dir").arg(self.root.path().join(id.to_string()));
        if !setup.batching {
            command.arg("--one-by-one");
        }
        let log = File::create(self.log(id))?;
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(log);
        Ok(command)
    }

    fn log(&self, id: u64) -> PathBuf {
        self.root.path().join(format!("{id}.log"))
    }

    fn await_leader(&mut self) -> Result<(), Trouble> {
        let client = self.client()?.with_deadline(Duration::from_secs(1));
        let due = Instant::now() + START_MAX;
        loop {
            let leads = |role| role == RoleName::Leader;
            let leader = client.report_of_leader().is_ok_and(|told| leads(told.status.role));
            if leader && self.addresses().iter().all(|address| client.report(address).is_ok()) {
                return Ok(());
            }
            self.check_alive()?;
            if Instant::now() > due {
                return Err(Trouble::new(Exit::Unreached, "the nodes found no leader in a minute"));
            }
            thread::sleep(LOOK);
        }
    }

    /// That no node has ended.
    ///
    /// # Errors
    /// The last words of one that has.
    fn check_alive(&mut self) -> Result<(), Trouble> {
        let has_ended = |child: &mut Child| !matches!(child.try_wait(), Ok(None));
        let Some(place) = self.children.iter_mut().position(has_ended) else { return Ok(()) };
        let id = place as u64 + 1;
        let words = fs::read_to_string(self.log(id)).unwrap_or_default();
        let last = words.lines().last().unwrap_or("nothing");
        Err(Trouble::new(Exit::Failed, format!("node {id} ended by itself; it said: {last}")))
    }
}

impl Drop for Nodes {
    fn drop(&mut self) {
        for child in &mut self.children {
            // It may have ended by itself.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Loopback addresses that nobody listens at. Another process may take one before it is used.
fn free_addresses(count: u64) -> io::Result<Vec<SocketAddr>> {
    let listeners = (0..count).map(|_| TcpListener::bind("127.0.0.1:0"));
    let listeners: Vec<TcpListener> = listeners.collect::<io::Result<_>>()?;
    listeners.iter().map(TcpListener::local_addr).collect()
}
