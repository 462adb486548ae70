//! Explanations of wrong commits, S10 to S14 and S33, and of their quorums, S23 and S24.

use std::collections::{BTreeMap, BTreeSet};

use quorate::quorum;
use quorate::raft::{RoleName, Status};
use quorate::types::{EntryId, Index, NodeId, Term};

use crate::explain::explanation::Draft;
use crate::explain::facts;
use crate::explain::history::History;
use crate::explain::phrases::{self, listed};
use crate::explain::votes;
use crate::record::EventId;

pub(super) fn explain(history: &History<'_>, draft: &mut Draft) {
    let Some(step) = history.step_of(history.failing) else { return };
    let (Some(now), before) = (history.state_after(step), history.state_before(step)) else {
        return;
    };
    let risen = before.is_none_or(|before| before.committed < now.committed);
    let fallen = before.is_some_and(|before| before.committed > now.committed);
    let elected = now.role == RoleName::Leader
        && before.is_none_or(|before| (before.role, before.term) != (now.role, now.term));
    if fallen {
        commit_index_decreases(history, draft, step, now);
    } else if elected && !risen {
        leader_lacks_entry(history, draft, step, now);
    } else {
        commits(history, draft, step, now);
    }
}

/// Explains a leader whose log lacks a committed entry.
fn leader_lacks_entry(history: &History<'_>, draft: &mut Draft, step: EventId, now: &Status) {
    let (leader, term) = (now.id, now.term);
    let own = history.logs(leader, step);
    let Some((index, decided)) = first_missing(history, &own.memory, own.snapshot.index) else {
        return facts::causal_steps(history, draft, step, 3);
    };
    facts::commit(history, draft, index);
    let voters = facts::election(history, draft, leader, term);
    let has = own.memory.get(&index).map_or_else(
        || format!("ends with {} and lacks the committed entry {decided}", own.last()),
        |id| format!("has entry {id} in place of the committed entry {decided}"),
    );
    let had: Vec<NodeId> = voters
        .into_iter()
        .filter(|voter| {
            let theirs = history.logs(*voter, step);
            theirs.memory.get(&index) == Some(&decided) || theirs.snapshot.index >= index
        })
        .collect();
    let gave = history.grants(leader, term);
    let candidate = log_at_election(history, leader, term);
    for (_, voter, sending) in gave.iter().filter(|(_, voter, _)| had.contains(voter)) {
        let theirs = history.logs(*voter, *sending).last();
        let sentence = format!(
            "{voter}, whose log ends with {theirs}, sends its vote in term {term} to {leader}, \
             whose log ends with {candidate}"
        );
        draft.fact(*sending, history.at(*sending), sentence);
    }
    match had.is_empty() {
        true => draft.cause(format!(
            "the log of {leader}, the leader of term {term}, {has}: {}",
            missing_overlap(history, leader, term, step, index)
        )),
        false => {
            let sent = |voter: &NodeId| {
                let (.., id) = gave.iter().find(|(_, from, _)| from == voter)?;
                let theirs = history.logs(*voter, *id).last();
                let is_newer = (theirs.term, theirs.index) > (candidate.term, candidate.index);
                is_newer.then_some((*voter, theirs))
            };
            let Some((voter, theirs)) = had.iter().find_map(sent) else { return };
            draft.cause(format!(
                "{voter}, whose log ends with {theirs}, votes in term {term} for {leader}, whose \
                 log ends with {candidate} and is less up to date: the log with the later last \
                 term, or with the higher last index in the same term, is more up to date. So \
                 {leader} becomes leader, although its log {has}"
            ));
        }
    }
}

/// Says why no node that elected the leader at `step` has the committed entry at `index`: the
/// election had no quorum, the commit had none, or an entry was lost in between.
fn missing_overlap(
    history: &History<'_>,
    leader: NodeId,
    term: Term,
    step: EventId,
    index: Index,
) -> String {
    let granted = history.grants(leader, term).into_iter().map(|(_, voter, _)| voter);
    let voted: BTreeSet<NodeId> = granted.chain([leader]).collect();
    let electors = listed(voted.iter().copied());
    let membership = history.membership(leader, step);
    if !quorum::is_quorum(membership, |node| voted.contains(&node)) {
        return format!(
            "only {electors} voted for {leader}, which is not a quorum of {membership}"
        );
    }
    let Some((commit, by)) = history.first_commit(index) else {
        return format!("none of {electors}, which voted for {leader}, has the entry");
    };
    let entry = history.logs(by, commit).memory.get(&index).copied();
    let holds = |node: &NodeId| history.logs(*node, commit).disk.get(&index).copied() == entry;
    let holders: Vec<NodeId> = history.record().nodes.iter().copied().filter(holds).collect();
    let membership = history.membership(by, commit);
    let durable = quorum::is_quorum(membership, |node| holders.contains(&node));
    let holders = listed(holders);
    match durable {
        false => format!(
            "when {by} committed the entry, it was durable on {holders} only, which is not a \
             quorum of {membership}, and none of {electors}, which voted for {leader}, has it"
        ),
        true => format!(
            "when {by} committed the entry, it was durable on {holders}, a quorum of \
             {membership}; {electors} voted for {leader}, and none of them has the entry now"
        ),
    }
}

/// The last entry of a node's log when it entered the term.
fn log_at_election(history: &History<'_>, leader: NodeId, term: Term) -> EntryId {
    let at =
        |id: EventId| history.state_after(id).filter(|now| now.term == term).map(|now| now.last);
    history.events_of(leader).find_map(|(id, _)| at(id)).unwrap_or_default()
}

/// The first index at which a log lacks the committed entry, with that entry.
fn first_missing(
    history: &History<'_>,
    log: &BTreeMap<Index, EntryId>,
    snapshot: Index,
) -> Option<(Index, EntryId)> {
    let all = history
        .all()
        .filter_map(|(id, _)| history.state_after(id))
        .map(|now| now.committed)
        .max()?;
    let mut low = snapshot.next();
    while low <= all {
        if let Some(decided) = history.committed_at(low)
            && log.get(&low) != Some(&decided)
        {
            return Some((low, decided));
        }
        low = low.next();
    }
    None
}

/// Explains a commit without a quorum, or of the wrong entry.
fn commits(history: &History<'_>, draft: &mut Draft, step: EventId, now: &Status) {
    let (node, index, term) = (now.id, now.committed, now.term);
    facts::causal_steps(history, draft, step, 2);
    let own = history.logs(node, step);
    let top = own.memory.get(&index).copied().unwrap_or(EntryId::new(term, index));
    let disks = facts::disks(history, index, step);
    let sentence = format!(
        "{node} {}; {node} then commits entry {top}; {disks}",
        phrases::step(history, step)
    );
    draft.fact(step, history.at(step), sentence);
    let earlier = history.first_commit(index).filter(|(id, _)| *id < step);
    if let Some((first, by)) = earlier {
        return commits_other_entry(history, draft, node, top, first, by);
    }
    let membership = history.membership(node, step);
    let holds = |id: &NodeId| history.logs(*id, step).disk.get(&index) == Some(&top);
    let holders: Vec<NodeId> = membership.voters().filter(holds).collect();
    let lack: Vec<NodeId> = membership.voters().filter(|id| !holds(id)).collect();
    for id in &lack {
        let theirs = history.logs(*id, step);
        if theirs.memory.get(&index) == Some(&top) {
            facts::entry(history, draft, *id, top);
        }
    }
    let others: Vec<NodeId> = history
        .record()
        .nodes
        .iter()
        .copied()
        .filter(|id| !membership.is_voter(*id) && holds(id))
        .collect();
    if history.check() == Some("S13") && now.role == RoleName::Leader && top.term < term {
        let danger = match lack.is_empty() {
            true => String::new(),
            false => format!(", because another leader could still replace entry {top}"),
        };
        return draft.cause(format!(
            "{node} leads term {term} and commits entry {top} of an earlier term by counting \
             replicas: a leader may count replicas only for an entry of its own term (Raft \
             §5.4.2){danger}"
        ));
    }
    let but = if others.is_empty() {
        String::new()
    } else {
        format!("; nodes without a vote that have it on disk: {}", listed(others))
    };
    let itself = if now.role == RoleName::Leader && lack.contains(&node) {
        format!("; the leader {node} has it only in memory but counts it as durable")
    } else {
        String::new()
    };
    let durable = holders.iter().copied().collect();
    if votes::is_majority(membership, &durable) || history.check() == Some("S33") {
        return;
    }
    draft.cause(format!(
        "{node} commits entry {top}, but of the voters of {membership} the entry is durable on {} \
         and not on {}: that is not a quorum{itself}{but}",
        listed(holders),
        listed(lack)
    ));
}

/// Explains a commit of an entry other than the one that another node committed.
fn commits_other_entry(
    history: &History<'_>,
    draft: &mut Draft,
    node: NodeId,
    own: EntryId,
    first: EventId,
    by: NodeId,
) {
    let decided = history.logs(by, first).memory.get(&own.index).copied();
    facts::commit(history, draft, own.index);
    facts::entry(history, draft, node, own);
    let Some(decided) = decided.filter(|decided| *decided != own) else { return };
    let now = history.state_after(history.failing);
    let leader = now.and_then(|now| now.leader).filter(|leader| *leader != node);
    let leads = leader.map(|leader| history.logs(leader, history.failing).memory);
    let differs = match leads.is_some_and(|log| log.get(&own.index) == Some(&decided)) {
        true => format!(": {node}'s log was not made equal to the leader's log there"),
        false => String::new(),
    };
    draft.cause(format!(
        "{node} commits entry {own}, but {by} committed entry {decided} at that index{differs}"
    ));
}

/// Explains a commit index that decreases.
fn commit_index_decreases(history: &History<'_>, draft: &mut Draft, step: EventId, now: &Status) {
    facts::causal_steps(history, draft, step, 3);
    let before = history.state_before(step).map_or(Index::ZERO, |before| before.committed);
    draft.cause(format!(
        "{}'s commit index decreases from {before} to {}: a commit index must never decrease",
        now.id, now.committed
    ));
}
