//! Commit indices: S10, S12 to S14, S16, S33, and the parts of S11, S15, S23 and S24 about commits.

use quorate::raft::{RoleName, Status};
use quorate::types::{EntryId, Index, Membership, NodeId, Term};

use crate::check::electorate::{Decision, Electorate};
use crate::check::finding::{CheckResult, S10, S11, S12, S13, S14, S15, S16, S23, S24, S33};
use crate::check::model::{DiskRef, Model, Node, REPLACED_DISK_RULE};
use crate::check::nodes::Slot;

/// The last index committed in each term, and the part of each node's log that was compared with
/// the committed log.
#[derive(Clone, Debug)]
pub(super) struct Commit {
    /// For each node, the index up to which its log was compared with the committed log.
    compared: Vec<Index>,
    /// The last index that was committed in each term, in the order of the commits.
    committed_by_term: Vec<(Term, Index)>,
}

impl Commit {
    pub(super) fn new(model: &Model) -> Commit {
        Commit { compared: vec![Index::ZERO; model.nodes.len()], committed_by_term: Vec::new() }
    }

    /// Checks the commit index of a node that started from its disk.
    pub(super) fn started(&mut self, model: &Model, slot: Slot, status: &Status) -> CheckResult {
        self.compared[slot.0] = Index::ZERO;
        check_commit_hint(model, slot, status)
    }

    /// Checks a node's commit index after an input that left the node with `membership`. Extends
    /// the committed log if the node is the first to commit further.
    pub(super) fn stepped(
        &mut self,
        model: &mut Model,
        slot: Slot,
        status: &Status,
        membership: &Membership,
    ) -> CheckResult {
        check_index_order(model, slot, status)?;
        check_monotonic(model, slot, status)?;
        if status.committed > model.committed.last() {
            extend(model, slot, status.committed, membership)?;
            self.record_committed(status.term, status.committed);
            check_later_leaders(model, slot, status.term)?;
        }
        check_own_term_commit(model, slot, status)?;
        self.compare(model, slot, status)
    }

    fn record_committed(&mut self, term: Term, index: Index) {
        match self.committed_by_term.last_mut() {
            Some((last, reached)) if *last == term => *reached = index,
            _ => self.committed_by_term.push((term, index)),
        }
    }

    /// Checks the log of a node that became the leader of `term`.
    pub(super) fn elected(&self, model: &Model, slot: Slot, term: Term) -> CheckResult {
        let earlier = self.committed_by_term.iter().rev().find(|(by, _)| *by < term);
        let Some((by, reached)) = earlier else { return Ok(()) };
        check_leader_has(model, slot, term, *by, *reached)
    }

    /// Checks a node's log after a write whose first entry is at `first`.
    pub(super) fn submitted(&mut self, model: &Model, slot: Slot, first: Index) -> CheckResult {
        let compared = &mut self.compared[slot.0];
        *compared = first.previous().min(*compared);
        match &model.node(slot).status {
            Some(status) => self.compare(model, slot, status),
            None => Ok(()),
        }
    }

    /// Checks that the node's log equals the committed log up to the node's commit index. If a
    /// lagging driver has not yet given the reported log to the disk, the comparison waits for it.
    fn compare(&mut self, model: &Model, slot: Slot, status: &Status) -> CheckResult {
        let (log, index) = (&model.node(slot).memory.log, status.committed);
        if index <= self.compared[slot.0] || status.last != log.last_id() {
            return Ok(());
        }
        self.compared[slot.0] = index;
        let (has, decided) = (log.id_at(index), model.committed.id_at(index));
        if has == decided {
            return Ok(());
        }
        let (id, has, decided) = (status.id, has.unwrap_or_default(), decided.unwrap_or_default());
        S11.violated(format!(
            "{id} commits entry {has}, but the committed entry at that index is {decided}"
        ))
    }
}

/// Checks an acknowledgement of an entry as durable on every live voter: every voter that the
/// leader heard from, and the leader itself, has the entry on disk. If a voter lost its disk and
/// the leader may not know it yet, the lost disk must have had the entry.
pub(super) fn check_durable_on_all_live(
    model: &Model,
    id: NodeId,
    entry: EntryId,
    live: &[NodeId],
) -> CheckResult {
    let (leader, index) = (model.slot(id), entry.index);
    if !model.committed.has(entry) {
        return S33.violated(format!(
            "{id} acknowledges entry {entry} as durable on every live voter, but that entry is not \
             committed"
        ));
    }
    let electorate = model.electorate(leader);
    let voters = model.slots().filter(|slot| electorate.is_voter(*slot));
    for slot in voters.filter(|slot| *slot == leader || live.contains(&model.node(*slot).id)) {
        let node = model.node(slot);
        let named = node.disk_named_by(&electorate.membership);
        if let Some(named) = named.filter(|named| !node.disk_of(*named).log.has(entry)) {
            let held = describe_held(node, named, index);
            return S33.violated(format!(
                "{id} acknowledges entry {entry} as durable on every live voter, but {held}"
            ));
        }
    }
    Ok(())
}

fn check_index_order(model: &Model, slot: Slot, status: &Status) -> CheckResult {
    let (id, applied, committed) = (model.node(slot).id, status.applied, status.committed);
    let last = status.last.index;
    if applied > committed || committed > last {
        return S15.violated(format!(
            "{id} reports applied index {applied}, commit index {committed} and last index \
             {last}, which are not in ascending order"
        ));
    }
    Ok(())
}

fn check_monotonic(model: &Model, slot: Slot, status: &Status) -> CheckResult {
    let node = model.node(slot);
    let (id, committed) = (node.id, status.committed);
    if let Some(before) = node.status {
        let before = before.committed;
        if committed < before {
            return S14
                .violated(format!("{id}'s commit index decreases from {before} to {committed}"));
        }
    }
    Ok(())
}

fn check_commit_hint(model: &Model, slot: Slot, status: &Status) -> CheckResult {
    let node = model.node(slot);
    let (id, committed) = (node.id, status.committed);
    let (hint, last) = (node.commit_hint, node.disk.log.last());
    if committed < hint.min(last) {
        return S16.violated(format!(
            "{id} restarts with commit index {committed}, but its disk stores commit index {hint} \
             and a log up to index {last}"
        ));
    }
    Ok(())
}

/// Returns a node whose disk holds the entry at `index` that a quorum of disks holds. If no entry
/// at that index is on a quorum of disks, returns `None`; the decision then says whether nodes
/// without a vote would complete a quorum.
fn holder(model: &Model, electorate: &Electorate, index: Index) -> (Option<Slot>, Decision) {
    let mut nearest = Decision::NoQuorum;
    let id = |slot: Slot| {
        let node = model.node(slot);
        node.disk_of(node.disk_named_by(&electorate.membership)?).log.id_at(index)
    };
    for slot in model.slots() {
        let Some(has) = id(slot) else { continue };
        let holds = |slot: &Slot| id(*slot) == Some(has);
        // In last-survivor mode any voter may be the last survivor, so every voter must hold it.
        let lacks = |slot: Slot| electorate.is_voter(slot) && !holds(&slot);
        if model.last_survivor_enabled && model.slots().any(lacks) {
            continue;
        }
        match electorate.decision(model.slots().filter(holds).collect()) {
            Decision::Quorum => return (Some(slot), Decision::Quorum),
            Decision::QuorumWithNonVoters => nearest = Decision::QuorumWithNonVoters,
            Decision::NoQuorum => {}
        }
    }
    (None, nearest)
}

/// Finds the log that a quorum holds durably up to `index`, and appends it to the committed log.
/// If the node's membership changes in this step, it commits the entries up to the change under the
/// old membership, and the later ones under the membership `after`.
fn extend(model: &mut Model, slot: Slot, index: Index, after: &Membership) -> CheckResult {
    let before = model.electorate(slot);
    let (found, decision) = holder(model, before, index);
    let mut chosen = found.map(|found| (found, before.membership.clone()));
    if chosen.is_none() && before.membership != *after {
        let log = &model.node(slot).memory.log;
        let first = log.electorates().last().map_or(Index::ZERO, |(first, _)| *first).min(index);
        // A last survivor that takes over commits at once the entries that waited for dead voters.
        if model.last_survivor_enabled
            || first == Index::ZERO
            || holder(model, before, first).0.is_some()
        {
            let found = holder(model, &model.electorate_of(after), index).0;
            chosen = found.map(|found| (found, after.clone()));
        }
    }
    let id = model.node(slot).id;
    let Some((chosen, by)) = chosen else {
        let check = match decision {
            Decision::QuorumWithNonVoters => &S23,
            _ if decided_by_replaced_disk(model, before, index) => &S24,
            _ => &S12,
        };
        let disks: Vec<String> =
            model.nodes.iter().map(|node| describe_held(node, DiskRef::Current, index)).collect();
        let (disks, membership) = (disks.join(", "), &before.membership);
        let rule = match check {
            _ if model.last_survivor_enabled => {
                "; in last-survivor mode every voter must have the entry"
            }
            check if *check == S24 => REPLACED_DISK_RULE,
            _ => "",
        };
        return check.violated(format!(
            "{id} commits index {index}, but that entry is not durable on a quorum of \
             {membership}: {disks}{rule}"
        ));
    };
    let reached = model.committed.last();
    let node = &model.nodes[chosen.0];
    let which = node.disk_named_by(&by).expect("the holder of the committed log has a disk");
    let log = &node.disk_of(which).log;
    let decided = model.committed.last_id();
    if log.id_at(reached) != Some(decided) {
        let has = log.id_at(reached).unwrap_or_default();
        return S11.violated(format!(
            "{id} commits index {index} on a quorum whose log has entry {has} in place of the \
             committed entry {decided}"
        ));
    }
    model.committed.extend_from(log, index);
    Ok(())
}

/// Whether the entry would be committed if replacement disks counted like the lost disks.
fn decided_by_replaced_disk(model: &Model, electorate: &Electorate, index: Index) -> bool {
    let id = |slot: Slot| model.node(slot).disk.log.id_at(index);
    model.slots().filter_map(id).any(|has| {
        let holds = |slot: &Slot| id(*slot) == Some(has);
        electorate.decision(model.slots().filter(holds).collect()) == Decision::Quorum
    })
}

/// Describes what one of a node's disks has at `index`.
fn describe_held(node: &Node, which: DiskRef, index: Index) -> String {
    let (id, log) = (node.id, &node.disk_of(which).log);
    let disk = match which {
        DiskRef::Current => "disk",
        DiskRef::Lost(_) => "lost disk",
    };
    match log.id_at(index) {
        Some(entry) => format!("{id} has {entry} on {disk}"),
        None => format!("the log on {id}'s {disk} ends at index {}", log.last()),
    }
}

/// Checks that a leader commits by counting replicas only entries of its own term (Raft §5.4.2).
fn check_own_term_commit(model: &Model, slot: Slot, status: &Status) -> CheckResult {
    let node = model.node(slot);
    let before = node.status.map_or(status.committed, |before| before.committed);
    if status.role != RoleName::Leader || status.committed <= before {
        return Ok(());
    }
    let (id, term) = (node.id, status.term);
    let top = model.committed.id_at(status.committed).unwrap_or_default();
    if top.term == term {
        return Ok(());
    }
    S13.violated(format!(
        "{id} leads term {term} and commits entry {top} of an earlier term by counting replicas"
    ))
}

/// Checks that the leaders of later terms, elected before this commit, hold the committed entry.
fn check_later_leaders(model: &Model, committer: Slot, term: Term) -> CheckResult {
    let index = model.committed.last();
    for slot in model.slots().filter(|slot| *slot != committer) {
        let Some(status) = model.node(slot).status else { continue };
        if status.role == RoleName::Leader && status.term > term {
            check_leader_has(model, slot, status.term, term, index)?;
        }
    }
    Ok(())
}

fn check_leader_has(
    model: &Model,
    leader: Slot,
    term: Term,
    by: Term,
    index: Index,
) -> CheckResult {
    let node = model.node(leader);
    let log = &node.memory.log;
    if log.id_at(index) == model.committed.id_at(index) {
        return Ok(());
    }
    let (id, decided) = (node.id, model.committed.id_at(index).unwrap_or_default());
    let has = log.id_at(index).map_or_else(
        || format!("ends at index {}", log.last()),
        |has| format!("has entry {has} there"),
    );
    S10.violated(format!(
        "entry {decided} was committed in term {by}, but the log of {id}, the leader of term \
         {term}, {has}"
    ))
}
