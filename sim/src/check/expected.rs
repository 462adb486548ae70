//! The expected results of the state machines, computed by a reference machine without faults: the
//! parts of U1, S19 and S26 about the reference itself.

use quorate::machine::{Digest, Outcome};
use quorate::types::{Entry, Index};

use crate::check::finding::{CheckResult, S19, S26, U1};
use crate::workload::{AnyWorkload, ReferenceMachine, ReferenceMismatch};

/// The expected outcome of every entry and the expected state after it.
#[derive(Clone, Debug)]
pub(super) struct Expected {
    /// A state machine without faults, which applies the committed log.
    pub(super) reference: ReferenceMachine,
    /// The outcome of the entry at each index, starting at index 1; `None` for an entry without a
    /// command.
    outcomes: Vec<Option<Outcome>>,
    /// The digest of all entries and outcomes up to each index, starting with the empty state at
    /// index 0; `None` if an outcome is unknown.
    states: Vec<Option<Digest>>,
    /// Whether some state machine had forgotten a reply to a command that it had applied.
    pub(super) replies_forgotten: bool,
}

impl Expected {
    pub(super) fn new(workload: &AnyWorkload) -> Expected {
        let reference = ReferenceMachine::new(workload);
        let states = vec![reference.results()];
        Expected { reference, outcomes: Vec::new(), states, replies_forgotten: false }
    }

    /// Applies entries of the committed log that no node had applied before.
    pub(super) fn follow(&mut self, entries: &[Entry]) -> CheckResult {
        let known = self.reference.applied().index;
        for entry in entries.iter().filter(|entry| entry.id.index > known) {
            let outcomes =
                self.reference.follow(std::slice::from_ref(entry)).or_else(violation_of)?;
            self.outcomes.push(outcomes.into_iter().next().map(|(_, outcome)| outcome));
            self.states.push(self.reference.results());
            assert_eq!(entry.id.index.0 + 1, self.states.len() as u64, "entries are in order");
        }
        Ok(())
    }

    pub(super) fn outcome_at(&self, index: Index) -> Option<&Outcome> {
        self.outcomes.get(usize::try_from(index.0.checked_sub(1)?).ok()?)?.as_ref()
    }

    /// The expected state after `index`: `None` if no node has applied that much, `Some(None)` if
    /// its digest is unknown.
    pub(super) fn state_at(&self, index: Index) -> Option<Option<Digest>> {
        self.states.get(usize::try_from(index.0).ok()?).copied()
    }

    /// Whether an entry's result equals the expected one. A state machine that makes its own state
    /// durable may have lost a reply, and the session with it.
    pub(super) fn outcomes_agree(
        &self,
        found: Option<&Outcome>,
        expected: Option<&Outcome>,
    ) -> bool {
        let reply = matches!(expected, Some(Outcome::Reply(_)));
        let expired = matches!(found, Some(Outcome::SessionExpired));
        found == expected || self.replies_forgotten && expired && reply
    }

    /// Whether `state` is the expected state after `index`; true if the digest is unknown.
    pub(super) fn is_expected_at(&self, index: Index, state: Option<Digest>) -> bool {
        state.is_none() || self.state_at(index) == Some(state)
    }
}

/// Returns the violation of the check that covers this kind of mismatch.
pub(super) fn violation_of<T>(mismatch: ReferenceMismatch) -> CheckResult<T> {
    match mismatch {
        ReferenceMismatch::Workload(text) => U1.violated(text),
        ReferenceMismatch::Session(text) => S19.violated(text),
        ReferenceMismatch::Diverged(text) => S26.violated(text),
    }
}
