//! Commit indices: S10, S13, S14, S16, S33, and the parts of S11 and S15 about commits.

use quorate::raft::{RoleName, Status};
use quorate::types::{EntryId, Index, NodeId, Term, Write};

use crate::check::decided::describe_held;
use crate::check::finding::{CheckResult, S10, S11, S13, S14, S15, S16, S33};
use crate::check::known::Known;
use crate::check::model::{DiskRef, Model, Node};
use crate::check::nodes::Slot;
use crate::check::rule::Rule;

/// The last index committed in each term, and the part of each node's log that was compared with
/// the committed log.
#[derive(Clone, Debug)]
pub(super) struct Commit {
    /// For each node, the index up to which its log was compared with the committed log.
    compared: Vec<Index>,
    /// The last index that was committed in each term, in the order of the commits.
    committed_by_term: Vec<(Term, Index)>,
}

impl Rule for Commit {
    fn new(known: &Known) -> Commit {
        let compared = vec![Index::ZERO; known.model.nodes.len()];
        Commit { compared, committed_by_term: Vec::new() }
    }

    /// Checks the indices that a node reports after an input.
    fn before_status_changed(&mut self, known: &Known, status: &Status) -> CheckResult {
        let Status { id, applied, committed, last, .. } = status;
        if applied > committed || *committed > last.index {
            let last = last.index;
            return S15.violated(format!(
                "{id} reports applied index {applied}, commit index {committed} and last index \
                 {last}, which are not in ascending order"
            ));
        }
        match known.model.of(*id).reported().map(|before| before.committed) {
            Some(before) if *committed < before => {
                S14.violated(format!("{id}'s commit index decreases from {before} to {committed}"))
            }
            _ => Ok(()),
        }
    }

    fn started(&mut self, known: &Known, status: &Status) -> CheckResult {
        let (id, committed, node) = (status.id, status.committed, known.model.of(status.id));
        self.compared[known.model.slot(id).0] = Index::ZERO;
        let (hint, last) = (node.commit_hint, node.disk.log.last());
        if committed < hint.min(last) {
            return S16.violated(format!(
                "{id} restarts with commit index {committed}, but its disk stores commit index \
                 {hint} and a log up to index {last}"
            ));
        }
        Ok(())
    }

    /// Checks a node's commit index after an input.
    fn status_changed(&mut self, known: &Known, status: &Status) -> CheckResult {
        let (model, term, slot) = (&known.model, status.term, known.model.slot(status.id));
        let committed = model.committed.last();
        if self.committed_by_term.last().map_or(Index::ZERO, |(_, last)| *last) < committed {
            match self.committed_by_term.last_mut() {
                Some((last, reached)) if *last == term => *reached = committed,
                _ => self.committed_by_term.push((term, committed)),
            }
            check_later_leaders(model, slot, term)?;
        }
        check_own_term_commit(known, status)?;
        self.compare(model, slot, status)?;
        let earlier = self.committed_by_term.iter().rev().find(|(by, _)| *by < term);
        match earlier.filter(|_| known.is_elected(status)) {
            Some((by, reached)) => check_leader_has(model, slot, term, *by, *reached),
            None => Ok(()),
        }
    }

    /// Checks a node's log after a write.
    fn submitted(&mut self, known: &Known, node: NodeId, write: &Write) -> CheckResult {
        let Some(first) = write.entries.first() else { return Ok(()) };
        let (model, slot) = (&known.model, known.model.slot(node));
        let compared = &mut self.compared[slot.0];
        *compared = first.id.index.previous().min(*compared);
        let status = &model.node(slot).status;
        status.as_ref().map_or(Ok(()), |status| self.compare(model, slot, status))
    }

    /// Checks a leader's statement that an entry is durable on every live voter: every voter that
    /// the leader has heard from, and the leader itself, has the entry on disk. If a voter has lost
    /// its disk and the leader may not know that yet, the lost disk must have had the entry.
    fn durable_on_all_live(
        &mut self,
        known: &Known,
        id: NodeId,
        entry: EntryId,
        live: &[NodeId],
    ) -> CheckResult {
        let model = &known.model;
        let (leader, index) = (model.slot(id), entry.index);
        if !model.committed.has(entry) {
            return S33.violated(format!(
                "{id} acknowledges entry {entry} as durable on every live voter, but that entry is \
                 not committed"
            ));
        }
        let electorate = model.electorate(leader);
        let voters = model.slots().filter(|slot| electorate.is_voter(*slot));
        for slot in voters.filter(|slot| *slot == leader || live.contains(&model.node(*slot).id)) {
            let node = model.node(slot);
            let named = node.disk_named_by(&electorate.membership);
            if let Some(named) = named.filter(|named| !had(node, *named, entry)) {
                let held = describe_held(node, named, index);
                return S33.violated(format!(
                    "{id} acknowledges entry {entry} as durable on every live voter, but {held}"
                ));
            }
        }
        Ok(())
    }
}

/// Whether the disk has the entry, or had it when the node was last certain of its log.
fn had(node: &Node, which: DiskRef, entry: EntryId) -> bool {
    node.disk_of(which).log.has(entry) || node.counted_of(which).log.has(entry)
}

impl Commit {
    /// Checks that the node's log equals the committed log up to the node's commit index. If the
    /// driver lags and has not passed the reported log to the disk yet, the comparison waits until
    /// it has.
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

/// Checks that only entries of the leader's current term are committed by counting replicas (Raft
/// §5.4.2). A leader whose log has damaged entries may also adopt a snapshot that covers them: that
/// commits the entries that it covers.
fn check_own_term_commit(known: &Known, status: &Status) -> CheckResult {
    let before = known.before.map_or(status.committed, |before| before.committed);
    if status.role != RoleName::Leader || status.committed <= before {
        return Ok(());
    }
    let (id, term) = (status.id, status.term);
    let top = known.model.committed.id_at(status.committed).unwrap_or_default();
    let damaged = &known.model.node(known.model.slot(id)).damaged;
    let covered = status.snapshot.next()..=status.committed;
    if top.term == term || damaged.range(covered).next().is_some() {
        return Ok(());
    }
    S13.violated(format!(
        "{id} leads term {term} and commits entry {top} of an earlier term by counting replicas"
    ))
}

/// Checks that leaders of later terms that were elected before this commit hold the committed
/// entry.
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
