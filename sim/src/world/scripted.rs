//! The scripted requests of a run, their outcomes, and the leaders over time.

use crate::outcome::{LeaderPeriod, ScriptedResult, ScriptedResults};
use crate::plan::{ScriptedOutcome, ScriptedRequest};
use crate::time::SimTime;
use crate::world::place::Place;

/// All scripted requests so far, each with its own client, and the leaders over time.
#[derive(Clone, Debug, Default)]
pub(super) struct ScriptedRequests {
    pub(super) requests: Vec<RunningRequest>,
    pub(super) leader_periods: Vec<LeaderPeriod>,
}

/// A scripted request that has started.
#[derive(Clone, Debug)]
pub(super) struct RunningRequest {
    /// The operation of the plan.
    pub(super) op: u32,
    pub(super) request: ScriptedRequest,
    pub(super) via: Option<Place>,
    pub(super) since: SimTime,
    pub(super) until: SimTime,
    pub(super) outcome: Option<ScriptedOutcome>,
}

impl ScriptedRequests {
    /// Returns the outcomes of the requests, and the leaders over time.
    pub(super) fn results(&self) -> ScriptedResults {
        let answered = |running: &RunningRequest| {
            let answer = running.outcome.clone().unwrap_or(ScriptedOutcome::NoReply);
            ScriptedResult { op: running.op as usize, since: running.since, outcome: answer }
        };
        let answers = self.requests.iter().map(answered).collect();
        ScriptedResults { requests: answers, leader_periods: self.leader_periods.clone() }
    }
}
