//! A server and clients of a typed state machine.

use std::collections::BTreeMap;

use quorate::runtime::{Client, ClientConfig, Server, ServerConfig, TypedClientError};
use quorate::typed::{TypedError, TypedMachine};
use quorate::types::{Index, NodeId, ReadLevel};
use serde::{Deserialize, Serialize};

use crate::addresses::free_address;
use crate::cluster::CLUSTER;

#[derive(Default, Serialize, Deserialize)]
struct Map(BTreeMap<String, u64>);

impl TypedMachine for Map {
    type Command = (String, u64);
    type Reply = Option<u64>;
    type Query = String;
    type Answer = Option<u64>;
    fn apply(&mut self, _: Index, (key, value): (String, u64)) -> Option<u64> {
        self.0.insert(key, value)
    }
    fn query(&self, key: String) -> Option<u64> {
        self.0.get(&key).copied()
    }
}

/// The same machine in a version with another type of command.
#[derive(Serialize, Deserialize)]
struct OtherMap;

impl TypedMachine for OtherMap {
    type Command = u8;
    type Reply = ();
    type Query = String;
    type Answer = Option<u64>;
    fn apply(&mut self, _: Index, _: u8) {}
    fn query(&self, _: String) -> Option<u64> {
        None
    }
}

#[tokio::test]
async fn values_survive_a_restart_and_a_command_of_another_type_is_an_error() {
    let directory = tempfile::tempdir().expect("there is a place for files");
    let address = free_address();
    let start = async || {
        let members = [(NodeId(1), address)];
        let config = ServerConfig::new(directory.path(), CLUSTER, NodeId(1), members);
        let config = config.expect("the node is a member");
        Server::start(config, Map::default()).await.expect("the server starts")
    };
    let key = "key".to_owned();
    let server = start().await;
    let client = Client::new(ClientConfig::new(CLUSTER, [address]));
    let client = client.expect("the configuration is valid");
    let (typed, other) = (client.clone().typed::<Map>(), client.typed::<OtherMap>());
    assert_eq!(typed.propose(&(key.clone(), 1)).await, Ok(None));
    assert_eq!(typed.propose(&(key.clone(), 2)).await, Ok(Some(1)));
    let replied = other.propose(&7).await;
    assert_eq!(replied, Err(TypedClientError::Value(TypedError::Undecodable)));
    server.shutdown().await.expect("the server stops");

    let server = start().await;
    assert_eq!(typed.read(ReadLevel::Linearizable, &key).await, Ok(Some(2)));
    server.shutdown().await.expect("the server stops");
}
