//! Three processes of each system, on free ports of this machine, which end with the benchmark.

use std::error::Error;
use std::fs;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use quorate::runtime::{Client, ClientConfig};
use quorate::types::ReadLevel;
use rustix::process::{Pid, Signal, kill_process};
use tokio::time::sleep;

use crate::etcd::Connection;
use crate::load::{Kind, SendRequest, Target};
use crate::node;

/// The longest wait for a cluster to elect a leader.
const ELECTION_WAIT_MAX: Duration = Duration::from_secs(30);

/// Processes that are killed when this is dropped. A process that reads its standard input also
/// ends when the benchmark ends for any other reason.
struct Processes(Vec<Child>);

impl Drop for Processes {
    fn drop(&mut self) {
        for child in &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Processes {
    /// Stops the processes until `resume`.
    fn pause(&self) -> io::Result<()> {
        self.send(Signal::STOP)
    }

    fn resume(&self) -> io::Result<()> {
        self.send(Signal::CONT)
    }

    fn send(&self, signal: Signal) -> io::Result<()> {
        for child in &self.0 {
            kill_process(Pid::from_child(child), signal)?;
        }
        Ok(())
    }

    fn cpu(&self) -> Duration {
        self.0.iter().map(|child| cpu_of(child.id())).sum()
    }
}

/// The CPU time of a process, with a resolution of hundredths of a second.
fn cpu_of(process: u32) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    let fields = stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace();
    let ticks: u64 = fields.skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum();
    Duration::from_millis(10 * ticks)
}

fn free_addresses() -> io::Result<Vec<SocketAddr>> {
    // All listeners are kept until all ports are known, so that no two are equal.
    let held: io::Result<Vec<TcpListener>> =
        (0..3).map(|_| TcpListener::bind("127.0.0.1:0")).collect();
    held?.iter().map(TcpListener::local_addr).collect()
}

/// Three nodes of etcd.
pub(crate) struct Etcd {
    processes: Processes,
    clients: Vec<SocketAddr>,
    leader: SocketAddr,
}

impl Etcd {
    pub(crate) async fn start(root: &Path) -> Result<Etcd, Box<dyn Error>> {
        let (clients, peers) = (free_addresses()?, free_addresses()?);
        let all: Vec<String> =
            peers.iter().enumerate().map(|(at, peer)| format!("e{at}=http://{peer}")).collect();
        let mut processes = Processes(Vec::new());
        for (at, (client, peer)) in clients.iter().zip(&peers).enumerate() {
            let (client, peer) = (format!("http://{client}"), format!("http://{peer}"));
            let child = Command::new("etcd")
                .args(["--name", &format!("e{at}"), "--log-level", "error", "--data-dir"])
                .arg(root.join(format!("etcd-{at}")))
                .args(["--listen-client-urls", &client, "--advertise-client-urls", &client])
                .args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer])
                .args(["--initial-cluster", &all.join(","), "--initial-cluster-state", "new"])
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .map_err(|error| format!("etcd does not start; is it installed? {error}"))?;
            processes.0.push(child);
        }
        let leader = leader_of(&clients).await?;
        Ok(Etcd { processes, clients, leader })
    }

    pub(crate) fn pause(&self) -> io::Result<()> {
        self.processes.pause()
    }

    /// Resumes the processes, and waits for a leader.
    pub(crate) async fn resume(&mut self) -> Result<(), Box<dyn Error>> {
        self.processes.resume()?;
        self.leader = leader_of(&self.clients).await?;
        Ok(())
    }
}

/// Returns the client address of the leader, once it accepts writes.
async fn leader_of(clients: &[SocketAddr]) -> Result<SocketAddr, Box<dyn Error>> {
    let end = Instant::now() + ELECTION_WAIT_MAX;
    while Instant::now() < end {
        for address in clients {
            if let Ok(mut connection) = Connection::open(*address).await
                && connection.leads().await.unwrap_or(false)
                && connection.put(b"first", b"").await.is_ok()
            {
                return Ok(*address);
            }
        }
        sleep(Duration::from_millis(50)).await;
    }
    Err("etcd has no leader".into())
}

impl Target for Etcd {
    type Client = Connection;

    async fn client(&self) -> io::Result<Connection> {
        Connection::open(self.leader).await
    }

    fn cpu(&self) -> Duration {
        self.processes.cpu()
    }
}

impl SendRequest for Connection {
    async fn send(&mut self, kind: Kind, key: &[u8], value: &[u8]) -> io::Result<()> {
        match kind {
            Kind::Put => self.put(key, value).await,
            Kind::Get => self.get(key).await,
        }
    }
}

/// Three nodes of quorate.
pub(crate) struct Quorate {
    processes: Processes,
    config: ClientConfig,
}

impl Quorate {
    pub(crate) async fn start(
        root: &Path,
        tls: bool,
        poll_micros: u64,
    ) -> Result<Quorate, Box<dyn Error>> {
        let addresses = free_addresses()?;
        let all: Vec<String> = addresses.iter().map(SocketAddr::to_string).collect();
        let certs = tls.then(|| root.join("certs"));
        if let Some(certs) = &certs {
            node::make_certs(certs, addresses.len() as u64)?;
        }
        let mut processes = Processes(Vec::new());
        for id in 1..=addresses.len() {
            let mut command = Command::new(std::env::current_exe()?);
            command.args(["node", "--id", &id.to_string(), "--members", &all.join(","), "--dir"]);
            command.arg(root.join(format!("quorate-{id}")));
            command.args(["--poll-micros", &poll_micros.to_string()]);
            if let Some(certs) = &certs {
                command.arg("--certs").arg(certs);
            }
            processes.0.push(command.stdin(Stdio::piped()).spawn()?);
        }
        let config = client_config(all, certs.as_ref())?;
        let quorate = Quorate { processes, config };
        quorate.writes().await?;
        Ok(quorate)
    }

    /// Waits until a leader accepts writes.
    async fn writes(&self) -> Result<(), Box<dyn Error>> {
        let client = Client::new(self.config.clone())?;
        let end = Instant::now() + ELECTION_WAIT_MAX;
        while client.propose(&node::put(b"first", b"")).await.is_err() {
            if Instant::now() > end {
                return Err("quorate has no leader".into());
            }
        }
        Ok(())
    }

    pub(crate) fn pause(&self) -> io::Result<()> {
        self.processes.pause()
    }

    /// Resumes the processes, and waits for a leader.
    pub(crate) async fn resume(&mut self) -> Result<(), Box<dyn Error>> {
        self.processes.resume()?;
        self.writes().await
    }
}

fn client_config(
    addresses: Vec<String>,
    certs: Option<&PathBuf>,
) -> Result<ClientConfig, Box<dyn Error>> {
    let mut config = ClientConfig::new(node::CLUSTER, addresses);
    config.tls = certs.map(|certs| node::tls_of_clients(certs)).transpose()?;
    config.check()?;
    Ok(config)
}

impl Target for Quorate {
    type Client = Client;

    async fn client(&self) -> io::Result<Client> {
        Client::new(self.config.clone()).map_err(io::Error::other)
    }

    fn cpu(&self) -> Duration {
        self.processes.cpu()
    }
}

impl SendRequest for Client {
    async fn send(&mut self, kind: Kind, key: &[u8], value: &[u8]) -> io::Result<()> {
        let result = match kind {
            Kind::Put => self.propose(&node::put(key, value)).await.map(drop),
            Kind::Get => self.read(ReadLevel::Linearizable, key).await.map(drop),
        };
        result.map_err(io::Error::other)
    }
}
