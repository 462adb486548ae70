//! A user of the published packages: a state machine, and three nodes in one process that serve it
//! to a client. `.ci/packages` builds it against the packaged files.

use std::collections::BTreeMap;
use std::io::{self, Cursor, Read};
use std::net::{SocketAddr, TcpListener};

use quorate::machine::StateMachine;
use quorate::runtime::{Client, ClientConfig, Server, ServerConfig};
use quorate::storage::ClusterId;
use quorate::types::{Index, NodeId, ReadLevel};

const CLUSTER: ClusterId = ClusterId(7);

#[derive(Default)]
struct Sum(u64);

impl StateMachine for Sum {
    fn apply(&mut self, _: Index, command: &[u8]) -> Vec<u8> {
        self.0 += command.iter().map(|byte| u64::from(*byte)).sum::<u64>();
        self.0.to_le_bytes().to_vec()
    }

    fn query(&self, _: &[u8]) -> Vec<u8> {
        self.0.to_le_bytes().to_vec()
    }

    fn snapshot(&self) -> Box<dyn Read + Send> {
        Box::new(Cursor::new(self.0.to_le_bytes()))
    }

    fn restore(&mut self, snapshot: &mut dyn Read) -> io::Result<()> {
        let mut bytes = [0; 8];
        snapshot.read_exact(&mut bytes)?;
        self.0 = u64::from_le_bytes(bytes);
        Ok(())
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let mut members: BTreeMap<NodeId, SocketAddr> = BTreeMap::new();
    for id in 1..=3 {
        members.insert(NodeId(id), TcpListener::bind("127.0.0.1:0")?.local_addr()?);
    }
    let mut servers = Vec::new();
    for id in members.keys() {
        let directory = folder.path().join(id.0.to_string());
        let mut config = ServerConfig::new(directory, CLUSTER, *id, members.clone())?;
        config.replica.storage.segment_bytes = 16 << 20;
        config.replica.storage.spare_segments = 1;
        servers.push(Server::start(config, Sum::default()).await?);
    }
    let client = Client::new(ClientConfig::new(CLUSTER, members.values()))?;
    for command in [&[1, 2][..], &[3], &[4]] {
        client.propose(command).await?;
    }
    let sum = client.read(ReadLevel::Linearizable, b"").await?;
    assert_eq!(sum.answer, 10_u64.to_le_bytes());
    println!("three nodes: the sum is 10");
    for server in servers {
        server.shutdown().await?;
    }
    Ok(())
}
