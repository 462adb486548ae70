//! Shared parts of the example systems: encoding, snapshots, the node, the client connection, TLS,
//! the prompt, times, the output and exit codes; the messaging state machine of two systems; and
//! local clusters, latencies and tables for benchmarks.

pub mod cluster_status;
pub mod codec;
pub mod connection;
pub mod exit;
pub mod latencies;
pub mod local_cluster;
pub mod members;
pub mod messaging;
pub mod output;
pub mod prompt;
pub mod rows;
mod run_node;
pub mod serve;
pub mod system;
pub mod table;
pub mod time;
pub mod tls;
