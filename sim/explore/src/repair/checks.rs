//! The properties that every reachable state has, and the assumption under which it recovers.

use crate::repair::omissions::Omission;
use crate::repair::state::{Cluster, ENTRIES_MAX, Node};

fn indices() -> std::ops::RangeInclusive<u8> {
    1..=u8::try_from(ENTRIES_MAX).expect("the log is short")
}

/// Records in the history which entries the acknowledgements have committed, and checks all safety
/// properties.
pub(crate) fn check(cluster: &mut Cluster) -> Result<(), String> {
    record_commits(cluster)?;
    check_leaders(cluster)?;
    check_logs(cluster)?;
    check_commit_indices(cluster)?;
    check_acknowledgements(cluster)
}

/// A quorum's intact acknowledgement of an entry of the leader's own term commits it and all
/// entries before it (Raft §5.4.2), whether or not the leader knows. State machine safety: no other
/// entry was committed at its index.
fn record_commits(cluster: &mut Cluster) -> Result<(), String> {
    for place in cluster.places() {
        let node = cluster.nodes[place];
        let Some(leader) = node.leader() else { continue };
        for index in 1..=cluster.acknowledged(&node, &leader.intact) {
            let id = node.log.content(index).expect("the log has no gaps");
            let committed = &mut cluster.history.committed[usize::from(index) - 1];
            let (known, _) = *committed.get_or_insert((id, node.term));
            if known != id {
                let ids = format!("entries of terms {known} and {id} are committed at {index}");
                return Err(format!("state machine safety: {ids}"));
            }
        }
    }
    Ok(())
}

/// Election safety, and leader completeness (Raft §5.4.3): a leader has, intact or damaged, every
/// entry that was committed in earlier terms.
fn check_leaders(cluster: &Cluster) -> Result<(), String> {
    if let Some(term) = cluster.history.elections.iter().position(|won| *won > 1) {
        return Err(format!("election safety: two elections are won in term {term}"));
    }
    for place in cluster.places() {
        let node = &cluster.nodes[place];
        if node.leader().is_none() {
            continue;
        }
        let same = cluster.set(|other| other.leader().is_some() && other.term == node.term);
        if same.count_ones() > 1 {
            return Err(format!("election safety: two nodes lead term {}", node.term));
        }
        for index in node.snapshot + 1..=*indices().end() {
            let committed = cluster.history.committed[usize::from(index) - 1];
            let earlier = committed.filter(|(_, term)| *term < node.term);
            if earlier.is_some_and(|(id, _)| node.log.content(index) != Some(id)) {
                let leader = format!("n{} leads term {}", place + 1, node.term);
                return Err(format!("leader completeness: {leader} without entry {index}"));
            }
        }
    }
    Ok(())
}

/// Log matching (Raft §5.3): two logs with the same entry have the same entries before it. The
/// terms of a log never decrease.
fn check_logs(cluster: &Cluster) -> Result<(), String> {
    for place in cluster.places() {
        let log = &cluster.nodes[place].log;
        if (2..=log.last()).any(|index| log.content(index - 1) > log.content(index)) {
            return Err(format!("log matching: the terms in the log of n{} decrease", place + 1));
        }
        for other in 0..place {
            let second = &cluster.nodes[other].log;
            let same = |index: &u8| {
                log.content(*index).is_some() && log.content(*index) == second.content(*index)
            };
            let last = indices().rev().find(same).unwrap_or(0);
            if let Some(index) = (1..last).find(|index| !same(index)) {
                let logs = format!("n{} and n{} differ at {index}", other + 1, place + 1);
                return Err(format!("log matching: {logs}, and have the same entry at {last}"));
            }
        }
    }
    Ok(())
}

/// A node counts an entry as committed only if a quorum's intact acknowledgement committed it, and
/// the node's own log, or its snapshot, has the entry.
fn check_commit_indices(cluster: &Cluster) -> Result<(), String> {
    for place in cluster.places() {
        let node = &cluster.nodes[place];
        for index in 1..=node.commit {
            let name = format!("n{} counts entry {index} as committed", place + 1);
            match cluster.history.committed[usize::from(index) - 1] {
                None => return Err(format!("{name}, which no quorum acknowledged intact")),
                Some((id, _)) if index > node.snapshot && node.log.content(index) != Some(id) => {
                    return Err(format!("state machine safety: {name}, but lacks it"));
                }
                Some(_) => {}
            }
        }
    }
    Ok(())
}

/// No un-ack (R1 of `docs/REPAIR.md`): no node takes an acknowledgement back silently. The nodes
/// that could vote for a log without a committed entry are not a quorum.
fn check_acknowledgements(cluster: &Cluster) -> Result<(), String> {
    for index in indices() {
        let Some((id, _)) = cluster.history.committed[usize::from(index) - 1] else { break };
        let lacking = cluster.set(|node| {
            node.is_certain && index > node.snapshot && node.log.content(index) != Some(id)
        });
        if cluster.is_quorum(lacking) {
            return Err(format!("no un-ack: a quorum silently lacks the committed entry {index}"));
        }
    }
    Ok(())
}

/// Whether the cluster has to recover: a quorum of the nodes is certain, each entry can be
/// identified, and each entry that may be committed has an intact copy or is in a snapshot.
pub(crate) fn must_recover(cluster: &Cluster) -> bool {
    let certain = cluster.set(|node| node.is_certain);
    let unnamed = cluster.set(|node| (1..=node.log.last()).any(|at| node.log.id(at).is_none()));
    let all_have_copies = indices().all(|index| {
        let ids = cluster.places().filter_map(|place| cluster.nodes[place].log.content(index));
        ids.into_iter().all(|id| {
            cluster.set(|node| node.serves(index, id)) != 0 || !may_be_committed(cluster, index, id)
        })
    });
    cluster.is_quorum(certain) && unnamed == 0 && all_have_copies
}

/// Whether the disks leave it possible that an entry is committed: in some term, a quorum may have
/// acknowledged an entry of that term at its index or after it, and no certain node lacks the entry
/// while it has entries of a later term.
fn may_be_committed(cluster: &Cluster, index: u8, id: u8) -> bool {
    if cluster.omits(Omission::OnlyCommittedNeedsCopy) {
        let committed = cluster.history.committed[usize::from(index) - 1];
        return committed.is_some_and(|(known, _)| known == id);
    }
    let last_term = |node: &Node| (1..=node.log.last()).filter_map(|at| node.log.content(at)).max();
    let top =
        cluster.places().filter_map(|place| last_term(&cluster.nodes[place])).max().unwrap_or(0);
    (id..=top).any(|term| {
        let acknowledged = cluster.set(|node| {
            let mut after = index..=node.log.last();
            let has_term = after.any(|at| node.log.content(at) == Some(term));
            !node.is_certain || node.log.content(index) == Some(id) && has_term
        });
        let lacked = cluster.set(|node| {
            let lacks_it = node.log.content(index) != Some(id);
            node.is_certain && lacks_it && last_term(node) > Some(term)
        });
        cluster.is_quorum(acknowledged) && lacked == 0
    })
}
