//! The clients' history, checked for linearizability without the log: S20.

use quorate::machine::Outcome;
use quorate::types::Freshness as Fresh;
use quorate_checker::budget::Budget;
use quorate_checker::relaxed::Freshness;

use crate::check::client::real_duration_max;
use crate::check::finding::{CheckResult, S20};
use crate::check::known::Known;
use crate::check::rule::Rule;
use crate::observe::Observation::{
    self, Ended, ProposeInvoked, ReadInvoked, ReadServed, Rejected, Replied, Unknown,
};
use crate::workload::request::unmark;
use crate::workload::{HistoryResult, Object, RequestBytes, Workload};

/// The clients' history of the object that they use, if the workload names one.
#[derive(Clone, Debug)]
pub(super) struct History {
    object: Option<Object>,
    outcome: Option<HistoryResult>,
}

/// The budget of the search at the end of a run. The history of a chaos run is short, but may leave
/// many outcomes unknown.
const BUDGET: Budget<'static> =
    Budget { bytes_max: 64 << 20, configurations_max: 100_000, threads: 1, stop: None };

impl Rule for History {
    fn new(known: &Known) -> History {
        History { object: known.workload.object(), outcome: None }
    }

    fn after(&mut self, known: &Known, observation: &Observation<'_>) -> CheckResult {
        let Some(object) = &mut self.object else { return Ok(()) };
        let (now, drift_ppm) = (known.now, known.bounds.drift_ppm);
        let verdict = match *observation {
            ProposeInvoked { op, command, session } => {
                let command = unmark(command).map_or(command, |(command, _)| command);
                object.at(now).invoked(op, RequestBytes::Command(command), session.is_some());
                Ok(())
            }
            ReadInvoked { op, query, .. } => {
                object.at(now).invoked(op, RequestBytes::Query(query), false);
                Ok(())
            }
            Replied { op, outcome: Outcome::Reply(reply), .. } => {
                object.at(now).answered(op, reply, Freshness::Current)
            }
            ReadServed { op, answer, freshness, .. } => {
                object.at(now).answered(op, answer, claimed_freshness(freshness, drift_ppm))
            }
            Rejected { op, .. } => object.at(now).failed(op),
            Unknown { op } => {
                object.at(now).unknown(op);
                Ok(())
            }
            Ended => self.outcome.insert(object.finish(&BUDGET)).verdict.clone(),
            // A command whose session expired may have been executed before, so its outcome stays
            // unknown.
            _ => Ok(()),
        };
        verdict.or_else(|finding| S20.violated(finding))
    }
}

impl History {
    /// The result for the whole history; `None` before the end of the run, or if the workload does
    /// not name the object that its clients use.
    pub(super) fn outcome(&self) -> Option<&HistoryResult> {
        self.outcome.as_ref()
    }
}

/// The freshness that an answer claims, in real time, if clocks run too fast or too slow by at most
/// `drift_ppm` parts per million.
fn claimed_freshness(freshness: Fresh, drift_ppm: u32) -> Freshness {
    match freshness {
        Fresh::Linearizable => Freshness::Current,
        Fresh::Within(age) => {
            let nanos = real_duration_max(age, drift_ppm).as_nanos();
            Freshness::Bounded(u64::try_from(nanos).unwrap_or(u64::MAX))
        }
        Fresh::Unknown => Freshness::Local,
    }
}
