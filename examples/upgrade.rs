//! A state machine that changes what its command does, in a running cluster: the new rules take
//! effect only once the build of every node has them.
//!
//! `cargo run --features tokio --example upgrade`.

use std::io::{self, Cursor, Read};

use quorate::machine::StateMachine;
use quorate::runtime::{Client, ClientConfig, ClientError, RejectCause, Server, ServerConfig};
use quorate::storage::ClusterId;
use quorate::types::{Index, MachineVersion, NodeId};

/// Counts commands by the rules of version 0, and their bytes by those of version 1.
#[derive(Default)]
struct Counter {
    /// The highest version that this build has. A real build returns a constant.
    build: u32,
    version: u32,
    count: u64,
}

impl StateMachine for Counter {
    fn version_max(&self) -> u32 {
        self.build
    }
    fn set_version(&mut self, _: Index, version: u32) {
        self.version = version;
    }
    fn apply(&mut self, _: Index, command: &[u8]) -> Vec<u8> {
        self.count += if self.version == 0 { 1 } else { command.len() as u64 };
        self.count.to_string().into_bytes()
    }
    fn query(&self, _: &[u8]) -> Vec<u8> {
        self.count.to_string().into_bytes()
    }
    fn snapshot(&self) -> Box<dyn Read + Send> {
        Box::new(Cursor::new(self.count.to_le_bytes()))
    }
    fn restore(&mut self, snapshot: &mut dyn Read) -> io::Result<()> {
        let mut count = [0; 8];
        snapshot.read_exact(&mut count)?;
        self.count = u64::from_le_bytes(count);
        Ok(())
    }
    fn restore_version(&mut self, version: u32, snapshot: &mut dyn Read) -> io::Result<()> {
        self.version = version;
        self.restore(snapshot)
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let members = [1, 2, 3].map(|id| (NodeId(id), ([127, 0, 0, 1], 7020 + id as u16).into()));
    let root = std::env::temp_dir().join(format!("quorate-upgrade-{}", std::process::id()));
    let start = async |id: NodeId, build: u32| {
        let config = ServerConfig::new(root.join(id.to_string()), ClusterId(0x7570), id, members)?;
        let machine = Counter { build, ..Counter::default() };
        Ok::<_, Box<dyn std::error::Error>>(Server::start(config, machine).await?)
    };
    let mut servers = Vec::new();
    for (id, _) in members {
        servers.push(start(id, 0).await?);
    }
    let addresses = members.map(|(_, address)| address);
    let client = Client::new(ClientConfig::new(ClusterId(0x7570), addresses))?;
    let add = async || Ok::<_, Box<dyn std::error::Error>>(client.propose(b"abc").await?);
    println!("version 0 counts commands: {}", String::from_utf8_lossy(&add().await?));

    // Replace the build of one node after the other. Until the version is raised, each node could
    // go back to its old build.
    let version = MachineVersion { user: 1, ..MachineVersion::FIRST };
    for (id, _) in members {
        println!("too early: {}", client.raise_version(version).await.unwrap_err());
        servers.remove(0).shutdown().await?;
        servers.push(start(id, 1).await?);
    }
    println!("new builds, old rules: {}", String::from_utf8_lossy(&add().await?));

    // The leader has to hear from each member once before it knows which versions its build has.
    while let Err(error) = client.raise_version(version).await {
        let ClientError::Rejected(RejectCause::Node(_)) = error else { return Err(error.into()) };
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    println!("version 1 counts bytes: {}", String::from_utf8_lossy(&add().await?));
    for server in servers {
        server.shutdown().await?;
    }
    Ok(std::fs::remove_dir_all(root)?)
}
