//! Why a cluster is not recovered: there is nothing to recover from, it is not needed, or it would
//! make two clusters of one.

use std::fmt;

use crate::storage::ClusterId;
use crate::types::{ChangeError, NodeId};

/// Why nothing is recovered. Nothing was written.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refusal {
    /// No directory of the cluster can be read.
    NothingReadable,
    /// There are directories of several clusters: say which one is meant.
    SeveralClusters(Vec<ClusterId>),
    /// Two directories are the same node's: one of them is an older copy.
    SameNodeTwice(NodeId),
    /// A quorum is alive: the cluster needs no recovery.
    QuorumAlive(Vec<NodeId>),
    /// With the directories at hand a quorum can be started: nothing would be lost.
    QuorumAtHand(Vec<NodeId>),
    /// These are alive and their directories were not looked at: they may hold more.
    NotLookedAt(Vec<NodeId>),
    /// The new cluster has the id of one of those that were looked at.
    SameCluster(ClusterId),
    /// No node can start with the new membership.
    Membership(Option<ChangeError>),
    /// The member of the new cluster needs an incarnation of its own, which no directory had.
    NotFresh(NodeId),
}

/// Whether the operator wants a recovery although a quorum may be there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Consent {
    /// No: it is refused.
    #[default]
    None,
    /// Yes. The old cluster may go on beside the new one: each answers its own clients, what one
    /// of them acknowledges the other never learns, and nothing ever joins them again.
    TwoClusters,
}

struct Listed<'a, T>(&'a [T]);

impl<T: fmt::Display> fmt::Display for Listed<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, item) in self.0.iter().enumerate() {
            let comma = if place == 0 { "" } else { ", " };
            write!(f, "{comma}{item}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::NothingReadable => f.write_str("no directory of the cluster can be read"),
            Refusal::SeveralClusters(clusters) => {
                write!(f, "say which cluster is meant: {}", Listed(clusters))
            }
            Refusal::SameNodeTwice(node) => {
                write!(f, "two directories are of {node}: leave the older copy out")
            }
            Refusal::QuorumAlive(alive) => write!(
                f,
                "a quorum is alive: {}; remove the others from the membership instead",
                Listed(alive)
            ),
            Refusal::QuorumAtHand(nodes) => {
                write!(f, "a quorum is at hand: start {}, and nothing is lost", Listed(nodes))
            }
            Refusal::NotLookedAt(nodes) => write!(
                f,
                "alive, and perhaps with more than the others: stop {} and look at the directories",
                Listed(nodes)
            ),
            Refusal::SameCluster(cluster) => {
                write!(f, "the new cluster needs an id of its own, and {cluster} is taken")
            }
            Refusal::Membership(None) => {
                f.write_str("the new membership must have voters and no change under way")
            }
            Refusal::Membership(Some(error)) => write!(f, "the new membership: {error}"),
            Refusal::NotFresh(node) => {
                write!(f, "{node} needs a new incarnation in the new cluster")
            }
        }
    }
}

impl std::error::Error for Refusal {}
