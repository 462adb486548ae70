//! The id of the cluster of a new node whose settings do not name the cluster.

use std::net::SocketAddr;
use std::time::Duration;

use quorate::runtime::blocking::Client;
use quorate::runtime::{
    ANY_UNNAMED_CLUSTER, ClientConfig, ClientError, Principal, is_unnamed_cluster, unnamed_cluster,
};
use quorate::storage::ClusterId;
use quorate::types::NodeId;
use tracing::info;

use crate::certs;
use crate::exit::CommandError;
use crate::settings::{Settings, Sources};
use crate::values::NodeAddress;

/// The time limit of a question to one member.
const QUESTION_TIME_MAX: Duration = Duration::from_secs(1);

/// The pause after a round of questions that no member answered.
const ROUND_PAUSE: Duration = Duration::from_millis(250);

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
        pause();
    }
}

#[expect(clippy::disallowed_methods, reason = "the node has no runtime before it starts")]
fn pause() {
    std::thread::sleep(ROUND_PAUSE);
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
/// no member is reachable.
///
/// # Errors
/// A [`CommandError`] if a later round would fail, too: the members that answer belong to several
/// clusters or to one with a name, or no member that is reachable accepts this node.
fn answered_cluster(
    members: &[(NodeId, SocketAddr)],
    plaintext: bool,
    sources: &Sources,
) -> Result<Option<ClusterId>, CommandError> {
    let mut first = None::<(NodeId, ClusterId)>;
    let mut mismatch = None::<String>;
    for (member, address) in members {
        let address = address.to_string();
        let mut config = ClientConfig::new(ANY_UNNAMED_CLUSTER, [address.clone()]);
        (config.plaintext, config.deadline) = (plaintext, QUESTION_TIME_MAX);
        let client = Client::new(config).map_err(|error| sources.error("join", error))?;
        // The hello names the cluster; the report itself is not needed.
        let report = client.report(&address);
        let Some(cluster) = client.cluster() else {
            if let Err(ClientError::Mismatch { error, .. }) = report {
                mismatch.get_or_insert_with(|| format!("{member} at {address}: {error}"));
            }
            continue;
        };
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
    match (first, mismatch) {
        (Some((_, cluster)), _) => Ok(Some(cluster)),
        (None, Some(mismatch)) => {
            let message = format!("no member accepts this node: {mismatch} (see --certs)");
            Err(sources.error("join", message))
        }
        (None, None) => Ok(None),
    }
}
