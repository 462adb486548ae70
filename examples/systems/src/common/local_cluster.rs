//! Temporary clusters on this machine for benchmarks: processes of this command and their files.
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

use crate::common::exit::{CommandError, CommandResult, Exit};
use crate::common::run_node::signal;
use crate::common::system::System;

/// The time limit for the election of the first leader.
const START_MAX: Duration = Duration::from_secs(60);
/// The polling interval for leaders, progress and results.
pub const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// The running nodes, killed on drop. If this process is killed, they exit at the end of their
/// standard input.
pub struct LocalCluster {
    system: System,
    /// The additional flags of every node.
    flags: &'static [&'static str],
    children: Vec<Child>,
    addresses: Vec<SocketAddr>,
    root: TempDir,
}

impl LocalCluster {
    /// Starts a cluster of `count` nodes with these flags and waits until it has a leader and all
    /// nodes answer. The files are below `scratch`, by default in the temporary directory.
    ///
    /// # Errors
    /// A node cannot be started, exits, or no leader is elected in time.
    pub fn start(
        system: System,
        count: u64,
        flags: &'static [&'static str],
        scratch: Option<&Path>,
    ) -> CommandResult<LocalCluster> {
        let failed = |error: io::Error| {
            CommandError::usage(format!("cannot start a cluster of {count} nodes: {error}"))
        };
        let root = match scratch {
            Some(scratch) => TempDir::new_in(scratch),
            None => TempDir::new(),
        };
        let root = root.map_err(failed)?;
        let addresses = free_addresses(count).map_err(failed)?;
        let mut nodes = LocalCluster { system, flags, children: Vec::new(), addresses, root };
        for id in 1..=count {
            let child = nodes.command(id).and_then(|mut command| command.spawn());
            nodes.children.push(child.map_err(failed)?);
        }
        nodes.await_leader()?;
        Ok(nodes)
    }

    /// Returns a new client of the cluster.
    ///
    /// # Errors
    /// The thread of the client cannot be started.
    pub fn client(&self) -> CommandResult<Client> {
        Client::new(self.client_config()).map_err(CommandError::usage)
    }

    /// Returns the configuration of a client of the cluster.
    #[must_use]
    pub fn client_config(&self) -> ClientConfig {
        let mut config = ClientConfig::new(self.system.cluster, self.addresses());
        // Long, so that a pause of the machine is measured and does not end the benchmark.
        config.deadline = START_MAX;
        config
    }

    /// Returns the address of each node, ordered by id.
    #[must_use]
    pub fn addresses(&self) -> Vec<String> {
        self.addresses.iter().map(SocketAddr::to_string).collect()
    }

    /// Returns the process id of each node, ordered by id.
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
        // These nodes use plaintext, even if the environment variable names certificates.
        command.env_remove(self.system.variable("CERTS"));
        command.args(self.flags);
        let log = File::create(self.log(id))?;
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(log);
        Ok(command)
    }

    fn log(&self, id: u64) -> PathBuf {
        self.root.path().join(format!("{id}.log"))
    }

    fn await_leader(&mut self) -> CommandResult<()> {
        let client = self.client()?.with_deadline(Duration::from_secs(1));
        let due = Instant::now() + START_MAX;
        loop {
            let leads = |role| role == RoleName::Leader;
            let leader = client.report_of_leader().is_ok_and(|report| leads(report.status.role));
            if leader && self.addresses().iter().all(|address| client.report(address).is_ok()) {
                return Ok(());
            }
            self.check_alive()?;
            if Instant::now() > due {
                return Err(CommandError::new(
                    Exit::Unavailable,
                    "within a minute no leader was elected, or a node did not answer",
                ));
            }
            thread::sleep(POLL_INTERVAL);
        }
    }

    /// Checks that all processes run.
    ///
    /// # Errors
    /// A process has exited; the message has the last line of its log output.
    fn check_alive(&mut self) -> CommandResult<()> {
        let has_ended = |child: &mut Child| !matches!(child.try_wait(), Ok(None));
        let Some(position) = self.children.iter_mut().position(has_ended) else { return Ok(()) };
        let id = position as u64 + 1;
        let log = fs::read_to_string(self.log(id)).unwrap_or_default();
        let last = log.lines().last().unwrap_or("none");
        Err(CommandError::new(
            Exit::NodeFailed,
            format!("node {id} exited unexpectedly; last log line: {last}"),
        ))
    }
}

impl Drop for LocalCluster {
    fn drop(&mut self) {
        for child in &mut self.children {
            // The process may have exited already.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Exits this process immediately at the end of its standard input, as a crash would, so that a
/// node does not outlive the process that started it.
pub fn exit_at_stdin_eof() {
    thread::spawn(|| {
        // A read error counts as the end of the input.
        let _ = io::copy(&mut io::stdin().lock().by_ref(), &mut io::sink());
        process::exit(0);
    });
}

/// Returns a flag that becomes true on SIGTERM or Ctrl-C, so that the command can stop its nodes
/// before it exits.
///
/// # Errors
/// The thread that waits for signals cannot be started.
pub fn stop_flag_on_signal() -> CommandResult<Arc<AtomicBool>> {
    let runtime = Builder::new_current_thread().enable_all().build();
    let runtime =
        runtime.map_err(|error| CommandError::usage(format!("cannot start a thread: {error}")))?;
    let stop = Arc::new(AtomicBool::new(false));
    let signalled = Arc::clone(&stop);
    thread::spawn(move || {
        runtime.block_on(signal());
        signalled.store(true, Ordering::Relaxed);
    });
    Ok(stop)
}

/// Returns free loopback addresses. Another process may take one of them before it is used.
///
/// # Errors
/// No port is free.
pub fn free_addresses(count: u64) -> io::Result<Vec<SocketAddr>> {
    let listeners = (0..count).map(|_| TcpListener::bind("127.0.0.1:0"));
    let listeners: Vec<TcpListener> = listeners.collect::<io::Result<_>>()?;
    listeners.iter().map(TcpListener::local_addr).collect()
}
