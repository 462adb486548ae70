//! Nodes for real, on tokio: sockets, files and clocks around a [`Replica`](crate::replica).
//!
//! [`Server::start`] runs one node on a directory of its own; [`Handle`] is how the program around
//! it talks to it. Disk and state machine have threads of their own, and heartbeats wait for
//! neither.

mod ask;
mod clock;
mod config;
mod driver;
mod handle;
mod lanes;
mod metrics;
mod server;
mod tasks;
mod transport;

pub use ask::{Answered, AskError, Proposed, Report};
pub use config::{NetworkConfig, ServerConfig, ServerConfigError};
pub use handle::{Handle, Leadership};
#[cfg(feature = "metrics")]
pub use metrics::{Bucket, Glance, Latencies, Link, Metrics, Timed, Totals};
pub use server::{Server, ServerError};
pub use transport::{Inlet, Transport};
