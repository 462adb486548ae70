//! Bootstrap messages: the probes of a bootstrap peer that has no membership yet, and the replies
//! of nodes that have one.

use crate::raft::api::action::{Action, MessageRejectReason};
use crate::raft::bootstrap::ProbeOutcome;
use crate::raft::common::Common;
use crate::types::{
    Body, BootstrapPeer, Index, Membership, MembershipSource, Message, MessageClass, NodeId,
};

/// Sends the due bootstrap probes, and bootstraps the cluster if this node is the only bootstrap
/// peer. Ends the bootstrap of a node that has a membership.
pub(crate) fn advance_bootstrap(common: &mut Common) {
    let own = common.id();
    if !common.log().membership().is_empty() {
        common.members.end_bootstrap();
    }
    let (now, interval) = (common.now(), common.config().heartbeat_interval);
    let due = common.members.bootstrap_mut().and_then(|it| it.take_probe(now, interval));
    let Some(seen) = due else { return };
    for other in seen.iter().map(|peer| peer.id).filter(|id| *id != own) {
        common.send(other, Body::BootstrapProbe { seen: seen.clone() });
    }
    bootstrap_if_agreed(common);
}

/// Handles bootstrap messages, and rejects two kinds of other messages. The first kind requires a
/// known disk ([`Body::requires_known_disk`]) and comes from one that the membership does not
/// accept; a leader notifies its sender. The second kind is of no use to a bootstrap peer without a
/// membership (`Bootstrap::blocks`). Returns true if the message needs no further handling.
#[inline]
pub(crate) fn handle_bootstrap_or_reject(
    common: &mut Common,
    message: &Message,
    is_leader: bool,
) -> bool {
    // A node that is not bootstrapping handles a leader's requests from any disk of that leader.
    let from_leader = message.body.class() == MessageClass::LeaderRequest;
    let is_exempt = from_leader && common.members.bootstrap().is_none();
    !is_exempt && handle_or_reject(common, message, is_leader)
}

fn handle_or_reject(common: &mut Common, message: &Message, is_leader: bool) -> bool {
    let (from, body) = (message.from, &message.body);
    match body {
        Body::BootstrapProbe { seen } => on_bootstrap_probe(common, from, seen),
        Body::Bootstrapped { start_id, membership, source } => {
            on_bootstrapped(common, from, *start_id, membership.clone(), *source);
        }
        _ if body.requires_known_disk() && !is_from_known_disk(common, message) => {
            common.reject_message(from, body.name(), MessageRejectReason::UnknownIncarnation);
            if is_leader {
                common.send(from, Body::UnknownIncarnation);
            }
        }
        Body::PreVote { .. } => {
            on_member_heard(common, from);
            return false;
        }
        _ if common.members.bootstrap().is_some_and(|bootstrap| bootstrap.blocks(message)) => {
            common.reject_message(from, body.name(), MessageRejectReason::NoMembership);
            on_member_heard(common, from);
        }
        _ => return false,
    }
    true
}

/// If this node is bootstrapping, agrees to no list for a while, because the sender of a message
/// has a membership: the cluster exists. Also probes the sender, if it is not a bootstrap peer.
/// Regular probes go only to bootstrap peers, but every one of them that has a membership may be
/// gone.
fn on_member_heard(common: &mut Common, from: NodeId) {
    let (now, listens_until) = (common.now(), common.now().after(common.config().bootstrap_wait()));
    let Some(bootstrap) = common.members.bootstrap_mut() else { return };
    bootstrap.listen_until(listens_until);
    if bootstrap.position(from).is_none() {
        let seen = bootstrap.list(now);
        common.send(from, Body::BootstrapProbe { seen });
    }
}

/// Handles the probe of a node without a membership, which has seen the peers `seen`.
fn on_bootstrap_probe(common: &mut Common, from: NodeId, seen: &[BootstrapPeer]) {
    if !common.log().membership().is_empty() {
        return send_bootstrapped(common, from, seen);
    }
    match common.members.bootstrap_mut().map(|bootstrap| bootstrap.record_probe(from, seen)) {
        Some(ProbeOutcome::Recorded) => bootstrap_if_agreed(common),
        Some(ProbeOutcome::OtherBootstrapPeers) => {
            common.reject_message(from, "BootstrapProbe", MessageRejectReason::OtherBootstrapPeers)
        }
        Some(ProbeOutcome::UnknownIncarnation) => {
            common.reject_message(from, "BootstrapProbe", MessageRejectReason::UnknownIncarnation);
            restart_bootstrap(common);
        }
        None => common.reject_message(from, "BootstrapProbe", MessageRejectReason::NoMembership),
    }
}

/// Replies to a probe. If this node's log still has the first membership, and that membership
/// accepts the prober's disk, the reply contains it: the prober then gets every later membership
/// from the log. Otherwise the reply contains the active membership, and names the log or a
/// snapshot as the source of the prober's first membership.
fn send_bootstrapped(common: &mut Common, from: NodeId, seen: &[BootstrapPeer]) {
    let Some(prober) = seen.iter().find(|peer| peer.id == from) else {
        return common.reject_message(
            from,
            "BootstrapProbe",
            MessageRejectReason::OtherBootstrapPeers,
        );
    };
    let is_first_member = |first: &&Membership| {
        first.member(from).is_some_and(|member| member.accepts_incarnation(prober.incarnation))
    };
    let first = common.log().membership_at(Index::ZERO);
    let (membership, source) = match first {
        Some(first) if is_first_member(&first) => (first, MembershipSource::Reply),
        _ if common.log().has_all_memberships() => {
            (common.log().membership(), MembershipSource::Log)
        }
        _ => (common.log().membership(), MembershipSource::Snapshot),
    };
    let body =
        Body::Bootstrapped { start_id: prober.start_id, membership: membership.clone(), source };
    common.send(from, body);
}

/// Restarts the bootstrap, because two disks claim to be the same peer. As after a restart of the
/// node, the peers seen so far are forgotten, and replies to earlier probes are ignored.
fn restart_bootstrap(common: &mut Common) {
    let (start_id, now) = (common.timing.draw_start_id(), common.now());
    if let Some(bootstrap) = common.members.bootstrap_mut() {
        bootstrap.restart(start_id, now);
    }
}

/// Handles the reply of a node that has a membership.
fn on_bootstrapped(
    common: &mut Common,
    from: NodeId,
    start_id: u64,
    membership: Membership,
    source: MembershipSource,
) {
    // A snapshot may have been installed since the last probe.
    if !common.log().membership().is_empty() {
        common.members.end_bootstrap();
    }
    let (own, incarnation) = (common.id(), common.members.incarnation());
    let Some(bootstrap) = common.members.bootstrap_mut() else {
        return common.reject_message(from, "Bootstrapped", MessageRejectReason::WrongRole);
    };
    if bootstrap.own_peer().start_id != start_id {
        return common.reject_message(from, "Bootstrapped", MessageRejectReason::StaleReply);
    }
    let member = membership.member(own);
    let is_named = member.is_some_and(|member| member.incarnation == incarnation);
    if is_named && membership.is_voter(own) {
        common.ballot.vote_without_membership();
    }
    if !member.is_some_and(|member| member.accepts_incarnation(incarnation)) {
        // No agreement is needed: a leader sends the log once the node is a member.
        common.members.end_bootstrap();
        common.reject_message(from, "Bootstrapped", MessageRejectReason::UnknownIncarnation);
        on_unknown_incarnation(common, from);
    } else if source == MembershipSource::Log {
        common.members.end_bootstrap();
    } else if source == MembershipSource::Snapshot {
        bootstrap.record_cluster_exists();
    } else if bootstrap.is_consistent_with(&membership) {
        install_first_membership(common, membership);
    } else {
        // The peers of an earlier bootstrap may have agreed on another list.
        common.reject_message(from, "Bootstrapped", MessageRejectReason::UnknownIncarnation);
        restart_bootstrap(common);
    }
}

/// Reports, once per start, that the cluster's membership does not name this node's disk.
pub(crate) fn on_unknown_incarnation(common: &mut Common, from: NodeId) {
    if common.members.report_unknown_incarnation() {
        common.output.push(Action::UnknownIncarnation { from });
    }
}

fn bootstrap_if_agreed(common: &mut Common) {
    let now = common.now();
    let agreed = common.members.bootstrap().and_then(|it| it.agreed_membership(now));
    if let Some(membership) = agreed {
        install_first_membership(common, membership);
    }
}

/// Makes `membership` active before the first log entry.
fn install_first_membership(common: &mut Common, membership: Membership) {
    assert!(common.log().membership().is_empty(), "a cluster is bootstrapped once");
    assert!(membership.is_member(common.id()), "a bootstrap peer is a member");
    common.members.end_bootstrap();
    common.journal.bootstrap(membership);
    common.ballot.record_bootstrap();
}

/// Whether the active membership accepts the sender's disk: it names that disk, names no disk of
/// the sender, or does not contain the sender. Replies of another disk do not count.
fn is_from_known_disk(common: &Common, message: &Message) -> bool {
    let member = common.log().membership().member(message.from);
    member.is_none_or(|member| member.accepts_incarnation(message.incarnation))
}
