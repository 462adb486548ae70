//! Shared parts of the example systems: encoding, snapshots, the node, its members and status, the
//! client connection, TLS, the prompt, numbers and times, the output and exit codes; the messaging
//! state machine of two systems; and local clusters, latencies and tables for benchmarks.

pub mod calls;
#[cfg(feature = "commands")]
pub mod cluster_status;
pub mod codec;
#[cfg(feature = "commands")]
pub mod connection;
pub mod exit;
#[cfg(feature = "commands")]
pub mod latencies;
#[cfg(feature = "commands")]
pub mod local_cluster;
#[cfg(feature = "commands")]
pub mod members;
#[cfg(feature = "commands")]
pub mod message_printer;
pub mod messaging;
#[cfg(feature = "commands")]
pub mod number;
#[cfg(feature = "commands")]
pub mod output;
pub mod printable;
#[cfg(feature = "commands")]
pub mod prompt;
pub mod rows;
#[cfg(feature = "commands")]
mod run_node;
#[cfg(feature = "commands")]
pub mod serve;
pub mod system;
#[cfg(feature = "commands")]
pub mod table;
#[cfg(feature = "commands")]
pub mod time;
#[cfg(feature = "commands")]
pub mod tls;
