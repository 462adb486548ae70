//! A client of the three processes of `examples/kv.rs`. While they run, run in a fourth terminal
//! `cargo run --features tokio --example client`. If you kill one node, the client continues.

use quorate::runtime::{Client, ClientConfig, ClientError};
use quorate::storage::ClusterId;
use quorate::types::ReadLevel;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let nodes = ["localhost:7001", "localhost:7002", "localhost:7003"];
    let client = Client::new(ClientConfig::new(ClusterId(0x6b76), nodes))?;
    for count in 1..=100 {
        match client.propose(format!("count={count}").as_bytes()).await {
            Ok(before) => println!("{count}, was {}", String::from_utf8_lossy(&before)),
            Err(error @ ClientError::Unknown(_)) => println!("{count} outcome unknown: {error}"),
            Err(error) => println!("{count} failed: {error}"),
        }
    }
    let read = client.read(ReadLevel::Linearizable, b"count").await?;
    println!("count is {}", String::from_utf8_lossy(&read.answer));
    Ok(())
}
