//! The user's state machine: a copy of it follows the log and meets no fault, and every node's is
//! held against that. The parts of S19 and S26 about replies, and U1.

use quorate::machine::Outcome;
use quorate::types::{Entry, EntryId, Index, NodeId};

use crate::check::finding::{S19, S26, U1, Verdict};
use crate::check::shadow::Shadow;
use crate::check::states::States;
use crate::observe::{Executed, Look, OpId};
use crate::workload::{AnyWorkload, Reference, Wrong};

/// What the log leads to.
#[derive(Clone, Debug)]
pub(super) struct User {
    workload: AnyWorkload,
    reference: Reference,
    /// What came of the entry at each index, from index 1.
    outcomes: Vec<Option<Outcome>>,
    /// A machine restored from one of the snapshots.
    shadow: Option<Shadow>,
    /// How many snapshots there were.
    snapshots: u64,
}

/// Every so many snapshots, one is restored beside the nodes.
const SHADOW_EACH: u64 = 4;

impl User {
    pub(super) fn new(workload: &AnyWorkload, states: &mut States) -> User {
        let (workload, reference) = (workload.clone(), Reference::new(workload));
        states.learn(Index::ZERO, reference.results());
        User { workload, reference, outcomes: Vec::new(), shadow: None, snapshots: 0 }
    }

    /// A node has applied entries of the committed log. What nobody had applied before is followed.
    pub(super) fn follow(&mut self, states: &mut States, entries: &[Entry]) -> Verdict {
        let known = self.reference.applied().index;
        let new = entries.iter().filter(|entry| entry.id.index > known);
        for entry in new {
            let outcomes = self.reference.follow(std::slice::from_ref(entry)).or_else(told)?;
            self.outcomes.push(outcomes.into_iter().next().map(|(_, outcome)| outcome));
            states.learn(entry.id.index, self.reference.results());
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

    /// A node's machine carried out a command.
    pub(super) fn executed(&self, id: NodeId, executed: &Executed) -> Verdict {
        let Executed { index, reply } = executed;
        match outcome_at(&self.outcomes, *index) {
            Some(Outcome::Reply(expected)) if expected[..] == reply[..] => Ok(()),
            expected => {
                let expected = expected.map_or("nothing".to_owned(), |known| format!("{known:?}"));
                let found = reply.escape_ascii();
                S26.broken(format!(
                    "{id} replies \"{found}\" to {index}, where the log leads to {expected}"
                ))
            }
        }
    }

    /// A client was told what came of the entry at `index`.
    pub(super) fn replied(
        &self,
        states: &States,
        op: OpId,
        index: Index,
        outcome: &Outcome,
    ) -> Verdict {
        match outcome_at(&self.outcomes, index) {
            expected if states.agree(Some(outcome), expected) => Ok(()),
            Some(expected) => {
                let op = op.0;
                S19.broken(format!(
                    "operation {op} is told {outcome:?} of {index}, which leads to {expected:?}"
                ))
            }
            None => Ok(()),
        }
    }

    /// A read was answered from the state after `applied`.
    pub(super) fn answered(&self, applied: Index, query: &[u8], answer: &[u8]) -> Verdict {
        if applied != self.reference.applied().index {
            return Ok(());
        }
        self.reference.check_answer(query, answer).or_else(told)
    }

    /// A node's machine is looked at.
    pub(super) fn looked(&self, id: NodeId, look: Look<'_>) -> Verdict {
        if look.applied != self.reference.applied() {
            return Ok(());
        }
        let by = |wrong: String| format!("{id}: {wrong}");
        self.reference.compare(look).or_else(|wrong| {
            told(match wrong {
                Wrong::Workload(wrong) => Wrong::Workload(by(wrong)),
                Wrong::Session(wrong) => Wrong::Session(by(wrong)),
                Wrong::Otherwise(wrong) => Wrong::Otherwise(by(wrong)),
            })
        })
    }

    /// A node's machine is frozen for a snapshot: some snapshots are restored beside the nodes.
    pub(super) fn frozen(&mut self, id: NodeId, last: EntryId, bytes: &[u8]) -> Verdict {
        self.snapshots += 1;
        if self.shadow.is_none() && self.snapshots % SHADOW_EACH == 1 {
            self.shadow = Some(Shadow::restore(&self.workload, id, last, bytes)?);
        }
        Ok(())
    }
}

fn outcome_at(outcomes: &[Option<Outcome>], index: Index) -> Option<&Outcome> {
    outcomes.get(usize::try_from(index.0.checked_sub(1)?).ok()?)?.as_ref()
}

/// The check that what is wrong breaks.
fn told<T>(wrong: Wrong) -> Verdict<T> {
    match wrong {
        Wrong::Workload(saw) => U1.broken(saw),
        Wrong::Session(saw) => S19.broken(saw),
        Wrong::Otherwise(saw) => S26.broken(saw),
    }
}
