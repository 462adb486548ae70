//! The clients' operations, checked against the order of the committed log: S18, S19, and the part
//! of S20 about single answers.

use std::collections::BTreeMap;
use std::time::Duration;

use quorate::machine::Outcome;
use quorate::raft::Status;
use quorate::types::{EntryId, Freshness, Index, NodeId, ReadLevel, Term};

use crate::check::finding::{CheckResult, S18, S19, S20};
use crate::check::known::Known;
use crate::check::model::Model;
use crate::check::operations::{Op, OpOutcome};
use crate::check::rule::{Answer, Rule};
use crate::workload::request::{OpId, PayloadOrigin};

/// The positions of the clients' commands in the committed log.
#[derive(Clone, Debug)]
pub(super) struct Clients {
    /// The index up to which committed entries are matched with operations.
    matched_to: Index,
    /// The index at which each operation's command was first committed.
    committed: BTreeMap<OpId, Index>,
}

impl Rule for Clients {
    fn new(_: &Known) -> Clients {
        Clients { matched_to: Index::ZERO, committed: BTreeMap::new() }
    }

    /// Checks the reply to a proposal or to one of its retries.
    fn before_replied(
        &mut self,
        known: &Known,
        op: OpId,
        id: EntryId,
        outcome: &Outcome,
    ) -> CheckResult {
        let (model, number) = (&known.model, op.0);
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
        let operation = known.operations.get(op).expect("an operation is invoked before it ends");
        if !matches!(outcome, Outcome::Reply(_)) {
            return check_declined(operation, number, outcome);
        }
        if operation.executed.is_some_and(|executed| executed <= id.index) {
            return Ok(());
        }
        S19.violated(format!(
            "operation {number} has a reply for entry {id}, but no state machine had executed its \
             command by that index"
        ))
    }

    /// Checks the answer to a pending read.
    fn before_read_served(&mut self, known: &Known, answer: Answer<'_>) -> CheckResult {
        let Answer { op, node, freshness, index, applied, state, .. } = answer;
        let Some(read) = known.operations.read(op) else { return Ok(()) };
        let OpId(number) = op;
        if !is_fresh_enough(freshness, read.level) {
            return S20.violated(format!(
                "{node} serves read {number} at the level `{}` with an answer of freshness \
                 `{freshness}`, which does not satisfy that level",
                read.level
            ));
        }
        // A read at replica level need only include the commands that may change its answer; S21
        // checks these.
        let floor = match freshness {
            Freshness::Linearizable if read.level == ReadLevel::Replica => Index::ZERO,
            Freshness::Linearizable => read.floor,
            Freshness::Within(age) => {
                let age = real_duration_max(age, known.bounds.drift_ppm);
                known.operations.floor_before(read.since.before(age))
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
        if !known.expected.is_expected_at(applied, state) {
            return S20.violated(format!(
                "{node} serves read {number} from a state that differs from the committed state at \
                 index {applied}"
            ));
        }
        if freshness != Freshness::Linearizable || read.relies_on_lease() {
            return Ok(());
        }
        let Some(term) = superseded(&known.model, node, read.won) else { return Ok(()) };
        let won = read.won;
        S20.violated(format!(
            "{node} serves read {number} in term {term}, but another leader had won term {won} \
             before the read began"
        ))
    }

    /// Matches newly committed entries with operations: a client has proposed each command, and it
    /// was not rejected. Because a client proposes a command before it is committed, its entry
    /// comes after the entries of all operations that were complete at the proposal.
    fn status_changed(&mut self, known: &Known, _: &Status) -> CheckResult {
        let model = &known.model;
        while self.matched_to < model.committed.last() {
            self.matched_to = self.matched_to.next();
            let id = model.committed.id_at(self.matched_to).unwrap_or_default();
            let proposed = match model.entries.origin(id) {
                Some(PayloadOrigin::Command { op, session }) => {
                    let operation = known.operations.get(op);
                    operation.filter(|op| op.proposal == Some(session)).map(|known| (op, known))
                }
                Some(PayloadOrigin::Unmarked) => None,
                Some(PayloadOrigin::NoOperation | PayloadOrigin::Admin) | None => continue,
            };
            let Some((op, operation)) = proposed else {
                return S19.violated(format!(
                    "entry {id} is committed, but no client proposed its command"
                ));
            };
            let number = op.0;
            if operation.outcome == Some(OpOutcome::Rejected) {
                return S19.violated(format!(
                    "operation {number} was rejected, but its command is committed as entry {id}"
                ));
            }
            let place = *self.committed.entry(op).or_insert(id.index);
            if place != id.index && operation.proposal == Some(None) {
                return S19.violated(format!(
                    "operation {number} has no session, but its command is committed twice: at \
                     index {place} and as entry {id}"
                ));
            }
        }
        Ok(())
    }

    fn rejected(&mut self, _: &Known, op: OpId) -> CheckResult {
        match self.committed.get(&op) {
            None => Ok(()),
            Some(place) => S19.violated(format!(
                "operation {} is rejected, but its command is committed at index {place}",
                op.0,
            )),
        }
    }

    fn ended(&mut self, known: &Known) -> CheckResult {
        if known.idle_core.is_some() { known.operations.check_all_ended() } else { Ok(()) }
    }
}

/// Checks an outcome without a reply: a state machine rejects a command only if its session has
/// expired, or if its sequence number is outside the session's window.
fn check_declined(operation: &Op, number: u64, outcome: &Outcome) -> CheckResult {
    match (operation.proposal, outcome) {
        (Some(Some(_)), Outcome::SessionExpired | Outcome::OutsideWindow) => Ok(()),
        (_, Outcome::SessionExpired | Outcome::OutsideWindow) => S19.violated(format!(
            "operation {number} has the outcome {outcome:?}, but only a command in a session can \
             have it"
        )),
        _ => S19.violated(format!(
            "operation {number} has the outcome {outcome:?}, which no command of a client can have"
        )),
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

/// The longest real time that may pass while a clock measures `span`, if the clock's rate is off by
/// at most `drift_ppm` parts per million.
pub(super) fn real_duration_max(span: Duration, drift_ppm: u32) -> Duration {
    let slow = 1_000_000 - u128::from(drift_ppm);
    let nanos = (span.as_nanos() * 1_000_000).div_ceil(slow);
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

/// Returns the node's term if it is below `won`, a term that a leader won before the read began. A
/// leader of an earlier term cannot confirm its read index, because a quorum had left that term
/// before the read was invoked. A follower in an earlier term has its read index from such a
/// leader.
pub(super) fn superseded(model: &Model, node: NodeId, won: Term) -> Option<Term> {
    let status = model.node(model.slot(node)).status?;
    (status.term < won).then_some(status.term)
}
