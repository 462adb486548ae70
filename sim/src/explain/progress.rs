//! Explanations of missing progress: L1, L2 and L5.

use std::collections::BTreeMap;

use quorate::raft::{MessageRejectReason, RoleName, Status};
use quorate::types::{AppendOutcome, Body, Index, Membership, Message, NodeId, Payload, Term};

use crate::explain::explanation::Draft;
use crate::explain::history::History;
use crate::explain::phrases;
use crate::explain::stuck_leader::{self, StuckLeader};
use crate::explain::waiting_client;
use crate::record::{EventId, EventKind};

/// The most frequent rejection of a node's messages by another node.
struct Rejections {
    by: NodeId,
    from: NodeId,
    message: &'static str,
    why: &'static str,
    count: u64,
    /// The first time that `from` sent a rejected append again, as a sentence.
    again: Option<String>,
}

pub(super) fn explain(history: &History<'_>, draft: &mut Draft) {
    let stabilized = history.all().rev().find_map(|(id, event)| match &event.kind {
        EventKind::Stabilized(core) => Some((id, core)),
        _ => None,
    });
    let core = stabilized.map_or(&history.record().nodes[..], |(_, core)| core);
    let since = stabilized.map_or(EventId(1), |(id, _)| id);
    if let Some((id, core)) = stabilized {
        let core = phrases::listed(core.iter().copied());
        let sentence =
            format!("the stabilization phase begins: {core} can reach each other and do not crash");
        draft.fact(id, history.at(id), sentence);
    }
    for (id, leader, term) in history.elections().into_iter().rev().take(3) {
        draft.fact(id, history.at(id), format!("{leader} wins term {term}"));
    }
    let nodes: Vec<(NodeId, Option<&Status>)> = core
        .iter()
        .map(|node| (*node, history.record().state_of(*node, history.failing)))
        .collect();
    let stuck = StuckLeader::of(history, &nodes);
    if let Some(stuck) = &stuck {
        stuck_leader::uncommitted(history, draft, &nodes, stuck);
    }
    let mut rejected = Vec::new();
    // An entry that no node gets explains why a request is not answered.
    let is_request = history.check() == Some("L2");
    if is_request {
        rejected = replication(history, draft, &nodes, stuck.as_ref(), since);
    }
    for (node, _) in &nodes {
        unanswered(history, draft, *node);
    }
    if !draft.has_cause() {
        unfinished_change(history, draft, &nodes);
    }
    if draft.has_cause() {
        return;
    }
    for (node, now) in &nodes {
        stalled_node(history, draft, *node, *now);
        missing_snapshots(history, draft, *node, since);
    }
    if !is_request {
        rejected = replication(history, draft, &nodes, stuck.as_ref(), since);
    }
    let finding = history.violation().map_or("", |violation| violation.finding.as_str());
    let follows = |now: &Status, leader: &Status| {
        let ladder = [now.durable, now.committed, now.applied];
        now.term == leader.term && now.last == leader.last && ladder == [leader.last.index; 3]
    };
    let all_follow = |leader: &Status| {
        nodes.iter().all(|(_, now)| now.as_ref().is_some_and(|now| follows(now, leader)))
    };
    let ids = nodes.iter().map(|(node, _)| *node);
    if let Some(leader) = highest_leader(&nodes).filter(|leader| all_follow(leader))
        && (waiting_client::explain_operator(history, draft, finding, ids)
            || waiting_client::explain(history, draft, since, leader.id))
    {
        return;
    }
    draft.cause(missing_progress(&nodes, finding, &rejected));
}

/// The leader of the highest term.
fn highest_leader<'a>(nodes: &[(NodeId, Option<&'a Status>)]) -> Option<&'a Status> {
    let leaders =
        nodes.iter().filter_map(|(_, now)| *now).filter(|now| now.role == RoleName::Leader);
    leaders.max_by_key(|now| now.term)
}

/// Adds the rejections of the nodes since event `since`, and explains entries that a stuck leader
/// does not send. Returns the most frequent rejection of each node.
fn replication(
    history: &History<'_>,
    draft: &mut Draft,
    nodes: &[(NodeId, Option<&Status>)],
    stuck: Option<&StuckLeader<'_>>,
    since: EventId,
) -> Vec<Rejections> {
    let rejected = nodes.iter().filter_map(|(node, _)| rejections(history, draft, *node, since));
    let rejected: Vec<Rejections> = rejected.collect();
    if let Some(stuck) = stuck {
        let of_leader = rejected.iter().filter(|it| it.from == stuck.now.id);
        let rejecting: Vec<NodeId> = of_leader.map(|it| it.by).collect();
        stuck_leader::unsent(history, draft, nodes, stuck, &rejecting);
    }
    rejected
}

/// Explains the request that the node should have answered by now, if the finding is about one. A
/// change of the node's role or term since the request counts as the cause.
fn unanswered(history: &History<'_>, draft: &mut Draft, node: NodeId) {
    let mut open = BTreeMap::new();
    for (id, event) in history.events_of(node) {
        match &event.kind {
            EventKind::RequestReceived { client, op, tag } => {
                open.insert(*tag, (id, *client, *op));
            }
            EventKind::RequestAnswered { tag, .. } => {
                open.remove(tag);
            }
            EventKind::Crashed { .. } => open.clear(),
            _ => {}
        }
    }
    let finding = history.violation().map_or("", |violation| violation.finding.as_str());
    let named = open
        .into_iter()
        .find(|(tag, _)| finding.starts_with(&format!("{node} has not answered request {tag} ")));
    let Some((_, (id, client, op))) = named else { return };
    let reason = finding.split_once(": ").and_then(|(_, reason)| reason.split("; ").next());
    let waits = reason.map_or(String::new(), |reason| format!(": {reason}"));
    let request = op.map_or("a session request".to_owned(), |op| format!("operation {}", op.0));
    draft.fact(id, history.at(id), format!("client {client} sends {request} to {node}"));
    let then = history.state_after(id).map(|now| (now.role, now.term));
    let Some((role, term)) = then else { return };
    let over = history.events_of(node).find(|(at, _)| {
        *at > id && history.state_after(*at).is_some_and(|now| (now.role, now.term) != (role, term))
    });
    if let Some((at, now)) = over.and_then(|(at, _)| Some((at, history.state_after(at)?))) {
        let sentence = format!(
            "{node} {} and becomes a {} in term {}",
            phrases::step(history, at),
            now.role,
            now.term
        );
        draft.fact(at, history.at(at), sentence);
        return draft.cause(format!(
            "{node} received {request} as a {role} in term {term}, became a {} in term {} and \
             never answered, so the client waits forever{waits}",
            now.role, now.term
        ));
    }
    draft.cause(format!(
        "{node} received {request} as a {role} in term {term} and never answers{waits}"
    ));
}

/// Explains a membership change that is committed but not completed.
fn unfinished_change(
    history: &History<'_>,
    draft: &mut Draft,
    nodes: &[(NodeId, Option<&Status>)],
) {
    let Some(now) = highest_leader(nodes) else { return };
    let (leader, term) = (now.id, now.term);
    let membership = history.membership(leader, history.failing);
    if !membership.is_joint() || now.committed < now.last.index {
        return;
    }
    for (id, event) in history.events_of(leader) {
        if let EventKind::MembershipAdopted(one) = &event.kind
            && one.ptr_eq(membership)
        {
            let then = history.state_after(id).map(|now| now.term).unwrap_or_default();
            draft.fact(
                id,
                event.at,
                format!("{leader} uses the membership {membership} in term {then}"),
            );
        }
    }
    let start = started(history, leader, membership);
    draft.cause(format!(
        "the membership change to {membership}{start} is committed but never completed: {leader} \
         leads term {term} and does not take the step that completes it"
    ));
}

/// Describes in a clause between commas which leader started a membership change: the leader of the
/// term of the entry that brought the membership to the log of `node`. Returns an empty clause if
/// the recording has no such entry.
fn started(history: &History<'_>, node: NodeId, membership: &Membership) -> String {
    let entry = history.events_of(node).rev().find_map(|(_, event)| match &event.kind {
        EventKind::Submitted(write) => write.entries.iter().rev().find_map(|entry| {
            let is_it = matches!(&entry.payload, Payload::Membership(one) if one == membership);
            is_it.then_some(entry.id)
        }),
        _ => None,
    });
    let Some(entry) = entry else { return String::new() };
    let elections = history.elections();
    match elections.iter().find(|(_, _, term)| *term == entry.term) {
        Some((_, by, term)) => format!(", which {by} started in term {term},"),
        None => format!(", which is entry {entry} of {node}'s log,"),
    }
}

/// Adds the final state of a node, as a fact of the event since which it made no progress.
fn stalled_node(history: &History<'_>, draft: &mut Draft, node: NodeId, now: Option<&Status>) {
    let Some(now) = now else {
        let down = history.events_of(node).rev().find(|(id, _)| history.state_after(*id).is_none());
        if let Some((id, event)) = down {
            draft.fact(id, event.at, format!("{node} {}, and stays down", event.kind));
        }
        return;
    };
    let indices = |id: EventId| {
        history.state_after(id).map(|at| (at.last, at.durable, at.committed, at.applied))
    };
    let own = (now.last, now.durable, now.committed, now.applied);
    let moved =
        history.events_of(node).rev().find(|(id, _)| indices(*id).is_some_and(|at| at != own));
    let since = moved.and_then(|(last, _)| history.events_of(node).find(|(id, _)| *id > last));
    if let Some((id, event)) = since {
        let (role, term, last, committed) = (now.role, now.term, now.last, now.committed);
        let sentence = format!(
            "{node}, now a {role} in term {term}, makes no progress from here on: its log ends \
             with {last}, its durable index is {}, its commit index is {committed} and its \
             applied index is {}",
            now.durable, now.applied
        );
        draft.fact(id, event.at, sentence);
    }
}

/// Adds the most frequent message rejection of a node since event `since`, if it occurs three
/// times or more, and returns it.
fn rejections(
    history: &History<'_>,
    draft: &mut Draft,
    node: NodeId,
    since: EventId,
) -> Option<Rejections> {
    let mut counts: BTreeMap<(NodeId, &'static str, &'static str), (u64, EventId)> =
        BTreeMap::new();
    for (id, event) in history.events_of(node).filter(|(id, _)| *id > since) {
        if let EventKind::MessageRejected { from, message, reason } = &event.kind {
            let (count, last) =
                counts.entry((*from, *message, phrases::reject_reason(*reason))).or_insert((0, id));
            (*count, *last) = (*count + 1, id);
        }
    }
    let most = counts.into_iter().max_by_key(|(_, (count, _))| *count);
    let ((from, message, why), (count, id)) = most.filter(|(_, (count, _))| *count > 2)?;
    let lacks_prev = why == phrases::reject_reason(MessageRejectReason::PrevMismatch);
    let again = lacks_prev.then(|| first_repetition(history, draft, from, node)).flatten();
    let rejections = Rejections { by: node, from, message, why, count, again };
    draft.fact(id, history.at(id), rejections.words());
    Some(rejections)
}

impl Rejections {
    fn words(&self) -> String {
        let Rejections { by, from, message, why, count, again } = self;
        let again = again.as_ref().map_or_else(String::new, |again| format!("; {again}"));
        format!("{by} rejects {from}'s {message}, {count} times so far, because {why}{again}")
    }
}

/// Finds the first AppendEntries that `leader` sent to `peer` with the same previous index as one
/// that the peer had just rejected, and adds it to the facts: after a rejection a leader has to go
/// back in its log.
fn first_repetition(
    history: &History<'_>,
    draft: &mut Draft,
    leader: NodeId,
    peer: NodeId,
) -> Option<String> {
    let mut rejected: Option<(Term, Index)> = None;
    for (id, event) in history.events_of(leader) {
        if let Some((_, reply)) = history.message_of(id).filter(|(_, reply)| reply.from == peer) {
            match &reply.body {
                // A late rejection changes nothing at the leader.
                Body::AppendEntriesReply(AppendOutcome::Rejected { .. }) if history.rejects(id) => {
                }
                Body::AppendEntriesReply(AppendOutcome::Rejected { prev, .. }) => {
                    rejected = Some((reply.term, *prev));
                }
                // The reply to a heartbeat may show what a lost reply said.
                Body::HeartbeatReply { verified, .. } => {
                    rejected = rejected.filter(|(_, prev)| verified < prev);
                }
                Body::AppendEntriesReply(_) | Body::InstallSnapshotReply { .. } => rejected = None,
                _ => {}
            }
        }
        let EventKind::Sent(sent) = &event.kind else { continue };
        let Some(Message { to, term, body, .. }) = &sent.message else { continue };
        let Body::AppendEntries { prev, .. } = body else { continue };
        if *to == peer && rejected == Some((*term, prev.index)) {
            let index = prev.index;
            let sentence = format!("{leader} sends {peer} again an AppendEntries after {index}");
            draft.fact(id, history.at(id), sentence.clone());
            return Some(format!("at {} s, {sentence}, which {peer} had rejected", history.at(id)));
        }
    }
    None
}

/// Adds the last reply since event `since` in which a source of the node's snapshot said that it
/// does not have the snapshot, if there are three or more.
fn missing_snapshots(history: &History<'_>, draft: &mut Draft, node: NodeId, since: EventId) {
    let replies = history.all().filter_map(|(id, event)| match &event.kind {
        EventKind::Sent(sent) if id > since && sent.to == node => {
            (sent.message.is_none() && sent.text.starts_with(GONE)).then_some((id, event.node?))
        }
        _ => None,
    });
    let replies: Vec<(EventId, NodeId)> = replies.collect();
    if let Some((id, from)) = replies.last().filter(|_| replies.len() > 2) {
        let sentence = format!(
            "{from} replies to {node} that it cannot send the snapshot that {node} requested; \
             {node} has received {} such replies so far",
            replies.len()
        );
        draft.fact(*id, history.at(*id), sentence);
    }
}

/// The start of the description of a packet with `SnapshotTransferBody::Gone`.
const GONE: &str = "gone of ";

/// Describes the progress that the core nodes wait for. If all of them are up and one leads, the
/// node that the finding names as behind comes first.
fn missing_progress(
    nodes: &[(NodeId, Option<&Status>)],
    finding: &str,
    rejected: &[Rejections],
) -> String {
    let down = nodes.iter().find(|(_, now)| now.is_none());
    if let Some((node, _)) = down {
        return format!("{node} stays down, and the other nodes wait for it");
    }
    let up: Vec<&Status> = nodes.iter().filter_map(|(_, now)| *now).collect();
    let Some(leader) = highest_leader(nodes) else {
        let highest = up.iter().map(|now| now.term).max().unwrap_or_default();
        let split = split_votes(&up, rejected).unwrap_or_default();
        return format!(
            "no node wins an election: the highest term is {highest}, and it has no leader{split}"
        );
    };
    let (id, term) = (leader.id, leader.term);
    let waits = |behind: &Status| {
        let rejects = rejected.iter().find(|it| it.by == behind.id && it.from == id);
        format!(
            "{} waits for {id}, the leader of term {term}: its commit index is {}, and the \
             leader's commit index is {}{}",
            behind.id,
            behind.committed,
            leader.committed,
            rejects.map_or(String::new(), |rejects| format!("; {}", rejects.words()))
        )
    };
    let is_named = |now: &&Status| {
        now.committed < leader.committed
            && finding.starts_with(&format!("{} has not applied ", now.id))
    };
    if let Some(behind) = up.iter().copied().find(is_named) {
        return waits(behind);
    }
    if leader.committed < leader.last.index {
        let next = leader.committed.next();
        return format!(
            "{id} leads term {term} and waits for the commit of index {next}; its log ends with {}",
            leader.last
        );
    }
    let is_behind = |now: &&Status| now.committed < leader.committed || now.term != term;
    if let Some(behind) = up.iter().copied().find(is_behind) {
        return waits(behind);
    }
    let slow = up.iter().find(|now| now.applied < now.committed);
    match slow {
        Some(slow) => format!(
            "{} has commit index {} but applies only up to index {}",
            slow.id, slow.committed, slow.applied
        ),
        None => {
            let missing = phrases::without_states(finding);
            format!(
                "all entries are committed and applied under {id}, the leader of term {term}, but: \
                 {missing}"
            )
        }
    }
}

/// Names the nodes, if every one of them most frequently rejects a vote because it has voted for
/// another node.
fn split_votes(up: &[&Status], rejected: &[Rejections]) -> Option<String> {
    let why = phrases::reject_reason(MessageRejectReason::AlreadyVoted);
    let split = |now: &&Status| rejected.iter().any(|it| it.by == now.id && it.why == why);
    up.iter().all(split).then(|| {
        let nodes = phrases::listed(up.iter().map(|now| now.id));
        format!(
            ", because {nodes} split the votes: each rejects the requests of others, because {why}"
        )
    })
}
