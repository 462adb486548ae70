//! Questions that a node asks before it listens: the addresses of the members, which it needs for
//! its replies before it has a membership, and whether another process of the node runs.

use std::collections::BTreeMap;
use std::error::Error;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::timeout;
use tracing::{Instrument, info};

use crate::runtime::client::{Client, ClientConfig};
use crate::runtime::config::ServerConfig;
use crate::types::{Address, Membership, NodeId, Report};

/// The time limit of a question to one peer, which may be behind a slow connection.
const QUESTION_TIME_MAX: Duration = Duration::from_secs(3);

/// The time limit for the report of another process of the node, which would run on this machine or
/// near it.
const OTHER_PROCESS_TIME_MAX: Duration = Duration::from_millis(500);

/// The time limit of a connection to the node's own address, which delays the start if the network
/// drops packets to it.
const CONNECT_TIME_MAX: Duration = Duration::from_secs(1);

/// Returns the configured addresses of peers, and for a node that joins, without a `membership`,
/// also those of all members that these peers report: the leader needs the node's replies before it
/// can send it the membership. If no peer answers, the leader has to be one of them.
pub(super) async fn peer_addresses(
    config: &ServerConfig,
    membership: &Membership,
) -> BTreeMap<NodeId, Address> {
    let mut addresses = config.peers.clone();
    let joins = config.replica.raft.bootstrap_peers.is_none() && membership.members().is_empty();
    // All are asked at once, so that members that are down cost the time of one.
    let question = |peer: &Address| {
        let (peer, client) = (peer.clone(), client_of(config, peer, QUESTION_TIME_MAX));
        let question = async move { ask(client, &peer).await };
        tokio::spawn(question.in_current_span())
    };
    let peers = config.peers.values().filter(|_| joins);
    let questions: Vec<_> = peers.map(|peer| (peer, question(peer))).collect();
    for (peer, question) in questions {
        let answer = question.await.unwrap_or_else(|error| Err(error.into()));
        match answer.map(|report| report.membership) {
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

/// Returns the address of this node in the cluster if another process of the node answers there
/// (this process does not listen yet). If this process started, too, both would send messages in
/// the name of the node. If the node is the only voter of its cluster, this process would even
/// serve clients.
pub(super) async fn other_process(
    config: &ServerConfig,
    membership: &Membership,
) -> Option<Address> {
    let id = config.replica.raft.id;
    let bootstrap_peers = config.replica.raft.bootstrap_peers.as_ref();
    let member = membership.member(id).or_else(|| bootstrap_peers?.member(id));
    let address = &member.filter(|member| !member.address.as_str().is_empty())?.address;
    // Usually nothing listens there, and that is known at once.
    timeout(CONNECT_TIME_MAX, TcpStream::connect(address.as_str())).await.ok()?.ok()?;
    match ask(client_of(config, address, OTHER_PROCESS_TIME_MAX), address).await {
        Ok(report) => (report.status.id == id).then(|| address.clone()),
        Err(error) => {
            info!(
                %address,
                %error,
                "a listener at the address of this node, maybe a proxy, does not answer as a node"
            );
            None
        }
    }
}

fn client_of(config: &ServerConfig, peer: &Address, deadline: Duration) -> ClientConfig {
    let mut asking = ClientConfig::of_node(config);
    asking.addresses = vec![peer.as_str().to_owned()];
    asking.deadline = deadline;
    asking
}

async fn ask(client: ClientConfig, peer: &Address) -> Result<Report, Box<dyn Error + Send + Sync>> {
    Ok(Client::new(client)?.report(peer.as_str()).await?)
}
