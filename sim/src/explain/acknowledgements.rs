//! Explanations of acknowledgements, S6, of durable state, S17 and S28, and of uncertain nodes,
//! S38.

use quorate::types::{Body, HardState, Index, Message, NodeId};

use crate::explain::explanation::Draft;
use crate::explain::facts;
use crate::explain::history::{History, WriteOutcome};
use crate::explain::phrases;
use crate::record::{Event, EventId, EventKind};
use crate::values::time::Seconds;

pub(super) fn explain(history: &History<'_>, draft: &mut Draft) {
    let Some(node) = history.node() else { return };
    let event = history.event(history.failing);
    if let Some(message) = event.message() {
        let upto = acknowledged(message).or_else(|| verified(message));
        if let Some(index) = upto {
            return acknowledges(history, draft, message, index);
        }
    }
    match &event.kind {
        EventKind::TookInput(_) if history.check() == Some("S6") => {
            matched_too_far(history, draft, node);
        }
        EventKind::Started { .. } | EventKind::MembershipAdopted(_) => {
            restarts(history, draft, node)
        }
        EventKind::Durable(write) => {
            disk_faults(history, draft, node);
            facts::causal_steps(history, draft, history.failing, 2);
            if history.check() == Some("S17") {
                draft.cause(format!(
                    "{node} treats write {write} as durable, but its disk does not hold the data \
                     of that write"
                ));
            }
        }
        _ => wrong_durable_index(history, draft, node),
    }
}

/// Explains an uncertain node that a quorum counts, or that becomes certain too early: the loss of
/// a part of its disk, and its requests to leaders since then.
pub(super) fn explain_uncertain(history: &History<'_>, draft: &mut Draft) {
    let Some(node) = history.node() else { return };
    let since = before_last_crash(history, node);
    facts::node_faults(history, draft, node, since);
    for (id, event) in history.events_of(node).filter(|(id, _)| *id > since) {
        if let Some(message) = event.message()
            && matches!(message.body, Body::RequestLogEnd { .. })
        {
            let (to, term) = (message.to, message.term);
            let sentence = format!("{node} asks {to} in term {term} for the end of {to}'s log");
            draft.fact(id, event.own_at, sentence);
        }
        if let Some((_, message)) = history.message_of(id)
            && let Body::LogEnd { .. } = message.body
        {
            facts::step(history, draft, id);
        }
    }
    facts::causal_steps(history, draft, history.failing, 2);
}

/// The index up to which a message acknowledges the log of the leader that receives it.
fn acknowledged(message: &Message) -> Option<Index> {
    Some(message.body.acknowledged()).filter(|index| *index > Index::ZERO)
}

fn verified(message: &Message) -> Option<Index> {
    let Body::HeartbeatReply { verified, .. } = message.body else { return None };
    Some(verified)
}

/// Explains an acknowledgement of an entry that is not durable or not equal to the leader's entry.
fn acknowledges(history: &History<'_>, draft: &mut Draft, message: &Message, index: Index) {
    let (node, leader, term) = (message.from, message.to, message.term);
    facts::causal_steps(history, draft, history.failing, 2);
    let sentence =
        format!("{node} acknowledges the log up to index {index} to {leader} in term {term}");
    draft.fact(history.failing, history.at(history.failing), sentence);
    let own = history.logs(node, history.failing);
    let theirs = history.logs(leader, history.failing);
    if let Some(entry) = own.memory.get(&index).filter(|entry| own.disk.get(&index) != Some(entry))
    {
        let durable = facts::entry(history, draft, node, *entry);
        let under_way = history.write_of(node, *entry).map(|(id, _)| history.write_outcome(id));
        let why = match under_way {
            Some(WriteOutcome::Pending) if !durable => "its write is still pending",
            _ => "its disk holds a different entry or none at that index",
        };
        return draft.cause(format!(
            "{node} acknowledges entry {entry} to {leader} before the entry is durable: {why}, so \
             a crash now could lose an entry that {leader} counts as replicated"
        ));
    }
    let mut acknowledged = own.disk.range(..=index);
    let conflict =
        acknowledged.find(|(at, id)| theirs.memory.get(at).is_some_and(|has| has != *id));
    let Some((at, has)) = conflict else {
        if !own.disk.contains_key(&index) && own.snapshot_on_disk.index < index {
            let last = own.on_disk(index);
            draft.cause(format!(
                "{node} acknowledges index {index} to {leader} in term {term}, but it {last}"
            ));
        }
        return;
    };
    facts::entry(history, draft, node, *has);
    if let Some(theirs) = theirs.memory.get(at) {
        facts::entry(history, draft, leader, *theirs);
    }
    let leads = theirs
        .memory
        .get(at)
        .map_or_else(String::new, |id| format!(" where {leader} has entry {id}"));
    draft.cause(format!(
        "{node} acknowledges the log up to index {index} to {leader}, but its log differs from \
         the leader's log: it has entry {has}{leads}"
    ));
}

/// Explains a leader that counts more of a peer's log than the peer acknowledged.
fn matched_too_far(history: &History<'_>, draft: &mut Draft, node: NodeId) {
    let Some(step) = history.step_of(history.failing) else { return };
    facts::causal_steps(history, draft, step, 2);
    let Some((_, message)) = history.message_of(step) else {
        return wrong_durable_index(history, draft, node);
    };
    let peer = message.from;
    let term = history.state_after(step).map_or(message.term, |now| now.term);
    let acknowledgement = history.all().rev().find(|(_, event)| {
        event.message().is_some_and(|acknowledgement| {
            acknowledgement.from == peer
                && acknowledgement.to == node
                && acknowledgement.term == term
                && acknowledged(acknowledgement).is_some()
        })
    });
    let acknowledgement = match acknowledgement {
        Some((id, event)) => {
            let upto = event.message().and_then(acknowledged).unwrap_or_default();
            let sentence = format!(
                "{peer} sends {node} its last acknowledgement in term {term}, up to index {upto}"
            );
            draft.fact(id, history.at(id), sentence);
            format!("{peer} acknowledged only index {upto} in term {term}")
        }
        None => format!("{peer} acknowledged nothing in term {term}"),
    };
    draft.cause(format!(
        "{node} leads term {term}, receives {} and counts more of {peer}'s log than {peer} \
         acknowledged: {acknowledgement}",
        phrases::message(message)
    ));
}

/// Explains a node that starts with another term, vote or log than its disk held.
fn restarts(history: &History<'_>, draft: &mut Draft, node: NodeId) {
    let Some(now) = history.state_after(history.failing) else { return };
    facts::node_faults(history, draft, node, before_last_crash(history, node));
    let is_this_disk = |(_, event): &(EventId, &Event)| {
        !matches!(event.kind, EventKind::RolledBack { .. } | EventKind::Wiped)
    };
    let mut of_this_disk = history.events_of(node).rev().take_while(is_this_disk);
    let durable = of_this_disk.find_map(|(id, event)| match &event.kind {
        EventKind::Submitted(write) => {
            let outcome = history.write_outcome(id);
            let is_on_disk = matches!(outcome, WriteOutcome::Durable(_) | WriteOutcome::Kept(_));
            Some((id, write.hard_state.filter(|_| is_on_disk)?))
        }
        _ => None,
    });
    // Damage may make a node uncertain, which explains nothing else.
    let finding = history.violation().map_or("", |violation| violation.finding.as_str());
    let is_named = |hard: &HardState| {
        hard.is_uncertain == now.is_uncertain || finding.contains("marked as uncertain")
    };
    let differs = |hard: &HardState| *hard != now.hard_state() && is_named(hard);
    if let Some((id, hard)) = durable.filter(|(_, hard)| differs(hard)) {
        let describe = |state: HardState| match state.vote {
            Some(vote) => format!("term {} and a vote for {vote}", state.term),
            None => format!("term {} and no vote", state.term),
        };
        let now = now.hard_state();
        let (had, has) = (describe(hard), describe(now));
        draft.fact(id, history.at(id), format!("{node} submits {had} to its disk"));
        facts::write_outcome(history, draft, id, &format!("the write with {had}"));
        let a_node =
            |is_uncertain| if is_uncertain { "an uncertain node" } else { "a certain node" };
        return draft.cause(match (hard.is_uncertain == now.is_uncertain, had == has) {
            (false, _) => format!(
                "{node} starts as {} with {has} although its disk held {had} of {}",
                a_node(now.is_uncertain),
                a_node(hard.is_uncertain)
            ),
            (true, true) => format!(
                "{node} starts with a vote lease of {} s although its disk held one of {} s",
                Seconds(now.vote_lease),
                Seconds(hard.vote_lease)
            ),
            (true, false) => format!(
                "{node} starts with {has} although its disk held {had}, so it could vote again in \
                 a term in which it has already voted"
            ),
        });
    }
    let logs = history.logs(node, history.failing);
    let last = logs.last_on_disk();
    if now.last != last {
        draft.cause(format!(
            "{node} starts with {}, but its disk held {}",
            phrases::log_up_to(now.last),
            phrases::log_up_to(last)
        ));
    }
}

/// The last event before the node's last crash.
fn before_last_crash(history: &History<'_>, node: NodeId) -> EventId {
    let crash = history
        .events_of(node)
        .rev()
        .find(|(_, event)| matches!(event.kind, EventKind::Crashed { .. }));
    crash.map_or(EventId(0), |(id, _)| EventId(id.0 - 1))
}

/// Explains a node whose status disagrees with its disk.
fn wrong_durable_index(history: &History<'_>, draft: &mut Draft, node: NodeId) {
    disk_faults(history, draft, node);
    facts::causal_steps(history, draft, history.failing, 2);
    let logs = history.logs(node, history.failing);
    let last = logs.last_on_disk();
    let now = history.state_after(history.failing);
    let sentence = now.map_or_else(String::new, |now| {
        format!("; the node reports index {} as durable in a log up to {}", now.durable, now.last)
    });
    facts::pending_writes(history, draft, node, 3);
    if history.check() == Some("S17") {
        draft.cause(format!(
            "{node}'s memory differs from its disk, which has {}{sentence}",
            phrases::log_up_to(last)
        ));
    }
}

/// Adds the last failures and crashes of a node's disk to the facts.
fn disk_faults(history: &History<'_>, draft: &mut Draft, node: NodeId) {
    let failed = history.events_of(node).rev().filter_map(|(id, event)| match &event.kind {
        EventKind::DiskFailed(words) => Some((id, format!("{node}'s disk fails: {words}"))),
        EventKind::Crashed { not_durable, kept } if *not_durable > 0 => Some((
            id,
            format!(
                "{node} crashes; {kept} of {not_durable} unflushed sectors and file names survive"
            ),
        )),
        _ => None,
    });
    for (id, sentence) in failed.take(4) {
        draft.fact(id, history.at(id), sentence);
    }
}
