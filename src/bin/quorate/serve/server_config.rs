//! Builds the configuration of a node from its settings; each error names the setting.

use std::fmt;
use std::net::SocketAddr;
use std::path::Path;

use quorate::http::Endpoint;
use quorate::raft::ConfigError;
use quorate::replica::{ReplicaConfigError, can_be_repaired};
use quorate::runtime::{ANY_UNNAMED_CLUSTER, Principal, ServerConfig, ServerConfigError};
use quorate::storage::{
    ClusterId, FileDisk, FileName, Inspection, OpenError, StorageConfig, StorageConfigError,
};
use quorate::types::NodeId;

use crate::certs;
use crate::data_directory::open_error;
use crate::exit::{CommandError, CommandResult};
use crate::serve::new_cluster::{bootstrapped_cluster, cluster_to_join};
use crate::settings::{Settings, Sources};
use crate::values::NodeAddress;

/// The size of the recording by default, in bytes.
const RECORDING_BYTES: u64 = 64 << 20;

/// The configuration of a node, and what has to be known before its start.
pub(super) struct NodePlan {
    pub(super) config: ServerConfig,
    /// The members to ask for the id of their cluster, which `config` lacks until then; empty if
    /// the id is known.
    pub(super) ask_for_cluster: Vec<(NodeId, SocketAddr)>,
}

impl From<ServerConfig> for NodePlan {
    fn from(config: ServerConfig) -> NodePlan {
        NodePlan { config, ask_for_cluster: Vec::new() }
    }
}

/// Returns the plan of the node, whose settings are all valid.
pub(super) fn node_plan(settings: &Settings, sources: &Sources) -> CommandResult<NodePlan> {
    let mut plan = bootstrap_join_or_restart(settings, sources)?;
    let config = &mut plan.config;
    config.plaintext = settings.plaintext.unwrap_or(false);
    config.inline_machine = true;
    config.busy_poll_max = settings.busy_poll_max.map_or(config.busy_poll_max, |span| span.0);
    if let Some(certs) = &settings.certs {
        let node = Principal::Node(config.replica.raft.id);
        let files = certs::files(certs, &node).map_err(|error| sources.error("certs", error))?;
        config.tls = Some(files);
    }
    config.recording_bytes = settings.recording_size.map_or(RECORDING_BYTES, |size| size.0);
    let endpoints = usize::from(settings.metrics.is_some()) + usize::from(settings.ui.is_some());
    config.files_reserved += endpoints * Endpoint::CONNECTIONS_MAX;
    let network = &mut config.network;
    network.connections_max = settings.connections_max.unwrap_or(network.connections_max);
    let replica = &mut config.replica;
    if let Some(timeout) = settings.election_timeout {
        replica.raft.election_timeout_min = timeout.0;
        replica.raft.election_timeout_max = timeout.0.saturating_mul(2);
    }
    replica.raft.heartbeat_interval =
        settings.heartbeat.map_or(replica.raft.heartbeat_interval, |heartbeat| heartbeat.0);
    replica.snapshot_entries = settings.snapshot_entries.unwrap_or(replica.snapshot_entries);
    replica.trailing_entries = settings.trailing_entries.unwrap_or(replica.trailing_entries);
    replica.scrub_period = settings.scrub_period.map_or(replica.scrub_period, |period| period.0);
    let storage = &mut replica.storage;
    storage.segment_bytes = settings.segment_size.map_or(storage.segment_bytes, |size| size.0);
    storage.spare_segments = settings.spare_segments.unwrap_or(storage.spare_segments);
    let error = |named: Option<(&str, String)>, text: &dyn fmt::Display| match named {
        Some((setting, text)) => sources.error(setting, text),
        None => CommandError::invalid_input(text),
    };
    let checked = config.replica.check();
    checked.map_err(|found| error(of_replica_error(&found, settings), &found))?;
    config.check().map_err(|found| error(of_server_error(&found, settings), &found))?;
    Ok(plan)
}

/// Returns the configuration of a bootstrap peer, of a node that joins, or of one that restarts.
fn bootstrap_join_or_restart(settings: &Settings, sources: &Sources) -> CommandResult<NodePlan> {
    let directory = settings.data_dir.as_deref().ok_or_else(|| {
        CommandError::invalid_input(
            "--data-dir (or QUORATE_DATA_DIR) is missing: name the directory of the node's log",
        )
    })?;
    if settings.members.is_some() && settings.join.is_some() {
        return Err(sources.error(
            "join",
            "a node either bootstraps the cluster or joins it: remove --members or --join",
        ));
    }
    let (id, cluster) = node_and_cluster(settings, sources, directory)?;
    let required = || {
        id.ok_or_else(|| {
            CommandError::invalid_input("--id is missing: give the node's id, a number from 1")
        })
    };
    if let Some(listed) = &settings.members {
        let bootstrapped = || bootstrapped_cluster(listed, required()?, settings, sources);
        let cluster = cluster.map_or_else(bootstrapped, Ok)?;
        let members = listed.iter().map(|node| (node.id, node.address));
        let mut config = ServerConfig::new(directory, cluster, required()?, members)
            .map_err(|error| sources.error("members", error))?;
        config.listen = settings.listen.unwrap_or(config.listen);
        return Ok(config.into());
    }
    if let Some(listed) = &settings.join {
        let id = required()?;
        let (listen, peers) = joining(settings, sources, id, listed)?;
        let certified = || cluster_to_join(&peers, id, settings, sources);
        let cluster = cluster.map_or_else(certified, |cluster| Ok(Some(cluster)))?;
        let ask_for_cluster = if cluster.is_some() { Vec::new() } else { peers.clone() };
        let cluster = cluster.unwrap_or(ANY_UNNAMED_CLUSTER);
        let config = ServerConfig::joining(directory, cluster, id, listen, peers);
        return Ok(NodePlan { config, ask_for_cluster });
    }
    restart(settings, directory).map(NodePlan::from)
}

/// Returns the ids of the node and its cluster, as far as they are known. A data directory in use
/// holds both, and the settings must not contradict it.
fn node_and_cluster(
    settings: &Settings,
    sources: &Sources,
    directory: &Path,
) -> CommandResult<(Option<NodeId>, Option<ClusterId>)> {
    let at = directory.display();
    let (id, cluster) = (settings.id.map(NodeId), settings.cluster.map(|cluster| cluster.0));
    if let Some(id) = id.filter(|id| id.0 == 0) {
        return Err(sources.error("id", format!("{} is not a node id: use 1 or more", id.0)));
    }
    // If the directory cannot be read, the start reports why.
    let found = FileDisk::open_read_only(directory).ok().and_then(|mut disk| {
        let found = Inspection::identity(&mut disk);
        found.ok()
    });
    let Some(found) = found else { return Ok((id, cluster)) };
    if let Some(id) = id.filter(|id| *id != found.node) {
        return Err(
            sources.error("id", format!("{at} belongs to node {}, not to {id}", found.node))
        );
    }
    if let Some(cluster) = cluster.filter(|cluster| *cluster != found.cluster) {
        let message = format!(
            "{at} belongs to cluster {}, not to {cluster}: remove --cluster, or, if the directory \
             was never used, empty it",
            found.cluster
        );
        return Err(sources.error("cluster", message));
    }
    Ok((Some(found.node), Some(found.cluster)))
}

/// Returns the listen address of a node that joins, and the other listed members. The list may
/// include the node itself.
fn joining(
    settings: &Settings,
    sources: &Sources,
    id: NodeId,
    listed: &[NodeAddress],
) -> CommandResult<(SocketAddr, Vec<(NodeId, SocketAddr)>)> {
    let error = |message: String| Err(sources.error("join", message));
    for (place, node) in listed.iter().enumerate() {
        if listed[..place].iter().any(|other| other.id == node.id) {
            return error(format!("{} is listed twice", node.id));
        }
    }
    let own = listed.iter().find(|node| node.id == id).map(|node| node.address);
    let Some(listen) = settings.listen.or(own) else {
        return error(
            "--listen is missing: give the address at which the members reach this node".to_owned(),
        );
    };
    let others = listed.iter().filter(|node| node.id != id);
    let peers: Vec<_> = others.map(|NodeAddress { id, address }| (*id, *address)).collect();
    match peers.iter().find(|(_, address)| *address == listen) {
        Some((peer, _)) => {
            error(format!("{listen} is the address of {peer}: choose another --listen"))
        }
        None if peers.is_empty() => {
            error(format!("{id} is this node itself: list members of the cluster"))
        }
        None => Ok((listen, peers)),
    }
}

/// Returns the configuration of a node whose data directory has been in use, from its membership.
fn restart(settings: &Settings, directory: &Path) -> CommandResult<ServerConfig> {
    let at = directory.display();
    let missing = |why: &dyn fmt::Display| {
        CommandError::invalid_input(format!(
            "--members or --join is missing, and {at} does not hold the membership: {why}"
        ))
    };
    let used = directory.join(FileName::Superblock.to_string()).exists();
    let disk = FileDisk::open_read_only(directory);
    let mut disk = disk.map_err(|error| match used {
        true => open_error(&error),
        false => missing(&error),
    })?;
    let found = Inspection::open(&mut disk, &StorageConfig::default());
    let found = found.map_err(|error| match error {
        OpenError::NotFormatted => missing(&error),
        error => CommandError::invalid_input(format!("{at}: {error}")),
    })?;
    // What is left of a damaged log may lack the membership.
    let opened = match (found.damage, found.repairable) {
        (None, _) => found.opened,
        (Some(_), Some(repairable)) if can_be_repaired(&repairable) => repairable,
        (Some(damage), _) => return Err(damaged(directory, &damage)),
    };
    let id = opened.identity.node;
    let membership = opened.membership();
    if settings.listen.is_none() && !membership.is_empty() && membership.member(id).is_none() {
        return Err(CommandError::invalid_input(format!(
            "{at}: {id} is not a member of its cluster, {membership}: it was removed, or has not \
             been added yet; to start it before it is added, give --join and --listen"
        )));
    }
    let own = membership.member(id).and_then(|member| member.address.as_str().parse().ok());
    let listen: SocketAddr = settings
        .listen
        .or(own)
        .ok_or_else(|| missing(&format!("{id} has no address in the membership")))?;
    Ok(ServerConfig::joining(directory, opened.identity.cluster, id, listen, []))
}

/// An error about a data directory on which no node can start.
pub(super) fn damaged(directory: &Path, damage: &dyn fmt::Display) -> CommandError {
    let at = directory.display();
    CommandError::invalid_input(format!("{at}: {damage}; next: quorate inspect {at}"))
}

/// Returns the setting that causes the error, and its text in the words of the settings; none if no
/// setting can cause it.
fn of_server_error(
    error: &ServerConfigError,
    settings: &Settings,
) -> Option<(&'static str, String)> {
    Some(match error {
        ServerConfigError::NotMember(_) => ("id", error.to_string()),
        ServerConfigError::DuplicateMember(_) => ("members", error.to_string()),
        ServerConfigError::PlaintextNotAllowed(address) => {
            // Without its own setting, the address is the one in a list of members, or in the
            // membership of the directory.
            let setting = match settings {
                Settings { listen: Some(_), .. } => "listen",
                Settings { join: Some(_), .. } => "join",
                Settings { members: Some(_), .. } => "members",
                _ => "data_dir",
            };
            let text = format!(
                "plaintext connections at {address}, beyond loopback, are not allowed: use TLS \
                 (--certs), listen on a loopback address, or allow them (--plaintext)"
            );
            (setting, text)
        }
        ServerConfigError::Zero("network.connections_max") => {
            ("connections_max", "it is 0: a node needs at least one connection".to_owned())
        }
        ServerConfigError::RecordingTooSmall { bytes, min } => {
            let text = format!(
                "it is {bytes} bytes: it must be 0, for no recording, or at least {}KiB",
                min >> 10
            );
            ("recording_size", text)
        }
        _ => return None,
    })
}

/// Returns the setting that causes the error, and its text in the words of the settings; none if no
/// setting can cause it.
fn of_replica_error(
    error: &ReplicaConfigError,
    settings: &Settings,
) -> Option<(&'static str, String)> {
    Some(match error {
        ReplicaConfigError::Raft(error) => return of_raft_error(error, settings),
        ReplicaConfigError::Storage(StorageConfigError { field, value, min, max, .. }) => {
            match *field {
                "segment_bytes" => {
                    let text = format!(
                        "it is {value} bytes: it must be a multiple of 4KiB from {}KiB, which \
                         hold the longest flush, to {}GiB",
                        min.div_ceil(1 << 10),
                        max >> 30
                    );
                    ("segment_size", text)
                }
                "spare_segments" => {
                    ("spare_segments", format!("it is {value}: it must be from {min} to {max}"))
                }
                _ => return None,
            }
        }
        ReplicaConfigError::BoundIsZero("snapshot_entries") => {
            ("snapshot_entries", "it is 0: it must be at least 1".to_owned())
        }
        ReplicaConfigError::BoundIsZero("scrub_period") => {
            ("scrub_period", "it is 0: it must be longer".to_owned())
        }
        _ => return None,
    })
}

/// Returns the setting that causes the error, and its text in the words of the settings; none if no
/// setting can cause it.
fn of_raft_error(error: &ConfigError, settings: &Settings) -> Option<(&'static str, String)> {
    Some(match error {
        ConfigError::HeartbeatIntervalIsZero => {
            ("heartbeat", "it is 0: set a longer interval".to_owned())
        }
        ConfigError::InvalidBootstrapPeers => ("members", error.to_string()),
        ConfigError::ElectionTimeoutTooShort { election_timeout_min, heartbeat_interval } => {
            // The two contradict each other, and one of them may be the default.
            let setting = match settings.election_timeout {
                Some(_) => "election_timeout",
                None => "heartbeat",
            };
            let text = format!(
                "--election-timeout is {election_timeout_min:?}, less than three times \
                 --heartbeat, which is {heartbeat_interval:?}: raise the first or lower the second"
            );
            (setting, text)
        }
        ConfigError::ElectionTimeoutTooLong(twice) => {
            let text = format!("it is {:?}: it must be at most 30min; check its unit", *twice / 2);
            ("election_timeout", text)
        }
        _ => return None,
    })
}
