//! What was added to a counter, and the choices among what may have been.

use crate::collections::span::{NEVER, Span, Time};
use crate::history::OpId;

/// One addition.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Addition {
    pub(crate) id: OpId,
    pub(crate) span: Span,
    pub(crate) more: i64,
    /// The number after it, if it was told.
    pub(crate) told: Option<i64>,
}

/// A number that was read, or told to an addition: just after it, and another just before it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Read {
    pub(crate) id: OpId,
    pub(crate) span: Span,
    pub(crate) number: i64,
}

/// Additions, in the order of invocation, and how far a look at them has come.
#[derive(Debug)]
pub(crate) struct Additions {
    all: Vec<Addition>,
    /// What was invoked: when, and the sum up to it.
    invoked: Vec<(Time, i64)>,
    /// What returned: when, the sum up to it, and which it is.
    returned: Vec<(Time, i64, usize)>,
    /// How many of `returned` certainly came before.
    certain: usize,
    /// How many of `all` can have come before.
    possible: usize,
    /// Those that can have come before, and not certainly did, in the order of invocation.
    open: Vec<u32>,
    /// The same for all, and none of them was told a number.
    uniform: bool,
}

impl Additions {
    pub(crate) fn new(mut all: Vec<Addition>) -> Additions {
        all.retain(|addition| addition.more != 0);
        all.sort_unstable_by_key(|addition| addition.span.invoked);
        let mut sum = 0;
        let mut add = |more: i64| {
            sum += more;
            sum
        };
        let invoked = all.iter().map(|addition| (addition.span.invoked, add(addition.more)));
        let invoked = invoked.collect();
        let known = all.iter().enumerate().filter(|(_, addition)| addition.span.is_known());
        let mut returned: Vec<(Time, i64, usize)> =
            known.map(|(place, addition)| (addition.span.returned, 0, place)).collect();
        returned.sort_unstable();
        let mut sum = 0;
        for (_, up_to, place) in &mut returned {
            sum += all[*place].more;
            *up_to = sum;
        }
        let alike = |pair: &[Addition]| pair[0].more == pair[1].more;
        let uniform = all.windows(2).all(alike) && all.iter().all(|one| one.told.is_none());
        Additions { all, invoked, returned, certain: 0, possible: 0, open: Vec::new(), uniform }
    }

    /// The sum of what was invoked before `time`.
    pub(crate) fn invoked_by(&self, time: Time) -> i64 {
        let count = self.invoked.partition_point(|(invoked, _)| *invoked < time);
        count.checked_sub(1).map_or(0, |place| self.invoked[place].1)
    }

    /// The sum of what returned before `time`.
    pub(crate) fn returned_by(&self, time: Time) -> i64 {
        let count = self.returned.partition_point(|(returned, ..)| *returned < time);
        count.checked_sub(1).map_or(0, |place| self.returned[place].1)
    }

    /// What was invoked after `from` and returned before `to`.
    pub(crate) fn between(&self, from: Time, to: Time) -> Vec<&Addition> {
        let first = self.invoked.partition_point(|(invoked, _)| *invoked < from);
        let after = self.all[first..].iter().take_while(|addition| addition.span.invoked < to);
        after.filter(|addition| addition.span.returned < to).collect()
    }

    /// What was invoked before `limit`, of what has a known outcome.
    pub(crate) fn invoked_before(&self, limit: Time) -> impl Iterator<Item = OpId> {
        let before = self.all.iter().take_while(move |addition| addition.span.invoked < limit);
        before.filter(|addition| addition.span.is_known()).map(|addition| addition.id)
    }

    /// Goes on to where the counter is at `number`, all that returned before `certain` came before,
    /// and what was invoked before `possible` may have. Nothing if something must have that
    /// cannot.
    pub(crate) fn advance(&mut self, number: i64, certain: Time, possible: Time) -> Option<Stage> {
        while let Some(addition) = self.all.get(self.possible)
            && addition.span.invoked < possible
        {
            self.open.push(u32::try_from(self.possible).expect("fewer than four billion"));
            self.possible += 1;
        }
        let all = &self.all;
        self.open.retain(|place| all[*place as usize].span.returned > certain);
        let mut can = true;
        while let Some((returned, _, place)) = self.returned.get(self.certain)
            && *returned < certain
        {
            can &= *place < self.possible;
            self.certain += 1;
        }
        let certain = self.certain.checked_sub(1).map_or(0, |place| self.returned[place].1);
        can.then(|| Stage { number, certain, open: self.open.clone() })
    }

    /// The ways to come to `stage` if those places of `before` that are still open came before;
    /// the counter was at `init` at first.
    pub(crate) fn ways(&self, stage: &Stage, before: &[u32], init: i64) -> Ways {
        let is_open = |place: &u32| stage.open.binary_search(place).is_ok();
        let before: Vec<u32> = before.iter().copied().filter(is_open).collect();
        let of = |place: u32| &self.all[place as usize];
        let chosen: i64 = before.iter().map(|place| of(*place).more).sum();
        let need = stage.number - init - stage.certain - chosen;
        let last_invoked = before.iter().map(|place| of(*place).span.invoked).max();
        let mut candidates: Vec<Candidate> = Vec::with_capacity(stage.open.len());
        for place in &stage.open {
            if need > 0 && before.binary_search(place).is_err()
                || of(*place).told.is_some_and(|told| told <= stage.number)
                    && before.binary_search(place).is_err()
            {
                candidates.push(Candidate::of(*place, of(*place), stage.number));
            }
        }
        candidates.sort_unstable_by_key(|candidate| (candidate.returned, candidate.invoked));
        let mut left = vec![0; candidates.len() + 1];
        for place in (0..candidates.len()).rev() {
            left[place] = left[place + 1] + candidates[place].more;
            let (others, this) = (&candidates[..place], candidates[place]);
            let recent = others.iter().enumerate().rev().take(BETTER_LOOKS_MAX);
            let better = recent.filter(|(_, other)| other.is_better_than(&this));
            candidates[place].better = better.map(|(place, _)| place).next();
        }
        let last_invoked = last_invoked.unwrap_or(Time::MIN);
        let single = self.uniform;
        Ways {
            candidates,
            left,
            last_invoked,
            before,
            chosen: Vec::new(),
            need,
            single,
            at: At::Start,
        }
    }
}

/// A time at which the counter was at a number that somebody read.
#[derive(Clone, Debug)]
pub(crate) struct Stage {
    number: i64,
    /// The sum of what certainly came before.
    certain: i64,
    /// What may have come before, in the order of invocation.
    pub(crate) open: Vec<u32>,
}

/// How far back to look for another candidate that is better.
const BETTER_LOOKS_MAX: usize = 24;

/// What may be chosen.
#[derive(Clone, Copy, Debug)]
struct Candidate {
    place: u32,
    more: i64,
    invoked: Time,
    returned: Time,
    /// Whether a number that it was told says that it is chosen, or not.
    must: Option<bool>,
    /// Another that adds the same, and neither is invoked nor returns later: if that is not
    /// chosen, this need not be.
    better: Option<usize>,
}

impl Candidate {
    fn of(place: u32, addition: &Addition, number: i64) -> Candidate {
        Candidate {
            place,
            more: addition.more,
            invoked: addition.span.invoked,
            returned: addition.span.returned,
            must: addition.told.map(|told| told <= number),
            better: None,
        }
    }

    fn is_better_than(&self, later: &Candidate) -> bool {
        self.more == later.more
            && self.invoked <= later.invoked
            && self.must.is_none()
            && later.must.is_none()
    }
}

/// The choices of what came before a stage, beyond what certainly did: one after another, those
/// first that have in them what returns first.
#[derive(Clone, Debug)]
pub(crate) struct Ways {
    /// In the order of their returns.
    candidates: Vec<Candidate>,
    /// What the candidates from each place on add, all in all.
    left: Vec<i64>,
    /// What was invoked last of what was chosen before.
    last_invoked: Time,
    before: Vec<u32>,
    /// For each candidate decided on: whether it is chosen, and the first return of those up to it
    /// that are not.
    chosen: Vec<(bool, Time)>,
    /// What is still to be added.
    need: i64,
    /// Whether the first choice is as good as any other.
    single: bool,
    at: At,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    Start,
    Choice,
    End,
}

impl Ways {
    /// The next choice, as the places of what is chosen, in order. Nothing if there is no more, or
    /// no `steps` are left.
    pub(crate) fn next(&mut self, steps: &mut u64) -> Option<Box<[u32]>> {
        let mut goes_on = match self.at {
            At::Start => true,
            At::Choice => !self.single && self.back(),
            At::End => false,
        };
        while goes_on && *steps > 0 {
            *steps -= 1;
            let place = self.chosen.len();
            let possible = self.need >= 0 && self.left[place] >= self.need;
            if possible && place == self.candidates.len() {
                self.at = At::Choice;
                return Some(self.choice());
            }
            goes_on = match possible && (self.may_choose() || self.may_leave(place)) {
                true => {
                    self.decide(self.may_choose());
                    true
                }
                false => self.back(),
            };
        }
        self.at = At::End;
        None
    }

    /// Goes back to the last that was chosen and need not be. False if there is none.
    fn back(&mut self) -> bool {
        while let Some((chosen, _)) = self.chosen.pop() {
            let place = self.chosen.len();
            if chosen {
                self.need += self.candidates[place].more;
                if self.may_leave(place) {
                    self.decide(false);
                    return true;
                }
            }
        }
        false
    }

    fn choice(&self) -> Box<[u32]> {
        let new = self.candidates.iter().zip(&self.chosen).filter(|(_, chosen)| chosen.0);
        let mut places = self.before.clone();
        places.extend(new.map(|(candidate, _)| candidate.place));
        places.sort_unstable();
        places.into_boxed_slice()
    }

    /// Whether the next candidate may be chosen: not if one is left out that must come before it.
    fn may_choose(&self) -> bool {
        let candidate = &self.candidates[self.chosen.len()];
        let worse = candidate.better.is_some_and(|better| !self.chosen[better].0);
        candidate.must != Some(false)
            && candidate.more <= self.need
            && candidate.invoked < self.first_left()
            && !worse
    }

    /// The first return of what is left out.
    fn first_left(&self) -> Time {
        self.chosen.last().map_or(NEVER, |(_, returned)| *returned)
    }

    fn decide(&mut self, choose: bool) {
        let candidate = self.candidates[self.chosen.len()];
        let first_left = self.first_left();
        if choose {
            self.need -= candidate.more;
            self.chosen.push((true, first_left));
        } else {
            self.chosen.push((false, first_left.min(candidate.returned)));
        }
    }

    /// Whether the candidate at `place` may be left out.
    fn may_leave(&self, place: usize) -> bool {
        let candidate = &self.candidates[place];
        candidate.must != Some(true) && candidate.returned > self.last_invoked
    }
}
