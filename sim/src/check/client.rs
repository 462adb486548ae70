//! What clients see: S18 to S21, by the order of the committed log.

use std::collections::BTreeMap;
use std::time::Duration;

use quorate::machine::{Digest, Outcome, Sequence, SessionId};
use quorate::types::{EntryId, Freshness, Index, NodeId, ReadLevel, Term};

use crate::check::finding::{S18, S19, S20, Verdict};
use crate::check::model::Model;
use crate::check::states::States;
use crate::digest;
use crate::request::{OpId, Said};
use crate::time::SimTime;

/// Every operation, and what is ordered before the next one.
#[derive(Clone, Debug, Default)]
pub(super) struct Clients {
    /// By number; those in a session that never got a number in the log's order are missing.
    ops: Vec<Option<Op>>,
    /// The reads among them that have not ended.
    reads: BTreeMap<OpId, Read>,
    /// The highest index that a completed operation took effect at, or showed to its client.
    floor: Index,
    /// When that rose, and to what.
    floors: Vec<(SimTime, Index)>,
    /// The highest index acknowledged to a client.
    acknowledged: Index,
    /// Up to here the committed log is matched with the operations.
    learned: Index,
}

/// One operation.
#[derive(Clone, Debug)]
struct Op {
    /// What was completed before it was invoked lies here or below.
    floor: Index,
    /// Whether it proposes, and in which session as which request.
    proposes: Option<Option<(SessionId, Sequence)>>,
    /// Where its command was first committed.
    place: Option<Index>,
    /// Where the user's state machine carried it out.
    executed: Option<Index>,
    /// The hash of the first reply.
    reply: Option<u64>,
    ended: Option<Ended>,
}

/// What a read asks, and what was so when it did.
#[derive(Clone, Debug)]
pub(super) struct Read {
    pub(super) query: Vec<u8>,
    pub(super) level: ReadLevel,
    pub(super) since: SimTime,
    /// The latest term that had been won.
    pub(super) won: Term,
    /// Up to where somebody had committed.
    pub(super) committed: Index,
}

/// What a client was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ended {
    Replied,
    Served,
    Rejected,
    Unknown,
}

/// One answer to a read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Answer {
    pub(super) node: NodeId,
    pub(super) freshness: Freshness,
    pub(super) index: Index,
    pub(super) applied: Index,
    pub(super) state: Option<Digest>,
}

impl Clients {
    pub(super) fn proposed(&mut self, op: OpId, session: Option<(SessionId, Sequence)>) {
        self.invoked(op, Some(session));
    }

    pub(super) fn asked(&mut self, op: OpId, read: Read) {
        self.invoked(op, None);
        self.reads.insert(op, read);
    }

    fn invoked(&mut self, op: OpId, proposes: Option<Option<(SessionId, Sequence)>>) {
        let floor = self.floor;
        let (place, executed, reply, ended) = (None, None, None, None);
        let new = Op { floor, proposes, place, executed, reply, ended };
        let number = usize::try_from(op.0).expect("a run's operations fit into memory");
        if number >= self.ops.len() {
            self.ops.resize(number + 1, None);
        }
        let earlier = self.ops[number].replace(new);
        assert!(earlier.is_none(), "an operation is invoked once");
    }

    /// What is complete at `now` lies at `index` or below.
    fn rises(&mut self, index: Index, now: SimTime) {
        if index > self.floor {
            self.floor = index;
            self.floors.push((now, index));
        }
    }

    /// What was complete before `at` lies here or below.
    fn floor_before(&self, at: SimTime) -> Index {
        let after = self.floors.partition_point(|(since, _)| *since < at);
        after.checked_sub(1).map_or(Index::ZERO, |place| self.floors[place].1)
    }

    fn op(&mut self, op: OpId) -> &mut Op {
        self.known(op).expect("an operation is invoked before it ends")
    }

    /// The operation, if it was invoked.
    fn known(&mut self, op: OpId) -> Option<&mut Op> {
        self.ops.get_mut(usize::try_from(op.0).ok()?)?.as_mut()
    }

    /// Ends an operation, once.
    fn end(&mut self, op: OpId, ended: Ended) -> Verdict<&mut Op> {
        let operation = self.op(op);
        if let Some(earlier) = operation.ended {
            return S19.broken(format!("operation {} ends {ended:?} after {earlier:?}", op.0));
        }
        operation.ended = Some(ended);
        Ok(operation)
    }

    /// Matches what is newly committed with the operations. A command must have been proposed by
    /// now, so a proposal is ordered after all that was complete when it was invoked.
    pub(super) fn learn(&mut self, model: &Model) -> Verdict {
        while self.learned < model.committed.last() {
            self.learned = self.learned.next();
            let id = model.committed.id_at(self.learned).unwrap_or_default();
            match model.entries.said(id) {
                Some(Said::Command { op, session }) => self.takes_effect(id, op, session)?,
                Some(Said::Nonsense) => {
                    return S19.broken(format!("{id} commits a command that nobody proposed"));
                }
                Some(Said::Nothing) | None => {}
            }
        }
        Ok(())
    }

    fn takes_effect(
        &mut self,
        id: EntryId,
        op: OpId,
        session: Option<(SessionId, Sequence)>,
    ) -> Verdict {
        let known = self.known(op).filter(|known| known.proposes == Some(session));
        let Some(operation) = known else {
            return S19.broken(format!("{id} commits a command that nobody proposed"));
        };
        let number = op.0;
        if operation.ended == Some(Ended::Rejected) {
            return S19.broken(format!("operation {number}, rejected, is committed at {id}"));
        }
        match operation.place {
            Some(place) if session.is_none() => {
                S19.broken(format!("operation {number} is committed at {place} and at {id}"))
            }
            Some(_) => Ok(()),
            None => {
                operation.place = Some(id.index);
                Ok(())
            }
        }
    }

    /// A user's state machine carried out the command at `index`.
    pub(super) fn executed(&mut self, index: Index, said: Said) -> Verdict {
        let Said::Command { op, .. } = said else {
            return S19.broken(format!("{index} is carried out, though it holds no command"));
        };
        let operation = self.op(op);
        match operation.executed {
            Some(earlier) if earlier != index => S19.broken(format!(
                "operation {} is carried out at {earlier} and again at {index}",
                op.0
            )),
            _ => {
                operation.executed = Some(index);
                Ok(())
            }
        }
    }

    /// A proposal, or one of its repetitions, is answered.
    pub(super) fn replied(
        &mut self,
        model: &Model,
        op: OpId,
        (id, outcome): (EntryId, &Outcome),
        now: SimTime,
    ) -> Verdict {
        let number = op.0;
        let here = model.entries.said(id);
        let same = matches!(here, Some(Said::Command { op: other, .. }) if other == op);
        if !model.committed.has(id) {
            let reached = model.committed.last_id();
            return S18.broken(format!(
                "operation {number} is acknowledged at {id}, which is not in the log committed \
                 to {reached}"
            ));
        }
        if !same {
            return S18
                .broken(format!("operation {number} is acknowledged at {id}, where another is"));
        }
        let operation = self.op(op);
        let Outcome::Reply(reply) = outcome else { return operation.declined(number, outcome) };
        let reply = digest::of_bytes(reply);
        let Some(executed) = operation.executed.filter(|executed| *executed <= id.index) else {
            return S19.broken(format!(
                "operation {number} has a reply at {id}, though it was not carried out by then"
            ));
        };
        if operation.reply.is_some_and(|first| first != reply) {
            return S19.broken(format!("operation {number} has another reply at {id} than before"));
        }
        operation.reply = Some(reply);
        if operation.ended.is_none() {
            operation.ended = Some(Ended::Replied);
        } else if operation.proposes == Some(None) {
            return S19.broken(format!("operation {number} ends twice"));
        }
        self.acknowledged = self.acknowledged.max(id.index);
        self.rises(executed, now);
        Ok(())
    }

    /// A read is answered, where clocks are off by up to so many millionths. Gives what it asked.
    pub(super) fn served(
        &mut self,
        model: &Model,
        states: &States,
        op: OpId,
        answer: Answer,
        (now, drift_ppm): (SimTime, u32),
    ) -> Verdict<Read> {
        let floor = self.end(op, Ended::Served)?.floor;
        let read = self.reads.remove(&op).expect("what is served was asked");
        let Answer { node, freshness, index, applied, state } = answer;
        let OpId(number) = op;
        if !is_enough(freshness, read.level) {
            return S20.broken(format!(
                "{node} serves read {number}, which is to be {}, with what is {freshness}",
                read.level
            ));
        }
        // By a loan a read waits for what may change its answer alone: S21.
        let floor = match freshness {
            Freshness::Linearizable if read.level == ReadLevel::Replica => Index::ZERO,
            Freshness::Linearizable => floor,
            Freshness::Within(age) => self.floor_before(read.since.before(longer(age, drift_ppm))),
            Freshness::Unknown => Index::ZERO,
        };
        if index < floor {
            return S20.broken(format!(
                "{node} serves read {number} at read index {index}, below {floor}, which was \
                 complete {}",
                match freshness {
                    Freshness::Within(age) => format!("{age:?} before the read"),
                    _ => "before the read".to_owned(),
                }
            ));
        }
        if applied < index {
            return S20.broken(format!(
                "{node} serves read {number} with {applied} applied, below read index {index}"
            ));
        }
        if !states.is_at(applied, state) {
            return S20.broken(format!(
                "{node} serves read {number} from a state that is not the committed one at \
                 {applied}"
            ));
        }
        if freshness == Freshness::Linearizable {
            self.rises(applied, now);
            if !read.rests_on_lease()
                && let Some(term) = superseded(model, node, read.won)
            {
                let won = read.won;
                return S20.broken(format!(
                    "{node} serves read {number} in {term}, though {won} was won before the read"
                ));
            }
        }
        Ok(read)
    }

    pub(super) fn rejected(&mut self, op: OpId) -> Verdict {
        self.reads.remove(&op);
        match self.end(op, Ended::Rejected)?.place {
            None => Ok(()),
            Some(place) => {
                S19.broken(format!("operation {}, committed at {place}, is rejected", op.0))
            }
        }
    }

    /// Whether the operation has not ended.
    pub(super) fn waits(&self, op: OpId) -> bool {
        let known = usize::try_from(op.0).ok().and_then(|number| self.ops.get(number)?.as_ref());
        known.is_some_and(|op| op.ended.is_none())
    }

    pub(super) fn unknown(&mut self, op: OpId) -> Verdict {
        self.reads.remove(&op);
        self.end(op, Ended::Unknown).map(|_| ())
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
        let waits = |op: &Option<Op>| op.as_ref().is_some_and(|op| op.ended.is_none());
        match self.ops.iter().position(waits) {
            None => Ok(()),
            Some(op) => S19.broken(format!("operation {op} has no outcome at the end")),
        }
    }
}

/// Whether an answer so fresh is fresh enough.
fn is_enough(freshness: Freshness, level: ReadLevel) -> bool {
    match (freshness, level) {
        (Freshness::Linearizable, _) | (_, ReadLevel::Local) => true,
        (Freshness::Within(age), ReadLevel::Bounded(staleness)) => age <= staleness,
        _ => false,
    }
}

/// How long a span may last that a clock which is off by up to so many millionths measures.
pub(super) fn longer(span: Duration, drift_ppm: u32) -> Duration {
    let slow = 1_000_000 - u128::from(drift_ppm);
    let nanos = (span.as_nanos() * 1_000_000).div_ceil(slow);
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

impl Op {
    /// A machine declines a command only in a session: it is forgotten there, or too early.
    fn declined(&self, number: u64, outcome: &Outcome) -> Verdict {
        match (self.proposes, outcome) {
            (Some(Some(_)), Outcome::SessionExpired | Outcome::OutsideWindow) => Ok(()),
            _ => S19.broken(format!("operation {number} comes to {outcome:?}")),
        }
    }
}

impl Read {
    /// Whether a lease will do, or a loan.
    pub(super) fn rests_on_lease(&self) -> bool {
        matches!(self.level, ReadLevel::Lease | ReadLevel::Replica)
    }
}

/// A leader of a term before `won` could not have its read confirmed: every quorum had left its
/// term when the read was invoked. A node of an earlier term has its reads from such a leader. The
/// term of such a node.
pub(super) fn superseded(model: &Model, node: NodeId, won: Term) -> Option<Term> {
    let status = model.node(model.slot(node)).status?;
    (status.term < won).then_some(status.term)
}
