//! The commit index: S10, S12 to S14, S16, and the part of S11 about what is committed.

use quorate::raft::{RoleName, Status};
use quorate::types::{EntryId, Index, Membership, NodeId, Term};

use crate::check::electorate::{Decision, Electorate};
use crate::check::finding::{S10, S11, S12, S13, S14, S15, S16, S23, S24, S33, Verdict};
use crate::check::model::{Model, Node};
use crate::check::nodes::Slot;

/// What was committed when, and how far each node's log was compared with it.
#[derive(Clone, Debug)]
pub(super) struct Commit {
    /// For each node: up to here its memory was compared with the committed log.
    compared: Vec<Index>,
    /// Up to which index the terms had committed, in the order in which they did.
    reached: Vec<(Term, Index)>,
}

impl Commit {
    pub(super) fn new(model: &Model) -> Commit {
        Commit { compared: vec![Index::ZERO; model.nodes.len()], reached: Vec::new() }
    }

    /// A node started from its disk.
    pub(super) fn started(&mut self, model: &Model, slot: Slot, status: &Status) -> Verdict {
        self.compared[slot.0] = Index::ZERO;
        survives(model, slot, status)
    }

    /// A node took an input, and goes by `membership` since. Extends the committed log if the node
    /// is the first to go further.
    pub(super) fn stepped(
        &mut self,
        model: &mut Model,
        slot: Slot,
        status: &Status,
        membership: &Membership,
    ) -> Verdict {
        ladder(model, slot, status)?;
        advances(model, slot, status)?;
        if status.committed > model.committed.last() {
            extend(model, slot, status.committed, membership)?;
            self.reach(status.term, status.committed);
            later_leaders_have(model, slot, status.term)?;
        }
        by_counting_own(model, slot, status)?;
        self.compare(model, slot, status)
    }

    fn reach(&mut self, term: Term, index: Index) {
        match self.reached.last_mut() {
            Some((last, reached)) if *last == term => *reached = index,
            _ => self.reached.push((term, index)),
        }
    }

    /// A node became the leader of `term`.
    pub(super) fn elected(&self, model: &Model, slot: Slot, term: Term) -> Verdict {
        let earlier = self.reached.iter().rev().find(|(by, _)| *by < term);
        let Some((by, reached)) = earlier else { return Ok(()) };
        has_committed(model, slot, term, *by, *reached)
    }

    /// A node gave a write to its disk, the first entry of which is at `first`.
    pub(super) fn submitted(&mut self, model: &Model, slot: Slot, first: Index) -> Verdict {
        let compared = &mut self.compared[slot.0];
        *compared = first.previous().min(*compared);
        match &model.node(slot).status {
            Some(status) => self.compare(model, slot, status),
            None => Ok(()),
        }
    }

    /// The node's log must agree with the committed one up to its commit index. A lagging driver
    /// may not have given the log that the node speaks of to the disk yet: then it is compared
    /// once that is done.
    fn compare(&mut self, model: &Model, slot: Slot, status: &Status) -> Verdict {
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
        S11.broken(format!("{id} commits {has} where {decided} is committed"))
    }
}

/// A leader answers what every voter that it hears is to have: they do, and so does its own disk.
/// Of a voter that lost its disk the leader may not know yet: then the disk that is gone had it.
pub(super) fn on_all_live(model: &Model, id: NodeId, entry: EntryId, live: &[NodeId]) -> Verdict {
    let (leader, index) = (model.slot(id), entry.index);
    if !model.committed.has(entry) {
        return S33.broken(format!("{id} answers {entry}, which is not committed"));
    }
    let electorate = model.electorate(leader);
    let voters = model.slots().filter(|slot| electorate.is_voter(*slot));
    for slot in voters.filter(|slot| *slot == leader || live.contains(&model.node(*slot).id)) {
        let node = model.node(slot);
        let named = node.named_by(&electorate.membership).map(|named| node.disk_of(named));
        if named.is_some_and(|disk| !disk.log.has(entry)) {
            let held = held(node, index);
            return S33.broken(format!("{id} answers {entry} for all live voters, but {held}"));
        }
    }
    Ok(())
}

fn ladder(model: &Model, slot: Slot, status: &Status) -> Verdict {
    let (id, applied, committed) = (model.node(slot).id, status.applied, status.committed);
    let last = status.last.index;
    if applied > committed || committed > last {
        return S15.broken(format!(
            "{id} has applied {applied}, committed {committed}, last {last}: out of order"
        ));
    }
    Ok(())
}

fn advances(model: &Model, slot: Slot, status: &Status) -> Verdict {
    let node = model.node(slot);
    let (id, committed) = (node.id, status.committed);
    if let Some(before) = node.status {
        let before = before.committed;
        if committed < before {
            return S14.broken(format!("{id}'s commit index falls from {before} to {committed}"));
        }
    }
    Ok(())
}

fn survives(model: &Model, slot: Slot, status: &Status) -> Verdict {
    let node = model.node(slot);
    let (id, committed) = (node.id, status.committed);
    let (hint, last) = (node.hint, node.disk.log.last());
    if committed < hint.min(last) {
        return S16.broken(format!(
            "{id} restarts with commit index {committed} though its disk says {hint} of {last}"
        ));
    }
    Ok(())
}

/// Which node's disk has, up to `index`, what the electorate holds so; or how near it comes.
fn holder(model: &Model, electorate: &Electorate, index: Index) -> (Option<Slot>, Decision) {
    let mut nearest = Decision::None;
    let id = |slot: Slot| {
        let node = model.node(slot);
        node.disk_of(node.named_by(&electorate.membership)?).log.id_at(index)
    };
    for slot in model.slots() {
        let Some(has) = id(slot) else { continue };
        let holds = |slot: &Slot| id(*slot) == Some(has);
        // Each voter may be the last survivor.
        let lacks = |slot: Slot| electorate.is_voter(slot) && !holds(&slot);
        if model.survives && model.slots().any(lacks) {
            continue;
        }
        match electorate.decision(model.slots().filter(holds).collect()) {
            Decision::Made => return (Some(slot), Decision::Made),
            Decision::ByStrangers => nearest = Decision::ByStrangers,
            Decision::None => {}
        }
    }
    (None, nearest)
}

/// Finds the log that a quorum holds durably up to `index`, and takes it over as committed. The
/// node went by one membership before its step and by `after` at the end of it: then what is
/// committed reaches that far under the first, and on from there under the second.
fn extend(model: &mut Model, slot: Slot, index: Index, after: &Membership) -> Verdict {
    let before = model.electorate(slot);
    let (found, decision) = holder(model, before, index);
    let mut chosen = found.map(|found| (found, before.membership.clone()));
    if chosen.is_none() && before.membership != *after {
        let log = &model.node(slot).memory.log;
        let first = log.electorates().last().map_or(Index::ZERO, |(first, _)| *first).min(index);
        // Who takes the vote of the dead, commits at once what waited for them alone.
        if model.survives || first == Index::ZERO || holder(model, before, first).0.is_some() {
            let found = holder(model, &model.electorate_of(after), index).0;
            chosen = found.map(|found| (found, after.clone()));
        }
    }
    let id = model.node(slot).id;
    let Some((chosen, by)) = chosen else {
        let check = match decision {
            Decision::ByStrangers => &S23,
            _ if replaced(model, before, index) => &S24,
            _ => &S12,
        };
        let disks: Vec<String> = model.nodes.iter().map(|node| held(node, index)).collect();
        let (disks, membership) = (disks.join(", "), &before.membership);
        return check.broken(format!(
            "{id} commits {index} without the disks of a quorum of {membership}: {disks}"
        ));
    };
    let reached = model.committed.last();
    let node = &model.nodes[chosen.0];
    let which = node.named_by(&by).expect("it holds what is committed");
    let log = &node.disk_of(which).log;
    let decided = model.committed.last_id();
    if log.id_at(reached) != Some(decided) {
        let has = log.id_at(reached).unwrap_or_default();
        return S11.broken(format!(
            "{id} commits {index} on a quorum that has {has} where {decided} is committed"
        ));
    }
    model.committed.extend_like(log, index);
    Ok(())
}

/// Whether it would be committed if a disk counted in the place of one that is lost.
fn replaced(model: &Model, electorate: &Electorate, index: Index) -> bool {
    let id = |slot: Slot| model.node(slot).disk.log.id_at(index);
    model.slots().filter_map(id).any(|has| {
        let holds = |slot: &Slot| id(*slot) == Some(has);
        electorate.decision(model.slots().filter(holds).collect()) == Decision::Made
    })
}

fn held(node: &Node, index: Index) -> String {
    match node.disk.log.id_at(index) {
        Some(id) => format!("{} has {id}", node.id),
        None => format!("{} ends at {}", node.id, node.disk.log.last()),
    }
}

/// Raft §5.4.2: a leader counts replicas only for entries of its own term.
fn by_counting_own(model: &Model, slot: Slot, status: &Status) -> Verdict {
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
    S13.broken(format!("{id} leads {term} and commits {top} by counting"))
}

/// A leader of a later term, elected before this commit, must have what it commits.
fn later_leaders_have(model: &Model, committer: Slot, term: Term) -> Verdict {
    let index = model.committed.last();
    for slot in model.slots().filter(|slot| *slot != committer) {
        let Some(status) = model.node(slot).status else { continue };
        if status.role == RoleName::Leader && status.term > term {
            has_committed(model, slot, status.term, term, index)?;
        }
    }
    Ok(())
}

fn has_committed(model: &Model, leader: Slot, term: Term, by: Term, index: Index) -> Verdict {
    let node = model.node(leader);
    let log = &node.memory.log;
    if log.id_at(index) == model.committed.id_at(index) {
        return Ok(());
    }
    let (id, decided) = (node.id, model.committed.id_at(index).unwrap_or_default());
    let has = log.id_at(index).map_or(format!("ends at {}", log.last()), |id| format!("has {id}"));
    S10.broken(format!("{id} leads {term} but its log {has} where {by} committed {decided}"))
}
