//! The clients' operations and their outcomes: the parts of S19 about executions, outcomes and
//! replies.

use quorate::machine::{Outcome, Sequence, SessionId};
use quorate::types::{EntryId, Freshness, Index, ReadLevel, Term};

use crate::check::finding::{CheckResult, S19};
use crate::values::digest;
use crate::values::time::SimTime;
use crate::workload::request::{OpId, PayloadOrigin};

/// Every operation, and the index up to which the next linearizable read must see the log.
#[derive(Clone, Debug, Default)]
pub(super) struct Operations {
    /// The operations by number; `None` for a number without an operation.
    ops: Vec<Option<Op>>,
    /// The times at which the floor rose, each with the new floor: the highest index at which a
    /// completed command was executed or a linearizable read was served.
    floors: Vec<(SimTime, Index)>,
    /// The highest index acknowledged to a client.
    pub(super) acknowledged: Index,
}

/// One operation of a client.
#[derive(Clone, Debug)]
pub(super) struct Op {
    /// `Some` for a command, with its session and sequence number if it has any; `None` for a read.
    pub(super) proposal: Option<Option<(SessionId, Sequence)>>,
    /// The read, while it is pending.
    read: Option<Read>,
    /// The index at which a state machine executed its command.
    pub(super) executed: Option<Index>,
    /// The hash of the first reply to the client.
    reply: Option<u64>,
    pub(super) outcome: Option<OpOutcome>,
}

/// The request of a read, and the state of the cluster when the client invoked the read.
#[derive(Clone, Debug)]
pub(super) struct Read {
    pub(super) query: Vec<u8>,
    pub(super) level: ReadLevel,
    /// Every operation that was complete by then took effect at or below this index.
    pub(super) floor: Index,
    pub(super) since: SimTime,
    /// The latest term that any leader had won by then.
    pub(super) won: Term,
    /// The highest index that any node had committed by then.
    pub(super) committed: Index,
}

/// The outcome of an operation as its client saw it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OpOutcome {
    Replied,
    Served,
    Rejected,
    Unknown,
}

impl OpOutcome {
    fn text(self) -> &'static str {
        match self {
            OpOutcome::Replied => "replied",
            OpOutcome::Served => "read answered",
            OpOutcome::Rejected => "rejected",
            OpOutcome::Unknown => "unknown",
        }
    }
}

impl Operations {
    pub(super) fn invoked(
        &mut self,
        op: OpId,
        proposal: Option<Option<(SessionId, Sequence)>>,
        read: Option<Read>,
    ) {
        let new = Op { proposal, read, executed: None, reply: None, outcome: None };
        let number = usize::try_from(op.0).expect("a run's operations fit into memory");
        if number >= self.ops.len() {
            self.ops.resize(number + 1, None);
        }
        let earlier = self.ops[number].replace(new);
        assert!(earlier.is_none(), "an operation is invoked only once");
    }

    /// The operation, or `None` if no client invoked it.
    pub(super) fn get(&self, op: OpId) -> Option<&Op> {
        self.ops.get(usize::try_from(op.0).ok()?)?.as_ref()
    }

    fn op(&mut self, op: OpId) -> &mut Op {
        let place =
            usize::try_from(op.0).ok().and_then(|number| self.ops.get_mut(number)?.as_mut());
        place.expect("an operation is invoked before it ends")
    }

    /// The pending read, or `None` if it ended.
    pub(super) fn read(&self, op: OpId) -> Option<&Read> {
        self.get(op)?.read.as_ref()
    }

    /// Whether the operation has no outcome yet.
    pub(super) fn is_pending(&self, op: OpId) -> bool {
        self.get(op).is_some_and(|op| op.outcome.is_none())
    }

    /// Records that a state machine executed the command at `index`.
    pub(super) fn executed(&mut self, index: Index, origin: PayloadOrigin) -> CheckResult {
        let PayloadOrigin::Command { op, .. } = origin else {
            return S19.violated(format!(
                "a state machine executes a command at index {index}, but the entry there holds \
                 no command"
            ));
        };
        let earlier = *self.op(op).executed.get_or_insert(index);
        if earlier == index {
            return Ok(());
        }
        S19.violated(format!(
            "operation {} is executed at index {earlier} and again at index {index}",
            op.0
        ))
    }

    /// Records the outcome of the command in entry `id`. An outcome without a reply does not end
    /// the operation: the command may have been executed before.
    pub(super) fn replied(
        &mut self,
        op: OpId,
        id: EntryId,
        outcome: &Outcome,
        now: SimTime,
    ) -> CheckResult {
        let Outcome::Reply(reply) = outcome else { return Ok(()) };
        let (number, operation, reply) = (op.0, self.op(op), digest::of_bytes(reply));
        if *operation.reply.get_or_insert(reply) != reply {
            return S19.violated(format!(
                "operation {number} has a reply for entry {id} that differs from its earlier reply"
            ));
        }
        if operation.outcome.is_some() && operation.proposal == Some(None) {
            return S19
                .violated(format!("operation {number} has no session, but it has two replies"));
        }
        operation.outcome.get_or_insert(OpOutcome::Replied);
        let executed = operation.executed.expect("a command is executed before its reply");
        self.acknowledged = self.acknowledged.max(id.index);
        self.raise_floor(executed, now);
        Ok(())
    }

    /// Records the answer to a read from the state after `applied`.
    pub(super) fn served(
        &mut self,
        op: OpId,
        freshness: Freshness,
        applied: Index,
        now: SimTime,
    ) -> CheckResult {
        self.end(op, OpOutcome::Served)?;
        if freshness == Freshness::Linearizable {
            self.raise_floor(applied, now);
        }
        Ok(())
    }

    /// Sets the operation's outcome; a second outcome violates S19.
    pub(super) fn end(&mut self, op: OpId, ended: OpOutcome) -> CheckResult {
        let operation = self.op(op);
        operation.read = None;
        match operation.outcome.replace(ended) {
            None => Ok(()),
            Some(earlier) => S19.violated(format!(
                "operation {} has the second outcome \"{}\" after its first outcome \"{}\"",
                op.0,
                ended.text(),
                earlier.text(),
            )),
        }
    }

    /// Raises the floor: an operation completed at `now` took effect at `index` or below.
    fn raise_floor(&mut self, index: Index, now: SimTime) {
        if index > self.floor() {
            self.floors.push((now, index));
        }
    }

    /// The highest index at which a completed operation took effect, up to now.
    pub(super) fn floor(&self) -> Index {
        self.floors.last().map_or(Index::ZERO, |(_, floor)| *floor)
    }

    /// The floor just before time `at`.
    pub(super) fn floor_before(&self, at: SimTime) -> Index {
        let after = self.floors.partition_point(|(since, _)| *since < at);
        after.checked_sub(1).map_or(Index::ZERO, |place| self.floors[place].1)
    }

    /// Checks, at the end of the run, that every operation has an outcome.
    pub(super) fn check_all_ended(&self) -> CheckResult {
        let waits = |op: &Option<Op>| op.as_ref().is_some_and(|op| op.outcome.is_none());
        match self.ops.iter().position(waits) {
            None => Ok(()),
            Some(op) => {
                S19.violated(format!("operation {op} has no outcome at the end of the run"))
            }
        }
    }
}

impl Read {
    /// Whether the read may be answered under a leader lease or a read lease.
    pub(super) fn relies_on_lease(&self) -> bool {
        matches!(self.level, ReadLevel::Lease | ReadLevel::Replica)
    }
}
