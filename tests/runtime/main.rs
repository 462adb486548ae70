//! Tests of production nodes, with files, sockets and threads, in one process.

#[cfg(feature = "certs")]
#[path = "../common/accept_any_server.rs"]
mod accept_any_server;
#[path = "../common/addresses.rs"]
mod addresses;
mod client_rules;
mod clients;
mod cluster;
#[path = "../common/corpus.rs"]
mod corpus;
mod custom_disk;
mod custom_transport;
mod failures;
mod forwarding;
mod hostile_clients;
#[cfg(feature = "http")]
mod http_requests;
#[cfg(feature = "metrics")]
mod metrics;
#[cfg(feature = "certs")]
mod places;
mod raw;
mod recordings;
mod rejected_connections;
mod service;
mod serving;
#[cfg(feature = "certs")]
mod tls;
#[cfg(feature = "certs")]
mod tls_clients;
mod typed;
mod unknown_versions;
mod uris;

#[test]
fn the_fuzz_corpus_of_uris_passes() {
    corpus::replay("uri", uris::drive);
}

#[cfg(feature = "http")]
#[tokio::test]
async fn the_fuzz_corpus_of_http_requests_passes() {
    use quorate::http::{Endpoint, EndpointContent};

    let cluster = cluster::Cluster::start(1).await;
    let handle = cluster.handle(quorate::types::NodeId(1));
    let address = "127.0.0.1:0".parse().expect("the address is valid");
    let page = EndpointContent::Page { peer_client: None };
    for content in [EndpointContent::Metrics, page] {
        let endpoint = Endpoint::bind(address, content, handle.clone()).await;
        let endpoint = endpoint.expect("a port is free");
        for request in corpus::files("http") {
            http_requests::drive(&endpoint, &request).await;
        }
    }
}
