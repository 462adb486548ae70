//! Bootstrap messages: the probes of a bootstrap peer that has no membership yet, and the replies
//! of nodes that have one.

use crate::raft::api::action::{Action, MessageRejectReason};
use crate::raft::bootstrap::ProbeOutcome;
use crate::raft::common::Common;
use crate::types::{
    Body, BootstrapPeer, Index, Membership, MembershipSource, Message, NodeId, SnapshotMeta,
};

impl Common {
    /// Sends the due bootstrap probes, and ends the bootstrap of a node that has a membership.
    pub(crate) fn advance_bootstrap(&mut self) {
        let own = self.id();
        if !self.log.membership().is_empty() {
            self.bootstrap = None;
        }
        let Some(bootstrap) = self.bootstrap.as_mut().filter(|bootstrap| bootstrap.due <= self.now)
        else {
            return;
        };
        bootstrap.due = self.now.after(self.config.heartbeat_interval);
        let seen = bootstrap.seen.clone();
        for other in seen.iter().map(|peer| peer.id).filter(|id| *id != own) {
            self.send(other, Body::BootstrapProbe { seen: seen.clone() });
        }
        self.bootstrap_if_agreed();
    }

    /// Handles bootstrap messages, and rejects two kinds of other messages: those from a disk that
    /// the membership does not name, to which a leader replies, and those that a bootstrap peer
    /// without a membership cannot use (`Bootstrap::blocks`). Returns true if the message needs no
    /// further handling.
    pub(crate) fn handle_bootstrap_or_reject(
        &mut self,
        message: &Message,
        is_leader: bool,
    ) -> bool {
        let (from, name) = (message.from, message.body.name());
        match &message.body {
            Body::PreVote { .. } => return false,
            Body::BootstrapProbe { seen } => self.on_bootstrap_probe(from, seen),
            Body::Bootstrapped { start_id, membership, source } => {
                self.on_bootstrapped(from, *start_id, membership.clone(), *source);
            }
            body if body.requires_known_disk() && !self.is_from_known_disk(message) => {
                self.reject_message(from, name, MessageRejectReason::UnknownIncarnation);
                if is_leader {
                    self.send(from, Body::UnknownIncarnation);
                }
            }
            _ if self.bootstrap.as_ref().is_some_and(|bootstrap| bootstrap.blocks(message)) => {
                self.reject_message(from, name, MessageRejectReason::NoMembership);
                self.probe_outsider(from);
            }
            _ => return false,
        }
        true
    }

    /// Probes a sender that is no bootstrap peer, because only bootstrap peers are probed
    /// regularly. The sender has the cluster's membership, and all other nodes that have it may be
    /// gone.
    fn probe_outsider(&mut self, from: NodeId) {
        if let Some(bootstrap) = &self.bootstrap
            && bootstrap.position(from).is_none()
        {
            let seen = bootstrap.seen.clone();
            self.send(from, Body::BootstrapProbe { seen });
        }
    }

    /// Handles the probe of a node without a membership, which has seen the peers `seen`.
    fn on_bootstrap_probe(&mut self, from: NodeId, seen: &[BootstrapPeer]) {
        if !self.log.membership().is_empty() {
            return self.send_bootstrapped(from, seen);
        }
        match self.bootstrap.as_mut().map(|bootstrap| bootstrap.record_probe(from, seen)) {
            Some(ProbeOutcome::Recorded) => self.bootstrap_if_agreed(),
            Some(ProbeOutcome::OtherBootstrapPeers) => self.reject_message(
                from,
                "BootstrapProbe",
                MessageRejectReason::OtherBootstrapPeers,
            ),
            Some(ProbeOutcome::UnknownIncarnation) => {
                self.reject_message(
                    from,
                    "BootstrapProbe",
                    MessageRejectReason::UnknownIncarnation,
                );
                self.restart_bootstrap();
            }
            None => self.reject_message(from, "BootstrapProbe", MessageRejectReason::NoMembership),
        }
    }

    /// Replies to a probe with the first membership, if it names the prober's disk and this node's
    /// log has not compacted it: the prober then gets every later membership from the log.
    /// Otherwise the reply has the active membership, and names the log or a snapshot as the source
    /// of the prober's first one.
    fn send_bootstrapped(&mut self, from: NodeId, seen: &[BootstrapPeer]) {
        let Some(prober) = seen.iter().find(|peer| peer.id == from) else {
            return self.reject_message(
                from,
                "BootstrapProbe",
                MessageRejectReason::OtherBootstrapPeers,
            );
        };
        let is_first_member = |first: &&Membership| {
            first.member(from).is_some_and(|member| member.accepts_incarnation(prober.incarnation))
        };
        let first = self.log.membership_at(Index::ZERO);
        let (membership, source) = match first {
            Some(first) if is_first_member(&first) => (first, MembershipSource::Reply),
            Some(_) => (self.log.membership(), MembershipSource::Log),
            None => (self.log.membership(), MembershipSource::Snapshot),
        };
        let body = Body::Bootstrapped {
            start_id: prober.start_id,
            membership: membership.clone(),
            source,
        };
        self.send(from, body);
    }

    /// Restarts the bootstrap, because two disks claim to be the same peer: replies to earlier
    /// probes and records of them are no longer valid, as after a restart of the node.
    fn restart_bootstrap(&mut self) {
        let (id, incarnation, now) = (self.id(), self.incarnation, self.now);
        let own = BootstrapPeer { id, incarnation, start_id: self.jitter.next() };
        if let Some(bootstrap) = &mut self.bootstrap {
            bootstrap.restart(own, now);
        }
    }

    /// Handles the reply of a node that has a membership, which either names this node's disk, or
    /// rejects it.
    fn on_bootstrapped(
        &mut self,
        from: NodeId,
        start_id: u64,
        membership: Membership,
        source: MembershipSource,
    ) {
        let own = self.id();
        let Some(bootstrap) = &mut self.bootstrap else {
            return self.reject_message(from, "Bootstrapped", MessageRejectReason::WrongRole);
        };
        if bootstrap.own_peer(own).start_id != start_id {
            return self.reject_message(from, "Bootstrapped", MessageRejectReason::StaleReply);
        }
        let member = membership.member(own);
        if !member.is_some_and(|member| member.accepts_incarnation(self.incarnation)) {
            // No agreement is needed: the log arrives once the node is made a member.
            self.bootstrap = None;
            self.reject_message(from, "Bootstrapped", MessageRejectReason::UnknownIncarnation);
            self.on_unknown_incarnation(from);
        } else if source == MembershipSource::Log {
            self.bootstrap = None;
        } else if source == MembershipSource::Snapshot {
            bootstrap.cluster_exists = true;
        } else if bootstrap.is_consistent_with(&membership) {
            self.install_first_membership(membership);
        } else {
            // The peers of an earlier bootstrap may have agreed on another list.
            self.reject_message(from, "Bootstrapped", MessageRejectReason::UnknownIncarnation);
            self.restart_bootstrap();
        }
    }

    /// Reports, once per start, that the cluster's membership does not name this node's disk.
    pub(crate) fn on_unknown_incarnation(&mut self, from: NodeId) {
        if !core::mem::replace(&mut self.reported_unknown_incarnation, true) {
            self.actions.push(Action::UnknownIncarnation { from });
        }
    }

    fn bootstrap_if_agreed(&mut self) {
        let own = self.id();
        if let Some(membership) = self.bootstrap.as_ref().and_then(|it| it.agreed_membership(own)) {
            self.install_first_membership(membership);
        }
    }

    /// Makes `membership` active before the first log entry.
    fn install_first_membership(&mut self, membership: Membership) {
        self.bootstrap = None;
        let meta = SnapshotMeta { membership, ..self.snapshot.clone() };
        self.log.bootstrap(&meta.membership);
        self.snapshot = meta.clone();
        self.outbox.write_install(meta);
    }
}
