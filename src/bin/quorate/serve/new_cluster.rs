//! Questions of a new node to the members of its cluster before it starts: for the id of the
//! cluster, if the settings do not name it, and for the addresses of the other members.

use std::net::SocketAddr;
use std::time::Duration;

use quorate::runtime::blocking::Client;
use quorate::runtime::{
    ANY_UNNAMED_CLUSTER, ClientConfig, Principal, ServerConfig, is_unnamed_cluster, unnamed_cluster,
};
use quorate::storage::ClusterId;
use quorate::types::NodeId;
use tracing::{info, warn};

use crate::certs;
use crate::exit::CommandError;
use crate::settings::{Settings, Sources};
use crate::values::NodeAddress;

/// The time limit of a question to one member.
const QUESTION_TIME_MAX: Duration = Duration::from_secs(1);

/// The time limit of the question for the addresses of all members, also on a slow link.
const ADDRESSES_TIME_MAX: Duration = Duration::from_secs(5);

/// Returns the cluster that the certificate names; without certificates, the one that these members
/// bootstrap.
pub(super) fn bootstrapped_cluster(
    members: &[NodeAddress],
    id: NodeId,
    settings: &Settings,
    sources: &Sources,
) -> Result<ClusterId, CommandError> {
    let derived = || unnamed_cluster(members.iter().map(|node| (node.id, node.address)));
    Ok(certified_cluster(id, settings, sources)?.unwrap_or_else(derived))
}

/// Returns the cluster that the certificate names; without certificates, the one that the members
/// of a running cluster answer.
pub(super) fn joined_cluster(
    members: &[(NodeId, SocketAddr)],
    id: NodeId,
    settings: &Settings,
    sources: &Sources,
) -> Result<ClusterId, CommandError> {
    if let Some(certified) = certified_cluster(id, settings, sources)? {
        return Ok(certified);
    }
    let plaintext = settings.plaintext.unwrap_or(false);
    let remote = members.iter().find(|(_, address)| !address.ip().is_loopback());
    if let Some((_, address)) = remote.filter(|_| !plaintext) {
        let message = format!("{address} is beyond loopback: use --certs, or allow --plaintext");
        return Err(sources.error("join", message));
    }
    loop {
        let answered = answered_cluster(members, plaintext, sources)?;
        if let Some(cluster) = answered {
            return Ok(cluster);
        }
        info!("no member of --join answers yet; the node asks them for the id of their cluster");
    }
}

/// Adds the addresses of all members of the running cluster, as the members of `--join` report
/// them: any member may be the leader, and the node answers only a leader whose address it knows.
pub(super) fn add_addresses_of_members(config: &mut ServerConfig) {
    let own = config.replica.raft.id;
    let mut client = ClientConfig::of_node(config);
    client.deadline = ADDRESSES_TIME_MAX;
    // The start reports an invalid configuration.
    let Ok(client) = Client::new(client) else { return };
    let listed: Vec<_> = config.peers.values().cloned().collect();
    let mut has_answer = false;
    for address in listed {
        let Ok(report) = client.report(address.as_str()) else { continue };
        has_answer = true;
        for member in report.membership.members().iter().filter(|member| member.id != own) {
            if !member.address.as_str().is_empty() {
                config.peers.insert(member.id, member.address.clone());
            }
        }
    }
    if !has_answer {
        warn!(
            "no member of --join answers: until the node has joined, it knows only their \
             addresses, and waits if another member leads; restart it once one of them runs"
        );
    }
}

fn certified_cluster(
    id: NodeId,
    settings: &Settings,
    sources: &Sources,
) -> Result<Option<ClusterId>, CommandError> {
    let Some(certs) = &settings.certs else { return Ok(None) };
    let files = certs::files(certs, &Principal::Node(id));
    let files = files.map_err(|error| sources.error("certs", error))?;
    let named = files.principal().map_err(|error| sources.error("certs", error))?;
    Ok(Some(named.0))
}

/// Asks each member, and returns the cluster of those that answer, which must have no name; none if
/// no member answers.
fn answered_cluster(
    members: &[(NodeId, SocketAddr)],
    plaintext: bool,
    sources: &Sources,
) -> Result<Option<ClusterId>, CommandError> {
    let mut first = None::<(NodeId, ClusterId)>;
    for (member, address) in members {
        let address = address.to_string();
        let mut config = ClientConfig::new(ANY_UNNAMED_CLUSTER, [address.clone()]);
        (config.plaintext, config.deadline) = (plaintext, QUESTION_TIME_MAX);
        let client = Client::new(config).map_err(|error| sources.error("join", error))?;
        // The hello names the cluster; the report itself is not needed.
        let _ = client.report(&address);
        let Some(cluster) = client.cluster() else { continue };
        if !is_unnamed_cluster(cluster) {
            let message =
                format!("the cluster of {member} has a name: give it, or its id {cluster}");
            return Err(sources.error("cluster", message));
        }
        match first {
            Some((other, before)) if before != cluster => {
                let message = format!(
                    "{other} belongs to cluster {before}, but {member} to cluster {cluster}: list \
                     members of one cluster"
                );
                return Err(sources.error("join", message));
            }
            _ => first = Some((*member, cluster)),
        }
    }
    Ok(first.map(|(_, cluster)| cluster))
}
