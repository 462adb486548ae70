//! Bootstrap: the first membership takes effect once all bootstrap peers have seen one another and
//! name the same incarnations of their disks.
//!
//! A node does not vote until a member has named its disk as a voter's, or its log has an entry or
//! a membership. It is not enough for the bootstrap peers to hear of one another: a peer whose disk
//! was wiped could then bootstrap the cluster a second time, with peers that had not heard of the
//! first bootstrap, and entries committed with its old disk would be lost. So each peer sends the
//! list of the peers that it has seen, with the incarnation and the start id of each. The peer with
//! the lowest id forms the membership when the latest list from every other peer equals its own. It
//! takes the addresses and priorities from its own configuration, and the other peers take the
//! membership from a reply: configurations that differ in an address or a priority then do not lead
//! to different first memberships. A node that has a membership replies with it and never agrees to
//! another list; a peer that has restarted since it sent the probe ignores the reply. A peer that
//! sees another peer under two incarnations, and so with two disks, forgets all peers that it has
//! seen and restarts the bootstrap, as if it had just started itself.
//!
//! The disks of all bootstrap peers may be lost while members that joined later have theirs. So a
//! peer first listens for the cluster: until a while after its start, and after each message of a
//! node that has a membership, its probes name no peer but itself, so that no peer forms a
//! membership. `docs/MEMBERSHIP.md` explains why no cluster is bootstrapped twice.

pub(crate) mod messages;

use alloc::vec::Vec;
use core::time::Duration;

use crate::types::{Body, BootstrapPeer, EntryId, Instant, Membership, Message, NodeId};

/// The state of a bootstrap peer that has no membership yet.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "std", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct Bootstrap {
    /// The id of this node.
    own: NodeId,
    membership: Membership,
    /// All bootstrap peers by ascending id, including this node. The incarnation and the start id
    /// of a peer are unknown until it is seen.
    seen: Vec<BootstrapPeer>,
    /// The list that each peer sent last, in the same order; empty for this node, and for a peer
    /// that has sent none.
    seen_by_peers: Vec<Vec<BootstrapPeer>>,
    /// When the next probes are sent.
    due: Instant,
    /// Until this instant the node does not agree to a list, because a cluster that exists may be
    /// about to contact it.
    listens_until: Instant,
    /// Whether a node whose log no longer has the first membership has replied that the cluster
    /// exists.
    cluster_exists: bool,
}

/// The outcome of a received bootstrap probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ProbeOutcome {
    /// The peer's list is recorded.
    Recorded,
    /// The peer's list names other bootstrap peers, or the sender is none of them.
    OtherBootstrapPeers,
    /// The probe comes from a different disk than the peer's earlier probes.
    UnknownIncarnation,
}

impl Bootstrap {
    /// Starts the bootstrap of the node `own`, which is one of the members of `membership`. The
    /// node agrees to no list before `listens_until`.
    pub(crate) fn new(
        membership: &Membership,
        own: BootstrapPeer,
        now: Instant,
        listens_until: Instant,
    ) -> Bootstrap {
        assert!(membership.is_member(own.id), "the node is a bootstrap peer");
        assert!(own.is_known(), "the node knows its own disk");
        let seen =
            membership.ids().map(|id| if id == own.id { own } else { BootstrapPeer::unknown(id) });
        Bootstrap {
            own: own.id,
            membership: membership.clone(),
            seen: seen.collect(),
            seen_by_peers: membership.ids().map(|_| Vec::new()).collect(),
            due: now,
            listens_until,
            cluster_exists: false,
        }
    }

    /// When the next probes are sent.
    pub(crate) fn due(&self) -> Instant {
        self.due
    }

    /// Returns the list for a probe: all peers seen so far. While the node agrees to no list, its
    /// probes name no peer but itself, so that no other peer can agree either.
    pub(crate) fn list(&self, now: Instant) -> Vec<BootstrapPeer> {
        let is_named = |peer: &BootstrapPeer| peer.id == self.own || self.may_agree(now);
        let named = |peer: &BootstrapPeer| match is_named(peer) {
            true => *peer,
            false => BootstrapPeer::unknown(peer.id),
        };
        self.seen.iter().map(named).collect()
    }

    /// Whether the node agrees to a first membership: it knows of no cluster that exists, and has
    /// not heard for a while from a node that has a membership.
    fn may_agree(&self, now: Instant) -> bool {
        !self.cluster_exists && now >= self.listens_until
    }

    /// Agrees to no list before `until`, because a node that has a membership has sent a message.
    pub(crate) fn listen_until(&mut self, until: Instant) {
        self.listens_until = self.listens_until.max(until);
    }

    /// Returns the list to send to every other peer, if the probes are due: the next ones are then
    /// due after `interval`.
    pub(crate) fn take_probe(
        &mut self,
        now: Instant,
        interval: Duration,
    ) -> Option<Vec<BootstrapPeer>> {
        if self.due > now {
            return None;
        }
        self.due = now.after(interval);
        Some(self.list(now))
    }

    /// Records that a node whose log no longer has the first membership has replied that the
    /// cluster exists.
    pub(crate) fn record_cluster_exists(&mut self) {
        self.cluster_exists = true;
    }

    /// Whether the message is rejected while this node has no membership. Until another node has
    /// replied that the cluster exists, every message is rejected. After that, only an append that
    /// begins at the start of the log is rejected: its entries rely on the first membership, which
    /// is not an entry.
    pub(crate) fn blocks(&self, message: &Message) -> bool {
        let is_from_start = matches!(message.body, Body::AppendEntries { prev: EntryId::ZERO, .. });
        !self.cluster_exists || is_from_start
    }

    /// Returns the node's position among the bootstrap peers, if it is one.
    pub(crate) fn position(&self, id: NodeId) -> Option<usize> {
        self.seen.iter().position(|peer| peer.id == id)
    }

    /// Restarts the bootstrap with no other peer seen, as after a restart of the node.
    pub(crate) fn restart(&mut self, start_id: u64, now: Instant) {
        let own = BootstrapPeer { start_id, ..self.own_peer() };
        let cluster_exists = self.cluster_exists;
        let restarted = Bootstrap::new(&self.membership, own, now, self.listens_until);
        *self = Bootstrap { cluster_exists, ..restarted };
    }

    /// Returns the record of this node in its own list.
    pub(crate) fn own_peer(&self) -> BootstrapPeer {
        self.seen[self.position(self.own).expect("the node is a bootstrap peer")]
    }

    /// Records the list in another peer's probe.
    pub(crate) fn record_probe(&mut self, from: NodeId, seen: &[BootstrapPeer]) -> ProbeOutcome {
        let has_same_ids = seen.iter().map(|peer| peer.id).eq(self.membership.ids());
        let Some(place) = self.position(from).filter(|_| has_same_ids) else {
            return ProbeOutcome::OtherBootstrapPeers;
        };
        let (known, reported) = (self.seen[place], seen[place]);
        if known.is_known() && known.incarnation != reported.incarnation {
            return ProbeOutcome::UnknownIncarnation;
        }
        self.seen[place] = reported;
        self.seen_by_peers[place] = seen.to_vec();
        assert_eq!(self.seen_by_peers[place].len(), self.seen.len(), "one record for each peer");
        ProbeOutcome::Recorded
    }

    /// Whether the membership accepts the incarnation of every peer seen so far.
    pub(crate) fn is_consistent_with(&self, membership: &Membership) -> bool {
        let is_consistent = |peer: &&BootstrapPeer| {
            let member = membership.member(peer.id);
            member.is_none_or(|member| member.accepts_incarnation(peer.incarnation))
        };
        self.seen.iter().filter(|peer| peer.is_known()).all(|peer| is_consistent(&peer))
    }

    /// Returns the first membership if all peers agree on the same list, and this node is the one
    /// that forms it.
    pub(crate) fn agreed_membership(&self, now: Instant) -> Option<Membership> {
        if !self.may_agree(now) || self.seen[0].id != self.own {
            return None;
        }
        let known = self.seen.iter().all(BootstrapPeer::is_known);
        let lists = self.seen.iter().zip(&self.seen_by_peers);
        let mut others = lists.filter(|(peer, _)| peer.id != self.own);
        if !known || !others.all(|(_, seen)| *seen == self.seen) {
            return None;
        }
        let mut membership = self.membership.clone();
        for peer in &self.seen {
            let member = membership.member(peer.id).expect("every bootstrap peer is a member");
            let mut member = member.clone();
            member.incarnation = peer.incarnation;
            membership = membership.with_member(member);
        }
        Some(membership)
    }
}

#[cfg(feature = "explore")]
impl Bootstrap {
    /// The instants in the bootstrap's state.
    pub(crate) fn instants(&mut self) -> [&mut Instant; 2] {
        [&mut self.due, &mut self.listens_until]
    }
}
