//! A state machine with typed commands, three durable nodes and a client. It needs `serde` with
//! `derive`, and `tokio` with `macros` and `rt-multi-thread`.
//!
//! `cargo run --features tokio --example typed`. Run it twice: the second run continues the count.
use quorate::runtime::{Client, ClientConfig, Server, ServerConfig};
use quorate::storage::ClusterId;
use quorate::typed::TypedMachine;
use quorate::types::{Index, NodeId, ReadLevel};

#[derive(Default, serde::Serialize, serde::Deserialize)]
struct Counters(std::collections::BTreeMap<String, u64>);

#[derive(serde::Serialize, serde::Deserialize)]
enum Command {
    Add { name: String, count: u64 },
}

impl TypedMachine for Counters {
    type Command = Command;
    type Reply = u64;
    type Query = String;
    type Answer = Option<u64>;
    fn apply(&mut self, _: Index, Command::Add { name, count }: Command) -> u64 {
        let counter = self.0.entry(name).or_default();
        // Saturates, so that the result is the same on every node and in every build: with `+`, a
        // debug build would panic, again at each restart, and a release build would wrap.
        *counter = counter.saturating_add(count);
        *counter
    }
    fn query(&self, name: String) -> Option<u64> {
        self.0.get(&name).copied()
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let cluster = ClusterId(0x7479);
    let members = [1, 2, 3].map(|id| (NodeId(id), ([127, 0, 0, 1], 7010 + id as u16).into()));
    let mut servers = Vec::new();
    for (id, _) in members {
        let config = ServerConfig::new(format!("target/typed-{id}"), cluster, id, members)?;
        servers.push(Server::start(config, Counters::default()).await?);
    }
    let config = ClientConfig::new(cluster, members.map(|(_, address)| address));
    let client = Client::new(config)?.typed::<Counters>();
    let added = client.propose(&Command::Add { name: "visits".into(), count: 1 }).await?;
    let read = client.read(ReadLevel::Linearizable, &"visits".to_owned()).await?;
    println!("{added} visits; a read returns {read:?}");
    Ok(())
}
