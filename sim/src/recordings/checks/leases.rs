//! S21, lease safety: a read under a lease is not stale. It can be decided as far as the clocks of
//! the nodes can be compared.

use std::collections::BTreeMap;

use quorate::raft::{Action, Input, RoleName, Status};
use quorate::recording::Step;
use quorate::types::{Freshness, Index, NodeId, ReadLevel, Term};

use crate::check::S21;
use crate::recordings::checks::ledger::Ledger;
use crate::recordings::clocks::ClockOffset;
use crate::recordings::event::{CoreState, Event};
use crate::recordings::merge::Merged;
use crate::values::time::SimTime;

/// The reads that a leader answered under its lease, and the commits of every leader.
#[derive(Clone, Debug, Default)]
pub(super) struct Leases {
    reads: Vec<Happened>,
    commits: BTreeMap<Term, Vec<Happened>>,
}

/// A read that a leader answered, with its read index, or a commit, with the new commit index.
#[derive(Clone, Copy, Debug)]
struct Happened {
    at: SimTime,
    node: NodeId,
    term: Term,
    index: Index,
}

/// The reason why a read cannot be decided.
const CLOCKS: &str = "the clocks cannot be compared closely enough";

impl Leases {
    pub(super) fn stepped(
        &mut self,
        event: &Event<'_>,
        before: &Status,
        step: &Step,
        state: CoreState<'_>,
    ) {
        let status = state.status;
        if status.role != RoleName::Leader {
            return;
        }
        let happened =
            |index| Happened { at: event.at, node: event.node, term: status.term, index };
        if status.committed > before.committed {
            self.commits.entry(status.term).or_default().push(happened(status.committed));
        }
        let Input::Read { tag: asked, level: ReadLevel::Lease, .. } = step.input else { return };
        for action in &step.actions {
            if let Action::ReadReady { tag, index, freshness: Freshness::Linearizable } = action
                && *tag == asked
            {
                self.reads.push(happened(*index));
            }
        }
    }

    /// Checks every read. It violates S21 if a leader of a later term had certainly committed an
    /// entry after the read index when the read was answered. It is undecided if the clocks leave
    /// open whether the commit was earlier.
    pub(super) fn decide<'a>(&'a self, ledger: &mut Ledger, merged: &Merged) {
        for read in &self.reads {
            // A leader's commits are in order, so the first missed one of a term is the earliest.
            let later = self.commits.range(read.term.next()..).map(|(_, commits)| commits);
            let first = |commits: &'a Vec<Happened>| {
                let place = commits.partition_point(|commit| commit.index <= read.index);
                commits.get(place).filter(|commit| commit.node != read.node)
            };
            let missed: Vec<&Happened> = later.filter_map(first).collect();
            let latest = |commit: &Happened| commit.latest_on(read.node, merged);
            let before = |nanos: i128| nanos < i128::from(read.at.0);
            ledger.at = read.at;
            if let Some(commit) = missed.iter().find(|commit| latest(commit).is_some_and(before)) {
                let Happened { node, term, index, .. } = read;
                ledger.violated(
                    &S21,
                    format!(
                        "{node} answers a read under its lease of term {term} at index {index}, \
                         after {}, the leader of term {}, has committed index {}",
                        commit.node, commit.term, commit.index
                    ),
                );
                continue;
            }
            let may_be_before =
                |commit: &&Happened| commit.earliest_on(read.node, merged).is_none_or(before);
            match missed.iter().any(may_be_before) {
                true => ledger.undecided(&S21, CLOCKS),
                false => ledger.holds(&S21),
            }
        }
    }
}

impl Happened {
    /// The latest time by the clock of another node, in nanoseconds, if the clocks can be compared.
    fn latest_on(&self, other: NodeId, merged: &Merged) -> Option<i128> {
        self.bounds_on(other, merged).map(|(_, latest)| latest)
    }

    fn earliest_on(&self, other: NodeId, merged: &Merged) -> Option<i128> {
        self.bounds_on(other, merged).map(|(earliest, _)| earliest)
    }

    fn bounds_on(&self, other: NodeId, merged: &Merged) -> Option<(i128, i128)> {
        let at = i128::from(self.at.0);
        let constant = |clock: &&ClockOffset| clock.is_constant();
        merged.clocks.iter().filter(constant).find_map(|clock| match (clock.one, clock.other) {
            // This node's clock is ahead of the other's by the offset.
            (one, ahead) if (one, ahead) == (other, self.node) => {
                Some((at - clock.max, at - clock.min))
            }
            (one, ahead) if (one, ahead) == (self.node, other) => {
                Some((at + clock.min, at + clock.max))
            }
            _ => None,
        })
    }
}
