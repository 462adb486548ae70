//! Nodes that run for real: files, sockets and threads, in one process.

#[path = "../common/addresses.rs"]
mod addresses;
mod carrying;
mod client_rules;
mod clients;
mod cluster;
#[cfg(feature = "metrics")]
mod counting;
mod failing;
mod forwarding;
#[cfg(feature = "certs")]
#[path = "../common/gullible.rs"]
mod gullible;
mod raw;
mod refusing;
#[cfg(feature = "certs")]
mod safe_clients;
mod service;
mod serving;
#[cfg(feature = "certs")]
mod tls;
