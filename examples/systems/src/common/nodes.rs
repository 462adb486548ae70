//! Clusters that are there as long as they are measured: processes of this command, their files,
//! and their end.
#![expect(clippy::disallowed_methods, reason = "it waits for other processes")]

use std::env;
use std::fs::{self, File};
use std::io::{self, Read};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{self, Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use quorate::raft::RoleName;
use quorate::runtime::ClientConfig;
use quorate::runtime::blocking::Client;
use tempfile::TempDir;
use tokio::runtime::Builder;

use crate::common::exit::{Exit, Trouble};
use crate::common::life::signal;
use crate::common::system::System;

/// How long a cluster may take to find its first leader.
const START_MAX: Duration = Duration::from_secs(60);
/// How often somebody looks.
pub const LOOK: Duration = Duration::from_millis(50);

/// Nodes that run. They end with this, or, if the whole process is killed, with their input.
pub struct Nodes {
    system: System,
    /// What every node is told beyond its place.
    flags: &'static [&'static str],
    children: Vec<Child>,
    addresses: Vec<SocketAddr>,
    root: TempDir,
}

impl Nodes {
    /// A new cluster of so many nodes that has a leader, and all of whose nodes answer. Each is
    /// told these flags; its files are below `scratch`.
    ///
    /// # Errors
    /// Why there is none.
    pub fn start(
        system: System,
        count: u64,
        flags: &'static [&'static str],
        scratch: Option<&Path>,
    ) -> Result<Nodes, Trouble> {
        let trouble =
            |error: io::Error| Trouble::wrong(format!("no cluster of {count} nodes: {error}"));
        let root = match scratch {
            Some(scratch) => TempDir::new_in(scratch),
            None => TempDir::new(),
        };
        let root = root.map_err(trouble)?;
        let addresses = free_addresses(count).map_err(trouble)?;
        let mut nodes = Nodes { system, flags, children: Vec::new(), addresses, root };
        for id in 1..=count {
            let child = nodes.command(id).and_then(|mut command| command.spawn());
            nodes.children.push(child.map_err(trouble)?);
        }
        nodes.await_leader()?;
        Ok(nodes)
    }

    /// A client of its own for all of them.
    ///
    /// # Errors
    /// The system has no thread for it.
    pub fn client(&self) -> Result<Client, Trouble> {
        Client::new(self.client_config()).map_err(Trouble::wrong)
    }

    /// What such a client is told.
    #[must_use]
    pub fn client_config(&self) -> ClientConfig {
        let mut config = ClientConfig::new(self.system.cluster, self.addresses());
        // A pause of the machine is measured, and no reason to give up.
        config.deadline = START_MAX;
        config
    }

    /// Where each is reached, by id.
    #[must_use]
    pub fn addresses(&self) -> Vec<String> {
        self.addresses.iter().map(SocketAddr::to_string).collect()
    }

    /// The process of each, by id.
    pub fn processes(&self) -> impl Iterator<Item = u32> {
        self.children.iter().map(Child::id)
    }

    fn command(&self, id: u64) -> io::Result<Command> {
        let member = |(id, address)| format!("{id}={address}");
        let members: Vec<String> = std::iter::zip(1u64.., &self.addresses).map(member).collect();
        let mut command = Command::new(env::current_exe()?);
        command.args(["serve", "--until-eof", "--log", "warn", "--id", &id.to_string()]);
        command.args(["--members", &members.join(",")]);
        command.arg("--data-dir").arg(self.root.path().join(id.to_string()));
        // These speak in the clear, whatever the user's own nodes do.
        command.env_remove(self.system.variable("CERTS"));
        command.args(self.flags);
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

/// Ends this process with its standard input, at once, as a crash would: a node that was started
/// here does not outlast who started it.
pub fn end_with_the_input() {
    thread::spawn(|| {
        // What cannot be read has ended, too.
        let _ = io::copy(&mut io::stdin().lock().by_ref(), &mut io::sink());
        process::exit(0);
    });
}

/// Becomes true once somebody wants the command to end: it ends its nodes first.
///
/// # Errors
/// The system has no threads.
pub fn ended_by_signal() -> Result<Arc<AtomicBool>, Trouble> {
    let runtime = Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Trouble::wrong(format!("no threads: {error}")))?;
    let stop = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&stop);
    thread::spawn(move || {
        runtime.block_on(signal());
        told.store(true, Ordering::Relaxed);
    });
    Ok(stop)
}

/// Loopback addresses that nobody listens at. Another process may take one before it is used.
///
/// # Errors
/// The system has none.
pub fn free_addresses(count: u64) -> io::Result<Vec<SocketAddr>> {
    let listeners = (0..count).map(|_| TcpListener::bind("127.0.0.1:0"));
    let listeners: Vec<TcpListener> = listeners.collect::<io::Result<_>>()?;
    listeners.iter().map(TcpListener::local_addr).collect()
}
