//! The flags of a node, and its configuration.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

use clap::Args;
use quorate::machine::StateMachine;
use quorate::runtime::{Principal, ServerConfig};
use quorate::types::{NodeId, parse_bytes};
use tokio::runtime::Runtime;
use tracing::level_filters::LevelFilter;

use crate::common::exit::{CommandError, CommandResult, Exit};
use crate::common::number::number;
use crate::common::run_node;
use crate::common::system::System;

/// The size of a log segment, in bytes.
const SEGMENT_BYTES: u64 = 16 << 20;

/// The flags of a node, common to all systems.
#[derive(Args, Clone, Debug)]
pub struct ServeFlags {
    /// Id of this node, from 1; never reused for another node
    #[arg(long, value_name = "N", value_parser = number(1..=u64::MAX))]
    pub id: u64,
    /// All nodes of a new cluster, including this one: 1=127.0.0.1:7401,2=127.0.0.1:7402,…
    #[arg(
        long,
        value_name = "ID=ADDRESS",
        value_delimiter = ',',
        required_unless_present = "join"
    )]
    pub members: Vec<NodeAddress>,
    /// Some nodes of a running cluster that this node joins; it waits until it is added to the
    /// cluster
    #[arg(
        long,
        value_name = "ID=ADDRESS",
        value_delimiter = ',',
        conflicts_with = "members",
        requires = "listen"
    )]
    pub join: Vec<NodeAddress>,
    /// Data directory of this node; created if missing
    #[arg(long, value_name = "DIR")]
    pub data_dir: PathBuf,
    /// Listen address, if it differs from the address of this node in --members
    #[arg(long, value_name = "ADDRESS")]
    pub listen: Option<SocketAddr>,
    /// Use TLS with the certificates in this directory [env: NAME_CERTS, e.g. COURIER_CERTS]
    #[arg(long, value_name = "DIR", conflicts_with = "plaintext")]
    pub certs: Option<PathBuf>,
    /// Allow plaintext connections beyond loopback; without this flag and without certificates,
    /// only loopback addresses are allowed, and `courier` does not start
    #[arg(long)]
    pub plaintext: bool,
    /// Serve a status page of the cluster at this address: roles, terms and indices of all nodes.
    /// It has no access control
    #[arg(long, value_name = "ADDRESS")]
    pub ui: Option<SocketAddr>,
    /// Size of the recording of the node's inputs, without their content, in its data directory; 0
    /// for none
    #[arg(long, value_name = "SIZE", default_value = "64MiB", value_parser = parse_size)]
    pub recording_size: u64,
    /// Log level on standard error: error, warn, info or debug
    #[arg(long, value_name = "LEVEL", default_value = "info")]
    pub log: LevelFilter,
}

/// The id and the address of a node: `4=10.0.0.4:7400`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NodeAddress {
    /// The id of the node.
    pub id: NodeId,
    /// The address at which the node is reachable.
    pub address: SocketAddr,
}

impl ServeFlags {
    /// Returns the configuration of the node, which the caller may change before the start.
    ///
    /// # Errors
    /// A flag is invalid, or a certificate is missing.
    pub fn config(&self, system: &System) -> CommandResult<ServerConfig> {
        let mut config = self.bootstrap_or_join_config(system)?;
        config.plaintext = self.plaintext;
        let certs = system.certs_directory(self.certs.as_deref()).filter(|_| !self.plaintext);
        config.tls = match certs {
            Some(certs) => Some(system.tls_config(&certs, &Principal::Node(NodeId(self.id)))?),
            None if system.tls_by_default && !self.plaintext => {
                return Err(system.missing_certificates());
            }
            None => None,
        };
        config.recording_bytes = self.recording_size;
        // Entries are small, so small segments and one spare segment are enough.
        let storage = &mut config.replica.storage;
        (storage.segment_bytes, storage.spare_segments) = (SEGMENT_BYTES, 1);
        Ok(config)
    }

    fn bootstrap_or_join_config(&self, system: &System) -> CommandResult<ServerConfig> {
        let (id, cluster) = (NodeId(self.id), system.cluster);
        if let Some(listen) = self.listen.filter(|_| !self.join.is_empty()) {
            let others = self.join.iter().filter(|node| node.id != id);
            let others = others.map(|node| (node.id, node.address));
            return Ok(ServerConfig::joining(&self.data_dir, cluster, id, listen, others));
        }
        let members = self.members.iter().map(|node| (node.id, node.address));
        let config = ServerConfig::new(&self.data_dir, cluster, id, members);
        let mut config =
            config.map_err(|error| CommandError::usage(format!("--id, --members: {error}")))?;
        config.listen = self.listen.unwrap_or(config.listen);
        Ok(config)
    }

    /// Runs the node until SIGTERM or Ctrl-C shuts it down cleanly, or an error stops it.
    ///
    /// # Errors
    /// The node cannot start, or an error stopped it.
    pub fn run(
        &self,
        config: ServerConfig,
        machine: impl StateMachine + Send + 'static,
    ) -> CommandResult {
        // By default the subscriber reports a line that it cannot write with `eprintln!`, which
        // panics: on a full disk, or after the end of the program that reads a pipe.
        let logging =
            tracing_subscriber::fmt().with_writer(std::io::stderr).log_internal_errors(false);
        logging.with_max_level(self.log).with_target(false).init();
        let runtime = Runtime::new();
        let runtime = runtime.map_err(|error| {
            CommandError::new(Exit::Unavailable, format!("cannot start threads: {error}"))
        })?;
        runtime.block_on(run_node::run_node(config, machine, self.ui))
    }
}

impl FromStr for NodeAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<NodeAddress, String> {
        let read = || {
            let (id, address) = text.split_once('=')?;
            let id = id.parse().ok().filter(|id| *id > 0)?;
            Some(NodeAddress { id: NodeId(id), address: address.parse().ok()? })
        };
        read().ok_or_else(|| format!("`{text}` is not ID=ADDRESS, e.g. 1=127.0.0.1:7401"))
    }
}

impl fmt::Display for NodeAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.id.0, self.address)
    }
}

fn parse_size(text: &str) -> Result<u64, String> {
    parse_bytes(text).ok_or_else(|| format!("`{text}` is not a size like 64MiB"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_address_is_parsed_as_it_is_printed() {
        let node: NodeAddress = "4=127.0.0.1:7404".parse().expect("the text is valid");
        assert_eq!((node.id, node.to_string()), (NodeId(4), "4=127.0.0.1:7404".to_owned()));
        for text in ["", "4", "0=127.0.0.1:1", "x=127.0.0.1:1", "1=here"] {
            let error = text.parse::<NodeAddress>().expect_err(text);
            assert!(error.contains(&format!("`{text}`")), "{error}");
        }
    }
}
