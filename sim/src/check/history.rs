//! What clients see, without a look at the log: S20 again.

use quorate::machine::Outcome;
use quorate_checker::budget::Budget;
use quorate_checker::verdict::Verdict as Checked;

use crate::check::finding::{S20, Verdict};
use crate::observe::Seen;
use crate::request::unmark;
use crate::workload::{AnyWorkload, Object, Question, Workload};

/// The clients' history of the object they use, if the workload says what that is.
#[derive(Clone, Debug)]
pub(super) struct History {
    object: Option<Object>,
    decided: Option<bool>,
}

/// What one run may use up. A storm's history is short, but may leave many outcomes unknown.
const BUDGET: Budget<'static> =
    Budget { bytes_max: 64 << 20, configurations_max: 100_000, threads: 1, stop: None };

impl History {
    pub(super) fn new(workload: &AnyWorkload) -> History {
        History { object: workload.object(), decided: None }
    }

    /// Takes what happened to a client.
    pub(super) fn see(&mut self, seen: Seen<'_>) {
        let Some(object) = &mut self.object else { return };
        match seen {
            Seen::ProposeInvoked { op, command, .. } => {
                let command = unmark(command).map_or(command, |(command, _)| command);
                object.invoked(op, Question::Command(command));
            }
            Seen::ReadInvoked { op, query } => object.invoked(op, Question::Query(query)),
            Seen::Replied { op, outcome: Outcome::Reply(reply), .. } => object.told(op, reply),
            Seen::ReadServed { op, answer, .. } => object.told(op, answer),
            Seen::Rejected { op, .. } => object.failed(op),
            // A session that is forgotten may have carried the operation out before. An operation
            // without an outcome may have taken effect.
            _ => {}
        }
    }

    /// The run is over.
    pub(super) fn ended(&mut self) -> Verdict {
        let Some(object) = &self.object else { return Ok(()) };
        let verdict = object.verdict(&BUDGET);
        self.decided = Some(!matches!(verdict, Checked::Unknown(_)));
        match verdict {
            Checked::NotLinearizable(evidence) => S20.broken(evidence.because),
            Checked::Linearizable | Checked::Unknown(_) => Ok(()),
        }
    }

    /// Whether the history was decided on.
    pub(super) fn decided(&self) -> Option<bool> {
        self.decided
    }
}
