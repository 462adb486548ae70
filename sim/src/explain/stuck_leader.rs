//! A leader that has committed nothing for a while: an entry of its own term that it does not
//! commit, and nodes to which it sends nothing.

use std::collections::BTreeSet;
use std::time::Duration;

use quorate::raft::{RoleName, Status};
use quorate::types::{Body, EntryId, Membership, NodeId};

use crate::explain::explanation::Draft;
use crate::explain::facts;
use crate::explain::history::History;
use crate::explain::phrases;
use crate::explain::votes;
use crate::record::{Event, EventId, EventKind};
use crate::values::time::SimTime;

/// The time after which a leader has certainly learned that an entry is durable on a node that it
/// can reach.
const LEARNED_AFTER: Duration = Duration::from_secs(1);

/// A leader that has committed nothing for a while.
pub(super) struct StuckLeader<'a> {
    /// Its status at the failure.
    pub(super) now: &'a Status,
    /// The time [`LEARNED_AFTER`] before the failure.
    since: SimTime,
    /// The last event at or before that time.
    then: EventId,
}

impl<'a> StuckLeader<'a> {
    /// The leader of the latest term among the nodes, if it is stuck.
    pub(super) fn of(
        history: &History<'_>,
        nodes: &[(NodeId, Option<&'a Status>)],
    ) -> Option<StuckLeader<'a>> {
        let leads = |now: &&Status| now.role == RoleName::Leader;
        let up = nodes.iter().filter_map(|(_, now)| *now);
        let now = up.filter(leads).max_by_key(|now| now.term)?;
        let since = history.at(history.failing).before(LEARNED_AFTER);
        let (then, _) = history.all().rfind(|(_, event)| event.at <= since)?;
        let led = history.record().state_of(now.id, then).filter(leads)?;
        let is_stuck = (led.term, led.committed) == (now.term, now.committed);
        is_stuck.then_some(StuckLeader { now, then, since })
    }
}

/// Explains an entry of its own term that the leader does not commit, although it has been durable
/// on a quorum of the core nodes for a while. A run whose leaders allow last-survivor takeovers is
/// not explained, because a quorum is not enough there.
pub(super) fn uncommitted(
    history: &History<'_>,
    draft: &mut Draft,
    nodes: &[(NodeId, Option<&Status>)],
    stuck: &StuckLeader<'_>,
) {
    let allows_takeover = |(_, event): (EventId, &Event)| match &event.kind {
        EventKind::Sent(sent) => {
            sent.message.as_ref().is_some_and(|it| matches!(it.body, Body::TakeoverAllowed))
        }
        _ => false,
    };
    if history.all().any(allows_takeover) {
        return;
    }
    let StuckLeader { now, then, since } = *stuck;
    let (leader, term) = (now.id, now.term);
    let membership = history.membership(leader, history.failing);
    let up = nodes.iter().filter_map(|(_, now)| *now);
    let voters = up.filter(|now| membership.is_voter(now.id) && !now.is_uncertain);
    let disks: Vec<_> = voters.map(|now| (now.id, history.logs(now.id, then).disk)).collect();
    let own = history.logs(leader, then);
    let later = own.memory.range(now.committed.next()..).map(|(_, entry)| entry);
    for entry in later.filter(|entry| entry.term == term) {
        let has = disks.iter().filter(|(_, disk)| disk.get(&entry.index) == Some(entry));
        let holders: BTreeSet<NodeId> = has.map(|(node, _)| *node).collect();
        if votes::is_majority(membership, &holders) {
            facts::entry(history, draft, leader, *entry);
            let known = match quorum_known(history, membership, leader, *entry) {
                None => not_learned(history, draft, leader, *entry, &holders),
                Some(id) => {
                    facts::step(history, draft, id);
                    format!(", as {leader} knows from {} s on", history.at(id))
                }
            };
            let holders = phrases::listed(holders);
            return draft.cause(format!(
                "{leader} leads term {term} and does not commit entry {entry} of its own term, \
                 although it was durable on {holders}, a quorum of {membership}, at {since} s\
                 {known}: its commit index stays {}",
                now.committed
            ));
        }
    }
}

/// The step in which a leader learned that a quorum of its members has an entry of its term on
/// disk.
fn quorum_known(
    history: &History<'_>,
    members: &Membership,
    leader: NodeId,
    entry: EntryId,
) -> Option<EventId> {
    let mut holders = BTreeSet::new();
    let learned = |(id, _): &(EventId, &Event)| {
        let Some(now) = history.state_after(*id).filter(|now| now.term == entry.term) else {
            return false;
        };
        if now.durable >= entry.index {
            holders.insert(leader);
        }
        holders.extend(acknowledging(history, *id, entry));
        votes::is_majority(members, &holders)
    };
    history.events_of(leader).find(learned).map(|(id, _)| id)
}

/// The node whose acknowledgement of this entry of its term the leader accepts in the step.
fn acknowledging(history: &History<'_>, step: EventId, entry: EntryId) -> Option<NodeId> {
    let (_, message) = history.message_of(step)?;
    let covers = message.term == entry.term && message.body.acknowledged() >= entry.index;
    (covers && !history.rejects(step)).then_some(message.from)
}

/// Describes in a clause that the leader has not learned of the durable entry. Of the holders whose
/// acknowledgement the leader lacks, the clause names the one whose last append is the oldest. Adds
/// that append to the facts.
fn not_learned(
    history: &History<'_>,
    draft: &mut Draft,
    leader: NodeId,
    entry: EntryId,
    holders: &BTreeSet<NodeId>,
) -> String {
    let known = |peer: NodeId| {
        let mut steps = history.events_of(leader);
        steps.any(|(id, _)| acknowledging(history, id, entry) == Some(peer))
    };
    let last = |peer: NodeId| {
        let is_append = |event: &Event| match event.message() {
            Some(message) => {
                message.to == peer && matches!(message.body, Body::AppendEntries { .. })
            }
            None => false,
        };
        let (id, _) = history.events_of(leader).rev().find(|(_, event)| is_append(event))?;
        Some((id, peer))
    };
    let peers = holders.iter().copied().filter(|peer| *peer != leader && !known(*peer));
    let Some((id, peer)) = peers.filter_map(last).min() else { return String::new() };
    let at = history.at(id);
    draft.fact(id, at, format!("{leader} sends {peer} its last AppendEntries"));
    format!(", which {leader} has not learned: it sent {peer} its last AppendEntries at {at} s")
}

/// Explains that the leader has for a while sent neither entries nor a snapshot to nodes that lack
/// entries. The nodes `rejecting` its messages get only empty ones.
pub(super) fn unsent(
    history: &History<'_>,
    draft: &mut Draft,
    nodes: &[(NodeId, Option<&Status>)],
    stuck: &StuckLeader<'_>,
    rejecting: &[NodeId],
) {
    let (leader, last) = (stuck.now, history.logs(stuck.now.id, stuck.then).last().index);
    let membership = history.membership(leader.id, history.failing);
    let up = nodes.iter().filter_map(|(_, now)| *now);
    let lacks = |peer: &&Status| membership.member(peer.id).is_some() && peer.last.index < last;
    for peer in up.filter(lacks).filter(|peer| !rejecting.contains(&peer.id)) {
        unsent_to(history, draft, leader, peer, stuck.since);
    }
}

/// Explains that a leader has sent neither entries nor a snapshot since before `since` to a node
/// that lacks entries. A node that fetches a snapshot, from any node, gets no entries meanwhile.
fn unsent_to(
    history: &History<'_>,
    draft: &mut Draft,
    leader: &Status,
    peer: &Status,
    since: SimTime,
) {
    let to_peer = |event: &Event| match &event.kind {
        EventKind::Sent(sent) if sent.to == peer.id => match &sent.message {
            None => true,
            Some(message) => match &message.body {
                Body::AppendEntries { entries, .. } => !entries.is_empty(),
                Body::InstallSnapshot { .. } => true,
                _ => false,
            },
        },
        _ => false,
    };
    let fetches = |(_, event): (EventId, &Event)| {
        let packet = matches!(&event.kind, EventKind::Sent(sent) if sent.message.is_none());
        packet && event.at >= since
    };
    let mut sent = history.events_of(leader.id).rev();
    let last = sent.find(|(_, event)| to_peer(event));
    let Some((id, event)) = last.filter(|(_, event)| event.at < since) else { return };
    if history.events_of(peer.id).any(fetches) {
        return;
    }
    let (node, to, term) = (leader.id, peer.id, leader.term);
    draft.fact(id, event.at, format!("{node} sends {to} the last entries or snapshot"));
    draft.cause(format!(
        "{node} leads term {term} and has sent {to} neither entries nor a snapshot since {} s, \
         although {to}'s log ends with {} and {node}'s log with {}",
        event.at, peer.last, leader.last
    ));
}
