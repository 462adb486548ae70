//! What clients see, without a look at the log: S20 again.

use quorate::machine::Outcome;
use quorate::types::Freshness as Fresh;
use quorate_checker::budget::Budget;
use quorate_checker::relaxed::Freshness;

use crate::check::client::longer;
use crate::check::finding::{S20, Verdict};
use crate::observe::Seen;
use crate::request::unmark;
use crate::time::SimTime;
use crate::workload::{AnyWorkload, Ended, Object, Question, Workload};

/// The clients' history of the object they use, if the workload says what that is.
#[derive(Clone, Debug)]
pub(super) struct History {
    object: Option<Object>,
    /// By how many millionths clocks may run too fast or too slow.
    drift_ppm: u32,
    ended: Option<Ended>,
}

/// What the end of one run may use up. A storm's history is short, but may leave many outcomes
/// unknown.
const BUDGET: Budget<'static> =
    Budget { bytes_max: 64 << 20, configurations_max: 100_000, threads: 1, stop: None };

impl History {
    pub(super) fn new(workload: &AnyWorkload, drift_ppm: u32) -> History {
        History { object: workload.object(), drift_ppm, ended: None }
    }

    /// Takes what happened to a client.
    pub(super) fn see(&mut self, now: SimTime, seen: Seen<'_>) -> Verdict {
        let Some(object) = &mut self.object else { return Ok(()) };
        object.time_is(now);
        let known = match seen {
            Seen::ProposeInvoked { op, command, session } => {
                let command = unmark(command).map_or(command, |(command, _)| command);
                object.invoked(op, Question::Command(command), session.is_some());
                Ok(())
            }
            Seen::ReadInvoked { op, query, .. } => {
                object.invoked(op, Question::Query(query), false);
                Ok(())
            }
            Seen::Replied { op, outcome: Outcome::Reply(reply), .. } => {
                object.told(op, reply, Freshness::Current)
            }
            Seen::ReadServed { op, answer, freshness, .. } => {
                object.told(op, answer, promised(freshness, self.drift_ppm))
            }
            Seen::Rejected { op, .. } => object.failed(op),
            Seen::Unknown { op } => {
                object.unknown(op);
                Ok(())
            }
            // A session that is forgotten may have carried the operation out before.
            _ => Ok(()),
        };
        known.or_else(|wrong| S20.broken(wrong))
    }

    /// The run is over.
    pub(super) fn ended(&mut self) -> Verdict {
        let Some(object) = &self.object else { return Ok(()) };
        let ended = self.ended.insert(object.ended(&BUDGET));
        ended.verdict.clone().or_else(|wrong| S20.broken(wrong))
    }

    /// What became of the history; nothing before the end of the run, or if the workload does not
    /// say what its clients use.
    pub(super) fn what_ended(&self) -> Option<&Ended> {
        self.ended.as_ref()
    }
}

/// What an answer so fresh promises, where clocks are off by up to so many millionths.
fn promised(freshness: Fresh, drift_ppm: u32) -> Freshness {
    match freshness {
        Fresh::Linearizable => Freshness::Current,
        Fresh::Within(age) => {
            let nanos = longer(age, drift_ppm).as_nanos();
            Freshness::Bounded(u64::try_from(nanos).unwrap_or(u64::MAX))
        }
        Fresh::Unknown => Freshness::Local,
    }
}
