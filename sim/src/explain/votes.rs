//! Explanations of wrong votes and elections, S1 to S4, S23 and S24.

use std::collections::BTreeSet;

use quorate::raft::RoleName;
use quorate::types::{Body, Membership, MessageClass, NodeId, Term};

use crate::explain::explanation::Draft;
use crate::explain::facts;
use crate::explain::history::{History, WriteOutcome};
use crate::explain::phrases::listed;
use crate::record::{EventId, EventKind};

pub(super) fn explain(history: &History<'_>, draft: &mut Draft) {
    let (id, event) = (history.failing, history.event(history.failing));
    if let Some(message) = event.message() {
        let (from, to, term) = (message.from, message.to, message.term);
        return match (&message.body, message.body.class()) {
            (Body::RequestVoteReply { granted: true, .. }, _) => {
                sends_vote(history, draft, from, to, term);
            }
            (Body::PreVoteReply { granted: true, next_term, .. }, _) => {
                grants_pre_vote(history, draft, [from, to], *next_term);
            }
            (Body::RequestVote { .. }, _) => requests_votes(history, draft, from, term),
            (_, MessageClass::LeaderRequest | MessageClass::LeaderNotice) => {
                sends_as_leader(history, draft, from, term);
            }
            _ => facts::causal_steps(history, draft, id, 3),
        };
    }
    let now = history.state_after(id).filter(|now| now.role == RoleName::Leader);
    match (now, event.node) {
        (Some(now), _) => wins_election(history, draft, now.id, now.term),
        (None, Some(node)) => holds_two_votes(history, draft, node),
        (None, None) => {}
    }
}

/// Explains a vote that must not be sent, or not yet.
fn sends_vote(history: &History<'_>, draft: &mut Draft, node: NodeId, to: NodeId, term: Term) {
    vote_request(history, draft, node, to, term);
    let held = facts::vote(history, draft, node, term, to);
    let others = other_votes(history, node, term, to);
    if let Some(other) = others.first() {
        voted_twice(draft, node, term, *other, to);
    } else if history.membership(node, history.failing).is_empty() {
        let does = format!("sends {to} its vote in term {term}");
        votes_with_empty_disk(history, draft, node, &does);
    } else if !held {
        vote_not_durable(history, draft, node, to, term, "sends its vote");
    }
}

/// Explains a pre-vote that must not be granted. `pair` is the voter and the candidate.
fn grants_pre_vote(history: &History<'_>, draft: &mut Draft, pair: [NodeId; 2], term: Term) {
    let [node, to] = pair;
    let request = history.events_of(node).rev().find(|(id, _)| {
        history.message_of(*id).is_some_and(|(_, message)| {
            message.from == to && matches!(message.body, Body::PreVote { .. })
        })
    });
    if let Some((id, _)) = request {
        facts::step(history, draft, id);
    }
    if history.membership(node, history.failing).is_empty() {
        let does = format!("grants {to} a pre-vote for term {term}");
        votes_with_empty_disk(history, draft, node, &does);
    }
}

/// Explains a vote of a node without a membership.
fn votes_with_empty_disk(history: &History<'_>, draft: &mut Draft, node: NodeId, does: &str) {
    let mut has_lost_disk = false;
    for (id, event) in history.events_of(node) {
        if matches!(event.kind, EventKind::Wiped) {
            has_lost_disk = true;
            draft.fact(id, event.at, format!("{node} loses its disk and gets an empty one"));
        }
    }
    let why = match has_lost_disk {
        true => "and its lost disk may hold a vote for another candidate",
        false => "so it does not know whether it has a vote",
    };
    draft.cause(format!("{node} {does} although its disk is empty: it has no membership, {why}"));
}

fn voted_twice(draft: &mut Draft, node: NodeId, term: Term, first: NodeId, second: NodeId) {
    let name = |vote: NodeId| if vote == node { "itself".to_owned() } else { vote.to_string() };
    draft.cause(format!(
        "{node} votes twice in term {term}: for {}, and then for {}",
        name(first),
        name(second)
    ));
}

/// Explains a vote that is counted or sent before it is durable.
fn vote_not_durable(
    history: &History<'_>,
    draft: &mut Draft,
    node: NodeId,
    to: NodeId,
    term: Term,
    does: &str,
) {
    let to = if to == node { "itself".to_owned() } else { to.to_string() };
    let submitted = history.votes(node, term);
    let lost = submitted
        .iter()
        .any(|(id, ..)| matches!(history.write_outcome(*id), WriteOutcome::Lost(..)));
    draft.cause(match submitted.last() {
        None => format!(
            "{node} {does} for {to} in term {term} but never submitted that vote to its disk, so \
             after a crash it could vote for another candidate in the same term"
        ),
        Some(_) if lost => format!(
            "{node} {does} for {to} in term {term} although the write with that vote was lost in \
             a crash"
        ),
        Some((_, write, _)) => format!(
            "{node} {does} for {to} in term {term} before write {} with that vote is durable, so \
             after a crash now it could vote for another candidate in the same term",
            write.id
        ),
    });
}

/// The node's votes in the term for candidates other than `than`, except those that a rolled-back
/// disk has forgotten.
fn other_votes(history: &History<'_>, node: NodeId, term: Term, than: NodeId) -> Vec<NodeId> {
    let rolled_back = history
        .events_of(node)
        .rev()
        .find(|(_, event)| matches!(event.kind, EventKind::RolledBack { .. }));
    let since = rolled_back.map_or(EventId(0), |(id, _)| id);
    let sent = history.events_of(node).filter(|(id, _)| *id > since).filter_map(|(_, event)| {
        let message = event.message().filter(|message| message.from == node)?;
        let granted = matches!(message.body, Body::RequestVoteReply { granted: true, .. });
        (granted && message.term == term).then_some(message.to)
    });
    let written = history.votes(node, term).into_iter().filter(|(id, ..)| *id > since);
    let written = written.map(|(_, _, vote)| vote);
    written.chain(sent).filter(|vote| *vote != than).collect()
}

/// Adds the request that a vote answers.
fn vote_request(history: &History<'_>, draft: &mut Draft, node: NodeId, by: NodeId, term: Term) {
    let request = history.events_of(node).rev().find(|(id, _)| {
        history.message_of(*id).is_some_and(|(_, message)| {
            let asks = matches!(message.body, Body::RequestVote { .. });
            asks && message.from == by && message.term == term
        })
    });
    if let Some((id, _)) = request {
        facts::step(history, draft, id);
    }
}

/// Explains a vote request of a node whose own vote is missing or not durable.
fn requests_votes(history: &History<'_>, draft: &mut Draft, node: NodeId, term: Term) {
    facts::election(history, draft, node, term);
    facts::vote(history, draft, node, term, node);
    match other_votes(history, node, term, node).first() {
        Some(other) => voted_twice(draft, node, term, *other, node),
        None => vote_not_durable(history, draft, node, node, term, "requests votes"),
    }
}

/// Explains a leader's message from a node that does not lead the term.
fn sends_as_leader(history: &History<'_>, draft: &mut Draft, node: NodeId, term: Term) {
    let mut leads = false;
    for (id, leader, _) in history.elections().into_iter().filter(|(.., won)| *won == term) {
        leads |= leader == node;
        draft.fact(id, history.at(id), format!("{leader} wins term {term}"));
    }
    facts::causal_steps(history, draft, history.failing, 3);
    if !leads {
        draft.cause(format!(
            "{node} sends a message as the leader of term {term}, which it does not lead"
        ));
    }
}

/// Explains a wrong election: a second leader, or votes that are not a quorum. For two leaders of
/// one term, it compares their votes, not their memberships.
fn wins_election(history: &History<'_>, draft: &mut Draft, leader: NodeId, term: Term) {
    let elections = history.elections();
    let rival = elections.iter().find(|(_, node, won)| *won == term && *node != leader);
    let mut counted = facts::election(history, draft, leader, term);
    // A candidate votes for itself, and gets no message with that vote.
    counted.push(leader);
    if let Some((_, rival, _)) = rival {
        let mut theirs = facts::election(history, draft, *rival, term);
        theirs.push(*rival);
        for node in theirs.iter().filter(|node| counted.contains(node)) {
            facts::vote(history, draft, *node, term, *rival);
            draft.cause(format!(
                "{node}'s vote in term {term} is counted for both {rival} and {leader}"
            ));
        }
        let (one, other) = (listed(theirs), listed(counted));
        return draft.cause(format!(
            "{rival} wins term {term} with the votes of {one}, and {leader} wins it with the \
             votes of {other}: the two sets share no node, so one of them is not a quorum"
        ));
    }
    counts_votes(history, draft, leader, term, &counted);
}

/// Explains the election of a leader by the votes of `counted`, itself included.
fn counts_votes(
    history: &History<'_>,
    draft: &mut Draft,
    leader: NodeId,
    term: Term,
    counted: &[NodeId],
) {
    let membership = history.membership(leader, history.failing);
    let mut safe = BTreeSet::new();
    let mut without = Vec::new();
    for node in counted.iter().copied().collect::<BTreeSet<_>>() {
        let durable = facts::vote(history, draft, node, term, leader);
        if !membership.is_voter(node) {
            without.push(node);
        } else if durable {
            safe.insert(node);
        }
    }
    let again: Vec<NodeId> =
        counted.iter().copied().filter(|node| times(counted, *node) > 1).collect();
    let counted_safe = safe.len();
    let is_quorum = is_majority(membership, &safe);
    let (safe, count) = (listed(safe), membership.voters().count());
    let stale = stale_vote(history, draft, leader, term);
    if let Some((node, of)) = stale.filter(|_| !is_quorum) {
        return draft.cause(format!(
            "{leader} counts {node}'s vote of term {of} in term {term}, and becomes leader \
             although only {safe} of {count} voters voted for it in that term"
        ));
    }
    if let Some(node) = again.first().filter(|_| !is_quorum) {
        let times = times(counted, *node);
        return draft.cause(format!(
            "{leader} counts {node}'s vote in term {term} {times} times, and becomes leader \
             although only {safe} of {count} voters voted for it"
        ));
    }
    if !without.is_empty() && !is_quorum {
        let without = listed(without);
        return draft.cause(format!(
            "{leader} becomes leader of term {term} by counting nodes without a vote in \
             {membership}: {without}; of its {count} voters only {safe} voted for {leader}"
        ));
    }
    let wiped = counted.iter().find(|node| {
        history.events_of(**node).any(|(_, event)| matches!(event.kind, EventKind::Wiped))
    });
    if let Some(node) = wiped.filter(|_| is_quorum) {
        return draft.cause(format!(
            "{leader} becomes leader of term {term} with the vote of {node}, whose disk was lost: \
             the lost disk may hold a vote for another candidate"
        ));
    }
    if is_quorum {
        return;
    }
    // Every counted voter has a durable vote, so the quorum size is wrong.
    if counted.len() == counted_safe {
        let half = if counted_safe * 2 == count { "half" } else { "fewer than a quorum" };
        return draft.cause(format!(
            "{leader} becomes leader of term {term} with the votes of {safe}: they are {half} of \
             the {count} voters of {membership}, which is not a quorum"
        ));
    }
    draft.cause(format!(
        "{leader} becomes leader of term {term}, but of the {count} voters of {membership} only \
         {safe} have a durable vote for it, which is not a quorum"
    ));
}

/// A vote of an earlier term that the leader received as a candidate and did not reject.
fn stale_vote(
    history: &History<'_>,
    draft: &mut Draft,
    leader: NodeId,
    term: Term,
) -> Option<(NodeId, Term)> {
    let (id, node, of) = history.stale_grants(leader, term).pop()?;
    let sentence = format!("{leader} receives {node}'s vote of term {of} in term {term}");
    draft.fact(id, history.at(id), sentence);
    Some((node, of))
}

/// Whether the nodes are a majority of each set of voters, or half of it with the casting vote.
/// Counted independently of the core, whose count may be the bug.
pub(super) fn is_majority(membership: &Membership, nodes: &BTreeSet<NodeId>) -> bool {
    let sets = [membership.incoming(), membership.outgoing()];
    sets.iter().filter(|voters| !voters.is_empty()).all(|voters| {
        let votes = 2 * voters.iter().filter(|voter| nodes.contains(voter)).count();
        let has_casting = voters.casting().is_some_and(|holder| nodes.contains(&holder));
        votes > voters.len() || votes == voters.len() && has_casting
    })
}

fn times(counted: &[NodeId], node: NodeId) -> usize {
    counted.iter().filter(|one| **one == node).count()
}

/// Explains a second vote on a node's disk.
fn holds_two_votes(history: &History<'_>, draft: &mut Draft, node: NodeId) {
    let term = history.state_after(history.failing).map_or(Term::ZERO, |now| now.term);
    let votes: Vec<(EventId, NodeId)> =
        history.votes(node, term).into_iter().map(|(id, _, vote)| (id, vote)).collect();
    let to = votes.last().map_or(node, |(_, vote)| *vote);
    facts::vote(history, draft, node, term, to);
    if let Some((_, first)) = votes.first() {
        facts::node_faults(history, draft, node, votes[0].0);
        voted_twice(draft, node, term, *first, to);
    }
}
