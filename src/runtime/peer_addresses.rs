//! The addresses to which a node can reply before it has a membership.

use std::collections::BTreeMap;
use std::error::Error;
use std::time::Duration;

use tracing::info;

use crate::runtime::client::{Client, ClientConfig};
use crate::runtime::config::ServerConfig;
use crate::types::{Address, Membership, NodeId};

/// The time limit of a question to one peer, which may be behind a slow connection.
const QUESTION_TIME_MAX: Duration = Duration::from_secs(3);

/// Returns the configured addresses of peers, and for a node that joins, without a `membership`,
/// also those of all members that these peers report: the leader needs the node's replies before it
/// can send it the membership. If no peer answers, the leader has to be one of them.
pub(super) async fn peer_addresses(
    config: &ServerConfig,
    membership: &Membership,
) -> BTreeMap<NodeId, Address> {
    let mut addresses = config.peers.clone();
    let joins = config.replica.raft.bootstrap_peers.is_none() && membership.members().is_empty();
    for peer in config.peers.values().filter(|_| joins) {
        match ask(config, peer).await {
            Ok(members) => {
                let known = members.members().iter().filter(|it| !it.address.as_str().is_empty());
                for member in known {
                    addresses.entry(member.id).or_insert_with(|| member.address.clone());
                }
            }
            Err(error) => info!(%peer, %error, "a peer did not name the members of the cluster"),
        }
    }
    addresses.remove(&config.replica.raft.id);
    addresses
}

async fn ask(
    config: &ServerConfig,
    peer: &Address,
) -> Result<Membership, Box<dyn Error + Send + Sync>> {
    let mut asking = ClientConfig::of_node(config);
    asking.addresses = vec![peer.as_str().to_owned()];
    asking.deadline = QUESTION_TIME_MAX;
    let client = Client::new(asking)?;
    Ok(client.report(peer.as_str()).await?.membership)
}
