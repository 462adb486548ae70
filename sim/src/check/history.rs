//! The clients' history, checked for linearizability without the log: S20.

use quorate::machine::Outcome;
use quorate::types::Freshness as Fresh;
use quorate_checker::budget::Budget;
use quorate_checker::relaxed::Freshness;

use crate::check::client::real_duration_max;
use crate::check::finding::{CheckResult, S20};
use crate::observe::Observation;
use crate::values::time::SimTime;
use crate::workload::request::unmark;
use crate::workload::{AnyWorkload, HistoryResult, Object, RequestBytes, Workload};

/// The clients' history of the object that they use, if the workload names one.
#[derive(Clone, Debug)]
pub(super) struct History {
    object: Option<Object>,
    /// The most by which a clock may run too fast or too slow, in parts per million.
    drift_ppm: u32,
    outcome: Option<HistoryResult>,
}

/// The budget of the search at the end of a run. The history of a chaos run is short, but may leave
/// many outcomes unknown.
const BUDGET: Budget<'static> =
    Budget { bytes_max: 64 << 20, configurations_max: 100_000, threads: 1, stop: None };

impl History {
    pub(super) fn new(workload: &AnyWorkload, drift_ppm: u32) -> History {
        History { object: workload.object(), drift_ppm, outcome: None }
    }

    /// Checks an observation of a client.
    pub(super) fn observe(&mut self, now: SimTime, observation: Observation<'_>) -> CheckResult {
        let Some(object) = &mut self.object else { return Ok(()) };
        object.set_time(now);
        let known = match observation {
            Observation::ProposeInvoked { op, command, session } => {
                let command = unmark(command).map_or(command, |(command, _)| command);
                object.invoked(op, RequestBytes::Command(command), session.is_some());
                Ok(())
            }
            Observation::ReadInvoked { op, query, .. } => {
                object.invoked(op, RequestBytes::Query(query), false);
                Ok(())
            }
            Observation::Replied { op, outcome: Outcome::Reply(reply), .. } => {
                object.answered(op, reply, Freshness::Current)
            }
            Observation::ReadServed { op, answer, freshness, .. } => {
                object.answered(op, answer, claimed_freshness(freshness, self.drift_ppm))
            }
            Observation::Rejected { op, .. } => object.failed(op),
            Observation::Unknown { op } => {
                object.unknown(op);
                Ok(())
            }
            // A command whose session expired may have been executed before, so its outcome stays
            // unknown.
            _ => Ok(()),
        };
        known.or_else(|finding| S20.violated(finding))
    }

    /// Checks the whole history at the end of the run.
    pub(super) fn finish(&mut self) -> CheckResult {
        let Some(object) = &self.object else { return Ok(()) };
        let ended = self.outcome.insert(object.finish(&BUDGET));
        ended.verdict.clone().or_else(|finding| S20.violated(finding))
    }

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
