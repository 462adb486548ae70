//! The guided search: a corpus of rare abstract states from which new runs continue differently.
//!
//! An abstract state is a hash of one node's state relative to the leader and to the most advanced
//! nodes. Each run reports the abstract states that it reached, and when it first reached each.
//! States that no earlier run reached are kept, and a later run continues differently from the
//! rarest of them.

use std::collections::BTreeMap;

use quorate::types::NodeId;

use crate::values::time::SimTime;

/// The point at which a run first reached each abstract state.
pub(crate) type AbstractStates = BTreeMap<u64, RunPoint>;

/// A time, and the node whose step led to the new state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct RunPoint {
    pub(crate) at: SimTime,
    pub(crate) node: NodeId,
}

/// The runs that reached new abstract states.
#[derive(Debug)]
pub(crate) struct Corpus<T> {
    new_states: Vec<NewState<T>>,
    /// The number of runs that reached each state.
    seen: BTreeMap<u64, u64>,
}

/// A new abstract state, and the run that reached it first.
#[derive(Debug)]
struct NewState<T> {
    run: T,
    state: u64,
    point: RunPoint,
    /// The number of runs that continued from this state.
    continued: u64,
}

/// The maximum number of new states of one run that are kept, spread over the run.
const NEW_STATES_PER_RUN_MAX: usize = 4;
/// The weight of one continuation from a state, as a number of runs that reached the state.
const USE_WEIGHT: u64 = 2;

impl<T: Clone> Corpus<T> {
    pub(crate) fn new() -> Corpus<T> {
        Corpus { new_states: Vec::new(), seen: BTreeMap::new() }
    }

    /// Adds the abstract states of a run.
    pub(crate) fn learn(&mut self, run: &T, states: &AbstractStates) {
        let mut new = Vec::new();
        for (state, point) in states {
            let runs = self.seen.entry(*state).or_default();
            *runs += 1;
            if *runs == 1 {
                new.push((*point, *state));
            }
        }
        new.sort_unstable();
        let step = new.len().div_ceil(NEW_STATES_PER_RUN_MAX).max(1);
        let spread = new.into_iter().skip(step / 2).step_by(step);
        self.new_states.extend(spread.map(|(point, state)| NewState {
            run: run.clone(),
            state,
            point,
            continued: 0,
        }));
    }

    /// Returns the run to continue from, and the point at which it reached one of the rarest
    /// states; `number` chooses among these. Returns `None` if the corpus is empty.
    pub(crate) fn pick(&mut self, number: u64) -> Option<(T, RunPoint)> {
        let common = |new_state: &NewState<T>| {
            self.seen[&new_state.state] + new_state.continued * USE_WEIGHT
        };
        let least = self.new_states.iter().map(common).min()?;
        let places =
            (0..self.new_states.len()).filter(|place| common(&self.new_states[*place]) == least);
        let rarest: Vec<usize> = places.collect();
        let new_state = &mut self.new_states[rarest[(number % rarest.len() as u64) as usize]];
        new_state.continued += 1;
        Some((new_state.run.clone(), new_state.point))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn states(states: &[(u64, u64)]) -> AbstractStates {
        let point = |at| RunPoint { at: SimTime(at), node: NodeId(1) };
        states.iter().map(|(state, at)| (*state, point(*at))).collect()
    }

    #[test]
    fn an_empty_corpus_has_nothing_to_continue_from() {
        assert_eq!(Corpus::<u8>::new().pick(0), None);
        let mut corpus = Corpus::new();
        corpus.learn(&'a', &AbstractStates::new());
        assert_eq!(corpus.pick(0), None);
    }

    #[test]
    fn the_rarest_state_is_picked_first_and_less_often_afterwards() {
        let mut corpus = Corpus::new();
        corpus.learn(&'a', &states(&[(7, 10)]));
        corpus.learn(&'b', &states(&[(7, 5), (8, 20)]));
        let picked: Vec<char> =
            (0..4).filter_map(|number| corpus.pick(number)).map(|(run, _)| run).collect();
        // Two runs reached state 7 and one run reached state 8, and each continuation counts as 2
        // runs.
        assert_eq!(picked, ['b', 'a', 'b', 'a']);
    }

    #[test]
    fn the_kept_points_are_spread_over_the_run() {
        let mut corpus = Corpus::new();
        let all: Vec<(u64, u64)> = (0..100).map(|at| (1_000 - at, at)).collect();
        corpus.learn(&'a', &states(&all));
        let mut points: Vec<u64> =
            (0..4).filter_map(|_| corpus.pick(0)).map(|(_, point)| point.at.0).collect();
        points.sort_unstable();
        assert_eq!(points, [12, 37, 62, 87]);
        corpus.learn(&'b', &states(&all));
        assert_eq!(
            corpus.new_states.len(),
            NEW_STATES_PER_RUN_MAX,
            "the second run reached no new state"
        );
    }
}
