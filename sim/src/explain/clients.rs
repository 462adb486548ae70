//! What clients are told: S18 to S21.

use quorate::raft::RoleName;
use quorate::types::{Freshness, Index, NodeId, ReadLevel};

use crate::explain::past::Past;
use crate::explain::stories;
use crate::explain::telling::Draft;
use crate::record::{EventId, What};
use crate::request::OpId;

pub(super) fn tell(past: &Past<'_>, draft: &mut Draft) {
    match &past.event(past.accused).what {
        What::Served { op, index, applied, freshness, .. } => {
            serves(past, draft, *op, (*index, *applied), *freshness);
        }
        What::Replied { op, .. } | What::Rejected { op, .. } => ends(past, draft, *op),
        What::Applied { executed, .. } => carries_out(past, draft, executed),
        What::Sent(_) => forwards(past, draft),
        _ => commits(past, draft),
    }
}

/// A step commits the command of an operation that was not to happen, or not again.
fn commits(past: &Past<'_>, draft: &mut Draft) {
    stories::spine(past, draft, past.accused, 2);
    let Some((step, now)) = past.step(past.accused).and_then(|id| Some((id, past.after(id)?)))
    else {
        return;
    };
    let node = now.id;
    let log = past.logs(node, step).memory;
    let from = past.before(step).map_or(Index::ZERO, |before| before.committed);
    for (index, entry) in log.iter().filter(|(index, _)| from < **index && **index <= now.committed)
    {
        let Some(op) = past.operation_of(*entry) else { continue };
        let rejected = past.all().find_map(|(_, event)| match &event.what {
            What::Rejected { op: one, reason } if *one == op => Some(*reason),
            _ => None,
        });
        let places = past.entries_of(op);
        let earlier = places
            .iter()
            .find(|(_, one)| one.index < *index && past.committed_at(one.index) == Some(*one));
        if rejected.is_none() && earlier.is_none() {
            continue;
        }
        operation(past, draft, op);
        self::places(past, draft, op);
        let number = op.0;
        return draft.cause(match (rejected, earlier) {
            (Some(reason), _) => format!(
                "the client was told that operation {number} had no effect ({reason}), but its \
                 command stayed in the log as {entry} and is committed after all: nobody could \
                 know that when it was told"
            ),
            (None, Some((_, first))) => format!(
                "the command of operation {number} is committed twice, as {first} and as {entry}"
            ),
            (None, None) => String::new(),
        });
    }
}

/// The way of an operation: where it began, where it was asked for, what its client was told.
fn operation(past: &Past<'_>, draft: &mut Draft, op: OpId) -> Option<EventId> {
    let mut begun = None;
    for (id, event) in past.all() {
        let number = op.0;
        let says = match &event.what {
            What::Invoked { op: one, level } if *one == op => {
                begun = begun.or(Some(id));
                match level {
                    None => format!("a client begins operation {number}, a command"),
                    Some(ReadLevel::Linearizable) => {
                        format!("a client begins operation {number}, a linearizable read")
                    }
                    Some(level) => format!("a client begins operation {number}, a read, {level}"),
                }
            }
            What::Asked { client, op: Some(one), .. } if *one == op => {
                let node = event.node.map_or_else(String::new, |node| node.to_string());
                format!("client {client} asks {node} for operation {number}")
            }
            What::Replied { op: one, id, .. } if *one == op => {
                let node = event.node.map_or_else(String::new, |node| node.to_string());
                format!("{node} tells the client that operation {number} is done, by {id}")
            }
            What::Served { op: one, applied, .. } if *one == op => {
                let node = event.node.map_or_else(String::new, |node| node.to_string());
                format!("{node} answers operation {number} with its state after {applied}")
            }
            What::Rejected { op: one, reason } if *one == op => {
                format!("the client is told that operation {number} had no effect: {reason}")
            }
            What::Unknown(one) if *one == op => {
                format!("the client is told that nobody knows what became of operation {number}")
            }
            _ => continue,
        };
        draft.fact(id, event.at, says);
    }
    begun
}

/// A read is answered with a state that is too old, or not the committed one.
fn serves(
    past: &Past<'_>,
    draft: &mut Draft,
    op: OpId,
    (index, applied): (Index, Index),
    freshness: Freshness,
) {
    let Some(node) = past.node() else { return };
    let begun = operation(past, draft, op);
    let number = op.0;
    let last = begun.and_then(|begun| done_before(past, begun));
    if let Some(step) = past.step(past.accused) {
        stories::step(past, draft, step);
    }
    let role = past.after(past.accused).map(|now| (now.role, now.term));
    leader_since(past, draft, node, begun);
    if let Some((done, other, id)) = last.filter(|(.., id)| id.index > applied) {
        let says =
            format!("a client has been told by now that operation {} is done, by {id}", other.0);
        draft.fact(done, past.at(done), says);
        let who = role.map_or_else(String::new, |(role, term)| match role {
            RoleName::Leader => format!(", which takes itself for the leader of {term},"),
            role => format!(", a {role} in {term},"),
        });
        return draft.cause(format!(
            "{node}{who} answers read {number} with its state after {applied}, but operation {}, \
             done at {} before the read began, is missing in that: the answer is older than the \
             read, and says it is {freshness}",
            other.0, id.index
        ));
    }
    if applied < index {
        return draft.cause(format!(
            "{node} answers read {number} with its state after {applied}, though the read was to \
             wait for {index}: its state machine has not applied that yet"
        ));
    }
    let won = begun.and_then(|begun| {
        let elections = past.elections();
        let term = role.map(|(_, term)| term)?;
        elections.into_iter().rfind(|(id, _, won)| *id < begun && *won > term)
    });
    if let Some((_, rival, won)) = won {
        let term = role.map(|(_, term)| term).unwrap_or_default();
        return draft.cause(format!(
            "{node} answers read {number} in {term}, {freshness}, though {rival} had won {won} \
             before the read began, and may have changed what is asked for: {}",
            how_it_knew(past, node, op)
        ));
    }
    let high = past.all().filter(|(id, _)| begun.is_none_or(|begun| *id < begun));
    let high = high.filter_map(|(id, _)| Some((past.after(id)?.committed, id)));
    let high = high.max_by_key(|(committed, id)| (*committed, std::cmp::Reverse(*id)));
    if let Some((committed, id)) = high.filter(|(committed, _)| *committed > applied) {
        let by = past.event(id).node.map_or_else(String::new, |node| node.to_string());
        draft.fact(id, past.at(id), format!("{by} commits {committed}"));
        return draft.cause(format!(
            "{node} answers read {number} with its state after {applied}, and says that it is \
             {freshness}, though {committed} was committed before the read began: {}",
            how_it_knew(past, node, op)
        ));
    }
    draft.cause(format!(
        "{node} answers read {number} with its state after {applied}, having waited for {index}, \
         and says that it is {freshness}: another state was due"
    ));
}

/// What the node did to make sure, between the question and the answer.
fn how_it_knew(past: &Past<'_>, node: NodeId, op: OpId) -> String {
    let asked = past
        .of(node)
        .rev()
        .find(|(_, event)| matches!(event.what, What::Asked { op: Some(one), .. } if one == op));
    let asked = asked.map_or(past.accused, |(id, _)| id);
    let heard = past.of(node).any(|(id, _)| id > asked && past.message_of(id).is_some());
    match heard {
        false => format!("between the question and the answer {node} heard from no other node"),
        true => format!("what {node} heard since the question does not show it"),
    }
}

/// The last command that was reported done before a read began.
fn done_before(
    past: &Past<'_>,
    begun: EventId,
) -> Option<(EventId, OpId, quorate::types::EntryId)> {
    let replied = past.all().filter(|(id, _)| *id < begun).filter_map(|(id, event)| {
        let What::Replied { op, id: entry, .. } = event.what else { return None };
        Some((id, op, entry))
    });
    replied.max_by_key(|(_, _, entry)| entry.index)
}

/// Who has won elections since the node last led, or since it last heard from a leader.
fn leader_since(past: &Past<'_>, draft: &mut Draft, node: NodeId, begun: Option<EventId>) {
    let elections = past.elections();
    let own = elections.iter().rfind(|(_, leader, _)| *leader == node);
    for (id, leader, term) in elections.iter().rev().take(2).chain(own) {
        if begun.is_none_or(|begun| *id < begun) || *leader == node {
            draft.fact(*id, past.at(*id), format!("{leader} wins {term}"));
        }
    }
    if let Some((id, _, term)) = own {
        let first = past.of(node).find(|(at, _)| {
            past.after(*at).is_some_and(|now| now.term == *term && now.committed > now.base)
                && *at > *id
                && past.before(*at).is_some_and(|was| {
                    was.committed < past.after(*at).map_or(Index::ZERO, |now| now.committed)
                })
        });
        if let Some((at, _)) = first {
            let index = past.after(at).map(|now| now.committed).unwrap_or_default();
            draft.fact(
                at,
                past.at(at),
                format!("{node} commits {index}, its first advance in {term}"),
            );
        }
    }
}

/// The outcome of a command is not what happened.
fn ends(past: &Past<'_>, draft: &mut Draft, op: OpId) {
    operation(past, draft, op);
    places(past, draft, op);
    let number = op.0;
    let entries = past.entries_of(op);
    let committed: Vec<String> = entries
        .iter()
        .filter(|(_, entry)| past.committed_at(entry.index) == Some(*entry))
        .map(|(_, entry)| entry.to_string())
        .collect();
    let told = &past.event(past.accused).what;
    draft.cause(match (told, committed.as_slice()) {
        (What::Rejected { reason, .. }, [.., at]) => format!(
            "the client is told that operation {number} had no effect ({reason}), though its \
             command is committed as {at} and will be carried out"
        ),
        (What::Rejected { .. }, []) => {
            format!("operation {number} is rejected though it was not to end so")
        }
        (What::Replied { id, .. }, []) => format!(
            "the client is told that operation {number} is done by {id}, which is not committed: \
             it may be lost"
        ),
        (What::Replied { id, .. }, places) if !places.contains(&id.to_string()) => format!(
            "the client is told that operation {number} is done by {id}, but what is committed \
             there is another; its command is at {}",
            places.join(" and ")
        ),
        (_, places) => format!(
            "operation {number}, whose command is at {}, has an outcome that it cannot have",
            places.join(" and ")
        ),
    });
}

/// Where an operation's command stands in logs, and whether that is committed.
fn places(past: &Past<'_>, draft: &mut Draft, op: OpId) {
    for (id, entry) in past.entries_of(op) {
        let node = past.event(id).node.map_or_else(String::new, |node| node.to_string());
        draft.fact(id, past.at(id), format!("{node} writes its command to the log, as {entry}"));
        if past.committed_at(entry.index) == Some(entry)
            && let Some((step, by)) = past.first_commit(entry.index)
        {
            draft.fact(step, past.at(step), format!("{by} commits {entry}"));
        }
    }
}

/// A command is carried out that was carried out already.
fn carries_out(past: &Past<'_>, draft: &mut Draft, executed: &[(Index, u64)]) {
    let Some(node) = past.node() else { return };
    let entry = |index: &Index| past.committed_at(*index);
    for (index, _) in executed {
        let Some(op) = entry(index).and_then(|entry| past.operation_of(entry)) else { continue };
        let places: Vec<_> = past.entries_of(op).into_iter().map(|(_, entry)| entry).collect();
        let first = past.all().find_map(|(id, event)| match &event.what {
            What::Applied { executed, .. } if id < past.accused => {
                let at = |one: &(Index, u64)| {
                    one.0 < *index && places.iter().any(|place| place.index == one.0)
                };
                executed.iter().find(|one| at(one)).map(|one| (id, one.0))
            }
            _ => None,
        });
        let Some((id, earlier)) = first else { continue };
        operation(past, draft, op);
        self::places(past, draft, op);
        let by = past.event(id).node.map_or_else(String::new, |node| node.to_string());
        draft.fact(id, past.at(id), format!("{by} carries operation {} out at {earlier}", op.0));
        let says = format!("{node} carries operation {} out at {index}", op.0);
        draft.fact(past.accused, past.at(past.accused), says);
        return draft.cause(format!(
            "the client asked for operation {} again, as it may, and the state machines carry it \
             out twice: at {earlier} and at {index}",
            op.0
        ));
    }
    stories::spine(past, draft, past.accused, 3);
}

/// A leader answers forwarded reads with too old an index.
fn forwards(past: &Past<'_>, draft: &mut Draft) {
    let Some(message) = past.event(past.accused).message() else { return };
    stories::spine(past, draft, past.accused, 3);
    let (from, to, term) = (message.from, message.to, message.term);
    leader_since(past, draft, from, None);
    let says = format!("{from} answers the question of {to} for a read index in {term}");
    draft.fact(past.accused, past.at(past.accused), says);
    let later = past.elections().into_iter().rev().find(|(.., won)| *won > term);
    draft.cause(match later {
        Some((_, leader, won)) => format!(
            "{from} answers the reads of {to} as the leader of {term}, though {leader} has won \
             {won}: it did not ask a quorum whether it leads"
        ),
        None => format!(
            "{from} answers the reads of {to} with an index below what was done before they were \
             asked"
        ),
    });
}
