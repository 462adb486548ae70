//! A durable map replicated by three processes, each with a prompt. In three terminals run `cargo
//! run --features tokio --example kv -- 1`, and the same with 2 and with 3. At the prompt,
//! `name=value` puts a value and prints the previous one, and `name` prints the current value. A
//! name must not contain `=`. If you kill one process, the other two continue.

use std::collections::BTreeMap;
use std::io::{self, BufRead, Cursor, Read};

use quorate::machine::StateMachine;
use quorate::runtime::{Server, ServerConfig};
use quorate::storage::ClusterId;
use quorate::types::{Index, NodeId, ReadLevel};

#[derive(Default)]
struct Map(BTreeMap<String, String>);

impl StateMachine for Map {
    fn apply(&mut self, _: Index, command: &[u8]) -> Vec<u8> {
        let command = String::from_utf8_lossy(command);
        let (name, value) = command.split_once('=').unwrap_or((&*command, ""));
        self.0.insert(name.to_owned(), value.to_owned()).unwrap_or_default().into_bytes()
    }
    fn query(&self, name: &[u8]) -> Vec<u8> {
        self.0.get(&*String::from_utf8_lossy(name)).cloned().unwrap_or_default().into_bytes()
    }
    fn snapshot(&self) -> Box<dyn Read + Send> {
        Box::new(Cursor::new(serde_json::to_vec(&self.0).expect("a map of text is valid JSON")))
    }
    fn restore(&mut self, snapshot: &mut dyn Read) -> io::Result<()> {
        self.0 = serde_json::from_reader(snapshot)?;
        Ok(())
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let id: u64 = std::env::args().nth(1).ok_or("which node: 1, 2 or 3?")?.parse()?;
    let members = (1..=3).map(|id| (NodeId(id), ([127, 0, 0, 1], 7000 + id as u16).into()));
    let directory = std::env::temp_dir().join(format!("quorate-kv-{id}"));
    let config = ServerConfig::new(directory, ClusterId(0x6b76), NodeId(id), members)?;
    let server = Server::start(config, Map::default()).await?;
    for line in io::stdin().lock().lines() {
        let line = line?;
        let reply = if line.contains('=') {
            server.handle().propose(line.as_bytes()).await.map(|before| before.to_vec())
        } else {
            let read = server.handle().read(ReadLevel::Linearizable, line.as_bytes()).await;
            read.map(|reply| reply.answer)
        };
        match reply {
            Ok(value) => println!("{}", String::from_utf8_lossy(&value)),
            Err(error) => println!("{error}"),
        }
    }
    Ok(server.shutdown().await?)
}

#[test]
fn a_restored_map_is_the_map() {
    let (mut map, mut restored) = (Map::default(), Map::default());
    map.apply(Index(1), b"a=1\nb=2");
    restored.restore(&mut map.snapshot()).expect("it is a snapshot");
    assert_eq!(restored.0, map.0);
}
