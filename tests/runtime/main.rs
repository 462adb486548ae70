//! Tests of production nodes, with files, sockets and threads, in one process.

#[cfg(feature = "certs")]
#[path = "../common/accept_any_server.rs"]
mod accept_any_server;
#[path = "../common/addresses.rs"]
mod addresses;
mod client_rules;
mod clients;
mod cluster;
mod custom_transport;
mod failures;
mod forwarding;
mod hostile_clients;
#[cfg(feature = "metrics")]
mod metrics;
mod raw;
mod rejected_connections;
mod service;
mod serving;
#[cfg(feature = "certs")]
mod tls;
#[cfg(feature = "certs")]
mod tls_clients;
