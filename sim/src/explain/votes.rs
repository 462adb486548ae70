//! Votes and leaderships: S1 to S4, and votes that should not have counted, S23 and S24.

use std::collections::BTreeSet;

use quorate::raft::RoleName;
use quorate::types::{Body, NodeId, Term};

use crate::explain::past::{Fate, Past};
use crate::explain::phrases::listed;
use crate::explain::stories;
use crate::explain::telling::Draft;
use crate::record::{EventId, What};

pub(super) fn tell(past: &Past<'_>, draft: &mut Draft) {
    let (id, event) = (past.accused, past.event(past.accused));
    if let Some(message) = event.message() {
        let (from, to, term) = (message.from, message.to, message.term);
        match message.body {
            Body::RequestVoteReply { granted: true } => {
                return sends_vote(past, draft, from, to, term);
            }
            Body::RequestVote { .. } => return asks(past, draft, from, term),
            _ => return speaks(past, draft, from, term),
        }
    }
    let now = past.after(id).filter(|now| now.role == RoleName::Leader);
    match (now, event.node) {
        (Some(now), _) => leads(past, draft, now.id, now.term),
        (None, Some(node)) => holds_two(past, draft, node),
        (None, None) => {}
    }
}

/// A node sends a vote that it should not, or not yet.
fn sends_vote(past: &Past<'_>, draft: &mut Draft, node: NodeId, to: NodeId, term: Term) {
    asked_for_it(past, draft, node, to, term);
    let held = stories::vote(past, draft, node, term, to);
    let others = others(past, node, term, to);
    if let Some(other) = others.first() {
        gave_twice(draft, node, term, *other, to);
    } else if past.membership(node, past.accused).is_nobody() {
        for (id, event) in past.of(node) {
            if matches!(event.what, What::Wiped) {
                draft.fact(id, event.at, format!("{node} loses its disk and gets an empty one"));
            }
        }
        draft.cause(format!(
            "{node} sends {to} its vote in {term} though its disk is empty: it knows no \
             membership, and the disk that was there before may have voted for another"
        ));
    } else if held {
        draft.cause(format!("{node} sends {to} a vote in {term} that it should not give"));
    } else {
        early(past, draft, node, to, term, "sends the vote");
    }
}

fn gave_twice(draft: &mut Draft, node: NodeId, term: Term, first: NodeId, second: NodeId) {
    let name = |vote: NodeId| if vote == node { "itself".to_owned() } else { vote.to_string() };
    draft.cause(format!(
        "{node} has one vote in {term} and gives it twice: to {}, and then to {}",
        name(first),
        name(second)
    ));
}

/// A vote counts or leaves before it is durable.
fn early(past: &Past<'_>, draft: &mut Draft, node: NodeId, to: NodeId, term: Term, does: &str) {
    let to = if to == node { "itself".to_owned() } else { to.to_string() };
    let submitted = past.votes(node, term);
    let lost = submitted.iter().any(|(id, ..)| matches!(past.fate(*id), Fate::Lost(..)));
    draft.cause(match submitted.last() {
        None => format!(
            "{node} {does} for {to} in {term}, and never gave any write that holds it to its disk: \
             after a crash it could vote for another in the same term"
        ),
        Some(_) if lost => format!(
            "{node} {does} for {to} in {term}, though the write that held it was lost in a crash"
        ),
        Some((_, write, _)) => format!(
            "{node} {does} for {to} in {term} before {}, which holds it, is durable: a crash \
             now would lose it, and the node could vote for another in the same term",
            write.id
        ),
    });
}

/// The votes of the node in the term for anybody else.
fn others(past: &Past<'_>, node: NodeId, term: Term, than: NodeId) -> Vec<NodeId> {
    let sent = past.of(node).filter_map(|(_, event)| {
        let message = event.message().filter(|message| message.from == node)?;
        let granted = matches!(message.body, Body::RequestVoteReply { granted: true });
        (granted && message.term == term).then_some(message.to)
    });
    let written = past.votes(node, term).into_iter().map(|(_, _, vote)| vote);
    written.chain(sent).filter(|vote| *vote != than).collect()
}

/// How the request came that a vote answers.
fn asked_for_it(past: &Past<'_>, draft: &mut Draft, node: NodeId, by: NodeId, term: Term) {
    let request = past.of(node).rev().find(|(id, _)| {
        past.message_of(*id).is_some_and(|(_, message)| {
            let asks = matches!(message.body, Body::RequestVote { .. });
            asks && message.from == by && message.term == term
        })
    });
    if let Some((id, _)) = request {
        stories::step(past, draft, id);
    }
}

/// A node asks for votes though its own is not safe.
fn asks(past: &Past<'_>, draft: &mut Draft, node: NodeId, term: Term) {
    stories::election(past, draft, node, term);
    stories::vote(past, draft, node, term, node);
    match others(past, node, term, node).first() {
        Some(other) => gave_twice(draft, node, term, *other, node),
        None => early(past, draft, node, node, term, "asks others to follow its vote"),
    }
}

/// A node speaks as the leader of a term that it does not lead.
fn speaks(past: &Past<'_>, draft: &mut Draft, node: NodeId, term: Term) {
    for (id, leader, _) in past.elections().into_iter().filter(|(.., won)| *won == term) {
        draft.fact(id, past.at(id), format!("{leader} wins {term}"));
    }
    stories::spine(past, draft, past.accused, 3);
    draft.cause(format!("{node} speaks as the leader of {term}, which it does not lead"));
}

/// A node leads: alone in its term or not, by votes that count or not.
fn leads(past: &Past<'_>, draft: &mut Draft, leader: NodeId, term: Term) {
    let elections = past.elections();
    let rival = elections.iter().find(|(_, node, won)| *won == term && *node != leader);
    let mut counted = stories::election(past, draft, leader, term);
    if let Some((_, rival, _)) = rival {
        let theirs = stories::election(past, draft, *rival, term);
        for node in theirs.iter().filter(|node| counted.contains(node)) {
            stories::vote(past, draft, *node, term, *rival);
            draft.cause(format!("{node}'s vote in {term} counts for {rival} and for {leader}"));
        }
        let (one, other) = (listed(theirs), listed(counted));
        return draft.cause(format!(
            "{rival} takes the votes of {one} for enough to lead {term}, and {leader} those of \
             {other}: no node is in both, so one of the two is no quorum"
        ));
    }
    counted.push(leader);
    let membership = past.membership(leader, past.accused);
    let mut safe = BTreeSet::new();
    let mut without = Vec::new();
    for node in counted.iter().copied().collect::<BTreeSet<_>>() {
        let durable = stories::vote(past, draft, node, term, leader);
        if !membership.is_voter(node) {
            without.push(node);
        } else if durable {
            safe.insert(node);
        }
    }
    let again: Vec<NodeId> =
        counted.iter().copied().filter(|node| times(&counted, *node) > 1).collect();
    let counted_safe = safe.len();
    let (safe, count) = (listed(safe), membership.voters().count());
    if let Some(node) = again.first() {
        let times = times(&counted, *node);
        return draft.cause(format!(
            "{leader} takes {node}'s vote in {term} {times} times and leads, though only {safe} of \
             {count} voters gave one"
        ));
    }
    if !without.is_empty() {
        let without = listed(without);
        return draft.cause(format!(
            "{leader} leads {term} by the votes of {without}, who has none under {membership}; of \
             its {count} voters only {safe} voted for it"
        ));
    }
    let wiped = counted
        .iter()
        .find(|node| past.of(**node).any(|(_, event)| matches!(event.what, What::Wiped)));
    if let Some(node) = wiped {
        return draft.cause(format!(
            "{leader} leads {term} with the vote of {node}, whose disk was lost: the empty one in \
             its place may have forgotten another vote"
        ));
    }
    // Of each who counts a durable vote is there: what is wrong is how many are enough.
    if counted.len() == counted_safe {
        let half = if counted_safe * 2 == count { "half" } else { "fewer than a quorum" };
        return draft.cause(format!(
            "{leader} takes the votes of {safe} for enough to lead {term}: they are {half} of the \
             {count} voters of {membership}, and that is no quorum"
        ));
    }
    draft.cause(format!(
        "{leader} leads {term} though of the {count} voters of {membership} only {safe} voted for \
         it durably: that is no quorum"
    ));
}

fn times(counted: &[NodeId], node: NodeId) -> usize {
    counted.iter().filter(|one| **one == node).count()
}

/// A node's disk holds, or its start finds, a second vote.
fn holds_two(past: &Past<'_>, draft: &mut Draft, node: NodeId) {
    let term = past.after(past.accused).map_or(Term::ZERO, |now| now.term);
    let votes: Vec<(EventId, NodeId)> =
        past.votes(node, term).into_iter().map(|(id, _, vote)| (id, vote)).collect();
    let to = votes.last().map_or(node, |(_, vote)| *vote);
    stories::vote(past, draft, node, term, to);
    if let Some((_, first)) = votes.first() {
        stories::troubles(past, draft, node, votes[0].0);
        gave_twice(draft, node, term, *first, to);
    }
}
