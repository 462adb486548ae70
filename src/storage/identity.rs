//! Whose directory it is: every file of a node names its cluster, the node, and the disk's life.

use std::fmt;

use crate::types::{EntryId, Incarnation, NodeId};

/// Names a cluster. Two clusters never share one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClusterId(pub u128);

/// What every file of a node carries, and is refused for if it differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Identity {
    /// The cluster.
    pub cluster: ClusterId,
    /// The node.
    pub node: NodeId,
    /// The life of its directory.
    pub incarnation: Incarnation,
}

/// What a directory was made from that did not begin empty: the log of another cluster, up to an
/// entry of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Origin {
    /// The other cluster.
    pub cluster: ClusterId,
    /// The last entry that was taken over.
    pub last: EntryId,
}

impl Identity {
    /// How many bytes [`Identity::encode`] gives.
    pub(crate) const BYTES: usize = 40;

    /// The identity as every file carries it: cluster, node, incarnation.
    pub(crate) fn encode(&self) -> [u8; Identity::BYTES] {
        let mut bytes = [0; Identity::BYTES];
        bytes[..16].copy_from_slice(&self.cluster.0.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.node.0.to_le_bytes());
        bytes[24..].copy_from_slice(&self.incarnation.0.to_le_bytes());
        bytes
    }

    /// What is different about `other`: its name, ours and theirs.
    pub(crate) fn difference(&self, other: &Identity) -> Option<(&'static str, String, String)> {
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
