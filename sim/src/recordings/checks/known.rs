//! The knowledge of the checks about each recorded node: its log, its disk and its membership.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use quorate::log::Log as CoreLog;
use quorate::raft::{Action, Input};
use quorate::recording::{Header, Step};
use quorate::types::{
    EntryId, HardState, Incarnation, Index, Membership, NodeId, Term, Write, WriteId,
};

use crate::check::{Electorate, Log};
use crate::recordings::event::CoreState;

/// The knowledge about all recorded nodes.
#[derive(Clone, Debug)]
pub(super) struct Known {
    nodes: BTreeMap<NodeId, KnownNode>,
}

/// The knowledge about one node.
#[derive(Clone, Debug)]
pub(super) struct KnownNode {
    pub(super) id: NodeId,
    /// Whether every step is recorded from a time at which the node was in `since_term` up to now.
    pub(super) is_recorded: bool,
    pub(super) since_term: Term,
    /// The start that the current recording belongs to.
    pub(super) start: u64,
    pub(super) keeps_commands: bool,
    /// The log once all writes are durable, and the entry before the first one that is known.
    pub(super) log: Log,
    pub(super) base: EntryId,
    /// The writes that are not durable yet, as far as they are recorded.
    pending: VecDeque<PendingWrite>,
    /// While writes from before the recording may not be durable: the last entry of the log then,
    /// and the durable index that the node reports.
    inherited: Option<(Index, Index)>,
    /// The durable term and vote, once a recorded write has made them durable.
    pub(super) hard_state: Option<HardState>,
    /// The latest term that is certainly durable, over all starts.
    pub(super) durable_term: Term,
    /// The disk, as the last message of the node names it.
    pub(super) incarnation: Option<Incarnation>,
    /// The commit index after the last step.
    committed: Index,
    /// The membership after the last step.
    pub(super) membership: Membership,
    /// Whether the node is uncertain now, and whether it ever was.
    pub(super) is_uncertain: bool,
    pub(super) was_uncertain: bool,
}

#[derive(Clone, Debug)]
struct PendingWrite {
    id: WriteId,
    hard_state: Option<HardState>,
    /// The first index that the write changes. A snapshot may change every index that is not both
    /// durable and committed.
    first: Option<Index>,
}

impl Known {
    pub(super) fn new(nodes: &[NodeId]) -> Known {
        Known { nodes: nodes.iter().map(|id| (*id, KnownNode::new(*id))).collect() }
    }

    /// The knowledge about a recorded node. Panics for any other.
    pub(super) fn of(&self, id: NodeId) -> &KnownNode {
        &self.nodes[&id]
    }

    pub(super) fn get(&self, id: NodeId) -> Option<&KnownNode> {
        self.nodes.get(&id)
    }

    /// Whether every step of the node is recorded now.
    pub(super) fn is_recorded(&self, id: NodeId) -> bool {
        self.get(id).is_some_and(|node| node.is_recorded)
    }

    /// The other voters in the membership of the node, and in those of the recorded nodes.
    pub(super) fn voters_seen_by(&self, id: NodeId) -> impl Iterator<Item = NodeId> {
        let nodes = self.nodes.values().filter(move |node| node.is_recorded || node.id == id);
        nodes.flat_map(|node| node.membership.voters()).filter(move |voter| *voter != id)
    }

    fn of_mut(&mut self, id: NodeId) -> &mut KnownNode {
        self.nodes.get_mut(&id).expect("every recorded node is listed")
    }

    pub(super) fn begin(&mut self, id: NodeId, header: &Header, state: CoreState<'_>) {
        let status = state.status;
        let node = self.of_mut(id);
        // A disk in an earlier term than it had was emptied, or is an older copy.
        node.was_uncertain |= status.term < node.durable_term;
        node.durable_term = node.durable_term.min(status.term);
        node.incarnation = None;
        node.is_recorded = true;
        node.since_term = status.term;
        (node.start, node.keeps_commands) = (header.start, header.keeps_commands);
        (node.log, node.base) = (log_of(state.log), state.log.base());
        node.pending.clear();
        let is_durable = header.first_record == 0 || status.durable == status.last.index;
        node.inherited = (!is_durable).then_some((status.last.index, status.durable));
        // A node starts with the state of its disk.
        node.hard_state = (header.first_record == 0).then(|| status.hard_state());
        self.finish_step(id, state);
    }

    pub(super) fn end(&mut self, id: NodeId) {
        self.of_mut(id).is_recorded = false;
    }

    /// Records the writes that the input of a step reports as durable; returns the votes in them.
    pub(super) fn take_input(
        &mut self,
        id: NodeId,
        step: &Step,
        state: CoreState<'_>,
    ) -> Vec<(Term, NodeId)> {
        let mut votes = Vec::new();
        let (node, reported) = (self.of_mut(id), state.status.durable);
        node.base = node.base.max(state.log.base());
        node.inherited = node.inherited.filter(|(last, _)| reported < *last);
        node.inherited = node.inherited.map(|(last, _)| (last, reported));
        let Input::Persisted(write) = step.input else { return votes };
        while let Some(durable) = node.pending.pop_front_if(|pending| pending.id <= write) {
            let Some(hard_state) = durable.hard_state else { continue };
            node.hard_state = Some(hard_state);
            node.durable_term = node.durable_term.max(hard_state.term);
            votes.extend(hard_state.vote.map(|vote| (hard_state.term, vote)));
        }
        votes
    }

    /// Records an action, after the rules have checked it.
    pub(super) fn carry_out(&mut self, id: NodeId, action: &Action) {
        let node = self.of_mut(id);
        match action {
            Action::Persist(write) => node.submit(write),
            Action::Send(message) => node.incarnation = Some(message.incarnation),
            _ => {}
        }
    }

    pub(super) fn finish_step(&mut self, id: NodeId, state: CoreState<'_>) {
        let node = self.of_mut(id);
        if !node.membership.ptr_eq(state.membership) {
            node.membership = state.membership.clone();
        }
        node.committed = state.status.committed;
        node.is_uncertain = state.status.is_uncertain;
        node.was_uncertain |= node.is_uncertain;
    }
}

impl KnownNode {
    fn new(id: NodeId) -> KnownNode {
        KnownNode {
            id,
            is_recorded: false,
            since_term: Term::ZERO,
            start: 0,
            keeps_commands: false,
            log: empty_log(),
            base: EntryId::ZERO,
            pending: VecDeque::new(),
            inherited: None,
            hard_state: None,
            durable_term: Term::ZERO,
            incarnation: None,
            committed: Index::ZERO,
            membership: Membership::default(),
            is_uncertain: false,
            was_uncertain: false,
        }
    }

    fn submit(&mut self, write: &Write) {
        // The snapshot has every entry that is committed and durable.
        let kept = self.durable_and_committed();
        let installed = write.install.as_ref().map(|meta| meta.last);
        if let Some(last) = installed.filter(|last| *last > EntryId::ZERO) {
            self.log.truncate(Index::ZERO);
            self.log.push(last);
            self.base = last;
        }
        if let Some(first) = write.entries.first() {
            self.log.truncate(first.id.index.previous());
        }
        write.entries.iter().for_each(|entry| self.log.push(entry.id));
        let first = write.entries.first().map(|entry| entry.id.index);
        self.pending.push_back(PendingWrite {
            id: write.id,
            hard_state: write.hard_state,
            first: if installed.is_some() { Some(kept.next()) } else { first },
        });
    }

    /// The last index up to which the log is durable, by the recorded writes.
    pub(super) fn durable(&self) -> Index {
        let pending = self.pending.iter().filter_map(|write| write.first).min();
        let by_writes = pending.map_or(self.log.last(), |first| first.previous());
        self.inherited.map_or(by_writes, |(_, reported)| by_writes.min(reported))
    }

    /// The last index up to which the log is durable and, by the node's last step, committed.
    pub(super) fn durable_and_committed(&self) -> Index {
        self.durable().min(self.committed)
    }

    /// Whether writes from before the recording may still be pending.
    pub(super) fn has_inherited_writes(&self) -> bool {
        self.inherited.is_some()
    }

    /// Whether the entry is durable on the node's disk.
    pub(super) fn has_durable(&self, id: EntryId) -> bool {
        id.index <= self.durable()
            && (id.index <= self.base.index || self.log.id_at(id.index) == Some(id))
    }
}

fn empty_log() -> Log {
    Log::new(Arc::new(Electorate::new(&[], &Membership::default())))
}

/// The ids of a core's log. The entries up to its base have the term of the base.
fn log_of(core: &CoreLog) -> Log {
    let mut ends = Vec::new();
    let (mut at, base) = (core.last(), core.base());
    while at.index > base.index {
        ends.push(at);
        let before = core.find_conflict_by_term(at.index, Term(at.term.0.saturating_sub(1)));
        if before.index >= at.index {
            // The terms of a forged log may decrease.
            break;
        }
        at = before;
    }
    if base > EntryId::ZERO {
        ends.push(base);
    }
    let mut log = empty_log();
    ends.into_iter().rev().for_each(|end| log.push(end));
    log
}
