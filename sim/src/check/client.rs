//! What clients see: S18 to S20, by the order of the committed log.

use std::collections::BTreeMap;

use quorate::raft::Status;
use quorate::types::{EntryId, Index, NodeId, Payload, Term};

use crate::chain;
use crate::check::finding::{S18, S19, S20, Verdict};
use crate::check::model::Model;
use crate::observe::OpId;

/// Every operation, and what is ordered before the next one.
#[derive(Clone, Debug, Default)]
pub(super) struct Clients {
    /// By number: they are dense.
    ops: Vec<Op>,
    /// Proposals that may still be committed, by the hash of the command. It stays small, so that
    /// a long run costs no more an event than a short one.
    open: BTreeMap<u64, OpId>,
    /// The highest index that a completed operation took effect at, or showed to its client.
    floor: Index,
    /// The highest index acknowledged to a client.
    acknowledged: Index,
    /// Up to here the committed log is matched with the operations.
    learned: Index,
}

/// One operation.
#[derive(Clone, Copy, Debug)]
struct Op {
    /// What was completed before it was invoked lies here or below.
    floor: Index,
    /// The latest term that had been won by then.
    term: Term,
    /// The hash of the command, for a proposal.
    payload: Option<u64>,
    /// Where the command is committed.
    place: Option<Index>,
    outcome: Option<Outcome>,
}

/// What a client was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Committed,
    Served,
    Rejected,
    Unknown,
}

/// One answer to a read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Answer {
    pub(super) node: NodeId,
    pub(super) index: Index,
    pub(super) applied: Index,
    pub(super) state: u64,
}

impl Clients {
    pub(super) fn proposed(&mut self, op: OpId, command: &[u8]) -> Verdict {
        let payload = chain::command(command);
        self.invoked(op, Term::ZERO, Some(payload));
        let earlier = self.open.insert(payload, op);
        assert!(earlier.is_none(), "the commands of operations {op:?} and {earlier:?} are equal");
        Ok(())
    }

    /// A read is invoked when `term` is the latest that was won.
    pub(super) fn asked(&mut self, op: OpId, term: Term) {
        self.invoked(op, term, None);
    }

    fn invoked(&mut self, op: OpId, term: Term, payload: Option<u64>) {
        assert_eq!(op.0, self.ops.len() as u64, "operations are numbered in order");
        self.ops.push(Op { floor: self.floor, term, payload, place: None, outcome: None });
    }

    fn op(&mut self, op: OpId) -> &mut Op {
        let place = usize::try_from(op.0).expect("operations fit into memory");
        self.ops.get_mut(place).expect("an operation is invoked before it ends")
    }

    /// Ends an operation, once.
    fn end(&mut self, op: OpId, outcome: Outcome) -> Verdict<Op> {
        let operation = self.op(op);
        if let Some(earlier) = operation.outcome {
            return S19.broken(format!("operation {} ends {outcome:?} after {earlier:?}", op.0));
        }
        operation.outcome = Some(outcome);
        Ok(*operation)
    }

    /// Matches what is newly committed with the operations. A command must have been proposed by
    /// now, so a proposal is ordered after all that was complete when it was invoked.
    pub(super) fn learn(&mut self, model: &Model) -> Verdict {
        while self.learned < model.committed.last() {
            self.learned = self.learned.next();
            let id = model.committed.id_at(self.learned).unwrap_or_default();
            let payload = model.entries.get(id).map_or(0, |entry| entry.payload);
            if payload != chain::payload(&Payload::Noop) {
                self.takes_effect(id, payload)?;
            }
        }
        Ok(())
    }

    fn takes_effect(&mut self, id: EntryId, payload: u64) -> Verdict {
        let Some(op) = self.open.remove(&payload) else { return self.cannot_be(id, payload) };
        self.op(op).place = Some(id.index);
        Ok(())
    }

    /// A command is committed that cannot be, for none is open that has these bytes.
    fn cannot_be(&self, id: EntryId, payload: u64) -> Verdict {
        let Some(op) = self.ops.iter().position(|op| op.payload == Some(payload)) else {
            return S19.broken(format!("{id} commits a command that nobody proposed"));
        };
        match self.ops[op].place {
            Some(place) => {
                S19.broken(format!("operation {op} is committed at {place} and at {id}"))
            }
            None => S19.broken(format!("operation {op}, rejected, is committed at {id}")),
        }
    }

    pub(super) fn committed(&mut self, model: &Model, op: OpId, id: EntryId) -> Verdict {
        let operation = self.end(op, Outcome::Committed)?;
        let payload = model.entries.get(id).map(|entry| entry.payload);
        if model.committed.id_at(id.index) != Some(id) {
            let reached = model.committed.last_id();
            return S18.broken(format!(
                "operation {} is acknowledged at {id}, which is not in the log committed to \
                 {reached}",
                op.0
            ));
        }
        if payload != operation.payload {
            return S18
                .broken(format!("operation {} is acknowledged at {id}, where another is", op.0));
        }
        self.acknowledged = self.acknowledged.max(id.index);
        self.floor = self.floor.max(id.index);
        Ok(())
    }

    pub(super) fn served(&mut self, model: &Model, op: OpId, answer: Answer) -> Verdict {
        let operation = self.end(op, Outcome::Served)?;
        let Answer { node, index, applied, state } = answer;
        let floor = operation.floor;
        if index < floor {
            return S20.broken(format!(
                "{node} serves read {} at read index {index}, below {floor}, which was complete \
                 before the read",
                op.0
            ));
        }
        if applied < index {
            return S20.broken(format!(
                "{node} serves read {} with {applied} applied, below read index {index}",
                op.0
            ));
        }
        if model.committed.chain_at(applied) != Some(state) {
            return S20.broken(format!(
                "{node} serves read {} from a state that is not the committed one at {applied}",
                op.0
            ));
        }
        superseded(model, op, node, operation.term)?;
        self.floor = self.floor.max(applied);
        Ok(())
    }

    pub(super) fn rejected(&mut self, op: OpId) -> Verdict {
        let Op { place, payload, .. } = self.end(op, Outcome::Rejected)?;
        if let Some(place) = place {
            return S19.broken(format!("operation {}, committed at {place}, is rejected", op.0));
        }
        payload.and_then(|payload| self.open.remove(&payload));
        Ok(())
    }

    pub(super) fn unknown(&mut self, op: OpId) -> Verdict {
        self.end(op, Outcome::Unknown).map(|_| ())
    }

    /// What is complete by now lies here or below.
    pub(super) fn floor(&self) -> Index {
        self.floor
    }

    /// The highest index acknowledged to a client.
    pub(super) fn acknowledged(&self) -> Index {
        self.acknowledged
    }

    /// The run is over: every operation has ended.
    pub(super) fn all_ended(&self) -> Verdict {
        match self.ops.iter().position(|op| op.outcome.is_none()) {
            None => Ok(()),
            Some(op) => S19.broken(format!("operation {op} has no outcome at the end")),
        }
    }
}

/// A leader of a term before `won` could not have its read confirmed: every quorum had left its
/// term when the read was invoked. A node of an earlier term has its reads from such a leader.
fn superseded(model: &Model, op: OpId, node: NodeId, won: Term) -> Verdict {
    match &model.node(model.slot(node)).status {
        Some(Status { id, term, .. }) if *term < won => S20.broken(format!(
            "{id} serves read {} in {term}, though {won} was won before the read",
            op.0
        )),
        _ => Ok(()),
    }
}
