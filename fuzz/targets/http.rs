//! Fuzzes HTTP requests: the input is all that a remote sends on a connection to the endpoint of a
//! running node. `tests/runtime/http_requests.rs` checks the replies, and the test of the same
//! corpus in `tests/runtime/main.rs` needs `--all-features`.
//!
//! The command is that of `hostile.rs`, with `--bin http` and `corpus/http`.

#![no_main]

use std::io::{Cursor, Read};
use std::sync::LazyLock;

use quorate::http::{Endpoint, EndpointContent};
use quorate::machine::StateMachine;
use quorate::runtime::{Server, ServerConfig};
use quorate::storage::ClusterId;
use quorate::types::{Index, NodeId};
use tokio::runtime::{Builder, Runtime};

#[path = "../../tests/runtime/http_requests.rs"]
mod http_requests;

/// A state machine without a state.
#[derive(Debug)]
struct Nothing;

impl StateMachine for Nothing {
    fn apply(&mut self, _: Index, _: &[u8]) -> Vec<u8> {
        Vec::new()
    }
    fn query(&self, _: &[u8]) -> Vec<u8> {
        Vec::new()
    }
    fn snapshot(&self) -> Box<dyn Read + Send> {
        Box::new(Cursor::new(Vec::new()))
    }
    fn restore(&mut self, _: &mut dyn Read) -> std::io::Result<()> {
        Ok(())
    }
}

/// A node, and its endpoints for metrics and for the page.
struct Served {
    runtime: Runtime,
    _server: Server,
    endpoints: [Endpoint; 2],
}

static SERVED: LazyLock<Served> = LazyLock::new(|| {
    let directory = std::env::temp_dir().join(format!("quorate-fuzz-{}", std::process::id()));
    let any = ([127, 0, 0, 1], 0).into();
    let id = NodeId(1);
    let config = ServerConfig::new(directory, ClusterId(1), id, [(id, any)]);
    let mut config = config.expect("the node is a member");
    config.replica.storage.segment_bytes = 16 << 20;
    config.replica.storage.spare_segments = 1;
    let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime starts");
    let (_server, endpoints) = runtime.block_on(async {
        let server = Server::start(config, Nothing).await.expect("the directory is new");
        let page = EndpointContent::Page { peer_client: None };
        let contents = [EndpointContent::Metrics, page];
        let [metrics, page] = contents.map(|content| Endpoint::bind(any, content, server.handle()));
        let endpoints = [metrics.await, page.await];
        (server, endpoints.map(|endpoint| endpoint.expect("a port is free")))
    });
    Served { runtime, _server, endpoints }
});

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    SERVED.runtime.block_on(async {
        for endpoint in &SERVED.endpoints {
            http_requests::drive(endpoint, bytes).await;
        }
    });
});
