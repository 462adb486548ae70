//! From what a node is told to how it runs; each mistake is named where it stands.

use std::net::SocketAddr;
use std::path::Path;

use quorate::raft::ConfigError;
use quorate::replica::ReplicaConfigError;
use quorate::runtime::{Principal, ServerConfig, ServerConfigError};
use quorate::storage::{ClusterId, FileDisk, FileName, Inspection, OpenError, StorageConfig};
use quorate::types::NodeId;

use crate::certs;
use crate::exit::Trouble;
use crate::settings::{Settings, Sources};
use crate::values::{Cluster, NodeAt};

pub(super) fn server_config(
    settings: &Settings,
    sources: &Sources,
) -> Result<ServerConfig, Trouble> {
    let mut config = founding_joining_or_known(settings, sources)?;
    config.plaintext = settings.plaintext.unwrap_or(false);
    config.inline_machine = true;
    config.poll_max = settings.poll_max.map_or(config.poll_max, |span| span.0);
    if let Some(certs) = &settings.certs {
        let node = Principal::Node(config.replica.raft.id);
        let files = certs::files(certs, &node).map_err(|what| sources.mistake("certs", what))?;
        config.tls = Some(files);
    }
    let replica = &mut config.replica;
    if let Some(timeout) = settings.election_timeout {
        replica.raft.election_timeout_min = timeout.0;
        replica.raft.election_timeout_max = timeout.0.saturating_mul(2);
    }
    replica.raft.heartbeat_interval =
        settings.heartbeat.map_or(replica.raft.heartbeat_interval, |heartbeat| heartbeat.0);
    replica.snapshot_entries = settings.snapshot_entries.unwrap_or(replica.snapshot_entries);
    replica.trailing_entries = settings.trailing_entries.unwrap_or(replica.trailing_entries);
    let storage = &mut replica.storage;
    storage.segment_bytes = settings.segment_size.map_or(storage.segment_bytes, |size| size.0);
    storage.segments_ahead = settings.segments_ahead.unwrap_or(storage.segments_ahead);
    config.check().map_err(|error| sources.mistake(field_of(&error), error))?;
    let replica = config.replica.check();
    replica.map_err(|error| sources.mistake(field_of_replica(&error), error))?;
    Ok(config)
}

/// A founder of its cluster, a node that waits to be added, or one whose directory tells.
fn founding_joining_or_known(
    settings: &Settings,
    sources: &Sources,
) -> Result<ServerConfig, Trouble> {
    let directory = settings.data_dir.as_deref().ok_or_else(|| {
        Trouble::wrong("--data-dir is missing: the directory that the node keeps everything in")
    })?;
    if settings.members.is_some() && settings.join.is_some() {
        return Err(sources.mistake("join", "a node is a founder, or joins: not `members` too"));
    }
    let (id, cluster) = who(settings, sources, directory)?;
    let required = || id.ok_or_else(|| Trouble::wrong("--id is missing: a number from 1"));
    if let Some(members) = &settings.members {
        let members = members.iter().map(|node| (node.id, node.address));
        let mut config = ServerConfig::new(directory, cluster, required()?, members)
            .map_err(|error| sources.mistake("members", error))?;
        config.listen = settings.listen.unwrap_or(config.listen);
        return Ok(config);
    }
    if let Some(listed) = &settings.join {
        let id = required()?;
        let (listen, peers) = joining(settings, sources, id, listed)?;
        return Ok(ServerConfig::joining(directory, cluster, (id, listen), peers));
    }
    known(settings, directory)
}

/// The node and its cluster. A directory in use knows both, and what is said besides is the same.
fn who(
    settings: &Settings,
    sources: &Sources,
    directory: &Path,
) -> Result<(Option<NodeId>, ClusterId), Trouble> {
    let at = directory.display();
    let (id, cluster) = (settings.id.map(NodeId), settings.cluster.map(|cluster| cluster.0));
    if let Some(id) = id.filter(|id| id.0 == 0) {
        return Err(sources.mistake("id", format!("{} names no node: from 1 on they do", id.0)));
    }
    // If it cannot be read, the start says why.
    let found = FileDisk::look(directory).ok().and_then(|mut disk| {
        let found = Inspection::identity(&mut disk);
        found.ok()
    });
    let Some(found) = found else { return Ok((id, cluster.unwrap_or(Cluster::default().0))) };
    if let Some(id) = id.filter(|id| *id != found.node) {
        return Err(sources.mistake("id", format!("{at} is {}'s, and not {id}'s", found.node)));
    }
    if let Some(cluster) = cluster.filter(|cluster| *cluster != found.cluster) {
        let what = format!(
            "{at} is of cluster {}, and not of {cluster}: leave the cluster out, or, if nothing \
             was ever in it, empty the directory",
            found.cluster
        );
        return Err(sources.mistake("cluster", what));
    }
    Ok((Some(found.node), found.cluster))
}

/// Where a node that joins listens, and whom it waits for. It may list itself, too.
fn joining(
    settings: &Settings,
    sources: &Sources,
    id: NodeId,
    listed: &[NodeAt],
) -> Result<(SocketAddr, Vec<(NodeId, SocketAddr)>), Trouble> {
    let wrong = |what: String| Err(sources.mistake("join", what));
    for (place, node) in listed.iter().enumerate() {
        if listed[..place].iter().any(|other| other.id == node.id) {
            return wrong(format!("{} is listed twice", node.id));
        }
    }
    let own = listed.iter().find(|node| node.id == id).map(|node| node.address);
    let Some(listen) = settings.listen.or(own) else {
        return wrong("--listen is missing: where the others reach this node".to_owned());
    };
    let others = listed.iter().filter(|node| node.id != id);
    let peers: Vec<_> = others.map(|NodeAt { id, address }| (*id, *address)).collect();
    match peers.iter().find(|(_, address)| *address == listen) {
        Some((peer, _)) => wrong(format!("{listen} is {peer}'s: this node listens elsewhere")),
        None if peers.is_empty() => {
            wrong(format!("{id} is this node: list members of the cluster, who let it in"))
        }
        None => Ok((listen, peers)),
    }
}

/// A node whose directory has been in use: it says who is who.
fn known(settings: &Settings, directory: &Path) -> Result<ServerConfig, Trouble> {
    let at = directory.display();
    let missing = |why: &dyn std::fmt::Display| {
        Trouble::wrong(format!("say --members or --join: {at} does not tell: {why}"))
    };
    let used = directory.join(FileName::Superblock.to_string()).exists();
    let disk = FileDisk::look(directory);
    let mut disk =
        disk.map_err(|error| if used { Trouble::wrong(error) } else { missing(&error) })?;
    let found = Inspection::of(&mut disk, &StorageConfig::default());
    let found = found.map_err(|error| match error {
        OpenError::NotFormatted => missing(&error),
        error => Trouble::wrong(format!("{at}: {error}")),
    });
    let opened = found?.opened;
    let id = opened.identity.node;
    let membership = opened.memberships.last().map(|(_, membership)| membership);
    let membership = membership.unwrap_or(&opened.snapshot.membership);
    let own = membership.member(id).and_then(|member| member.address.as_str().parse().ok());
    let listen: SocketAddr =
        settings.listen.or(own).ok_or_else(|| missing(&format!("{id} has no address in it")))?;
    Ok(ServerConfig::joining(directory, opened.identity.cluster, (id, listen), []))
}

/// The setting that is to blame.
fn field_of(error: &ServerConfigError) -> &'static str {
    match error {
        ServerConfigError::NotAMember(_) => "id",
        ServerConfigError::Plaintext(_) => "listen",
        _ => "members",
    }
}

fn field_of_replica(error: &ReplicaConfigError) -> &'static str {
    match error {
        ReplicaConfigError::Raft(ConfigError::IdIsZero) => "id",
        ReplicaConfigError::Raft(ConfigError::HeartbeatIntervalIsZero) => "heartbeat",
        ReplicaConfigError::Raft(ConfigError::FoundersWithoutNode) => "members",
        ReplicaConfigError::Raft(_) => "election_timeout",
        ReplicaConfigError::Storage(text) if text.starts_with("segments_ahead") => "segments_ahead",
        ReplicaConfigError::Storage(_) => "segment_size",
        _ => "snapshot_entries",
    }
}
