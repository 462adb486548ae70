//! Why something did not happen: a node was not elected, an index was not committed.

use std::collections::BTreeMap;

use quorate::raft::RoleName;
use quorate::types::{Body, Index, NodeId};

use crate::explain::past::Past;
use crate::explain::phrases;
use crate::record::{EventId, Lost, Record, What};
use crate::time::SimTime;

/// What refused, how often, and when first and last.
type Counts = BTreeMap<String, (u64, SimTime, SimTime)>;

/// Why the node did not lead in this span: one line for each guard that stood in its way.
#[must_use]
pub fn why_not_leader(record: &Record, node: NodeId, from: SimTime, to: SimTime) -> Vec<String> {
    let Some(last) = last_by(record, to) else { return vec!["nothing happened by then".into()] };
    let past = Past::new(record, last);
    let mut counts = Counts::new();
    for (id, event) in past.all().filter(|(_, event)| event.at >= from) {
        if let Some(says) = guard(&past, node, id) {
            let (count, _, latest) = counts.entry(says).or_insert((0, event.at, event.at));
            (*count, *latest) = (*count + 1, event.at);
        }
    }
    if past.elections().iter().any(|(id, leader, _)| *leader == node && past.at(*id) >= from) {
        counts.insert(format!("{node} did win an election"), (1, from, to));
    }
    if counts.is_empty() {
        return vec![format!("{node} never asked: it was down, or had no reason to")];
    }
    told(counts)
}

/// What in this event keeps the node from being elected.
fn guard(past: &Past<'_>, node: NodeId, id: EventId) -> Option<String> {
    let event = past.event(id);
    let own = event.node == Some(node);
    match &event.what {
        What::Refused { from, message, reason } if *from == node && asks(message) => {
            let voter = event.node?;
            Some(format!("{voter} refused its {message}: {}", phrases::refusal(*reason)))
        }
        What::Refused { from, message, reason } if own && message.ends_with("VoteReply") => {
            let why = phrases::refusal(*reason);
            Some(format!("it did not count the {message} of {from}: {why}"))
        }
        What::Dropped { why, .. } => {
            let message = past.event(event.cause?).message()?;
            let (from, to, name) = (message.from, message.to, message.body.name());
            let canvass = matches!(
                message.body,
                Body::PreVote { .. }
                    | Body::PreVoteReply { .. }
                    | Body::RequestVote { .. }
                    | Body::RequestVoteReply { .. }
            );
            let why = match why {
                Lost::Down => "the receiver was down".to_owned(),
                other => other.to_string(),
            };
            (canvass && (from == node || to == node))
                .then(|| format!("the {name} of {from} never reached {to}: {why}"))
        }
        What::Fell { .. } if own => Some("it fell".to_owned()),
        What::Paused if own => Some("it stood still".to_owned()),
        What::Took(_) if own => heard_leader(past, id),
        _ => None,
    }
}

/// A node that hears from a leader does not stand.
fn heard_leader(past: &Past<'_>, step: EventId) -> Option<String> {
    let (_, message) = past.message_of(step)?;
    let now = past.after(step)?;
    let leads = matches!(message.body, Body::Heartbeat { .. } | Body::AppendEntries { .. });
    (leads && now.leader == Some(message.from) && now.role == RoleName::Follower)
        .then(|| format!("it heard from {}, the leader of {}, in time", message.from, message.term))
}

fn asks(message: &str) -> bool {
    message == "PreVote" || message == "RequestVote"
}

/// Why the index was not committed by then: who has it, who lacks it and why.
#[must_use]
pub fn why_not_committed(record: &Record, index: Index, by: SimTime) -> Vec<String> {
    let Some(last) = last_by(record, by) else { return vec!["nothing happened by then".into()] };
    let past = Past::new(record, last);
    if let Some((id, node)) = past.first_commit(index) {
        return vec![format!("{node} committed {index} at {} s ({id})", past.at(id))];
    }
    let states = record.nodes.iter().filter_map(|node| record.state_of(*node, last));
    let leader = states.filter(|now| now.role == RoleName::Leader).max_by_key(|now| now.term);
    let Some(now) = leader else {
        return vec!["nobody leads: ask why some node does not, with --leader".into()];
    };
    let (leader, term) = (now.id, now.term);
    let own = past.logs(leader, last);
    let Some(entry) = own.memory.get(&index) else {
        return vec![format!("{leader} leads {term}, and its log ends at {}", own.last())];
    };
    let membership = past.membership(leader, last);
    let has = |node: &NodeId| past.logs(*node, last).disk.get(&index) == Some(entry);
    let have = phrases::listed(membership.voters().filter(has));
    let mut lines = vec![format!(
        "{leader} leads {term} and has {entry}; of the voters of {membership} it is on the disks \
         of {have}"
    )];
    if entry.term < term {
        lines.push(format!(
            "it is of an earlier term: it is committed with the first entry of {term} (Raft §5.4.2)"
        ));
    }
    for voter in membership.voters().filter(|voter| !has(voter)) {
        lines.push(format!("{voter} lacks it: {}", lack(&past, leader, voter, index)));
    }
    lines
}

/// Why a voter has not what its leader has.
fn lack(past: &Past<'_>, leader: NodeId, voter: NodeId, index: Index) -> String {
    let at = past.accused;
    if past.record().state_of(voter, at).is_none() {
        return "it is down".to_owned();
    }
    let theirs = past.logs(voter, at);
    if theirs.memory.contains_key(&index) && !theirs.disk.contains_key(&index) {
        return "its disk is at work on it".to_owned();
    }
    let mut lost = None;
    for (id, event) in past.of(voter).rev().take(200) {
        match &event.what {
            What::Dropped { why, .. } => {
                let sender = event.cause.and_then(|cause| past.event(cause).node);
                lost = lost.or((sender == Some(leader)).then_some(*why));
            }
            What::Refused { from, reason, .. } if *from == leader => {
                return format!(
                    "it refused {leader}'s word at {} s: {}",
                    past.at(id),
                    phrases::refusal(*reason)
                );
            }
            _ => {}
        }
    }
    match lost {
        Some(why) => format!("the last word of {leader} did not reach it: {why}"),
        None => {
            format!("its log goes to {}, and the entry is on its way or not sent", theirs.last())
        }
    }
}

fn last_by(record: &Record, time: SimTime) -> Option<EventId> {
    record.all().take_while(|(_, event)| event.at <= time).last().map(|(id, _)| id)
}

/// The counts in words, the most frequent first.
fn told(counts: Counts) -> Vec<String> {
    let mut rows: Vec<_> = counts.into_iter().collect();
    rows.sort_by_key(|(_, (count, first, _))| (std::cmp::Reverse(*count), *first));
    let line = |(says, (count, first, last)): (String, (u64, SimTime, SimTime))| match count {
        1 => format!("{says} (at {first} s)"),
        count => format!("{says} ({count} times from {first} s to {last} s)"),
    };
    rows.into_iter().map(line).collect()
}
