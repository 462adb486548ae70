//! The clients' history, checked for linearizability without the log: S20.

use quorate::machine::Outcome;
use quorate::types::{EntryId, Freshness as Fresh};
use quorate_checker::budget::Budget;
use quorate_checker::relaxed::Freshness;

use crate::check::client::real_duration_max;
use crate::check::finding::{CheckResult, S20};
use crate::check::known::Known;
use crate::check::rule::{Answer, Rule};
use crate::observe::OpId;
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

    fn proposed(&mut self, known: &Known, op: OpId, command: &[u8], session: bool) -> CheckResult {
        let Some(object) = &mut self.object else { return Ok(()) };
        object.at(known.now).invoked(op, RequestBytes::Command(command), session);
        Ok(())
    }

    fn read_invoked(&mut self, known: &Known, op: OpId, query: &[u8]) -> CheckResult {
        let Some(object) = &mut self.object else { return Ok(()) };
        object.at(known.now).invoked(op, RequestBytes::Query(query), false);
        Ok(())
    }

    /// Adds a reply. A command whose session expired may have been executed before, so its outcome
    /// stays unknown.
    fn replied(&mut self, known: &Known, op: OpId, _: EntryId, outcome: &Outcome) -> CheckResult {
        let (Some(object), Outcome::Reply(reply)) = (&mut self.object, outcome) else {
            return Ok(());
        };
        object.at(known.now).answered(op, reply, Freshness::Current).or_else(|e| S20.violated(e))
    }

    fn read_served(&mut self, known: &Known, answer: Answer<'_>) -> CheckResult {
        let Some(object) = &mut self.object else { return Ok(()) };
        let freshness = claimed_freshness(answer.freshness, known.bounds.drift_ppm);
        let verdict = object.at(known.now).answered(answer.op, answer.bytes, freshness);
        verdict.or_else(|e| S20.violated(e))
    }

    fn rejected(&mut self, known: &Known, op: OpId) -> CheckResult {
        let Some(object) = &mut self.object else { return Ok(()) };
        object.at(known.now).failed(op).or_else(|e| S20.violated(e))
    }

    fn unknown(&mut self, known: &Known, op: OpId) -> CheckResult {
        let Some(object) = &mut self.object else { return Ok(()) };
        object.at(known.now).unknown(op);
        Ok(())
    }

    fn ended(&mut self, _: &Known) -> CheckResult {
        let Some(object) = &mut self.object else { return Ok(()) };
        self.outcome.insert(object.finish(&BUDGET)).verdict.clone().or_else(|e| S20.violated(e))
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
