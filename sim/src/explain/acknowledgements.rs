//! Acknowledgements: S6, and what disks must have for them, S17 and S28.

use quorate::types::{AppendOutcome, Body, Index, Message, NodeId};

use crate::explain::past::{Fate, Past};
use crate::explain::stories;
use crate::explain::telling::Draft;
use crate::record::{EventId, What};

pub(super) fn tell(past: &Past<'_>, draft: &mut Draft) {
    let Some(node) = past.node() else { return };
    let event = past.event(past.accused);
    if let Some(message) = event.message() {
        let upto = acknowledged(message).or_else(|| verified(message));
        if let Some(index) = upto {
            return acknowledges(past, draft, message, index);
        }
    }
    match &event.what {
        What::Took(_) => counts(past, draft, node),
        What::Started { .. } | What::GoesBy(_) => restarts(past, draft, node),
        What::Durable(write) => {
            troubles_of_disk(past, draft, node);
            stories::spine(past, draft, past.accused, 2);
            draft.cause(format!(
                "{node} takes {write} for durable, and its disk does not have it as it should"
            ));
        }
        _ => believes(past, draft, node),
    }
}

/// Up to where a message says that its sender's disk equals its receiver's log.
fn acknowledged(message: &Message) -> Option<Index> {
    match message.body {
        Body::AppendEntriesReply(AppendOutcome::Accepted { matched })
        | Body::InstallSnapshotReply { matched } => Some(matched),
        Body::HeartbeatReply { matched, .. } => Some(matched).filter(|index| *index > Index::ZERO),
        _ => None,
    }
}

fn verified(message: &Message) -> Option<Index> {
    match message.body {
        Body::HeartbeatReply { verified, .. } => Some(verified),
        _ => None,
    }
}

/// A node acknowledges what its disk has not, or has otherwise than the leader.
fn acknowledges(past: &Past<'_>, draft: &mut Draft, message: &Message, index: Index) {
    let (node, leader, term) = (message.from, message.to, message.term);
    stories::spine(past, draft, past.accused, 2);
    let says = format!("{node} acknowledges the log up to {index} to {leader} in {term}");
    draft.fact(past.accused, past.at(past.accused), says);
    let own = past.logs(node, past.accused);
    let theirs = past.logs(leader, past.accused);
    if let Some(entry) = own.memory.get(&index).filter(|entry| own.disk.get(&index) != Some(entry))
    {
        let durable = stories::entry(past, draft, node, *entry);
        let under_way = past.write_of(node, *entry).map(|(id, _)| past.fate(id));
        let why = match under_way {
            Some(Fate::UnderWay) if !durable => "the write that brings it is still under way",
            _ => "its disk has another or none there",
        };
        return draft.cause(format!(
            "{node} acknowledges {entry} to {leader} before it is durable: {why}, and a crash now \
             would lose what {leader} may count on"
        ));
    }
    let parted =
        own.disk.iter().find(|(at, id)| theirs.memory.get(at).is_some_and(|has| has != *id));
    let Some((at, has)) = parted else {
        let last = own.on_disk(index);
        return draft.cause(format!(
            "{node} acknowledges {index} to {leader} in {term}, and its disk {last}"
        ));
    };
    stories::entry(past, draft, node, *has);
    if let Some(theirs) = theirs.memory.get(at) {
        stories::entry(past, draft, leader, *theirs);
    }
    let leads =
        theirs.memory.get(at).map_or_else(String::new, |id| format!(", where {leader} has {id}"));
    draft.cause(format!(
        "{node} acknowledges the log up to {index} to {leader}, but its own log parts from that: \
         it has {has}{leads}"
    ));
}

/// A leader counts on what a peer did not say, or its disk.
fn counts(past: &Past<'_>, draft: &mut Draft, node: NodeId) {
    let Some(step) = past.step(past.accused) else { return };
    stories::spine(past, draft, step, 2);
    let Some((_, message)) = past.message_of(step) else {
        return believes(past, draft, node);
    };
    let peer = message.from;
    let term = past.after(step).map_or(message.term, |now| now.term);
    let said = past.all().rev().find(|(_, event)| {
        event.message().is_some_and(|said| {
            said.from == peer
                && said.to == node
                && said.term == term
                && acknowledged(said).is_some()
        })
    });
    let said = match said {
        Some((id, event)) => {
            let upto = event.message().and_then(acknowledged).unwrap_or_default();
            let says = format!("{peer} last acknowledged {upto} to {node} in {term}");
            draft.fact(id, past.at(id), says);
            format!("{peer} acknowledged no more than {upto} in {term}")
        }
        None => format!("{peer} has acknowledged nothing in {term}"),
    };
    draft.cause(format!(
        "{node} leads {term} and takes {}: it counts on more than was said, for {said}",
        crate::explain::phrases::message(message)
    ));
}

/// A node starts as something else than its disk had.
fn restarts(past: &Past<'_>, draft: &mut Draft, node: NodeId) {
    let Some(now) = past.after(past.accused) else { return };
    stories::troubles(past, draft, node, before_last_fall(past, node));
    let promised = past.of(node).rev().find_map(|(id, event)| match &event.what {
        What::Submitted(write) if matches!(past.fate(id), Fate::Durable(_)) => {
            Some((id, write.hard_state?))
        }
        _ => None,
    });
    if let Some((id, hard)) = promised.filter(|(_, hard)| *hard != now.hard_state()) {
        let shown = |term, vote: Option<NodeId>| match vote {
            Some(vote) => format!("{term} with a vote for {vote}"),
            None => format!("{term} without a vote"),
        };
        let (had, has) = (shown(hard.term, hard.vote), shown(now.term, now.vote));
        draft.fact(id, past.at(id), format!("{node} gives {had} to its disk"));
        stories::fate(past, draft, id, &format!("the write with {had}"));
        return draft.cause(format!(
            "{node}'s disk has {had}, and yet {node} starts in {has}: it has forgotten what it \
             promised, and could promise something else"
        ));
    }
    let logs = past.logs(node, past.accused);
    let last = logs.disk.last_key_value().map_or(logs.snapshot, |(_, id)| *id);
    draft
        .cause(format!("{node} starts with a log to {}, and its disk has one to {last}", now.last));
}

/// What a node did before it last fell.
fn before_last_fall(past: &Past<'_>, node: NodeId) -> EventId {
    let fall = past.of(node).rev().find(|(_, event)| matches!(event.what, What::Fell { .. }));
    fall.map_or(EventId(0), |(id, _)| EventId(id.0 - 1))
}

/// A node believes of its disk what is not so.
fn believes(past: &Past<'_>, draft: &mut Draft, node: NodeId) {
    troubles_of_disk(past, draft, node);
    stories::spine(past, draft, past.accused, 2);
    let logs = past.logs(node, past.accused);
    let last = logs.disk.last_key_value().map_or(logs.snapshot, |(_, id)| *id);
    let now = past.after(past.accused);
    let says = now.map_or_else(String::new, |now| {
        format!(": it says {} is durable, in a log to {}", now.durable, now.last)
    });
    let late: Vec<EventId> = past
        .of(node)
        .filter(|(id, event)| {
            matches!(event.what, What::Submitted(_)) && past.fate(*id) == Fate::UnderWay
        })
        .map(|(id, _)| id)
        .collect();
    for id in late.iter().rev().take(3) {
        if let What::Submitted(write) = &past.event(*id).what {
            let what = past.event(*id).what.to_string();
            draft.fact(
                *id,
                past.at(*id),
                format!("{node} {what}; {} is not durable yet", write.id),
            );
        }
    }
    draft.cause(format!("{node}'s memory and its disk, which has a log to {last}, part{says}"));
}

/// What befell the disk of a node, the last few things.
fn troubles_of_disk(past: &Past<'_>, draft: &mut Draft, node: NodeId) {
    let failed = past.of(node).rev().filter_map(|(id, event)| match &event.what {
        What::DiskFailed(words) => Some((id, format!("{node}'s disk fails: {words}"))),
        What::Fell { at_stake, kept } if *at_stake > 0 => {
            Some((id, format!("{node} falls; {kept} of {at_stake} things under way survive")))
        }
        _ => None,
    });
    for (id, says) in failed.take(4) {
        draft.fact(id, past.at(id), says);
    }
}
