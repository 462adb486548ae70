//! Committed entries: S10 to S15, and S18.

use std::collections::BTreeMap;

use quorate::raft::{Action, RoleName, Status};
use quorate::types::{Entry, EntryId, Index, Membership, NodeId, Term};

use crate::check::{S10, S11, S12, S13, S14, S15, S18};
use crate::recordings::checks::known::Known;
use crate::recordings::checks::ledger::Ledger;
use crate::recordings::checks::votes::quorum_of;
use crate::recordings::event::{CoreState, Event};

/// The committed log, as far as recordings show it.
#[derive(Clone, Debug, Default)]
pub(super) struct Commits {
    /// The term of each committed entry, and the node that was first seen to commit it.
    committed: BTreeMap<Index, (Term, NodeId)>,
    /// For each term, the last entry that a node in that term committed.
    ends: BTreeMap<Term, EntryId>,
    /// The entries that were acknowledged to users.
    acknowledged: BTreeMap<Index, Term>,
    /// For each node, the last entry that its state machine was given, if that is recorded.
    applied: BTreeMap<NodeId, Index>,
}

impl Commits {
    /// Records the last committed entry of a checkpoint.
    pub(super) fn begins(&mut self, ledger: &mut Ledger, event: &Event<'_>, state: CoreState<'_>) {
        self.applied.remove(&event.node);
        let index = state.status.committed;
        if let Some(term) = state.log.term_at(index).filter(|_| index > Index::ZERO) {
            self.commit(ledger, event.node, EntryId::new(term, index), state.status.term);
        }
    }

    pub(super) fn ends(&mut self, node: NodeId) {
        self.applied.remove(&node);
    }

    pub(super) fn action(
        &mut self,
        ledger: &mut Ledger,
        event: &Event<'_>,
        state: CoreState<'_>,
        action: &Action,
    ) {
        match action {
            Action::Apply(entries) => self.apply(ledger, event.node, state, entries),
            Action::Committed { id, .. } => self.acknowledge(ledger, event.node, state, *id),
            Action::Restore(meta) => {
                self.applied.insert(event.node, meta.last.index);
            }
            _ => {}
        }
    }

    /// Checks a change of the commit index, and an election.
    pub(super) fn stepped(
        &mut self,
        ledger: &mut Ledger,
        known: &Known,
        event: &Event<'_>,
        before: &Status,
        state: CoreState<'_>,
    ) {
        let (node, status) = (event.node, state.status);
        let (was, is) = (before.committed, status.committed);
        if is < was {
            let text = format!("{node}'s commit index decreases from {was} to {is}");
            return ledger.violated(&S14, text);
        }
        let leads = status.role == RoleName::Leader;
        let led = before.role == RoleName::Leader && before.term == status.term;
        if leads && !led {
            self.check_leader(ledger, node, state);
        }
        if is == was {
            return;
        }
        ledger.holds(&S14);
        let is_new = self.committed.last_key_value().is_none_or(|(last, _)| *last < is);
        if let Some(term) = state.log.term_at(is).filter(|_| leads) {
            let top = EntryId::new(term, is);
            check_own_term(ledger, node, status.term, top);
            if is_new {
                check_quorum(ledger, known, event, state, top);
            }
        }
        for index in (was.0 + 1..=is.0).map(Index) {
            // The base of the log and the entries before it came with a snapshot.
            if let Some(term) = state.log.term_at(index) {
                self.commit(ledger, node, EntryId::new(term, index), status.term);
            }
        }
    }

    /// Notes that a node commits an entry while it is in term `by`, and checks that no other entry
    /// was committed at the index.
    fn commit(&mut self, ledger: &mut Ledger, node: NodeId, id: EntryId, by: Term) {
        let EntryId { term, index } = id;
        match self.acknowledged.get(&index) {
            Some(acknowledged) if *acknowledged != term => {
                let acknowledged = EntryId::new(*acknowledged, index);
                ledger.violated(
                    &S18,
                    format!("{node} commits entry {id}, but {acknowledged} was acknowledged"),
                );
            }
            Some(_) => ledger.holds(&S18),
            None => {}
        }
        match self.committed.get(&index) {
            Some((other, first)) if *other != term => {
                let other = EntryId::new(*other, index);
                ledger.violated(
                    &S11,
                    format!("{node} commits entry {id}, but {first} committed entry {other}"),
                );
            }
            Some(_) => ledger.holds(&S11),
            None => {
                self.committed.insert(index, (term, node));
                ledger.holds(&S11);
            }
        }
        let end = self.ends.entry(by).or_insert(id);
        *end = (*end).max(id);
    }

    /// Checks that a new leader's log has all entries that were committed in earlier terms.
    fn check_leader(&self, ledger: &mut Ledger, node: NodeId, state: CoreState<'_>) {
        let term = state.status.term;
        let earlier = self.ends.range(..term).map(|(by, end)| (end.index, *end, *by)).max();
        let Some((index, committed, by)) = earlier else {
            return ledger.undecided(&S10, "no earlier commit is recorded");
        };
        let last = state.log.last();
        let has = index <= state.log.base().index || state.log.has(committed);
        let text = || {
            format!(
                "entry {committed} was committed in term {by}, but the log of {node}, the leader \
                 of term {term}, which ends with {last}, lacks it"
            )
        };
        ledger.decide(&S10, (!has).then(text));
    }

    /// Checks entries that a state machine is given: each once, in order, and committed.
    fn apply(&mut self, ledger: &mut Ledger, node: NodeId, state: CoreState<'_>, all: &[Entry]) {
        let committed = state.status.committed;
        for id in all.iter().map(|entry| entry.id) {
            let last = self.applied.insert(node, id.index);
            let problem = match last {
                _ if id.index > committed => Some(format!("its commit index is {committed}")),
                Some(last) if last.next() != id.index => {
                    Some(format!("the last entry that it applied has index {last}"))
                }
                _ => None,
            };
            let text = |problem| format!("{node} applies entry {id}, but {problem}");
            ledger.decide(&S15, problem.map(text));
            if let Some((term, first)) = self.committed.get(&id.index)
                && *term != id.term
            {
                let other = EntryId::new(*term, id.index);
                ledger.violated(
                    &S11,
                    format!("{node} applies entry {id}, but {first} committed entry {other}"),
                );
            }
        }
    }

    /// Checks an acknowledgement to a user: the entry is committed.
    fn acknowledge(
        &mut self,
        ledger: &mut Ledger,
        node: NodeId,
        state: CoreState<'_>,
        id: EntryId,
    ) {
        let committed = state.status.committed;
        let is_committed =
            id.index <= committed && (id.index <= state.log.base().index || state.log.has(id));
        let text = || {
            format!(
                "{node} acknowledges entry {id}, but its log up to its commit index {committed} \
                 lacks it"
            )
        };
        ledger.decide(&S18, (!is_committed).then(text));
        let other = self.committed.get(&id.index).filter(|(term, _)| *term != id.term);
        if let Some((term, first)) = other {
            let other = EntryId::new(*term, id.index);
            ledger.violated(
                &S18,
                format!("{node} acknowledges entry {id}, but {first} committed entry {other}"),
            );
        }
        self.acknowledged.insert(id.index, id.term);
    }
}

/// Checks that only entries of the leader's current term are committed by counting replicas (Raft
/// §5.4.2).
fn check_own_term(ledger: &mut Ledger, node: NodeId, term: Term, top: EntryId) {
    let text = || {
        format!(
            "{node} leads term {term} and commits entry {top} of an earlier term by counting \
             replicas"
        )
    };
    ledger.decide(&S13, (top.term != term).then(text));
}

/// Checks that an entry is durable on a quorum when a leader first commits it. A node that is not
/// recorded at that time may have the entry.
fn check_quorum(
    ledger: &mut Ledger,
    known: &Known,
    event: &Event<'_>,
    state: CoreState<'_>,
    id: EntryId,
) {
    if state.config.survivor.is_some() {
        return ledger.undecided(&S12, "a last survivor needs no quorum");
    }
    // The step may append a membership, and commit under that one or under the one before it.
    let memberships = [&known.of(event.node).membership, state.membership];
    let is_quorum = |counts: &dyn Fn(NodeId) -> bool| {
        memberships.into_iter().any(|membership: &Membership| {
            let voters: Vec<NodeId> = membership.voters().collect();
            quorum_of(membership, &voters, |voter| counts(*voter))
        })
    };
    let recorded = |voter| known.get(voter).filter(|node| node.is_recorded && !node.was_uncertain);
    let has = |voter| recorded(voter).is_some_and(|node| node.has_durable(id));
    let may_have = |voter| {
        recorded(voter).is_none_or(|node| node.has_durable(id) || node.has_inherited_writes())
    };
    if is_quorum(&has) {
        return ledger.holds(&S12);
    }
    if is_quorum(&may_have) {
        return ledger.undecided(&S12, "the disks of some voters are not recorded");
    }
    let membership = state.membership;
    let holders: Vec<String> =
        membership.voters().filter(|voter| has(*voter)).map(|voter| voter.to_string()).collect();
    let names = if holders.is_empty() { "no disk".to_owned() } else { holders.join(", ") };
    let node = event.node;
    ledger.violated(
        &S12,
        format!(
            "{node} commits entry {id}, which is durable on {names}, not on a quorum of \
             {membership}"
        ),
    );
}
