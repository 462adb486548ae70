//! The addresses that nodes name in their hellos. A member that has moved may lead before this node
//! has the membership with its new address, and this node gets that membership only if its replies
//! reach the leader.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Mutex;

use crate::runtime::lock::lock;
use crate::types::{Address, Membership, NodeId};

/// The maximum number of peers whose addresses are stored, because without certificates a stranger
/// may claim any id while this node has no membership.
const PEERS_MAX: usize = 256;

/// The address that this node names, and those that its peers have named.
#[derive(Debug, Default)]
pub(in crate::runtime) struct NamedAddresses(Mutex<Named>);

#[derive(Debug, Default)]
struct Named {
    /// The address at which this node listens, if others can connect to it.
    listens_at: Option<Address>,
    /// The address of this node in its membership.
    own: Address,
    membership: Membership,
    peers: BTreeMap<NodeId, Address>,
}

impl NamedAddresses {
    /// Takes the address at which this node listens, unless that is every address of the machine.
    pub(in crate::runtime) fn listens_at(&self, address: SocketAddr) {
        let named = (!address.ip().is_unspecified()).then(|| address.to_string());
        lock(&self.0).listens_at = named.and_then(|text| Address::new(&text));
    }

    /// Takes the address of `node`, this one, from its membership, and drops the addresses of nodes
    /// that are no members.
    pub(super) fn update_membership(&self, node: NodeId, membership: &Membership) {
        let mut named = lock(&self.0);
        named.own = membership.member(node).map(|it| it.address.clone()).unwrap_or_default();
        named.membership = membership.clone();
        named.peers.retain(|peer, _| membership.is_member(*peer));
    }

    /// Returns the address that this node names: the one at which it listens, or the one in its
    /// membership, which may be empty.
    pub(super) fn own(&self) -> Address {
        let named = lock(&self.0);
        named.listens_at.as_ref().unwrap_or(&named.own).clone()
    }

    /// Stores the address that a peer has named in a valid hello, if the peer may be a member.
    pub(super) fn record(&self, peer: NodeId, address: Address) {
        let mut named = lock(&self.0);
        let may_be_member = match named.membership.is_empty() {
            true => named.peers.len() < PEERS_MAX || named.peers.contains_key(&peer),
            false => named.membership.is_member(peer),
        };
        if may_be_member && !address.as_str().is_empty() {
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
    fn only_members_name_addresses_once_a_membership_is_known() {
        let named = NamedAddresses::default();
        let known = Address::default();
        for peer in 1..=300 {
            named.record(NodeId(peer), address("old:1"));
        }
        assert_eq!(named.other_than(&known, NodeId(256)), Some(address("old:1")));
        assert_eq!(named.other_than(&known, NodeId(257)), None, "a bound");
        let own = Member { address: address("own:1"), ..Member::new(NodeId(1)) };
        let membership = Membership::new([NodeId(1), NodeId(2)]).with_member(own);
        named.update_membership(NodeId(1), &membership);
        assert_eq!(named.own(), address("own:1"));
        named.listens_at(SocketAddr::from(([0, 0, 0, 0], 1)));
        assert_eq!(named.own(), address("own:1"), "no other node can connect to 0.0.0.0");
        named.listens_at(SocketAddr::from(([127, 0, 0, 1], 2)));
        assert_eq!(named.own(), address("127.0.0.1:2"));
        assert_eq!(named.other_than(&known, NodeId(3)), None, "it is no member");
        named.record(NodeId(3), address("other:1"));
        assert_eq!(named.other_than(&known, NodeId(3)), None, "it is no member");
        named.record(NodeId(2), address("new:1"));
        assert_eq!(named.other_than(&address("old:1"), NodeId(2)), Some(address("new:1")));
        assert_eq!(named.other_than(&address("new:1"), NodeId(2)), None, "it is known");
        named.record(NodeId(2), Address::default());
        assert_eq!(named.other_than(&known, NodeId(2)), Some(address("new:1")));
    }
}
