//! The invariants of the simulator that recordings of real nodes decide, with the same ids.
//!
//! The simulator's own rules know every node, disk and client from the beginning. A recording may
//! begin late, end early, have gaps and be missing for some nodes. So these rules say of each fact
//! whether it holds, is violated, or cannot be decided, and count all three. They receive the
//! events in a causal order. If a message arrives whose send is not recorded, the rules regard its
//! sender as unknown from there on, until a segment begins that does not continue its last one. The
//! quorums, the model of a log and the list of checks are the simulator's.

mod commits;
mod disks;
mod entries;
mod known;
mod leases;
mod ledger;
mod starts;
mod terms;
mod votes;

use quorate::types::NodeId;

use crate::check::CHECKS;
use crate::recordings::checks::commits::Commits;
use crate::recordings::checks::disks::Disks;
use crate::recordings::checks::entries::Entries;
use crate::recordings::checks::known::Known;
use crate::recordings::checks::leases::Leases;
use crate::recordings::checks::ledger::Ledger;
use crate::recordings::checks::starts::Starts;
use crate::recordings::checks::terms::Terms;
use crate::recordings::checks::votes::Votes;
use crate::recordings::event::{Event, EventKind};
use crate::recordings::merge::Merged;

pub use ledger::{CheckedRecordings, FirstViolation};

/// The checks of merged recordings.
#[derive(Clone, Debug)]
pub struct RecordingChecks {
    ledger: Ledger,
    known: Known,
    starts: Starts,
    terms: Terms,
    votes: Votes,
    entries: Entries,
    disks: Disks,
    commits: Commits,
    leases: Leases,
}

impl RecordingChecks {
    /// The checks of the recordings of these nodes.
    #[must_use]
    pub fn new(nodes: &[NodeId]) -> RecordingChecks {
        RecordingChecks {
            ledger: Ledger::default(),
            known: Known::new(nodes),
            starts: Starts::default(),
            terms: Terms::default(),
            votes: Votes::default(),
            entries: Entries::default(),
            disks: Disks,
            commits: Commits::default(),
            leases: Leases::default(),
        }
    }

    /// Checks the next event.
    pub fn observe(&mut self, event: &Event<'_>) {
        let RecordingChecks {
            ledger,
            known,
            starts,
            terms,
            votes,
            entries,
            disks,
            commits,
            leases,
        } = self;
        match event.kind {
            EventKind::Begins { header, continues, state, .. } => {
                ledger.at = event.at;
                terms.begins(ledger, event.node, state);
                if !continues {
                    starts.begins(ledger, known, event);
                    known.begin(event.node, header, state);
                    votes.begins(ledger, known.of(event.node), state);
                    commits.begins(ledger, event, state);
                }
            }
            EventKind::Steps { step, before, state, .. } => {
                ledger.at = event.at;
                for (term, vote) in known.take_input(event.node, step, state) {
                    votes.durable(ledger, known.of(event.node), term, vote);
                }
                terms.input(ledger, step);
                votes.input(ledger, known, step);
                entries.input(ledger, known.of(event.node), step);
                for (place, action) in step.actions.iter().enumerate() {
                    ledger.action = Some(place);
                    terms.action(ledger, action);
                    starts.action(ledger, action);
                    votes.action(ledger, known.of(event.node), action);
                    entries.action(ledger, known.of(event.node), before, action);
                    disks.action(ledger, known.of(event.node), state, action);
                    commits.action(ledger, event, state, action);
                    known.carry_out(event.node, action);
                }
                ledger.action = None;
                terms.stepped(ledger, event, before, state);
                votes.stepped(ledger, known, event, before, state);
                entries.stepped(ledger, event, before, state);
                disks.stepped(ledger, known.of(event.node), state);
                commits.stepped(ledger, known, event, before, state);
                leases.stepped(event, before, step, state);
                starts.stepped(known, step, state);
                known.finish_step(event.node, state);
            }
            EventKind::IsAhead => {
                known.end(event.node);
                starts.ends(known, event.node);
            }
            EventKind::Ends => {
                known.end(event.node);
                starts.ends(known, event.node);
                commits.ends(event.node);
            }
        }
    }

    /// The first violation so far, of all checks.
    #[must_use]
    pub fn first_violation(&self) -> Option<&FirstViolation> {
        self.ledger.first.as_ref()
    }

    /// Ends the checks: decides the facts that need the clocks of all nodes, and returns the result
    /// of each safety check of the simulator, in the order of declaration.
    #[must_use]
    pub fn finish(mut self, merged: &Merged) -> Vec<CheckedRecordings> {
        self.leases.decide(&mut self.ledger, merged);
        self.starts.finish(&mut self.ledger);
        let mut ledger = self.ledger;
        CHECKS.iter().filter(|check| check.id.starts_with('S')).map(|it| ledger.take(it)).collect()
    }
}
