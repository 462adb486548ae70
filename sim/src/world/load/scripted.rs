//! The scripted requests of a run, their outcomes, and the leaders over time.

use crate::faults::{ScriptedOutcome, ScriptedRequest};
use crate::observe::outcome::{LeaderPeriod, ScriptedResult, ScriptedResults};
use crate::values::time::SimTime;
use crate::workload::kv::Reply;
use crate::world::place::Place;

/// All scripted requests so far, each with its own client, and the leaders over time.
#[derive(Clone, Debug, Default)]
pub(crate) struct ScriptedRequests {
    pub(super) requests: Vec<RunningRequest>,
    leader_periods: Vec<LeaderPeriod>,
}

/// A scripted request that has started.
#[derive(Clone, Debug)]
pub(super) struct RunningRequest {
    /// The index of its operation in the plan.
    pub(super) op: u32,
    pub(super) request: ScriptedRequest,
    pub(super) via: Option<Place>,
    pub(super) since: SimTime,
    pub(super) until: SimTime,
    pub(super) outcome: Option<ScriptedOutcome>,
}

impl ScriptedRequests {
    /// Records the reply to the request with this number, if there is one.
    pub(super) fn reply(&mut self, number: Option<usize>, reply: &[u8]) {
        let Some(running) = number.and_then(|number| self.requests.get_mut(number)) else { return };
        running.outcome = Some(match Reply::decode(reply) {
            Some(Reply::Done) => ScriptedOutcome::Done,
            Some(Reply::Absent | Reply::Different(None)) => ScriptedOutcome::Value(None),
            Some(Reply::Value(value) | Reply::Different(Some(value))) => {
                ScriptedOutcome::Value(Some(String::from_utf8_lossy(value).into_owned()))
            }
            Some(Reply::TooLong | Reply::NoSpace | Reply::Malformed) | None => {
                ScriptedOutcome::Declined
            }
        });
    }

    /// Records the current leader if it has changed.
    pub(crate) fn note_leader(&mut self, leader: Option<Place>, now: SimTime) {
        let leader = leader.map(Place::id);
        if leader != self.leader_periods.last().and_then(|period| period.leader) {
            self.leader_periods.push(LeaderPeriod { since: now, leader });
        }
    }

    /// Returns the outcomes of the requests, and the leaders over time.
    pub(crate) fn results(&self) -> ScriptedResults {
        let answered = |running: &RunningRequest| {
            let answer = running.outcome.clone().unwrap_or(ScriptedOutcome::NoReply);
            ScriptedResult { op: running.op as usize, since: running.since, outcome: answer }
        };
        let answers = self.requests.iter().map(answered).collect();
        ScriptedResults { requests: answers, leader_periods: self.leader_periods.clone() }
    }
}
