//! Explanations of wrong results of client operations: S18 to S21.

use quorate::types::{Body, EntryId, Freshness, Index, NodeId, ReadLevel};

use crate::explain::explanation::Draft;
use crate::explain::facts;
use crate::explain::history::History;
use crate::explain::phrases;
use crate::record::{EventId, EventKind};
use crate::workload::request::OpId;

pub(super) fn explain(history: &History<'_>, draft: &mut Draft) {
    match &history.event(history.failing).kind {
        EventKind::Served { op, index, applied, freshness, .. } => {
            serves_stale_read(history, draft, *op, *index, *applied, *freshness);
        }
        EventKind::Replied { op, .. } | EventKind::Rejected { op, .. } => {
            wrong_outcome(history, draft, *op)
        }
        EventKind::Applied { executed, .. } => applied_twice(history, draft, executed),
        EventKind::Sent(_) => forwarded_read(history, draft),
        _ => commits(history, draft),
    }
}

/// Explains the commit of a command that was rejected or is already committed.
fn commits(history: &History<'_>, draft: &mut Draft) {
    facts::causal_steps(history, draft, history.failing, 2);
    let Some((step, now)) =
        history.step_of(history.failing).and_then(|id| Some((id, history.state_after(id)?)))
    else {
        return;
    };
    let node = now.id;
    let log = history.logs(node, step).memory;
    let from = history.state_before(step).map_or(Index::ZERO, |before| before.committed);
    for (index, entry) in log.iter().filter(|(index, _)| from < **index && **index <= now.committed)
    {
        let Some(op) = history.operation_of(*entry) else { continue };
        let rejected = history.all().find_map(|(id, event)| match &event.kind {
            EventKind::Rejected { op: one, reason } if *one == op => Some((id, *reason)),
            _ => None,
        });
        let places = history.entries_of(op);
        let earlier = places
            .iter()
            .find(|(_, one)| one.index < *index && history.committed_at(one.index) == Some(*one));
        if rejected.is_none() && earlier.is_none() {
            continue;
        }
        operation_facts(history, draft, op);
        place_facts(history, draft, op);
        let number = op.0;
        let cause = match (rejected, earlier) {
            (Some((id, reason)), _) => format!(
                "{} ({reason}), but its command stayed in the log as entry {entry} and is now \
                 committed: a node must not reject a command that may still be committed",
                rejects(history, draft, op, id)
            ),
            (None, Some((_, first))) => format!(
                "the command of operation {number} is committed twice: as entry {first} and as \
                 entry {entry}"
            ),
            (None, None) => String::new(),
        };
        return draft.cause(cause);
    }
}

/// Describes in a clause which node rejected an operation, and in which step; the step becomes a
/// fact. `rejection` is the client's event; the node is the last one that answered an attempt of
/// the operation before it.
fn rejects(history: &History<'_>, draft: &mut Draft, op: OpId, rejection: EventId) -> String {
    let is_of_op = |request: EventId| {
        let kind = &history.event(request).kind;
        matches!(kind, EventKind::RequestReceived { op: Some(one), .. } if *one == op)
    };
    let answers = history.all().rev().filter(|(id, event)| {
        let answers = matches!(event.kind, EventKind::RequestAnswered { .. });
        *id < rejection && answers && event.cause.is_some_and(is_of_op)
    });
    let mut steps = answers.filter_map(|(id, event)| Some((history.step_of(id)?, event.node?)));
    let number = op.0;
    let Some((step, node)) = steps.next() else {
        return format!("the client received a rejection of operation {number}");
    };
    let (before, after) = (history.state_before(step), history.state_after(step));
    let changed = before.zip(after).filter(|(before, after)| before.role != after.role);
    let takes = phrases::step(history, step);
    let does = match changed {
        Some((_, after)) => format!("{takes} and becomes {}", phrases::role(after)),
        None => takes,
    };
    draft.fact(step, history.at(step), format!("{node} {does}"));
    format!("{node} rejected operation {number} when it {does}")
}

/// Adds the events of an operation: its invocation, its attempts and its outcome. Returns the
/// invocation.
fn operation_facts(history: &History<'_>, draft: &mut Draft, op: OpId) -> Option<EventId> {
    let mut begun = None;
    for (id, event) in history.all() {
        let number = op.0;
        let sentence = match &event.kind {
            EventKind::Invoked { op: one, level, .. } if *one == op => {
                begun = begun.or(Some(id));
                match level {
                    None => format!("a client invokes operation {number}, a command"),
                    Some(ReadLevel::Linearizable) => {
                        format!("a client invokes operation {number}, a linearizable read")
                    }
                    Some(level) => {
                        format!("a client invokes operation {number}, a read ({level})")
                    }
                }
            }
            EventKind::RequestReceived { client, op: Some(one), .. } if *one == op => {
                let node = event.node.map_or_else(String::new, |node| node.to_string());
                format!("client {client} sends operation {number} to {node}")
            }
            EventKind::Replied { op: one, id, .. } if *one == op => {
                let node = event.node.map_or_else(String::new, |node| node.to_string());
                format!(
                    "{node} replies to the client that operation {number} is complete with entry \
                     {id}"
                )
            }
            EventKind::Served { op: one, applied, .. } if *one == op => {
                let node = event.node.map_or_else(String::new, |node| node.to_string());
                format!("{node} answers operation {number} with its state after index {applied}")
            }
            EventKind::Rejected { op: one, reason } if *one == op => {
                format!("the client receives a rejection of operation {number}: {reason}")
            }
            EventKind::Unknown(one) if *one == op => {
                format!("the client never receives an outcome of operation {number}")
            }
            _ => continue,
        };
        draft.fact(id, event.own_at, sentence);
    }
    begun
}

/// Explains an answer to a read from a stale or a wrong state.
fn serves_stale_read(
    history: &History<'_>,
    draft: &mut Draft,
    op: OpId,
    index: Index,
    applied: Index,
    freshness: Freshness,
) {
    let Some(node) = history.node() else { return };
    let begun = operation_facts(history, draft, op);
    let read = read_phrase(history, draft, node, op);
    let last = begun.and_then(|begun| completed_before(history, begun, freshness));
    if let Some(step) = history.step_of(history.failing) {
        facts::step(history, draft, step);
    }
    let now = history.state_after(history.failing);
    recent_elections(history, draft, node, begun);
    if let Some((done, other, id, executed)) = last.filter(|(.., at)| *at > applied) {
        let sentence = format!("a client receives the reply to operation {} at {id}", other.0);
        draft.fact(done, history.at(done), sentence);
        let role = now.map_or_else(String::new, |now| format!(", {},", phrases::role(now)));
        return draft.cause(format!(
            "{node}{role} answers {read} with its state after index {applied}, but \
             operation {}, completed at index {} before the read began, is missing from that \
             state: the answer is stale although its stated freshness is `{freshness}`",
            other.0, executed
        ));
    }
    if applied < index {
        return draft.cause(format!(
            "{node} answers {read} with its state after index {applied}, but the read \
             index is {index}: its state machine has not applied that index yet"
        ));
    }
    // An answer of a lower freshness may be older than the last commits.
    let begun = begun.filter(|_| freshness == Freshness::Linearizable);
    let won = begun.and_then(|begun| {
        let elections = history.elections();
        let term = now?.term;
        elections.into_iter().rfind(|(id, _, won)| *id < begun && *won > term)
    });
    if let Some((_, rival, won)) = won {
        let term = now.map(|now| now.term).unwrap_or_default();
        facts::blocked_link(history, draft, [node, rival]);
        return draft.cause(format!(
            "{node} answers {read} in term {term} with the stated freshness `{freshness}`, \
             but {rival} had won term {won} before the read began and may have committed newer \
             commands: {}",
            heard_since(history, node, op)
        ));
    }
    let high = begun.and_then(|begun| highest_commit_before(history, begun));
    if let Some((committed, id)) = high.filter(|(committed, _)| *committed > applied) {
        let by = history.event(id).node.map_or_else(String::new, |node| node.to_string());
        draft.fact(id, history.at(id), format!("{by} commits index {committed}"));
        return draft.cause(format!(
            "{node} answers {read} with its state after index {applied} and the stated \
             freshness `{freshness}`, but index {committed} was committed before the read began: \
             {}",
            heard_since(history, node, op)
        ));
    }
    let wrong_state = format!(
        "{node} answers {read} with its state after index {applied}, read index {index} \
         and the stated freshness `{freshness}`, but the expected state is a different one"
    );
    draft.cause(named_cause(history).unwrap_or(wrong_state));
}

/// Describes a read by its level and number: `linearizable read 358`, `read 358 (by replica)`. If
/// a follower may have answered it under a read lease, adds the last grant of one.
fn read_phrase(history: &History<'_>, draft: &mut Draft, node: NodeId, op: OpId) -> String {
    let number = op.0;
    let level = history.all().find_map(|(_, event)| match event.kind {
        EventKind::Invoked { op: one, level, .. } if one == op => level,
        _ => None,
    });
    if level == Some(ReadLevel::Replica) {
        let grant = history.events_of(node).rev().find(|(id, _)| {
            let message = history.message_of(*id).map(|(_, message)| &message.body);
            matches!(message, Some(Body::Heartbeat(it)) if !it.read_lease.is_zero())
        });
        grant.into_iter().for_each(|(id, _)| facts::step(history, draft, id));
    }
    match level {
        None => format!("read {number}"),
        Some(ReadLevel::Linearizable) => format!("linearizable read {number}"),
        Some(level) => format!("read {number} ({level})"),
    }
}

/// The finding about an answer, if it says that the read index or the freshness is wrong: the state
/// that the answer comes from may be right.
fn named_cause(history: &History<'_>) -> Option<String> {
    let finding = &history.violation()?.finding;
    let is_named = finding.contains(" at read index ")
        || finding.contains("which does not satisfy that level");
    is_named.then(|| finding.clone())
}

/// Describes in a clause whether the node received a message from another node between the request
/// and its answer.
fn heard_since(history: &History<'_>, node: NodeId, op: OpId) -> String {
    let request = history
        .events_of(node)
        .rev()
        .find(|(_, event)| {
            matches!(event.kind, EventKind::RequestReceived { op: Some(one), .. } if one == op)
        });
    let request = request.map_or(history.failing, |(id, _)| id);
    let heard =
        history.events_of(node).any(|(id, _)| id > request && history.message_of(id).is_some());
    match heard {
        false => format!(
            "{node} received no message from another node between the request and the answer"
        ),
        true => format!(
            "{node} received messages from other nodes between the request and the answer, but it \
             answered without the newer commands"
        ),
    }
}

/// The highest index that was committed before an event, with the event of its first commit.
fn highest_commit_before(history: &History<'_>, begun: EventId) -> Option<(Index, EventId)> {
    let earlier = history.all().take_while(|(id, _)| *id < begun);
    let commits = earlier.filter_map(|(id, _)| Some((history.state_after(id)?.committed, id)));
    commits.max_by_key(|(committed, id)| (*committed, std::cmp::Reverse(*id)))
}

/// Returns the last command, in log order, that a read with this freshness must see if it began in
/// event `begun`: the event of the command's reply, its operation, the entry that the reply names,
/// and the index at which the command was executed.
fn completed_before(
    history: &History<'_>,
    begun: EventId,
    freshness: Freshness,
) -> Option<(EventId, OpId, EntryId, Index)> {
    let until = match freshness {
        Freshness::Linearizable => history.at(begun),
        Freshness::Within(age) => history.at(begun).before(age),
        Freshness::Unknown => return None,
    };
    let replied = history.all().take_while(|(id, event)| *id < begun && event.at <= until);
    let replied = replied.filter_map(|(id, event)| match event.kind {
        EventKind::Replied { op, id: entry, .. } => Some((id, op, entry)),
        _ => None,
    });
    let mut replied: Vec<(EventId, OpId, EntryId)> = replied.collect();
    replied.sort_by_key(|(.., entry)| std::cmp::Reverse(entry.index));
    let mut highest: Option<(EventId, OpId, EntryId, Index)> = None;
    for (id, op, entry) in replied {
        // A command is executed at the entry of its reply or before.
        if highest.is_some_and(|(.., at)| at >= entry.index) {
            break;
        }
        let at = executed_at(history, op, entry);
        if highest.is_none_or(|(.., highest)| highest < at) {
            highest = Some((id, op, entry, at));
        }
    }
    highest
}

/// The index at which the command of an operation was executed first; `reply` is the entry of one
/// of its attempts.
fn executed_at(history: &History<'_>, op: OpId, reply: EntryId) -> Index {
    let places = history.entries_of(op).into_iter().map(|(_, entry)| entry);
    let places = places.filter(|entry| {
        entry.index < reply.index && history.committed_at(entry.index) == Some(*entry)
    });
    places.map(|entry| entry.index).min().unwrap_or(reply.index)
}

/// Adds the latest elections, and the first commit of the node's last term as leader.
fn recent_elections(
    history: &History<'_>,
    draft: &mut Draft,
    node: NodeId,
    begun: Option<EventId>,
) {
    let elections = history.elections();
    let own = elections.iter().rfind(|(_, leader, _)| *leader == node);
    for (id, leader, term) in elections.iter().rev().take(2).chain(own) {
        if begun.is_none_or(|begun| *id < begun) || *leader == node {
            draft.fact(*id, history.at(*id), format!("{leader} wins term {term}"));
        }
    }
    if let Some((id, _, term)) = own {
        let first = history.events_of(node).find(|(at, _)| {
            history
                .state_after(*at)
                .is_some_and(|now| now.term == *term && now.committed > now.base)
                && *at > *id
                && history.state_before(*at).is_some_and(|was| {
                    was.committed
                        < history.state_after(*at).map_or(Index::ZERO, |now| now.committed)
                })
        });
        if let Some((at, _)) = first {
            let index = history.state_after(at).map(|now| now.committed).unwrap_or_default();
            draft.fact(
                at,
                history.at(at),
                format!("{node} commits index {index}, its first commit in term {term}"),
            );
        }
    }
}

/// Explains a wrong outcome of a command.
fn wrong_outcome(history: &History<'_>, draft: &mut Draft, op: OpId) {
    operation_facts(history, draft, op);
    place_facts(history, draft, op);
    let number = op.0;
    let entries = history.entries_of(op);
    let committed: Vec<String> = entries
        .iter()
        .filter(|(_, entry)| history.committed_at(entry.index) == Some(*entry))
        .map(|(_, entry)| entry.to_string())
        .collect();
    let kind = &history.event(history.failing).kind;
    let cause = match (kind, committed.as_slice()) {
        (EventKind::Rejected { reason, .. }, [.., at]) => format!(
            "{} ({reason}), but its command is committed as entry {at} and will be executed",
            rejects(history, draft, op, history.failing)
        ),
        (EventKind::Rejected { .. }, []) => return,
        (EventKind::Replied { id, .. }, []) => format!(
            "the client receives the reply that operation {number} is complete with entry {id}, \
             but that entry is not committed and may be lost"
        ),
        (EventKind::Replied { id, .. }, places) if !places.contains(&id.to_string()) => format!(
            "the client receives the reply that operation {number} is complete with entry {id}, \
             but another entry is committed at that index; its command is at {}",
            places.join(" and ")
        ),
        _ => return,
    };
    draft.cause(cause);
}

/// Adds the log entries of an operation's command and their commits.
fn place_facts(history: &History<'_>, draft: &mut Draft, op: OpId) {
    for (id, entry) in history.entries_of(op) {
        let node = history.event(id).node.map_or_else(String::new, |node| node.to_string());
        draft.fact(
            id,
            history.at(id),
            format!("{node} writes the command to its log as entry {entry}"),
        );
        if history.committed_at(entry.index) == Some(entry)
            && let Some((step, by)) = history.first_commit(entry.index)
        {
            draft.fact(step, history.at(step), format!("{by} commits entry {entry}"));
        }
    }
}

/// Explains a command that is executed twice.
fn applied_twice(history: &History<'_>, draft: &mut Draft, executed: &[(Index, u64)]) {
    let Some(node) = history.node() else { return };
    let entry = |index: &Index| history.committed_at(*index);
    for (index, _) in executed {
        let Some(op) = entry(index).and_then(|entry| history.operation_of(entry)) else { continue };
        let places: Vec<_> = history.entries_of(op).into_iter().map(|(_, entry)| entry).collect();
        let first = history.all().find_map(|(id, event)| match &event.kind {
            EventKind::Applied { executed, .. } if id < history.failing => {
                let at = |one: &(Index, u64)| {
                    one.0 < *index && places.iter().any(|place| place.index == one.0)
                };
                executed.iter().find(|one| at(one)).map(|one| (id, one.0))
            }
            _ => None,
        });
        let Some((id, earlier)) = first else { continue };
        operation_facts(history, draft, op);
        place_facts(history, draft, op);
        let by = history.event(id).node.map_or_else(String::new, |node| node.to_string());
        draft.fact(
            id,
            history.at(id),
            format!("{by} executes operation {} at index {earlier}", op.0,),
        );
        let sentence = format!("{node} executes operation {} at index {index}", op.0);
        draft.fact(history.failing, history.at(history.failing), sentence);
        return draft.cause(format!(
            "the client retried operation {}, as the protocol allows, but {node} executes it \
             again: at index {index}, after index {earlier}",
            op.0
        ));
    }
    facts::causal_steps(history, draft, history.failing, 3);
}

/// Explains a reply to a forwarded read with a read index that is too low.
fn forwarded_read(history: &History<'_>, draft: &mut Draft) {
    let Some(message) = history.event(history.failing).message() else { return };
    facts::causal_steps(history, draft, history.failing, 3);
    let (from, to, term) = (message.from, message.to, message.term);
    recent_elections(history, draft, from, None);
    let sentence = format!("{from} answers {to}'s read index request in term {term}");
    draft.fact(history.failing, history.at(history.failing), sentence);
    let later = history.elections().into_iter().rev().find(|(.., won)| *won > term);
    draft.cause(match later {
        Some((_, leader, won)) => format!(
            "{from} answers {to}'s read index request as the leader of term {term}, but {leader} \
             has won term {won}: {from} did not confirm its leadership with a quorum"
        ),
        None => format!(
            "{from} answers {to}'s read index request with an index below that of an operation \
             that was complete before the request"
        ),
    });
}
