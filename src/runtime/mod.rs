//! The production driver, on tokio: runs a [`Replica`](crate::replica) with sockets, files and
//! clocks.
//!
//! [`Server::start`] runs one node on a directory of its own; the program around it sends requests
//! through a [`Handle`]. The disk and the state machine have threads of their own, so that
//! heartbeats wait for neither. With `ServerConfig::inline_machine`, for quick state machines, the
//! driver's thread calls the state machine.

mod audit;
mod busy_poll;
#[cfg(feature = "certs")]
pub mod certs;
mod client;
mod clock;
mod conditions;
mod config;
mod config_error;
mod directory_check;
mod driver;
mod environment;
mod handle;
mod lanes;
mod lock;
mod log_limit;
mod metrics;
mod moving_deadline;
mod name_lookup;
mod open_files;
mod origin;
mod output_log;
mod peer_addresses;
mod principal;
mod proposal_window;
mod recording;
mod recording_reader;
mod rejected_connections;
mod request;
mod request_limits;
mod request_queue;
mod role_history;
mod server;
mod server_error;
mod service;
mod tasks;
#[cfg(feature = "tls")]
mod tls;
mod transport;
mod turn_queue;
mod unnamed_cluster;
mod write_obstacle;

pub use audit::AUDIT_TARGET;
#[cfg(not(madsim))]
pub use client::blocking;
pub use client::{
    AttemptError, Client, ClientConfig, ClientConfigError, ClientError, Mismatch, RejectCause,
    TypedClient, TypedClientError,
};
pub use config::{NetworkConfig, ServerConfig, ServiceConfig};
pub use config_error::ServerConfigError;
#[cfg(feature = "http")]
pub(crate) use environment::{Listener, RawStream, is_of_connection};
pub use handle::{Handle, Leadership};
#[cfg(feature = "http")]
pub(crate) use lock::lock;
#[cfg(feature = "metrics")]
pub use metrics::{
    Bucket, LatencyHistogram, LatencyMetric, Metrics, NodeSummary, PeerLink, Totals,
};
pub use principal::{PRINCIPAL_NAME_BYTES_MAX, Principal, Role};
pub use rejected_connections::ConnectionRejectReason;
pub use request::{ProposalOutcome, ReadReply, RecordingPart, RequestError};
pub use server::Server;
pub use server_error::ServerError;
#[cfg(feature = "tls")]
pub use tls::{TlsConfig, TlsError};
pub use unnamed_cluster::{ANY_UNNAMED_CLUSTER, is_unnamed_cluster, unnamed_cluster};
pub use write_obstacle::WriteObstacle;

pub use crate::types::Report;

unstable_use! {
    environment::{Simulated, SimulatedListener, Simulation, Socket}, // feature `unstable`
    transport::{PacketInbox, Transport}, // feature `unstable`
}
