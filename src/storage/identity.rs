//! The identity in the superblock and in every log segment of a node: the cluster, the node, and
//! the incarnation of its disk.

use std::fmt;

use crate::types::{EntryId, Incarnation, NodeId};

/// The id of a cluster, unique among all clusters.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClusterId(pub u128);

/// The identity in the superblock and in every log segment of a node; a file with another identity
/// is rejected. A snapshot file has the cluster only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Identity {
    /// The cluster that the node belongs to.
    pub cluster: ClusterId,
    /// The id of the node in the cluster.
    pub node: NodeId,
    /// The incarnation of the node's directory, drawn when the directory is formatted.
    pub incarnation: Incarnation,
}

/// The origin of a directory that did not begin empty: the log of another cluster through one of
/// its entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Origin {
    /// The id of the cluster whose log was taken over.
    pub cluster: ClusterId,
    /// The last entry that was taken over.
    pub last: EntryId,
}

impl Identity {
    /// The length of [`Identity::encode`], in bytes.
    pub(crate) const BYTES: usize = 40;

    /// Encodes the identity as the superblock and the log have it: cluster, node, incarnation.
    pub(crate) fn encode(&self) -> [u8; Identity::BYTES] {
        let mut bytes = [0; Identity::BYTES];
        bytes[..16].copy_from_slice(&self.cluster.0.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.node.0.to_le_bytes());
        bytes[24..].copy_from_slice(&self.incarnation.0.to_le_bytes());
        bytes
    }

    /// Returns the first field in which `other` differs: its name, the value here, and the value in
    /// `other`.
    pub(crate) fn first_difference(
        &self,
        other: &Identity,
    ) -> Option<(&'static str, String, String)> {
        if self.cluster != other.cluster {
            return Some(("cluster", self.cluster.to_string(), other.cluster.to_string()));
        }
        if self.node != other.node {
            return Some(("node", self.node.to_string(), other.node.to_string()));
        }
        let (ours, theirs) = (self.incarnation, other.incarnation);
        (ours != theirs).then(|| ("incarnation", ours.to_string(), theirs.to_string()))
    }
}

impl fmt::Display for ClusterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for ClusterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
