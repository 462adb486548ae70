//! Nodes for real, on tokio: sockets, files and clocks around a [`Replica`](crate::replica).
//!
//! [`Server::start`] runs one node on a directory of its own; [`Handle`] is how the program around
//! it talks to it. Disk and state machine have threads of their own, and heartbeats wait for
//! neither.

mod ask;
#[cfg(feature = "certs")]
pub mod certs;
mod client;
mod clock;
mod config;
mod driver;
mod entropy;
mod handle;
mod lanes;
mod lookout;
mod metrics;
mod principal;
mod refusal;
mod server;
mod service;
mod tasks;
#[cfg(feature = "tls")]
mod tls;
mod transport;

pub use ask::{Answered, AskError, Proposed};
#[cfg(not(madsim))]
pub use client::blocking;
pub use client::{Client, ClientConfig, ClientConfigError, ClientError, Rejection, Trouble};
pub use config::{NetworkConfig, ServerConfig, ServerConfigError, ServiceConfig};
pub use handle::{Handle, Leadership};
#[cfg(feature = "metrics")]
pub use metrics::{Bucket, Glance, Latencies, Link, Metrics, Timed, Totals};
pub use principal::{PRINCIPAL_NAME_BYTES_MAX, Principal, Role};
pub use refusal::Refusal;
pub use server::{Server, ServerError};
#[cfg(feature = "tls")]
pub use tls::{TlsConfig, TlsError};
pub use transport::{Inlet, Transport};

pub use crate::types::Report;
