//! The ids of clusters without a name: derived from the initial members, so that all members
//! agree on the id before they have met, and two clusters do not share one.

use std::net::SocketAddr;

use crate::storage::ClusterId;
use crate::types::NodeId;

/// The first bits of the id of every cluster without a name.
const MARK: u128 = 0x756e_6e61 << 96;
/// The bits of an id that equal those of [`MARK`].
const MARK_BITS: u128 = 0xffff_ffff << 96;

/// In a `ClientConfig` and in a client's hello: any cluster without a name. A client uses only the
/// first one that it reaches. A cluster with a name rejects this id.
pub const ANY_UNNAMED_CLUSTER: ClusterId = ClusterId(0);

/// Returns the id of a cluster without a name that these initial members bootstrap. Every member
/// must be started with the same list, in any order: `docs/SECURITY.md` says why the id is derived.
///
/// ```
/// use quorate::runtime::{is_unnamed_cluster, unnamed_cluster};
/// use quorate::types::NodeId;
///
/// let address = |port| ([10, 0, 0, 1], port).into();
/// let members = [(NodeId(1), address(7101)), (NodeId(2), address(7102))];
/// let id = unnamed_cluster(members);
/// assert_eq!(id, unnamed_cluster(members.into_iter().rev()));
/// assert_ne!(id, unnamed_cluster(members.into_iter().take(1)));
/// assert!(is_unnamed_cluster(id));
/// ```
#[must_use]
pub fn unnamed_cluster(members: impl IntoIterator<Item = (NodeId, SocketAddr)>) -> ClusterId {
    let mut members: Vec<(NodeId, SocketAddr)> = members.into_iter().collect();
    members.sort_unstable();
    let mut hasher = blake3::Hasher::new();
    hasher.update(b"the initial members of a quorate cluster without a name\n");
    for (id, address) in members {
        hasher.update(format!("{}={address}\n", id.0).as_bytes());
    }
    let hash = hasher.finalize();
    let first = hash.as_bytes().first_chunk().expect("a hash has 32 bytes");
    ClusterId(u128::from_be_bytes(*first) & !MARK_BITS | MARK)
}

/// Returns true if the id is that of a cluster without a name.
#[must_use]
pub fn is_unnamed_cluster(cluster: ClusterId) -> bool {
    cluster.0 & MARK_BITS == MARK
}
