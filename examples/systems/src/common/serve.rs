//! One node of a system, as its flags say.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

use clap::Args;
use quorate::machine::StateMachine;
use quorate::runtime::{Principal, ServerConfig};
use quorate::types::NodeId;
use tokio::runtime::Runtime;
use tracing::level_filters::LevelFilter;

use crate::common::exit::{Done, Trouble};
use crate::common::life;
use crate::common::system::System;

/// How large one file of the log is.
const SEGMENT_BYTES: u64 = 16 << 20;

/// What a node is told.
#[derive(Args, Clone, Debug)]
pub struct ServeFlags {
    /// This node's id, from 1; never given to another node again
    #[arg(long, value_name = "N")]
    pub id: u64,
    /// Every node of the cluster, this one among them: 1=127.0.0.1:7401,2=127.0.0.1:7402,…
    #[arg(
        long,
        value_name = "ID=ADDRESS",
        value_delimiter = ',',
        required_unless_present = "join"
    )]
    pub members: Vec<NodeAt>,
    /// Some nodes of a running cluster, to wait there until one of them adds this node
    #[arg(
        long,
        value_name = "ID=ADDRESS",
        value_delimiter = ',',
        conflicts_with = "members",
        requires = "listen"
    )]
    pub join: Vec<NodeAt>,
    /// The node's own directory, made if it is missing; everything it acknowledged is in it
    #[arg(long, value_name = "DIR")]
    pub data_dir: PathBuf,
    /// Where to listen, if that is not where the others reach this node
    #[arg(long, value_name = "ADDRESS")]
    pub listen: Option<SocketAddr>,
    /// Speak TLS, with the certificates in this directory; or the variable NAME_CERTS says which
    #[arg(long, value_name = "DIR", conflicts_with = "plaintext")]
    pub certs: Option<PathBuf>,
    /// Let words leave this machine in the clear: without it, and without certificates, only
    /// loopback addresses are used
    #[arg(long)]
    pub plaintext: bool,
    /// Show the living cluster there, as a page for a browser: who leads, who follows, how far each
    /// one is. Whoever reaches the address may look
    #[arg(long, value_name = "ADDRESS")]
    pub ui: Option<SocketAddr>,
    /// What to write about to the standard error: error, warn, info or debug
    #[arg(long, value_name = "LEVEL", default_value = "info")]
    pub log: LevelFilter,
}

/// A node's id and where it is reached: `4=10.0.0.4:7400`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NodeAt {
    /// The node.
    pub id: NodeId,
    /// Its address.
    pub address: SocketAddr,
}

impl ServeFlags {
    /// The node that is meant, of this system; every field may be changed before the start.
    ///
    /// # Errors
    /// What is wrong with the flags.
    pub fn config(&self, system: &System) -> Result<ServerConfig, Trouble> {
        let mut config = self.founding_or_joining(system)?;
        config.plaintext = self.plaintext;
        let certs = system.certs(self.certs.as_deref()).filter(|_| !self.plaintext);
        config.tls = match certs {
            Some(certs) => Some(system.papers(&certs, &Principal::Node(NodeId(self.id)))?),
            None if system.secure && !self.plaintext => return Err(system.insecure()),
            None => None,
        };
        // Words are small: files of the log need not be large, nor many of them be made ahead.
        let storage = &mut config.replica.storage;
        (storage.segment_bytes, storage.segments_ahead) = (SEGMENT_BYTES, 1);
        Ok(config)
    }

    fn founding_or_joining(&self, system: &System) -> Result<ServerConfig, Trouble> {
        let (id, cluster) = (NodeId(self.id), system.cluster);
        if let Some(listen) = self.listen.filter(|_| !self.join.is_empty()) {
            let others = self.join.iter().filter(|node| node.id != id);
            let others = others.map(|node| (node.id, node.address));
            return Ok(ServerConfig::joining(&self.data_dir, cluster, (id, listen), others));
        }
        let members = self.members.iter().map(|node| (node.id, node.address));
        let config = ServerConfig::new(&self.data_dir, cluster, id, members);
        let mut config =
            config.map_err(|error| Trouble::wrong(format!("--id, --members: {error}")))?;
        config.listen = self.listen.unwrap_or(config.listen);
        Ok(config)
    }

    /// Runs the node until SIGTERM or Ctrl-C ends it in good order, or it cannot go on.
    ///
    /// # Errors
    /// Why it did not start, or stopped by itself.
    pub fn run(&self, config: ServerConfig, machine: impl StateMachine + Send + 'static) -> Done {
        let words = tracing_subscriber::fmt().with_writer(std::io::stderr);
        words.with_max_level(self.log).with_target(false).init();
        let runtime = Runtime::new();
        let runtime = runtime.map_err(|error| Trouble::wrong(format!("no threads: {error}")))?;
        runtime.block_on(life::live(config, machine, self.ui))
    }
}

impl FromStr for NodeAt {
    type Err = String;

    fn from_str(text: &str) -> Result<NodeAt, String> {
        let read = || {
            let (id, address) = text.split_once('=')?;
            let id = id.parse().ok().filter(|id| *id > 0)?;
            Some(NodeAt { id: NodeId(id), address: address.parse().ok()? })
        };
        read().ok_or_else(|| format!("`{text}` is not ID=ADDRESS, like 1=127.0.0.1:7401"))
    }
}

impl fmt::Display for NodeAt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.id.0, self.address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_read_as_it_is_written() {
        let node: NodeAt = "4=127.0.0.1:7404".parse().expect("it is one");
        assert_eq!((node.id, node.to_string()), (NodeId(4), "4=127.0.0.1:7404".to_owned()));
        for text in ["", "4", "0=127.0.0.1:1", "x=127.0.0.1:1", "1=here"] {
            let error = text.parse::<NodeAt>().expect_err(text);
            assert!(error.contains(&format!("`{text}`")), "{error}");
        }
    }
}
