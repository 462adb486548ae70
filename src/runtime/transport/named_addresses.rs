//! The addresses that nodes name in their hellos. A member that has moved may lead before this node
//! has the membership with its new address, and this node gets that membership only if its replies
//! reach the leader.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Mutex;

use crate::runtime::lock::lock;
use crate::types::{Address, Membership, NodeId};

/// The maximum number of peers whose addresses are stored besides those of members, because without
/// certificates a peer may claim any id.
const PEERS_MAX: usize = 256;

/// The address that this node names, and those that its peers have named.
#[derive(Debug, Default)]
pub(super) struct NamedAddresses(Mutex<Named>);

#[derive(Debug, Default)]
struct Named {
    /// The address of this node in its membership. A node that others reach through a proxy listens
    /// elsewhere.
    own: Address,
    membership: Membership,
    peers: BTreeMap<NodeId, Address>,
}

impl NamedAddresses {
    /// Takes the membership that `node`, this one, uses.
    pub(super) fn update_membership(&self, node: NodeId, membership: &Membership) {
        let mut named = lock(&self.0);
        named.own = membership.member(node).map(|it| it.address.clone()).unwrap_or_default();
        named.membership = membership.clone();
    }

    /// Returns the address that this node names; empty if its membership has none.
    pub(super) fn own(&self) -> Address {
        lock(&self.0).own.clone()
    }

    /// Stores the address that a peer has named in a valid hello, if it is an IP address and a
    /// port, because an unauthenticated peer may not make this node look up names. The peer may
    /// have become a member without this node's knowledge.
    pub(super) fn record(&self, peer: NodeId, address: Address) {
        let is_valid = address.as_str().parse::<SocketAddr>().is_ok();
        let mut named = lock(&self.0);
        let is_known = named.membership.is_member(peer) || named.peers.contains_key(&peer);
        if is_valid && (is_known || named.peers.len() < PEERS_MAX) {
            named.peers.insert(peer, address);
        }
    }

    /// Returns the last address that the peer has named, unless it is `known`.
    pub(super) fn other_than(&self, known: &Address, peer: NodeId) -> Option<Address> {
        lock(&self.0).peers.get(&peer).filter(|named| *named != known).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::Member;

    fn address(text: &str) -> Address {
        Address::new(text).expect("it is short")
    }

    #[test]
    fn every_member_and_a_bounded_number_of_other_peers_name_addresses() {
        let named = NamedAddresses::default();
        let known = Address::default();
        for peer in 11..=310 {
            named.record(NodeId(peer), address("10.0.0.9:1"));
        }
        assert_eq!(named.other_than(&known, NodeId(266)), Some(address("10.0.0.9:1")));
        assert_eq!(named.other_than(&known, NodeId(267)), None, "a bound");
        let own = Member { address: address("10.0.0.1:1"), ..Member::new(NodeId(1)) };
        let membership = Membership::new([NodeId(1), NodeId(2)]).with_member(own);
        named.update_membership(NodeId(1), &membership);
        assert_eq!(named.own(), address("10.0.0.1:1"));
        named.record(NodeId(3), address("10.0.0.3:1"));
        assert_eq!(named.other_than(&known, NodeId(3)), None, "it is no member");
        named.record(NodeId(2), address("10.0.0.22:1"));
        assert_eq!(
            named.other_than(&address("10.0.0.2:1"), NodeId(2)),
            Some(address("10.0.0.22:1"))
        );
        assert_eq!(named.other_than(&address("10.0.0.22:1"), NodeId(2)), None, "it is known");
        for invalid in ["", "10.0.0.22", "name:1"] {
            named.record(NodeId(2), address(invalid));
        }
        assert_eq!(named.other_than(&known, NodeId(2)), Some(address("10.0.0.22:1")));
    }
}
