//! The lines of one step.

use quorate::raft::{Action, Status};
use quorate::recording::Step;
use quorate::types::{Entry, Index, Instant, NodeId, Payload, Term, Write};

use crate::recordings::CoreState;
use crate::tla::line::{Line, tuple};
use crate::tla::state::TraceState;

/// A step, and the lines that it has so far.
pub(super) struct StepLines<'a> {
    pub(super) trace: &'a mut TraceState,
    pub(super) node: NodeId,
    pub(super) step: &'a Step,
    pub(super) before: &'a Status,
    pub(super) state: &'a CoreState<'a>,
    pub(super) lines: Vec<Line>,
    /// The commit index of the spec after these lines.
    pub(super) committed: Index,
}

impl StepLines<'_> {
    pub(super) fn now(&self) -> Instant {
        self.step.now
    }

    pub(super) fn after(&self) -> &Status {
        self.state.status
    }

    /// The write that the step submits.
    pub(super) fn write(&self) -> Option<&Write> {
        self.step.actions.iter().find_map(|action| match action {
            Action::Persist(write) => Some(write),
            _ => None,
        })
    }

    /// Adds a line of this node without further fields.
    pub(super) fn push(&mut self, action: &'static str) {
        self.add(Line::new(action, self.node));
    }

    pub(super) fn add(&mut self, line: Line) {
        self.lines.push(line);
    }

    /// Whether the step has a line of this action.
    pub(super) fn has(&self, action: &str) -> bool {
        self.lines.iter().any(|line| line.action == action)
    }

    /// The entries as a tuple.
    pub(super) fn entries(&mut self, entries: &[Entry]) -> String {
        for entry in entries {
            if matches!(entry.payload, Payload::Membership(_)) {
                self.trace.membership_indices.insert(entry.id.index);
            }
        }
        tuple(entries.iter().map(|entry| self.trace.memberships.entry(entry)).collect::<Vec<_>>())
    }

    /// The node accepts a message of its leader.
    pub(super) fn hear(&mut self) {
        let (now, vote_lease) = (self.now(), self.after().vote_lease);
        let is_sticky = self.state.config.stickiness;
        self.trace.known(self.node).hear(now, vote_lease, is_sticky);
    }

    /// Records that the node hears no leader from now on. Adds no line.
    pub(super) fn forget(&mut self) {
        self.trace.known(self.node).heard = None;
    }

    /// Ends the contact with a leader, and the leases that the node has answered, if their time is
    /// over by the node's own clock.
    pub(super) fn pass_time(&mut self) {
        let (node, now) = (self.node, self.now());
        let silent_after = self.state.config.election_timeout_min;
        let known = self.trace.known(node);
        let is_silent = known.heard.is_some_and(|heard| now >= heard.after(silent_after));
        let is_free = now >= known.withheld_until;
        let answered: Vec<(Term, u64)> =
            known.answered.iter().map(|(term, round)| (*term, *round)).collect();
        if is_silent {
            self.forget();
            self.push("Forget");
        }
        if is_free {
            for (term, round) in answered {
                self.end_rounds(term, round);
            }
        }
    }

    /// Ends the leases of a term up to a round.
    pub(super) fn end_rounds(&mut self, term: Term, round: u64) {
        let ended = self.trace.ended.entry(term).or_default();
        if self.state.config.lease.is_some() && round > *ended {
            *ended = round;
            self.add(Line::new("EndRounds", self.node).with("t", term.0).with("k", round));
        }
    }
}
