//! Explanations of events that did not happen: an election or a commit.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use quorate::raft::RoleName;
use quorate::types::{Body, EntryId, Index, MessageClass, NodeId};

use crate::explain::history::History;
use crate::explain::phrases;
use crate::record::{Event, EventId, EventKind, LossReason, Record};
use crate::values::time::{Seconds, SimTime};

/// Each obstacle with its count and its first and last time.
type Counts = BTreeMap<String, (u64, SimTime, SimTime)>;

/// Explains why the node did not lead between `from` and `to`, with one line for each obstacle.
#[must_use]
pub fn why_not_leader(record: &Record, node: NodeId, from: SimTime, to: SimTime) -> Vec<String> {
    let Some(last) = last_by(record, to) else { return nothing_by(record) };
    let history = History::new(record, last);
    let end = history.at(last);
    if end < from {
        let before = format!("the last event before it is at {end} s");
        return vec![format!("nothing happens in this time: {before}")];
    }
    // If the clocks of nodes differ, an event before the last one may be later by its own clock.
    let within = || history.all().filter(move |(_, event)| (from..=to).contains(&event.own_at));
    let mut counts = Counts::new();
    for (id, event) in within() {
        if let Some(sentence) = obstacle(&history, node, id) {
            let at = event.own_at;
            let (count, _, latest) = counts.entry(sentence).or_insert((0, at, at));
            (*count, *latest) = (*count + 1, at);
        }
    }
    for (id, _, term) in history.elections().iter().filter(|(_, leader, _)| *leader == node) {
        let at = history.at(*id);
        if (from..=to).contains(&at) {
            counts.insert(format!("{node} won the election of term {term}"), (1, at, at));
        }
    }
    if counts.is_empty() {
        let sent = |id: EventId| history.event(id).message().filter(|sent| sent.from == node);
        let requested =
            within().any(|(id, _)| sent(id).is_some_and(|sent| is_vote_request(sent.body.name())));
        return vec![match requested {
            true => format!("{node} requested votes, and no reply has rejected it yet"),
            false => format!(
                "{node} requested no vote in this time: it was down or led already, its election \
                 timeout did not expire, or it may not campaign (no vote, quarantine, vote lease \
                 or stuck disk)"
            ),
        }];
    }
    lines(counts)
}

/// Describes how this event prevents the node's election.
fn obstacle(history: &History<'_>, node: NodeId, id: EventId) -> Option<String> {
    let event = history.event(id);
    let own = event.node == Some(node);
    match &event.kind {
        EventKind::MessageRejected { from, message, reason }
            if *from == node && is_vote_request(message) =>
        {
            let voter = event.node?;
            Some(format!(
                "{voter} rejected {node}'s {message} because {}",
                phrases::reject_reason(*reason),
            ))
        }
        EventKind::MessageRejected { from, message, reason } if own && is_vote_reply(message) => {
            let why = phrases::reject_reason(*reason);
            Some(format!("{node} rejected {from}'s {message} because {why}"))
        }
        EventKind::Dropped { reason, .. } => {
            let message = history.event(event.cause?).message()?;
            let (from, to, name) = (message.from, message.to, message.body.name());
            let is_about_votes = is_vote_request(name) || is_vote_reply(name);
            let why = match reason {
                LossReason::Down => "the receiver was down".to_owned(),
                other => other.to_string(),
            };
            (is_about_votes && (from == node || to == node))
                .then(|| format!("{from}'s {name} did not reach {to}: {why}"))
        }
        EventKind::Sent(sent) => {
            let lost = sent.delivery.and_then(|delivery| delivery.lost);
            let message = sent.message.as_ref().filter(|_| lost == Some(LossReason::Missing))?;
            let (from, to, name) = (message.from, message.to, message.body.name());
            let is_about_votes = is_vote_request(name) || is_vote_reply(name);
            (is_about_votes && (from == node || to == node))
                .then(|| format!("{from}'s {name} did not reach {to}: {}", LossReason::Missing))
        }
        EventKind::RecordingEnded if own => Some(format!("{node} {}", event.kind)),
        EventKind::TookNoStep { pause, .. } if own => {
            Some(format!("{node} took no step for {} s", Seconds(*pause)))
        }
        EventKind::Crashed { .. } if own => Some(format!("{node} crashed")),
        EventKind::Paused if own => Some(format!("{node} was paused")),
        EventKind::TookInput(_) if own => heard_leader(history, id),
        _ => None,
    }
}

/// Describes a leader's message that keeps the node a follower.
fn heard_leader(history: &History<'_>, step: EventId) -> Option<String> {
    let (_, message) = history.message_of(step)?;
    let now = history.state_after(step)?;
    let leads = message.body.class() == MessageClass::LeaderRequest;
    (leads && now.leader == Some(message.from) && now.role == RoleName::Follower).then(|| {
        format!(
            "{} received a message from {}, the leader of term {}, before its election timeout",
            now.id, message.from, message.term,
        )
    })
}

fn is_vote_request(message: &str) -> bool {
    message.ends_with("Vote")
}

fn is_vote_reply(message: &str) -> bool {
    message.ends_with("VoteReply")
}

/// Explains why the index was not committed by `by`, with one line for each voter without it.
#[must_use]
pub fn why_not_committed(record: &Record, index: Index, by: SimTime) -> Vec<String> {
    let Some(last) = last_by(record, by).and_then(|last| before_ends(record, last)) else {
        return nothing_by(record);
    };
    let history = History::new(record, last);
    if let Some((id, node)) = history.first_commit(index) {
        return vec![format!("{node} committed index {index} at {} s ({id})", history.at(id))];
    }
    let states = record.nodes.iter().filter_map(|node| record.state_of(*node, last));
    let leader = states.filter(|now| now.role == RoleName::Leader).max_by_key(|now| now.term);
    let Some(now) = leader else {
        return vec!["no node leads: use --leader to see why a node does not lead".into()];
    };
    let (leader, term) = (now.id, now.term);
    let own = history.logs(leader, last);
    let Some(entry) = own.memory.get(&index) else {
        return vec![format!("{leader} leads term {term}, but its log ends with {}", own.last())];
    };
    let membership = history.membership(leader, last);
    let is_recorded = |node: &NodeId| record.is_recorded(*node, last);
    let has = |node: &NodeId| {
        is_recorded(node) && history.logs(*node, last).disk.get(&index) == Some(entry)
    };
    let have = phrases::listed(membership.voters().filter(has));
    let mut lines = vec![format!(
        "{leader} leads term {term} and has entry {entry}; of the voters of {membership} the \
         entry is durable on {have}"
    )];
    if entry.term < term {
        lines.push(format!(
            "the entry is of an earlier term, so it is committed together with the first entry of \
             term {term} (Raft §5.4.2)"
        ));
    }
    let elections = history.elections();
    let won = elections.iter().rfind(|(_, node, won)| (*node, *won) == (leader, term));
    let since = won.map_or(EventId(1), |(id, ..)| *id);
    for voter in membership.voters().filter(|voter| !is_recorded(voter)) {
        lines.push(format!(
            "{voter} is not recorded then: whether it has the entry on disk is undecided"
        ));
    }
    for voter in membership.voters().filter(|voter| is_recorded(voter) && !has(voter)) {
        lines.push(format!(
            "{voter} does not have the entry on disk: {}",
            missing_because(&history, leader, voter, *entry, since),
        ));
    }
    lines
}

/// Describes the most likely reason why a voter does not have the leader's entry on disk. Events
/// before `since`, the leader's election, are not considered.
fn missing_because(
    history: &History<'_>,
    leader: NodeId,
    voter: NodeId,
    entry: EntryId,
    since: EventId,
) -> String {
    let at = history.failing;
    if history.record().state_of(voter, at).is_none() {
        return "it is down".to_owned();
    }
    let theirs = history.logs(voter, at);
    let is_in = |log: &BTreeMap<Index, EntryId>| log.contains_key(&entry.index);
    if is_in(&theirs.memory) && !is_in(&theirs.disk) {
        return "its write is still pending".to_owned();
    }
    let recent = || {
        let events = history.events_of(voter).rev().take(200);
        events.take_while(move |(id, _)| *id > since)
    };
    for (id, event) in recent() {
        match &event.kind {
            EventKind::Dropped { reason, .. } => {
                let sender = event.cause.and_then(|cause| history.event(cause).node);
                if sender == Some(leader) {
                    return format!("a message from {leader} did not reach it: {reason}");
                }
            }
            EventKind::MessageRejected { from, reason, .. } if *from == leader => {
                return format!(
                    "it rejected {leader}'s message at {} s because {}",
                    history.at(id),
                    phrases::reject_reason(*reason)
                );
            }
            _ => {}
        }
    }
    let missing = missing_append(history, leader, voter, entry.index).filter(|id| *id > since);
    if let Some(id) = missing {
        let reason = LossReason::Missing;
        return format!(
            "a message from {leader} with the entry, sent at {} s, did not reach it: {reason}",
            history.at(id)
        );
    }
    // A pause that was over before the leader had the entry is not the reason.
    let written = history.write_of(leader, entry).map_or(since, |(id, _)| id);
    let is_pause = |(_, event): &(_, &Event)| matches!(event.kind, EventKind::TookNoStep { .. });
    if let Some((id, event)) = recent().find(is_pause).filter(|(id, _)| *id > written) {
        return format!("it {} (at {} s)", event.kind, history.at(id));
    }
    format!("its log ends with {}, and the entry is in flight or not sent", theirs.last())
}

/// The last message with the entry that the leader sent to the voter and that did not arrive, as
/// recordings show it.
fn missing_append(
    history: &History<'_>,
    leader: NodeId,
    voter: NodeId,
    index: Index,
) -> Option<EventId> {
    let sent = history.events_of(leader).rev().find(|(_, event)| {
        let EventKind::Sent(sent) = &event.kind else { return false };
        let lost = sent.delivery.and_then(|delivery| delivery.lost);
        let has_entry = sent.message.as_ref().is_some_and(|message| {
            let Body::AppendEntries { entries, .. } = &message.body else { return false };
            entries.iter().any(|entry| entry.id.index == index)
        });
        sent.to == voter && lost == Some(LossReason::Missing) && has_entry
    });
    sent.map(|(id, _)| id)
}

/// The last event at or before this time, by the clock of its node.
fn last_by(record: &Record, time: SimTime) -> Option<EventId> {
    record.all().rfind(|(_, event)| event.own_at <= time).map(|(id, _)| id)
}

/// The answer if the record has no event up to a time.
fn nothing_by(record: &Record) -> Vec<String> {
    let subject = if record.is_partial() { "the recordings have" } else { "the run has" };
    vec![format!("{subject} no event up to that time")]
}

/// If recordings of nodes end in the last second before `last`, returns the last event before the
/// first of these ends, because copies of running nodes' recordings end at slightly different
/// times. Otherwise, as in a run, returns `last`.
fn before_ends(record: &Record, last: EventId) -> Option<EventId> {
    let since = record.event(last).at.before(Duration::from_secs(1));
    let mut seen = BTreeSet::new();
    let mut first_end = None;
    for (id, event) in record.through(last).rev().take_while(|(_, event)| event.at >= since) {
        let Some(node) = event.node else { continue };
        if seen.insert(node) && matches!(event.kind, EventKind::RecordingEnded) {
            first_end = Some(id);
        }
    }
    match first_end {
        None => Some(last),
        Some(id) => (id.0 > 1).then(|| EventId(id.0 - 1)),
    }
}

/// Formats the counts, the most frequent first.
fn lines(counts: Counts) -> Vec<String> {
    let mut rows: Vec<_> = counts.into_iter().collect();
    rows.sort_by_key(|(_, (count, first, _))| (std::cmp::Reverse(*count), *first));
    let line = |(sentence, (count, first, last)): (String, (u64, SimTime, SimTime))| match count {
        1 => format!("{sentence} (at {first} s)"),
        count => format!("{sentence} ({count} times from {first} s to {last} s)"),
    };
    rows.into_iter().map(line).collect()
}
