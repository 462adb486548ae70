//! The errands of a run, and what a person can have seen of it.

use crate::outcome::{Answered, Reign, Sightings};
use crate::plan::{Answer, Errand};
use crate::time::SimTime;
use crate::world::node::Place;

/// All errands so far, each of a client of its own, and what a person can have seen.
#[derive(Clone, Debug, Default)]
pub(super) struct Errands {
    pub(super) list: Vec<Running>,
    pub(super) reigns: Vec<Reign>,
}

/// An errand that has begun.
#[derive(Clone, Debug)]
pub(super) struct Running {
    /// Which operation of the plan it is.
    pub(super) op: u32,
    pub(super) errand: Errand,
    pub(super) via: Option<Place>,
    pub(super) since: SimTime,
    pub(super) until: SimTime,
    pub(super) answer: Option<Answer>,
}

impl Errands {
    /// What a person can have seen.
    pub(super) fn sightings(&self) -> Sightings {
        let answered = |running: &Running| {
            let answer = running.answer.clone().unwrap_or(Answer::Silence);
            Answered { op: running.op as usize, since: running.since, answer }
        };
        let answers = self.list.iter().map(answered).collect();
        Sightings { answers, reigns: self.reigns.clone() }
    }
}
