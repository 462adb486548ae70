//! A node of quorate: a map in memory that is as durable as the log.

use std::collections::HashMap;
use std::error::Error;
use std::io::{self, Cursor, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use clap::Args;
use quorate::machine::StateMachine;
use quorate::runtime::certs::{CertsError, Directory};
use quorate::runtime::{Principal, Server, ServerConfig, TlsConfig};
use quorate::storage::ClusterId;
use quorate::types::{Index, NodeId};
use tokio::sync::oneshot;

pub(crate) const CLUSTER: ClusterId = ClusterId(0xbe9c);

/// The command line of one node.
#[derive(Args, Debug)]
pub(crate) struct NodeArgs {
    #[arg(long)]
    id: u64,
    #[arg(long)]
    dir: PathBuf,
    #[arg(long, value_delimiter = ',')]
    members: Vec<SocketAddr>,
    /// Directory of the certificates
    #[arg(long)]
    certs: Option<PathBuf>,
    /// Polling time before a thread sleeps, in microseconds
    #[arg(long, default_value_t = 0)]
    poll_micros: u64,
}

/// A map. A command is the key's length in one byte, the key, and the value; a query is a key.
#[derive(Debug, Default)]
struct Map(HashMap<Vec<u8>, Vec<u8>>);

pub(crate) fn put(key: &[u8], value: &[u8]) -> Vec<u8> {
    let length = u8::try_from(key.len()).expect("keys are short");
    [&[length], key, value].concat()
}

impl StateMachine for Map {
    fn apply(&mut self, _: Index, command: &[u8]) -> Vec<u8> {
        if let Some((length, rest)) = command.split_first()
            && let Some((key, value)) = rest.split_at_checked(usize::from(*length))
        {
            match self.0.get_mut(key) {
                Some(old) => value.clone_into(old),
                None => _ = self.0.insert(key.to_vec(), value.to_vec()),
            }
        }
        Vec::new()
    }
    fn query(&self, key: &[u8]) -> Vec<u8> {
        self.0.get(key).cloned().unwrap_or_default()
    }
    fn snapshot(&self) -> Box<dyn Read + Send> {
        // Keys are sorted, because all nodes must have the same snapshot.
        let mut pairs: Vec<_> = self.0.iter().collect();
        pairs.sort_unstable();
        let mut bytes = Vec::new();
        for (key, value) in pairs {
            let command = put(key, value);
            bytes.extend((command.len() as u32).to_le_bytes());
            bytes.extend(command);
        }
        Box::new(Cursor::new(bytes))
    }
    fn restore(&mut self, snapshot: &mut dyn Read) -> io::Result<()> {
        let mut bytes = Vec::new();
        snapshot.read_to_end(&mut bytes)?;
        self.0.clear();
        let mut rest = &bytes[..];
        while let Some((length, after)) = rest.split_at_checked(4) {
            let length = u32::from_le_bytes(length.try_into().expect("four bytes"));
            let Some((command, after)) = after.split_at_checked(length as usize) else {
                return Err(io::ErrorKind::InvalidData.into());
            };
            self.apply(Index(0), command);
            rest = after;
        }
        Ok(())
    }
}

fn client() -> Principal {
    Principal::Client("bench".into())
}

/// Makes the certificates of all nodes and clients.
pub(crate) fn make_certs(path: &Path, nodes: u64) -> Result<(), CertsError> {
    let directory = Directory::open(path)?;
    for principal in (1..=nodes).map(|id| Principal::Node(NodeId(id))).chain([client()]) {
        directory.issue(CLUSTER, &principal, 1)?;
    }
    Ok(())
}

pub(crate) fn tls_of_clients(certs: &Path) -> Result<TlsConfig, CertsError> {
    Ok(Directory::open(certs)?.config(&client()))
}

pub(crate) async fn run(args: NodeArgs) -> Result<(), Box<dyn Error>> {
    let members = (1..).map(NodeId).zip(args.members);
    let mut config = ServerConfig::new(args.dir, CLUSTER, NodeId(args.id), members)?;
    config.inline_machine = true;
    config.busy_poll_max = Duration::from_micros(args.poll_micros);
    if let Some(certs) = args.certs {
        config.tls = Some(Directory::open(certs)?.config(&Principal::Node(NodeId(args.id))));
    }
    let mut server = Server::start(config, Map::default()).await?;
    let (closed, input_closed) = oneshot::channel();
    thread::spawn(move || {
        // Nothing arrives on standard input; it closes when the benchmark ends.
        let _ = io::copy(&mut io::stdin().lock(), &mut io::sink());
        let _ = closed.send(());
    });
    tokio::select! {
        stopped = server.stopped() => stopped?,
        _ = input_closed => {}
    }
    Ok(())
}
