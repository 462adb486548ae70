//! What several families of checks tell: how a node voted, how it won, how it got an entry, and
//! what became of each on its disk.

use quorate::raft::{RoleName, Status};
use quorate::types::{Body, EntryId, Index, NodeId, Term};

use crate::explain::past::{Fate, Past};
use crate::explain::phrases;
use crate::explain::telling::Draft;
use crate::record::{EventId, What};

/// A step of a node, and what it took.
pub(super) fn step(past: &Past<'_>, draft: &mut Draft, id: EventId) {
    let Some(node) = past.event(id).node else { return };
    draft.fact(id, past.at(id), format!("{node} {}", phrases::step(past, id)));
    if let Some((sending, _)) = past.message_of(id) {
        told_by(past, draft, sending);
    }
}

/// A message was sent, some time before it is taken.
fn told_by(past: &Past<'_>, draft: &mut Draft, sending: EventId) {
    let Some(message) = past.event(sending).message() else { return };
    let says = format!("{} sends {} {}", message.from, message.to, own(message));
    draft.fact(sending, past.at(sending), says);
}

/// A message in its sender's mouth: without whose it is.
fn own(message: &quorate::types::Message) -> String {
    let whole = phrases::message(message);
    let possessive = format!("{}'s ", message.from);
    format!("its {}", whole.strip_prefix(&possessive).unwrap_or(&whole))
}

/// Everything that a node did with its vote in a term. Returns whether a write that holds a vote
/// for `candidate` was durable in the end.
pub(super) fn vote(
    past: &Past<'_>,
    draft: &mut Draft,
    node: NodeId,
    term: Term,
    candidate: NodeId,
) -> bool {
    let mut durable = false;
    for (id, write, vote) in past.votes(node, term) {
        let who = if vote == node { "itself".to_owned() } else { vote.to_string() };
        let says =
            format!("{node} gives its vote for {who} in {term} to its disk, as {}", write.id);
        draft.fact(id, past.at(id), says);
        let what = format!("{}, with the vote for {who},", write.id);
        durable |= fate(past, draft, id, &what) && vote == candidate;
    }
    for (id, event) in past.of(node) {
        let Some(message) = event.message().filter(|message| message.term == term) else {
            continue;
        };
        let (from, to) = (message.from, message.to);
        let says = match message.body {
            Body::RequestVoteReply { granted: true } if from == node => {
                format!("{node} sends {to} its vote in {term}")
            }
            Body::RequestVote { .. } if from == node && !draft.tells(id) => {
                format!("{node} asks {to} for its vote in {term}")
            }
            _ => continue,
        };
        draft.fact(id, past.at(id), says);
    }
    durable
}

/// What became of a write. Returns whether it is on the disk.
pub(super) fn fate(past: &Past<'_>, draft: &mut Draft, submission: EventId, what: &str) -> bool {
    let Some(node) = past.event(submission).node else { return false };
    match past.fate(submission) {
        Fate::Durable(id) => {
            draft.fact(id, past.at(id), format!("{what} is durable on {node}'s disk"));
            true
        }
        Fate::Kept(start) => {
            let says = format!("{node} starts again and finds that {what} is on its disk");
            draft.fact(start, past.at(start), says);
            true
        }
        Fate::Lost(fall, start) => {
            draft.fact(fall, past.at(fall), format!("{node} falls before {what} is durable"));
            if let Some(start) = start {
                let now = past.after(start).map_or(String::new(), |now| match now.vote {
                    Some(vote) => format!(" in {}, with a vote for {vote}", now.term),
                    None => format!(" in {}, without a vote", now.term),
                });
                draft.fact(
                    start,
                    past.at(start),
                    format!("{node} starts again{now}: {what} is lost"),
                );
            }
            false
        }
        Fate::UnderWay => false,
    }
}

/// How a node came to lead a term. Returns whose votes it counted beside its own.
pub(super) fn election(
    past: &Past<'_>,
    draft: &mut Draft,
    leader: NodeId,
    term: Term,
) -> Vec<NodeId> {
    let stands = past.of(leader).find(|(id, _)| {
        let stood = |now: &Status| now.term == term && now.role == RoleName::Candidate;
        past.after(*id).is_some_and(stood) && !past.before(*id).is_some_and(stood)
    });
    if let Some((id, _)) = stands {
        let last = past.after(id).map_or(EntryId::ZERO, |now| now.last);
        let says = format!("{leader} stands for election in {term}, with a log to {last}");
        draft.fact(id, past.at(id), says);
    }
    let mut voters = Vec::new();
    for (id, from, sending) in past.grants(leader, term) {
        let late = if past.at(id).since(past.at(sending)).as_millis() > 500 {
            format!(", sent at {} s", past.at(sending))
        } else {
            String::new()
        };
        draft.fact(id, past.at(id), format!("{leader} takes {from}'s vote in {term}{late}"));
        voters.push(from);
    }
    let won = past.elections().into_iter().find(|(_, node, won)| (*node, *won) == (leader, term));
    if let Some((id, ..)) = won {
        let membership = past.membership(leader, id);
        let says = format!("{leader} leads {term} from now on, under {membership}");
        draft.fact(id, past.at(id), says);
    }
    voters
}

/// How an entry came into a node's log, and what became of it on its disk. Returns whether it is
/// durable there.
pub(super) fn entry(past: &Past<'_>, draft: &mut Draft, node: NodeId, entry: EntryId) -> bool {
    let Some((id, write)) = past.write_of(node, entry) else { return false };
    let (first, last) = (write.entries[0].id, write.entries[write.entries.len() - 1].id);
    let what = if first == last { format!("{first}") } else { format!("{first} to {last}") };
    let says = format!("{node} gives {what} to its disk, as {}", write.id);
    draft.fact(id, past.at(id), says);
    fate(past, draft, id, &format!("{} with {entry}", write.id))
}

/// What each node's disk has at an index just then, in words.
pub(super) fn disks(past: &Past<'_>, index: Index, at: EventId) -> String {
    let nodes = &past.record().nodes;
    let has = |node: &NodeId| format!("{node} {}", past.logs(*node, at).on_disk(index));
    nodes.iter().map(has).collect::<Vec<_>>().join(", ")
}

/// How a committed entry came to be: who wrote it as the leader, who has it on disk, and who was
/// the first to call it committed.
pub(super) fn commit(past: &Past<'_>, draft: &mut Draft, index: Index) {
    let Some((step, node)) = past.first_commit(index) else { return };
    let entry = past.logs(node, step).memory.get(&index).copied();
    let entry = entry.map_or_else(|| index.to_string(), |entry| entry.to_string());
    let says = format!(
        "{node} {} and commits {entry}; on the disks {}",
        phrases::step(past, step),
        disks(past, index, step)
    );
    draft.fact(step, past.at(step), says);
}

/// The steps that led to an event, one message after the other: up to so many.
pub(super) fn spine(past: &Past<'_>, draft: &mut Draft, of: EventId, steps: usize) {
    let mut at = past.step(of);
    for _ in 0..steps {
        let Some(id) = at else { return };
        step(past, draft, id);
        at = match past.event(id).cause {
            Some(cause) if cause != id => past.step(cause).filter(|step| *step != id),
            _ => return,
        };
    }
}

/// The falls, starts, lost disks and pauses of a node since an event.
pub(super) fn troubles(past: &Past<'_>, draft: &mut Draft, node: NodeId, since: EventId) {
    for (id, event) in past.of(node).filter(|(id, _)| *id > since) {
        let says = match &event.what {
            What::Fell { at_stake: 0, .. } => format!("{node} falls"),
            What::Fell { at_stake, kept } => {
                format!("{node} falls; {kept} of {at_stake} things under way to its disk survive")
            }
            What::Wiped => format!("{node} loses its disk and gets an empty one"),
            What::Paused => format!("{node} stands still"),
            What::Resumed => format!("{node} goes on"),
            What::Started { .. } => match past.after(id) {
                Some(now) => format!(
                    "{node} starts in {}, with a log to {} and {} committed",
                    now.term, now.last, now.committed
                ),
                None => continue,
            },
            _ => continue,
        };
        draft.fact(id, past.at(id), says);
    }
}
