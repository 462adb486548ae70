//! The clients' operations, checked against the order of the committed log: S18, S19, and the part
//! of S20 about single answers.

use std::collections::BTreeMap;
use std::time::Duration;

use quorate::machine::{Digest, Outcome, Sequence, SessionId};
use quorate::types::{EntryId, Freshness, Index, NodeId, ReadLevel, Term};

use crate::check::finding::{CheckResult, S18, S19, S20};
use crate::check::model::Model;
use crate::check::states::States;
use crate::values::digest;
use crate::values::time::SimTime;
use crate::workload::request::{OpId, PayloadOrigin};

/// Every operation, and the index up to which the next linearizable read must see the log.
#[derive(Clone, Debug, Default)]
pub(super) struct Clients {
    /// The operations by number; `None` for a number without an operation.
    ops: Vec<Option<Op>>,
    /// The pending reads by operation.
    reads: BTreeMap<OpId, Read>,
    /// The highest index at which a completed command was executed or a linearizable read was
    /// served; the next linearizable read must see all entries up to it.
    floor: Index,
    /// The times at which the floor rose, each with the new floor.
    floors: Vec<(SimTime, Index)>,
    /// The highest index acknowledged to a client.
    acknowledged: Index,
    /// The index up to which committed entries are matched with operations.
    matched_to: Index,
}

/// One operation of a client.
#[derive(Clone, Debug)]
struct Op {
    /// The floor at the invocation: every operation that was complete by then took effect at or
    /// below this index.
    floor: Index,
    /// `Some` for a command, with its session and sequence number if it has any; `None` for a read.
    proposal: Option<Option<(SessionId, Sequence)>>,
    /// The index at which its command was first committed.
    committed_at: Option<Index>,
    /// The index at which a state machine executed its command.
    executed: Option<Index>,
    /// The hash of the first reply to the client.
    reply: Option<u64>,
    outcome: Option<OpOutcome>,
}

/// The request of a read, and the state of the cluster when the client invoked the read.
#[derive(Clone, Debug)]
pub(super) struct Read {
    pub(super) query: Vec<u8>,
    pub(super) level: ReadLevel,
    pub(super) since: SimTime,
    /// The latest term that any leader had won by then.
    pub(super) won: Term,
    /// The highest index that any node had committed by then.
    pub(super) committed: Index,
}

/// The outcome of an operation as its client saw it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum OpOutcome {
    Replied,
    Served,
    Rejected,
    Unknown,
}

/// One answer to a read, with the state from which the node served it.
#[derive(Clone, Copy, Debug)]
pub(super) struct ServedRead {
    pub(super) node: NodeId,
    pub(super) freshness: Freshness,
    pub(super) index: Index,
    pub(super) applied: Index,
    pub(super) state: Option<Digest>,
}

impl Clients {
    pub(super) fn propose_invoked(&mut self, op: OpId, session: Option<(SessionId, Sequence)>) {
        self.invoked(op, Some(session));
    }

    pub(super) fn read_invoked(&mut self, op: OpId, read: Read) {
        self.invoked(op, None);
        self.reads.insert(op, read);
    }

    fn invoked(&mut self, op: OpId, proposal: Option<Option<(SessionId, Sequence)>>) {
        let floor = self.floor;
        let (place, executed, reply, ended) = (None, None, None, None);
        let new = Op { floor, proposal, committed_at: place, executed, reply, outcome: ended };
        let number = usize::try_from(op.0).expect("a run's operations fit into memory");
        if number >= self.ops.len() {
            self.ops.resize(number + 1, None);
        }
        let earlier = self.ops[number].replace(new);
        assert!(earlier.is_none(), "an operation is invoked only once");
    }

    /// Raises the floor: an operation completed at `now` took effect at `index` or below.
    fn raise_floor(&mut self, index: Index, now: SimTime) {
        if index > self.floor {
            self.floor = index;
            self.floors.push((now, index));
        }
    }

    /// The floor just before time `at`.
    fn floor_before(&self, at: SimTime) -> Index {
        let after = self.floors.partition_point(|(since, _)| *since < at);
        after.checked_sub(1).map_or(Index::ZERO, |place| self.floors[place].1)
    }

    fn op(&mut self, op: OpId) -> &mut Op {
        self.known(op).expect("an operation is invoked before it ends")
    }

    /// The operation, or `None` if no client invoked it.
    fn known(&mut self, op: OpId) -> Option<&mut Op> {
        self.ops.get_mut(usize::try_from(op.0).ok()?)?.as_mut()
    }

    /// Sets the operation's outcome; a second outcome violates S19.
    fn end(&mut self, op: OpId, ended: OpOutcome) -> CheckResult<&mut Op> {
        let operation = self.op(op);
        if let Some(earlier) = operation.outcome {
            return S19.violated(format!(
                "operation {} has the second outcome {ended:?} after its first outcome \
                 {earlier:?}",
                op.0,
            ));
        }
        operation.outcome = Some(ended);
        Ok(operation)
    }

    /// Matches newly committed entries with operations. A command is invoked before it is
    /// committed, so its entry is ordered after every operation that was complete at the
    /// invocation.
    pub(super) fn match_committed(&mut self, model: &Model) -> CheckResult {
        while self.matched_to < model.committed.last() {
            self.matched_to = self.matched_to.next();
            let id = model.committed.id_at(self.matched_to).unwrap_or_default();
            match model.entries.origin(id) {
                Some(PayloadOrigin::Command { op, session }) => {
                    self.operation_committed(id, op, session)?
                }
                Some(PayloadOrigin::Unmarked) => {
                    return S19.violated(format!(
                        "entry {id} is committed, but no client proposed its command"
                    ));
                }
                Some(PayloadOrigin::NoOperation) | None => {}
            }
        }
        Ok(())
    }

    fn operation_committed(
        &mut self,
        id: EntryId,
        op: OpId,
        session: Option<(SessionId, Sequence)>,
    ) -> CheckResult {
        let known = self.known(op).filter(|known| known.proposal == Some(session));
        let Some(operation) = known else {
            return S19
                .violated(format!("entry {id} is committed, but no client proposed its command"));
        };
        let number = op.0;
        if operation.outcome == Some(OpOutcome::Rejected) {
            return S19.violated(format!(
                "operation {number} was rejected, but its command is committed as entry {id}"
            ));
        }
        match operation.committed_at {
            Some(place) if session.is_none() => S19.violated(format!(
                "operation {number} has no session, but its command is committed twice: at \
                     index {place} and as entry {id}"
            )),
            Some(_) => Ok(()),
            None => {
                operation.committed_at = Some(id.index);
                Ok(())
            }
        }
    }

    /// Records that a state machine executed the command at `index`.
    pub(super) fn executed(&mut self, index: Index, origin: PayloadOrigin) -> CheckResult {
        let PayloadOrigin::Command { op, .. } = origin else {
            return S19.violated(format!(
                "a state machine executes a command at index {index}, but the entry there holds \
                 no command"
            ));
        };
        let operation = self.op(op);
        match operation.executed {
            Some(earlier) if earlier != index => S19.violated(format!(
                "operation {} is executed at index {earlier} and again at index {index}",
                op.0
            )),
            _ => {
                operation.executed = Some(index);
                Ok(())
            }
        }
    }

    /// Checks the reply to a proposal or to one of its retries.
    pub(super) fn replied(
        &mut self,
        model: &Model,
        op: OpId,
        id: EntryId,
        outcome: &Outcome,
        now: SimTime,
    ) -> CheckResult {
        let number = op.0;
        let here = model.entries.origin(id);
        let same = matches!(here, Some(PayloadOrigin::Command { op: other, .. }) if other == op);
        if !model.committed.has(id) {
            let reached = model.committed.last_id();
            return S18.violated(format!(
                "operation {number} is acknowledged as entry {id}, but the committed log, which \
                 ends with {reached}, does not contain that entry"
            ));
        }
        if !same {
            return S18.violated(format!(
                "operation {number} is acknowledged as entry {id}, but that entry belongs to \
                     another operation"
            ));
        }
        let operation = self.op(op);
        let Outcome::Reply(reply) = outcome else {
            return operation.check_declined(number, outcome);
        };
        let reply = digest::of_bytes(reply);
        let Some(executed) = operation.executed.filter(|executed| *executed <= id.index) else {
            return S19.violated(format!(
                "operation {number} has a reply for entry {id}, but no state machine had executed \
                 its command by that index"
            ));
        };
        if operation.reply.is_some_and(|first| first != reply) {
            return S19.violated(format!(
                "operation {number} has a reply for entry {id} that differs from its earlier \
                 reply"
            ));
        }
        operation.reply = Some(reply);
        if operation.outcome.is_none() {
            operation.outcome = Some(OpOutcome::Replied);
        } else if operation.proposal == Some(None) {
            return S19
                .violated(format!("operation {number} has no session, but it has two replies"));
        }
        self.acknowledged = self.acknowledged.max(id.index);
        self.raise_floor(executed, now);
        Ok(())
    }

    /// Checks the answer to a read and returns the read. Clocks run too fast or too slow by at most
    /// `drift_ppm` parts per million.
    pub(super) fn served(
        &mut self,
        model: &Model,
        states: &States,
        op: OpId,
        answer: ServedRead,
        now: SimTime,
        drift_ppm: u32,
    ) -> CheckResult<Read> {
        let floor = self.end(op, OpOutcome::Served)?.floor;
        let read = self.reads.remove(&op).expect("a read is invoked before it is served");
        let ServedRead { node, freshness, index, applied, state } = answer;
        let OpId(number) = op;
        if !is_fresh_enough(freshness, read.level) {
            return S20.violated(format!(
                "{node} serves read {number}, which requires freshness `{}`, with an answer of \
                 freshness `{freshness}`",
                read.level
            ));
        }
        // A read at replica level need only include the commands that may change its answer; S21
        // checks these.
        let floor = match freshness {
            Freshness::Linearizable if read.level == ReadLevel::Replica => Index::ZERO,
            Freshness::Linearizable => floor,
            Freshness::Within(age) => {
                self.floor_before(read.since.before(real_duration_max(age, drift_ppm)))
            }
            Freshness::Unknown => Index::ZERO,
        };
        if index < floor {
            return S20.violated(format!(
                "{node} serves read {number} at read index {index}, but an operation at index \
                 {floor} was completed {}",
                match freshness {
                    Freshness::Within(age) => format!("more than {age:?} before the read began"),
                    _ => "before the read began".to_owned(),
                }
            ));
        }
        if applied < index {
            return S20.violated(format!(
                "{node} serves read {number} after it applied only index {applied}, but the read \
                 index is {index}"
            ));
        }
        if !states.is_expected_at(applied, state) {
            return S20.violated(format!(
                "{node} serves read {number} from a state that differs from the committed state \
                 at index {applied}"
            ));
        }
        if freshness == Freshness::Linearizable {
            self.raise_floor(applied, now);
            if !read.relies_on_lease()
                && let Some(term) = superseded(model, node, read.won)
            {
                let won = read.won;
                return S20.violated(format!(
                    "{node} serves read {number} in term {term}, but another leader had won term \
                     {won} before the read began"
                ));
            }
        }
        Ok(read)
    }

    pub(super) fn rejected(&mut self, op: OpId) -> CheckResult {
        self.reads.remove(&op);
        match self.end(op, OpOutcome::Rejected)?.committed_at {
            None => Ok(()),
            Some(place) => S19.violated(format!(
                "operation {} is rejected, but its command is committed at index {place}",
                op.0,
            )),
        }
    }

    /// Whether the operation has no outcome yet.
    pub(super) fn is_pending(&self, op: OpId) -> bool {
        let known = usize::try_from(op.0).ok().and_then(|number| self.ops.get(number)?.as_ref());
        known.is_some_and(|op| op.outcome.is_none())
    }

    pub(super) fn unknown(&mut self, op: OpId) -> CheckResult {
        self.reads.remove(&op);
        self.end(op, OpOutcome::Unknown).map(|_| ())
    }

    /// The highest index at which a completed operation took effect, up to now.
    pub(super) fn floor(&self) -> Index {
        self.floor
    }

    /// The highest index acknowledged to a client.
    pub(super) fn acknowledged(&self) -> Index {
        self.acknowledged
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

/// Whether an answer of this freshness satisfies the read level.
fn is_fresh_enough(freshness: Freshness, level: ReadLevel) -> bool {
    match (freshness, level) {
        (Freshness::Linearizable, _) | (_, ReadLevel::Local) => true,
        (Freshness::Within(age), ReadLevel::Bounded(staleness)) => age <= staleness,
        _ => false,
    }
}

/// The longest real time of a span that a clock measures with an error of `drift_ppm` parts per
/// million.
pub(super) fn real_duration_max(span: Duration, drift_ppm: u32) -> Duration {
    let slow = 1_000_000 - u128::from(drift_ppm);
    let nanos = (span.as_nanos() * 1_000_000).div_ceil(slow);
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

impl Op {
    /// Checks an outcome without a reply: a state machine rejects a command only in a session that
    /// expired, or with a sequence number outside the session's window.
    fn check_declined(&self, number: u64, outcome: &Outcome) -> CheckResult {
        match (self.proposal, outcome) {
            (Some(Some(_)), Outcome::SessionExpired | Outcome::OutsideWindow) => Ok(()),
            (_, Outcome::SessionExpired | Outcome::OutsideWindow) => S19.violated(format!(
                "operation {number} has the outcome {outcome:?}, but only a command in a session \
                 can have it"
            )),
            _ => S19.violated(format!(
                "operation {number} has the outcome {outcome:?}, which no command of a client can \
                 have"
            )),
        }
    }
}

impl Read {
    /// Whether the read may be answered under a leader lease or a read lease.
    pub(super) fn relies_on_lease(&self) -> bool {
        matches!(self.level, ReadLevel::Lease | ReadLevel::Replica)
    }
}

/// Returns the node's term if it is below `won`, a term that a leader won before the read began.
/// A leader of an earlier term cannot confirm its read index: a quorum had left that term when the
/// read was invoked. A follower in an earlier term has its read index from such a leader.
pub(super) fn superseded(model: &Model, node: NodeId, won: Term) -> Option<Term> {
    let status = model.node(model.slot(node)).status?;
    (status.term < won).then_some(status.term)
}
