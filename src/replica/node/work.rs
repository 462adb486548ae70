//! The results of the worker's work.

use crate::raft;
use crate::replica::input::WorkResult;
use crate::replica::node::{Node, Task};
use crate::replica::output::{Output, Work};
use crate::types::{Index, StateDigest};

impl Node {
    /// Handles the end of a piece of work.
    pub(super) fn on_done(&mut self, done: WorkResult) {
        match done {
            WorkResult::Applied { last, outcomes, state_digests, usage, requires, rest } => {
                self.usage = usage;
                assert_eq!(self.task, Task::Applying, "contract: each batch is applied once");
                let end = rest.last().map_or(last, |entry| entry.id.index);
                let is_whole = end == self.raft.log().applying();
                let is_expected = is_whole == requires.is_none();
                assert!(is_expected, "contract: a batch is applied whole, or up to a new version");
                assert!(
                    outcomes.len() <= state_digests.len(),
                    "contract: each entry has a digest, and at most one outcome"
                );
                self.task = Task::Idle;
                for (index, outcome) in outcomes {
                    let waits = self.raft.waits_for_all_live(index);
                    self.outputs.extend(self.requests.applied(index, outcome, waits));
                }
                self.add_digests(last, state_digests);
                // In quarantine, the algorithm passes no entry on after the applied ones.
                if let Some(required) = requires {
                    self.stop_applying(required);
                }
                if let Some(next) = rest.first() {
                    assert!(next.id.index == last.next(), "contract: the rest follows `last`");
                    self.task = Task::Applying;
                    self.outputs.push(Output::Work(Work::Apply(rest)));
                }
                self.inputs.push_back(raft::Input::Applied(last));
            }
            WorkResult::Answered { tag, applied, answer } => {
                self.on_answered(tag, applied, answer);
            }
            WorkResult::Restored { last, state_digest, usage } => {
                self.usage = usage;
                self.on_restored(last, state_digest);
            }
            WorkResult::TooOld { required } => {
                let restores = matches!(self.task, Task::Restoring | Task::Rebuilding);
                assert!(restores, "contract: only a requested restore ends");
                self.task = Task::Idle;
                self.stop_applying(required);
            }
            WorkResult::Failed(failure) => self.stop(failure),
        }
    }

    /// Adds the digests of the states after the last applied entries, one after each; the last of
    /// these entries is at `last`.
    fn add_digests(&mut self, last: Index, state_digests: Vec<StateDigest>) {
        let first = last.0 + 1 - state_digests.len() as u64;
        for (index, state_digest) in (first..).zip(state_digests) {
            self.validation.applied(Index(index), state_digest, &mut self.outputs);
        }
    }
}
