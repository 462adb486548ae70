//! The user's state machine: a reference copy without faults applies the log, and every node's
//! machine is compared with it. Covers U1, and the parts of S19 and S26 about replies.

use quorate::machine::Outcome;
use quorate::types::{Entry, EntryId, Index, NodeId};

use crate::check::finding::{CheckResult, S19, S26, U1};
use crate::check::shadow::Shadow;
use crate::check::states::States;
use crate::observe::{Executed, MachineView, OpId};
use crate::workload::{AnyWorkload, ReferenceMachine, ReferenceMismatch};

/// The expected result of every entry, computed by a reference state machine.
#[derive(Clone, Debug)]
pub(super) struct UserMachine {
    workload: AnyWorkload,
    reference: ReferenceMachine,
    /// The outcome of the entry at each index, starting at index 1; `None` for an entry without a
    /// command.
    outcomes: Vec<Option<Outcome>>,
    /// The state machine restored from the last sampled snapshot, while it applies the log.
    shadow: Option<Shadow>,
    /// The number of snapshots so far.
    snapshots: u64,
}

/// The interval, in snapshots, at which a snapshot is restored into a shadow machine.
const SHADOW_INTERVAL: u64 = 4;

impl UserMachine {
    pub(super) fn new(workload: &AnyWorkload, states: &mut States) -> UserMachine {
        let (workload, reference) = (workload.clone(), ReferenceMachine::new(workload));
        states.record(Index::ZERO, reference.results());
        UserMachine { workload, reference, outcomes: Vec::new(), shadow: None, snapshots: 0 }
    }

    /// Applies entries of the committed log that no node had applied before.
    pub(super) fn follow(&mut self, states: &mut States, entries: &[Entry]) -> CheckResult {
        let known = self.reference.applied().index;
        let new = entries.iter().filter(|entry| entry.id.index > known);
        for entry in new {
            let outcomes =
                self.reference.follow(std::slice::from_ref(entry)).or_else(violation_of)?;
            self.outcomes.push(outcomes.into_iter().next().map(|(_, outcome)| outcome));
            states.record(entry.id.index, self.reference.results());
        }
        let outcomes = &self.outcomes;
        let done = match &mut self.shadow {
            Some(shadow) => shadow.follow(entries, states, |index| outcome_at(outcomes, index))?,
            None => false,
        };
        if done {
            self.shadow = None;
        }
        Ok(())
    }

    /// Checks the reply of a node's state machine to a command.
    pub(super) fn executed(&self, id: NodeId, executed: &Executed) -> CheckResult {
        let Executed { index, reply } = executed;
        match outcome_at(&self.outcomes, *index) {
            Some(Outcome::Reply(expected)) if expected[..] == reply[..] => Ok(()),
            expected => {
                let expected = expected.map_or("nothing".to_owned(), |known| format!("{known:?}"));
                let found = reply.escape_ascii();
                S26.violated(format!(
                    "{id} replies \"{found}\" to the command at index {index}, but the expected \
                     outcome is {expected}"
                ))
            }
        }
    }

    /// Checks the outcome that a client received for the entry at `index`.
    pub(super) fn replied(
        &self,
        states: &States,
        op: OpId,
        index: Index,
        outcome: &Outcome,
    ) -> CheckResult {
        match outcome_at(&self.outcomes, index) {
            expected if states.outcomes_agree(Some(outcome), expected) => Ok(()),
            Some(expected) => {
                let op = op.0;
                S19.violated(format!(
                    "operation {op} receives the outcome {outcome:?} for index {index}, but the \
                     expected outcome is {expected:?}"
                ))
            }
            None => Ok(()),
        }
    }

    /// Checks the answer to a read from the state after `applied`, if the reference is at the same
    /// index.
    pub(super) fn answered(&self, applied: Index, query: &[u8], answer: &[u8]) -> CheckResult {
        if applied != self.reference.applied().index {
            return Ok(());
        }
        self.reference.check_answer(query, answer).or_else(violation_of)
    }

    /// Compares a node's state machine with the reference, if both have applied the same entries.
    pub(super) fn inspected(&self, id: NodeId, view: MachineView<'_>) -> CheckResult {
        if view.applied != self.reference.applied() {
            return Ok(());
        }
        let by = |mismatch: String| format!("{id}: {mismatch}");
        self.reference.compare(view).or_else(|mismatch| {
            violation_of(match mismatch {
                ReferenceMismatch::Workload(mismatch) => ReferenceMismatch::Workload(by(mismatch)),
                ReferenceMismatch::Session(mismatch) => ReferenceMismatch::Session(by(mismatch)),
                ReferenceMismatch::Diverged(mismatch) => ReferenceMismatch::Diverged(by(mismatch)),
            })
        })
    }

    /// Restores one in [`SHADOW_INTERVAL`] snapshots into a shadow machine, unless the last shadow
    /// machine is still applying entries.
    pub(super) fn snapshot_frozen(
        &mut self,
        id: NodeId,
        last: EntryId,
        bytes: &[u8],
    ) -> CheckResult {
        self.snapshots += 1;
        if self.shadow.is_none() && self.snapshots % SHADOW_INTERVAL == 1 {
            self.shadow = Some(Shadow::restore(&self.workload, id, last, bytes)?);
        }
        Ok(())
    }
}

fn outcome_at(outcomes: &[Option<Outcome>], index: Index) -> Option<&Outcome> {
    outcomes.get(usize::try_from(index.0.checked_sub(1)?).ok()?)?.as_ref()
}

/// Returns the violation of the check that covers this kind of mismatch.
fn violation_of<T>(mismatch: ReferenceMismatch) -> CheckResult<T> {
    match mismatch {
        ReferenceMismatch::Workload(text) => U1.violated(text),
        ReferenceMismatch::Session(text) => S19.violated(text),
        ReferenceMismatch::Diverged(text) => S26.violated(text),
    }
}
