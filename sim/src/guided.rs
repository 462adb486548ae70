//! The search that is led by what it has seen: which run is to go on differently, and from where.
//!
//! Whoever runs tells of each run in which abstract states it was, and when it first was. What no
//! run before it had is kept, and the rarest of that is where the next one begins to differ.

use std::collections::BTreeMap;

use quorate::types::NodeId;

use crate::time::SimTime;

/// When a run first came to each abstract state.
pub(crate) type Shapes = BTreeMap<u64, Moment>;

/// A time, and the node that brought about what was new then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Moment {
    pub(crate) at: SimTime,
    pub(crate) node: NodeId,
}

/// The runs that came to something new.
#[derive(Debug)]
pub(crate) struct Corpus<T> {
    finds: Vec<Find<T>>,
    /// How many runs came to each state.
    seen: BTreeMap<u64, u64>,
}

/// Something new that a run came to.
#[derive(Debug)]
struct Find<T> {
    run: T,
    shape: u64,
    moment: Moment,
    /// How many runs went on from here.
    used: u64,
}

/// How much of what is new in one run is kept: it is spread over the run.
const FINDS_PER_RUN_MAX: usize = 4;
/// Using a find makes it as common as so many runs that come there.
const USE_WEIGHS: u64 = 2;

impl<T: Clone> Corpus<T> {
    pub(crate) fn new() -> Corpus<T> {
        Corpus { finds: Vec::new(), seen: BTreeMap::new() }
    }

    /// Takes in what a run came to.
    pub(crate) fn learn(&mut self, run: &T, shapes: &Shapes) {
        let mut news = Vec::new();
        for (shape, moment) in shapes {
            let runs = self.seen.entry(*shape).or_default();
            *runs += 1;
            if *runs == 1 {
                news.push((*moment, *shape));
            }
        }
        news.sort_unstable();
        let step = news.len().div_ceil(FINDS_PER_RUN_MAX).max(1);
        let spread = news.into_iter().skip(step / 2).step_by(step);
        self.finds.extend(spread.map(|(moment, shape)| Find {
            run: run.clone(),
            shape,
            moment,
            used: 0,
        }));
    }

    /// The run to go on from, and where: one of the rarest, which `number` decides. None if
    /// nothing is known.
    pub(crate) fn pick(&mut self, number: u64) -> Option<(T, Moment)> {
        let common = |find: &Find<T>| self.seen[&find.shape] + find.used * USE_WEIGHS;
        let least = self.finds.iter().map(common).min()?;
        let places = (0..self.finds.len()).filter(|place| common(&self.finds[*place]) == least);
        let rarest: Vec<usize> = places.collect();
        let find = &mut self.finds[rarest[(number % rarest.len() as u64) as usize]];
        find.used += 1;
        Some((find.run.clone(), find.moment))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shapes(shapes: &[(u64, u64)]) -> Shapes {
        let moment = |at| Moment { at: SimTime(at), node: NodeId(1) };
        shapes.iter().map(|(shape, at)| (*shape, moment(*at))).collect()
    }

    #[test]
    fn nothing_known_is_nothing_to_go_on_from() {
        assert_eq!(Corpus::<u8>::new().pick(0), None);
        let mut corpus = Corpus::new();
        corpus.learn(&'a', &Shapes::new());
        assert_eq!(corpus.pick(0), None);
    }

    #[test]
    fn the_rarest_goes_first_and_gives_way_once_it_was_used() {
        let mut corpus = Corpus::new();
        corpus.learn(&'a', &shapes(&[(7, 10)]));
        corpus.learn(&'b', &shapes(&[(7, 5), (8, 20)]));
        let picked: Vec<char> =
            (0..4).filter_map(|number| corpus.pick(number)).map(|(run, _)| run).collect();
        // Two runs came to 7, one to 8: they weigh 2 and 1, and 2 more with each use.
        assert_eq!(picked, ['b', 'a', 'b', 'a']);
    }

    #[test]
    fn a_run_is_kept_at_moments_that_are_spread_over_it() {
        let mut corpus = Corpus::new();
        let all: Vec<(u64, u64)> = (0..100).map(|at| (1_000 - at, at)).collect();
        corpus.learn(&'a', &shapes(&all));
        let mut moments: Vec<u64> =
            (0..4).filter_map(|_| corpus.pick(0)).map(|(_, moment)| moment.at.0).collect();
        moments.sort_unstable();
        assert_eq!(moments, [12, 37, 62, 87]);
        corpus.learn(&'b', &shapes(&all));
        assert_eq!(corpus.finds.len(), FINDS_PER_RUN_MAX, "the second run brought nothing new");
    }
}
