//! Nodes that run for real: files, sockets and threads, in one process.

mod carrying;
mod clients;
mod cluster;
#[cfg(feature = "metrics")]
mod counting;
mod failing;
mod raw;
mod refusing;
mod serving;
#[cfg(feature = "certs")]
mod tls;
