//! What is committed: S10 to S14, S16, S33, and what quorums are made of, S23 and S24 again.

use quorate::raft::{RoleName, Status};
use quorate::types::{EntryId, Index, NodeId, Term};

use crate::explain::past::Past;
use crate::explain::phrases::{self, listed};
use crate::explain::stories;
use crate::explain::telling::Draft;
use crate::record::EventId;

pub(super) fn tell(past: &Past<'_>, draft: &mut Draft) {
    let Some(step) = past.step(past.accused) else { return };
    let (Some(now), before) = (past.after(step), past.before(step)) else { return };
    let risen = before.is_none_or(|before| before.committed < now.committed);
    let fallen = before.is_some_and(|before| before.committed > now.committed);
    let elected = now.role == RoleName::Leader
        && before.is_none_or(|before| (before.role, before.term) != (now.role, now.term));
    if fallen {
        falls(past, draft, step, now);
    } else if elected && !risen {
        incomplete(past, draft, step, now);
    } else {
        commits(past, draft, step, now);
    }
}

/// A leader's log lacks what was committed.
fn incomplete(past: &Past<'_>, draft: &mut Draft, step: EventId, now: &Status) {
    let (leader, term) = (now.id, now.term);
    let own = past.logs(leader, step);
    let Some((index, decided)) = first_lack(past, &own.memory, own.snapshot.index) else {
        return stories::spine(past, draft, step, 3);
    };
    stories::commit(past, draft, index);
    let voters = stories::election(past, draft, leader, term);
    let has =
        own.memory.get(&index).map_or(format!("ends at {}", own.last()), |id| format!("has {id}"));
    let had: Vec<NodeId> = voters
        .into_iter()
        .filter(|voter| {
            let theirs = past.logs(*voter, step);
            theirs.memory.get(&index) == Some(&decided) || theirs.snapshot.index >= index
        })
        .collect();
    let gave = past.grants(leader, term);
    let candidate = stood_with(past, leader, term);
    for (_, voter, sending) in gave.iter().filter(|(_, voter, _)| had.contains(voter)) {
        let theirs = past.logs(*voter, *sending).last();
        let says = format!(
            "{voter}, whose log goes to {theirs}, sends its vote in {term} to {leader}, whose log \
             goes to {candidate}"
        );
        draft.fact(*sending, past.at(*sending), says);
    }
    match had.is_empty() {
        true => draft.cause(format!(
            "{decided} is committed and {leader}, whose log {has}, leads {term}: none of its \
             voters has the entry, so it was committed without a quorum"
        )),
        false => {
            let voter = had[0];
            let sent = gave.iter().find(|(_, from, _)| *from == voter);
            let theirs = sent.map_or(EntryId::ZERO, |(_, _, id)| past.logs(voter, *id).last());
            draft.cause(format!(
                "{voter}, whose log goes to {theirs}, gave its vote in {term} to {leader}, whose \
                 log goes only to {candidate}: the log whose last entry is of the later term, or \
                 at the higher index of the same, is the more up to date. So {leader} leads, and \
                 {has} where {decided} is committed"
            ));
        }
    }
}

/// The last entry of the log with which a node asked for votes.
fn stood_with(past: &Past<'_>, leader: NodeId, term: Term) -> EntryId {
    let at = |id: EventId| past.after(id).filter(|now| now.term == term).map(|now| now.last);
    past.of(leader).find_map(|(id, _)| at(id)).unwrap_or_default()
}

/// The first committed entry that a log has not, with what was committed there.
fn first_lack(
    past: &Past<'_>,
    log: &std::collections::BTreeMap<Index, EntryId>,
    snapshot: Index,
) -> Option<(Index, EntryId)> {
    let all = past.all().filter_map(|(id, _)| past.after(id)).map(|now| now.committed).max()?;
    let mut low = snapshot.next();
    while low <= all {
        if let Some(decided) = past.committed_at(low)
            && log.get(&low) != Some(&decided)
        {
            return Some((low, decided));
        }
        low = low.next();
    }
    None
}

/// A node commits what it should not, or not yet.
fn commits(past: &Past<'_>, draft: &mut Draft, step: EventId, now: &Status) {
    let (node, index, term) = (now.id, now.committed, now.term);
    stories::spine(past, draft, step, 2);
    let own = past.logs(node, step);
    let top = own.memory.get(&index).copied().unwrap_or(EntryId::new(term, index));
    let disks = stories::disks(past, index, step);
    let says =
        format!("{node} {} and commits {top}; on the disks {disks}", phrases::step(past, step));
    draft.fact(step, past.at(step), says);
    let earlier = past.first_commit(index).filter(|(id, _)| *id < step);
    if let Some((first, by)) = earlier {
        return differs(past, draft, (node, top), (first, by));
    }
    let membership = past.membership(node, step);
    let holds = |id: &NodeId| past.logs(*id, step).disk.get(&index) == Some(&top);
    let holders: Vec<NodeId> = membership.voters().filter(holds).collect();
    let lack: Vec<NodeId> = membership.voters().filter(|id| !holds(id)).collect();
    for id in &lack {
        let theirs = past.logs(*id, step);
        if theirs.memory.get(&index) == Some(&top) {
            stories::entry(past, draft, *id, top);
        }
    }
    let others: Vec<NodeId> = past
        .record()
        .nodes
        .iter()
        .copied()
        .filter(|id| !membership.is_voter(*id) && holds(id))
        .collect();
    if now.role == RoleName::Leader && top.term < term && holders.len() > lack.len() {
        return draft.cause(format!(
            "{node} leads {term} and commits {top}, an entry of an earlier term, by counting who \
             has it: a leader may do so only with an entry of its own term, for another could \
             still replace that one"
        ));
    }
    let but = if others.is_empty() {
        String::new()
    } else {
        format!("; {}, who has it too, has no vote", listed(others))
    };
    let itself = if now.role == RoleName::Leader && lack.contains(&node) {
        format!("; {node} itself, the leader, has it in memory alone, and counts it as if durable")
    } else {
        String::new()
    };
    draft.cause(format!(
        "{node} commits {top}, which among the voters of {membership} is on the disks of {} alone, \
         and not of {}: that is no quorum{itself}{but}",
        listed(holders),
        listed(lack)
    ));
}

/// A node commits another entry than another did.
fn differs(
    past: &Past<'_>,
    draft: &mut Draft,
    (node, own): (NodeId, EntryId),
    (first, by): (EventId, NodeId),
) {
    let decided = past.logs(by, first).memory.get(&own.index).copied();
    stories::commit(past, draft, own.index);
    stories::entry(past, draft, node, own);
    let decided = decided.map_or_else(|| own.index.to_string(), |id| id.to_string());
    draft.cause(format!(
        "{node} takes {own} for committed, where {by} committed {decided}: what its log has there \
         was never made equal to the leader's"
    ));
}

/// A commit index falls.
fn falls(past: &Past<'_>, draft: &mut Draft, step: EventId, now: &Status) {
    stories::spine(past, draft, step, 3);
    let before = past.before(step).map_or(Index::ZERO, |before| before.committed);
    draft.cause(format!(
        "{} had committed {before}, and says {} after this step: what is committed stays so",
        now.id, now.committed
    ));
}
