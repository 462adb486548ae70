//! The reasons for which a recovery is rejected, and the operator's consent to two clusters. A
//! recovery is rejected if there is no usable source, if it is not needed, if it could leave two
//! clusters, or if the new cluster is invalid.

use std::fmt;

use crate::storage::ClusterId;
use crate::types::text::texts;
use crate::types::{ChangeError, NodeId};

/// The reason for which a recovery is rejected. Nothing was written.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RecoveryRejectReason {
    /// No directory of the cluster can be read and names a membership.
    NoReadableDirectory,
    /// There are directories of several clusters: the caller must name one.
    SeveralClusters(Vec<ClusterId>),
    /// Two directories belong to this node: one of them is an older copy, or an earlier disk.
    DuplicateNode(NodeId),
    /// These nodes are alive and a quorum: the cluster needs no recovery.
    QuorumAlive(Vec<NodeId>),
    /// These nodes are alive or have undamaged directories, and are a quorum: they can be started
    /// without data loss.
    QuorumAvailable(Vec<NodeId>),
    /// These nodes are alive and their directories were not surveyed: they may have more entries.
    NotSurveyed(Vec<NodeId>),
    /// The id of the new cluster is that of a surveyed cluster, of its origin, or of the cluster of
    /// the backup.
    SameCluster(ClusterId),
    /// The new membership is invalid, empty or not settled.
    Membership(Option<ChangeError>),
    /// This member of the new cluster has no incarnation, or that of a surveyed directory: it needs
    /// a new one.
    IncarnationNotNew(NodeId),
}

/// The operator's consent to a recovery although a quorum of the old cluster may be alive or
/// available.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Consent {
    /// No consent: the recovery is rejected if a quorum is alive or available, or an alive node was
    /// not surveyed.
    #[default]
    None,
    /// Consent to two clusters. The old cluster may run alongside the new one: each serves its own
    /// clients, neither learns which commands the other acknowledges, and they can never be merged.
    TwoClusters,
}

struct CommaSeparated<'a, T>(&'a [T]);

impl<T: fmt::Display> fmt::Display for CommaSeparated<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, item) in self.0.iter().enumerate() {
            let comma = if place == 0 { "" } else { ", " };
            write!(f, "{comma}{item}")?;
        }
        Ok(())
    }
}

texts! {
    RecoveryRejectReason:
    Self::NoReadableDirectory => "no directory of the cluster can be read";
    Self::SeveralClusters(clusters) =>
        "the directories belong to several clusters, name one: {}", CommaSeparated(clusters);
    Self::DuplicateNode(node) => "two directories belong to {node}: leave the outdated one out";
    Self::QuorumAlive(alive) =>
        "a quorum is alive: {}; remove the other nodes from the membership instead",
        CommaSeparated(alive);
    Self::QuorumAvailable(nodes) =>
        "a quorum is available: start {}, without data loss", CommaSeparated(nodes);
    Self::NotSurveyed(nodes) =>
        "alive and not surveyed, perhaps with more entries: stop {} and add their directories",
        CommaSeparated(nodes);
    Self::SameCluster(cluster) => "the new cluster needs a new id: {cluster} is in use";
    Self::Membership(None) => "the new membership must have voters and no change in flight";
    Self::Membership(Some(error)) => "the new membership is invalid: {error}";
    Self::IncarnationNotNew(node) => "{node} needs a new incarnation in the new cluster";
}

impl std::error::Error for RecoveryRejectReason {}
