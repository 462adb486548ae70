//! Facts that several families of checks use: how a node voted, won an election and received an
//! entry, and whether each was durable.

use std::collections::BTreeMap;

use quorate::raft::{RoleName, Status};
use quorate::types::{Body, EntryId, Index, NodeId, Term};

use crate::explain::explanation::Draft;
use crate::explain::history::{History, WriteOutcome};
use crate::explain::phrases;
use crate::faults::Fault;
use crate::record::{EventId, EventKind, LossReason};

/// Adds an input of a node and, if it is a message, the sending of that message.
pub(super) fn step(history: &History<'_>, draft: &mut Draft, id: EventId) {
    let Some(node) = history.event(id).node else { return };
    draft.fact(id, history.at(id), format!("{node} {}", phrases::step(history, id)));
    if let Some((sending, _)) = history.message_of(id) {
        message_sent(history, draft, sending);
    }
}

/// Adds the message that the node took in the step of the failing event, unless it is already a
/// fact.
pub(super) fn last_taken_message(history: &History<'_>, draft: &mut Draft) {
    let Some(id) = history.step_of(history.failing) else { return };
    if history.message_of(id).is_some() && !draft.has_fact(id) {
        step(history, draft, id);
    }
}

/// Adds the start of the fault that blocked the last lost message between two nodes, if only one
/// operation of the plan that blocks links was under way then.
pub(super) fn blocked_link(history: &History<'_>, draft: &mut Draft, pair: [NodeId; 2]) {
    let [one, other] = pair;
    let mut open: BTreeMap<u32, EventId> = BTreeMap::new();
    let mut blocker = None;
    for (id, event) in history.all() {
        match &event.kind {
            EventKind::PlanOpBegan(op) if blocks_links(history, *op) => {
                open.insert(*op, id);
            }
            EventKind::PlanOpEnded(op) => {
                open.remove(op);
            }
            // From here on, the stabilization phase decides which links are blocked.
            EventKind::Stabilized(_) => break,
            EventKind::Dropped { reason: LossReason::Blocked, .. } => {
                let from = event.cause.and_then(|cause| history.event(cause).node);
                let ends = [from, event.node];
                if ends == [Some(one), Some(other)] || ends == [Some(other), Some(one)] {
                    let only = open.first_key_value().filter(|_| open.len() == 1);
                    blocker = only.map(|(op, id)| (*op, *id));
                }
            }
            _ => {}
        }
    }
    let Some((op, id)) = blocker else { return };
    let verb = &history.record().plan[op as usize].verb;
    let sentence = format!("`{verb}` begins, which blocks messages between {one} and {other}");
    draft.fact(id, history.at(id), sentence);
}

/// Whether an operation of the plan blocks links between nodes.
fn blocks_links(history: &History<'_>, op: u32) -> bool {
    let planned = history.record().plan.get(op as usize);
    let fault = planned.and_then(|planned| planned.verb.fault());
    matches!(fault, Some(Fault::Partition | Fault::OneWay | Fault::Bridge | Fault::Flap))
}

/// Adds the sending of a message, if the event is one.
fn message_sent(history: &History<'_>, draft: &mut Draft, sending: EventId) {
    let event = history.event(sending);
    let Some(message) = event.message() else { return };
    if matches!(event.kind, EventKind::Arrived { .. }) {
        // Only the arrival is recorded, which has its own fact.
        return;
    }
    let sentence = format!("{} sends {} {}", message.from, message.to, own(message));
    draft.fact(sending, history.at(sending), sentence);
}

/// Describes a message in a sentence about its sender: `its RequestVote in term t3 …`.
fn own(message: &quorate::types::Message) -> String {
    let whole = phrases::message(message);
    let possessive = format!("{}'s ", message.from);
    format!("its {}", whole.strip_prefix(&possessive).unwrap_or(&whole))
}

/// Adds every event of a node's vote in a term. Returns true if a write with a vote for `candidate`
/// became durable.
pub(super) fn vote(
    history: &History<'_>,
    draft: &mut Draft,
    node: NodeId,
    term: Term,
    candidate: NodeId,
) -> bool {
    let mut durable = false;
    for (id, write, vote) in history.votes(node, term) {
        let candidate_name = if vote == node { "itself".to_owned() } else { vote.to_string() };
        let sentence = format!(
            "{node} submits its vote for {candidate_name} in term {term} to its disk as write \
                 {}",
            write.id,
        );
        draft.fact(id, history.at(id), sentence);
        let write = format!("write {} with the vote for {candidate_name}", write.id);
        durable |= write_outcome(history, draft, id, &write) && vote == candidate;
    }
    for (id, event) in history.events_of(node) {
        let Some(message) = event.message().filter(|message| message.term == term) else {
            continue;
        };
        let (from, to) = (message.from, message.to);
        if from != node {
            continue;
        }
        if let Body::RequestVoteReply { granted: true, .. } = message.body {
            let sentence = format!("{node} sends {to} its vote in term {term}");
            draft.fact(id, history.at(id), sentence);
        } else if matches!(message.body, Body::RequestVote { .. }) && !draft.has_fact(id) {
            let sentence = format!("{node} requests {to}'s vote in term {term}");
            draft.fact(id, history.at(id), sentence);
        }
    }
    durable
}

/// Adds the outcome of a write. Returns true if the write is on the disk.
pub(super) fn write_outcome(
    history: &History<'_>,
    draft: &mut Draft,
    submission: EventId,
    write: &str,
) -> bool {
    let Some(node) = history.event(submission).node else { return false };
    match history.write_outcome(submission) {
        WriteOutcome::Durable(id) => {
            draft.fact(id, history.at(id), format!("{write} is durable on {node}'s disk"));
            true
        }
        WriteOutcome::Kept(start) => {
            let sentence = format!("{node} restarts, and {write} is on its disk");
            draft.fact(start, history.at(start), sentence);
            true
        }
        WriteOutcome::Lost(crash, start) => {
            let ends = match history.event(crash).kind {
                EventKind::RecordingEnded => format!("{node}'s recording ends"),
                _ => format!("{node} crashes"),
            };
            draft.fact(crash, history.at(crash), format!("{ends} before {write} is durable"));
            if let Some(start) = start {
                let now = history.state_after(start).map_or(String::new(), |now| match now.vote {
                    Some(vote) => format!(" in term {} with a vote for {vote}", now.term),
                    None => format!(" in term {} without a vote", now.term),
                });
                draft.fact(
                    start,
                    history.at(start),
                    format!("{node} restarts{now}, and {write} is lost"),
                );
            }
            false
        }
        WriteOutcome::Pending => false,
    }
}

/// Adds the events of a leader's election in a term. Returns the other nodes whose votes the leader
/// received.
pub(super) fn election(
    history: &History<'_>,
    draft: &mut Draft,
    leader: NodeId,
    term: Term,
) -> Vec<NodeId> {
    let candidacy = history.events_of(leader).find(|(id, _)| {
        let is_candidate = |now: &Status| now.term == term && now.role == RoleName::Candidate;
        history.state_after(*id).is_some_and(is_candidate)
            && !history.state_before(*id).is_some_and(is_candidate)
    });
    if let Some((id, _)) = candidacy {
        let last = history.state_after(id).map_or(EntryId::ZERO, |now| now.last);
        let log = phrases::log_up_to(last);
        let sentence = format!("{leader} becomes a candidate in term {term} with {log}");
        draft.fact(id, history.at(id), sentence);
    }
    let mut voters = Vec::new();
    for (id, from, sending) in history.grants(leader, term) {
        let age = history.record().time_between(sending, id).unwrap_or_default();
        let late = match age.as_millis() > 500 {
            true => format!(", sent at {} s", history.at(sending)),
            false => String::new(),
        };
        let sentence = format!("{leader} receives {from}'s vote in term {term}{late}");
        draft.fact(id, history.at(id), sentence);
        voters.push(from);
    }
    let won =
        history.elections().into_iter().find(|(_, node, won)| (*node, *won) == (leader, term));
    if let Some((id, ..)) = won {
        let membership = history.membership(leader, id);
        let sentence =
            format!("{leader} becomes leader of term {term} with the membership {membership}");
        draft.fact(id, history.at(id), sentence);
    }
    voters
}

/// Adds the write that brought an entry into a node's log. Returns true if the entry became durable
/// on that node.
pub(super) fn entry(
    history: &History<'_>,
    draft: &mut Draft,
    node: NodeId,
    entry: EntryId,
) -> bool {
    let Some((id, write)) = history.write_of(node, entry) else { return false };
    let (first, last) = (write.entries[0].id, write.entries[write.entries.len() - 1].id);
    let entries = phrases::entries(first, last);
    let sentence = format!("{node} submits {entries} to its disk as write {}", write.id);
    draft.fact(id, history.at(id), sentence);
    write_outcome(history, draft, id, &format!("write {} with entry {entry}", write.id))
}

/// Describes the entry that each node's disk holds at an index.
pub(super) fn disks(history: &History<'_>, index: Index, at: EventId) -> String {
    let nodes = &history.record().nodes;
    let has = |node: &NodeId| match history.record().is_recorded(*node, at) {
        true => format!("{node} {}", history.logs(*node, at).on_disk(index)),
        false => format!("{node} is not recorded then"),
    };
    nodes.iter().map(has).collect::<Vec<_>>().join(", ")
}

/// Adds the first commit of an index, with the nodes that had its entry on disk.
pub(super) fn commit(history: &History<'_>, draft: &mut Draft, index: Index) {
    let Some((step, node)) = history.first_commit(index) else { return };
    let entry = history.logs(node, step).memory.get(&index).copied();
    let entry = entry.map_or_else(|| format!("index {index}"), |entry| format!("entry {entry}"));
    let upto = history.state_after(step).map_or(index, |now| now.committed);
    let commits = match upto > index {
        true => format!("commits up to index {upto}, including {entry}"),
        false => format!("commits {entry}"),
    };
    let sentence = format!(
        "{node} {}; {node} then {commits}; {}",
        phrases::step(history, step),
        disks(history, index, step)
    );
    draft.fact(step, history.at(step), sentence);
}

/// Adds up to `steps` inputs that led to an event, following one message to the next.
pub(super) fn causal_steps(history: &History<'_>, draft: &mut Draft, of: EventId, steps: usize) {
    let mut at = history.step_of(of);
    for _ in 0..steps {
        let Some(id) = at else { return };
        step(history, draft, id);
        at = match history.event(id).cause {
            Some(cause) if cause != id => history.step_of(cause).filter(|step| *step != id),
            _ => return,
        };
    }
}

/// Adds the step since which a node has had the role and the term that it has before `step`.
pub(super) fn role_since(history: &History<'_>, draft: &mut Draft, node: NodeId, step: EventId) {
    let Some(now) = history.state_before(step) else { return };
    let own = |id: EventId| {
        history.state_after(id).is_some_and(|then| (then.role, then.term) == (now.role, now.term))
    };
    let earlier = history.events_of(node).rev().skip_while(|(id, _)| *id >= step);
    let Some((id, event)) = earlier.take_while(|(id, _)| own(*id)).last() else { return };
    let verb = match event.kind {
        EventKind::Started { .. } => "starts as".to_owned(),
        _ => format!("{} and becomes", phrases::step(history, id)),
    };
    draft.fact(id, event.at, format!("{node} {verb} {}", phrases::role(now)));
}

/// Adds the submissions of the last `count` writes of a node that are not durable.
pub(super) fn pending_writes(history: &History<'_>, draft: &mut Draft, node: NodeId, count: usize) {
    for (id, write) in history.pending_writes(node).into_iter().rev().take(count) {
        let sentence = format!(
            "{node} submits a write ({}); write {} is not durable yet",
            history.event(id).kind,
            write.id
        );
        draft.fact(id, history.at(id), sentence);
    }
}

/// Adds the crashes, starts, lost disks and pauses of a node after event `since`.
pub(super) fn node_faults(history: &History<'_>, draft: &mut Draft, node: NodeId, since: EventId) {
    for (id, event) in history.events_of(node).filter(|(id, _)| *id > since) {
        let sentence = match &event.kind {
            EventKind::Crashed { not_durable: 0, .. } => format!("{node} crashes"),
            EventKind::Crashed { not_durable, kept } => {
                format!(
                    "{node} crashes; {kept} of {not_durable} unflushed sectors and file names \
                     survive"
                )
            }
            EventKind::Wiped => format!("{node} loses its disk and gets an empty one"),
            EventKind::RolledBack { .. } => {
                format!("{node} gets back an older copy of its disk, and is uncertain")
            }
            EventKind::Paused => format!("{node} is paused"),
            EventKind::Resumed => format!("{node} continues"),
            EventKind::RecordingEnded | EventKind::TookNoStep { .. } => {
                format!("{node} {}", event.kind)
            }
            EventKind::Started { .. } => match history.state_after(id) {
                Some(now) => format!(
                    "{node} starts{} in term {} with {} and commit index {}",
                    if now.is_uncertain { " as an uncertain node" } else { "" },
                    now.term,
                    phrases::log_up_to(now.last),
                    now.committed
                ),
                None => continue,
            },
            _ => continue,
        };
        draft.fact(id, history.at(id), sentence);
    }
}

/// Adds the last inputs before a failure that has no explainer of its own, such as a panic, and the
/// last faults of its node.
pub(super) fn last_steps(history: &History<'_>, draft: &mut Draft) {
    causal_steps(history, draft, history.failing, 5);
    let Some(node) = history.node() else { return };
    let before = history
        .step_of(history.failing)
        .map_or(EventId(1), |id| EventId(id.0.saturating_sub(200).max(1)));
    node_faults(history, draft, node, before);
}
