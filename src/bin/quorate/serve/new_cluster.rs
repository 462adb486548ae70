//! The id of the cluster of a new node whose settings do not name the cluster.

use std::net::SocketAddr;
use std::time::Duration;

use quorate::runtime::{
    ANY_UNNAMED_CLUSTER, Client, ClientConfig, ClientError, Mismatch, Principal,
    is_unnamed_cluster, unnamed_cluster,
};
use quorate::storage::ClusterId;
use quorate::types::NodeId;
use tokio::time::{Instant, sleep};
use tracing::{info, warn};

use crate::certs;
use crate::exit::CommandResult;
use crate::settings::{Settings, Sources};
use crate::values::NodeAddress;

/// The time limit of a question to one member.
const QUESTION_TIME_MAX: Duration = Duration::from_secs(1);

/// The pause after a round of questions that no member answered.
const ROUND_PAUSE: Duration = Duration::from_millis(250);

/// The time without an answer after which the log has a warning.
const WARN_AFTER: Duration = Duration::from_secs(5);

/// Returns the cluster that the certificate names; without certificates, the one that these members
/// bootstrap.
pub(super) fn bootstrapped_cluster(
    members: &[NodeAddress],
    id: NodeId,
    settings: &Settings,
    sources: &Sources,
) -> CommandResult<ClusterId> {
    let derived = || unnamed_cluster(members.iter().map(|node| (node.id, node.address)));
    Ok(certified_cluster(id, settings, sources)?.unwrap_or_else(derived))
}

/// Returns the cluster that the certificate names; `None` without certificates, because the members
/// of the running cluster then have to be asked for it.
///
/// # Errors
/// A [`CommandError`], for example if the node may not ask the members in plaintext.
pub(super) fn cluster_to_join(
    members: &[(NodeId, SocketAddr)],
    id: NodeId,
    settings: &Settings,
    sources: &Sources,
) -> CommandResult<Option<ClusterId>> {
    let certified = certified_cluster(id, settings, sources)?;
    let is_allowed = certified.is_some() || settings.plaintext.unwrap_or(false);
    let remote = members.iter().find(|(_, address)| !address.ip().is_loopback());
    if let Some((_, address)) = remote.filter(|_| !is_allowed) {
        let message = format!("{address} is beyond loopback: use --certs, or allow --plaintext");
        return Err(sources.error("join", message));
    }
    Ok(certified)
}

/// Asks the members of a running cluster for its id, in plaintext, until one of them answers.
///
/// # Errors
/// A [`CommandError`] if the node cannot join the cluster of the members that answer.
pub(super) async fn ask_for_cluster(
    members: &[(NodeId, SocketAddr)],
    settings: &Settings,
    sources: &Sources,
) -> CommandResult<ClusterId> {
    let plaintext = settings.plaintext.unwrap_or(false);
    let started = Instant::now();
    let (mut is_logged, mut is_warned) = (false, false);
    loop {
        let error = match answered_cluster(members, plaintext, sources).await? {
            Ok(cluster) => return Ok(cluster),
            Err(error) => error,
        };
        if !std::mem::replace(&mut is_logged, true) {
            info!(
                error,
                "no member of --join answers yet; the node asks them for the id of their cluster"
            );
        } else if started.elapsed() >= WARN_AFTER && !std::mem::replace(&mut is_warned, true) {
            warn!(
                error,
                "no member of --join answers: check the addresses, and that a member runs"
            );
        }
        sleep(ROUND_PAUSE).await;
    }
}

fn certified_cluster(
    id: NodeId,
    settings: &Settings,
    sources: &Sources,
) -> CommandResult<Option<ClusterId>> {
    let Some(certs) = &settings.certs else { return Ok(None) };
    let files = certs::files(certs, &Principal::Node(id));
    let files = files.map_err(|error| sources.error("certs", error))?;
    let named = files.principal().map_err(|error| sources.error("certs", error))?;
    Ok(Some(named.0))
}

/// Asks each member, and returns the cluster of those that answer, which must have no name. If no
/// member is reachable, returns the error of the first one.
///
/// # Errors
/// A [`CommandError`] if a later round would fail, too: the members that answer belong to several
/// clusters or to one with a name, or no member that is reachable accepts this node.
async fn answered_cluster(
    members: &[(NodeId, SocketAddr)],
    plaintext: bool,
    sources: &Sources,
) -> CommandResult<Result<ClusterId, String>> {
    let mut first = None::<(NodeId, ClusterId)>;
    let mut mismatch = None::<String>;
    let mut unreachable = None::<String>;
    for (member, address) in members {
        let address = address.to_string();
        let mut config = ClientConfig::new(ANY_UNNAMED_CLUSTER, [address.clone()]);
        (config.plaintext, config.deadline) = (plaintext, QUESTION_TIME_MAX);
        let client = Client::new(config).map_err(|error| sources.error("join", error))?;
        // The hello names the cluster; the report itself is not needed.
        let report = client.report(&address).await;
        let Some(cluster) = client.cluster() else {
            match report {
                Err(ClientError::Mismatch { mismatch: of, error, .. }) => {
                    let flag = if of == Mismatch::Protocol { "" } else { " (see --certs)" };
                    let text = || format!("{member} at {address}: {error}{flag}");
                    mismatch.get_or_insert_with(text);
                }
                Err(error) => {
                    unreachable.get_or_insert_with(|| format!("{member}: {error}"));
                }
                Ok(_) => {}
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
        (Some((_, cluster)), _) => Ok(Ok(cluster)),
        (None, Some(mismatch)) => {
            let message = format!("no member accepts this node: {mismatch}");
            Err(sources.error("join", message))
        }
        (None, None) => Ok(Err(unreachable.unwrap_or_default())),
    }
}
