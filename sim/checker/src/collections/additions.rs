//! Additions to a counter, and the choices of those that took effect before a read.

use crate::collections::span::{NEVER, Span, Time};
use crate::history::OpId;

/// One addition to the counter.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Addition {
    pub(crate) id: OpId,
    pub(crate) span: Span,
    pub(crate) amount: i64,
    /// The number after the addition, if it was returned.
    pub(crate) sum: Option<i64>,
}

/// A number that a read returned, or the number just before or after an addition that returned it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Read {
    pub(crate) id: OpId,
    pub(crate) span: Span,
    pub(crate) number: i64,
}

/// Additions in the order of invocation, and the progress of the stages.
#[derive(Debug)]
pub(crate) struct Additions {
    all: Vec<Addition>,
    /// The invocations, each with the sum of the additions up to it.
    invoked: Vec<(Time, i64)>,
    /// The responses, each with the sum of the additions up to it, and the position in `all`.
    returned: Vec<(Time, i64, usize)>,
    /// The number of responses that certainly come before the current stage.
    certain: usize,
    /// The number of additions in `all` that can come before the current stage.
    possible: usize,
    /// The additions that can come before the current stage, but need not, in the order of
    /// invocation.
    open: Vec<u32>,
    /// Whether all additions have the same amount and none of them returned a number.
    uniform: bool,
}

impl Additions {
    pub(crate) fn new(mut all: Vec<Addition>) -> Additions {
        all.retain(|addition| addition.amount != 0);
        all.sort_unstable_by_key(|addition| addition.span.invoked);
        let mut sum = 0;
        let mut add = |amount: i64| {
            sum += amount;
            sum
        };
        let invoked = all.iter().map(|addition| (addition.span.invoked, add(addition.amount)));
        let invoked = invoked.collect();
        let known = all.iter().enumerate().filter(|(_, addition)| addition.span.is_known());
        let mut returned: Vec<(Time, i64, usize)> =
            known.map(|(place, addition)| (addition.span.returned, 0, place)).collect();
        returned.sort_unstable();
        let mut sum = 0;
        for (_, up_to, place) in &mut returned {
            sum += all[*place].amount;
            *up_to = sum;
        }
        let alike = |pair: &[Addition]| pair[0].amount == pair[1].amount;
        let uniform = all.windows(2).all(alike) && all.iter().all(|one| one.sum.is_none());
        Additions { all, invoked, returned, certain: 0, possible: 0, open: Vec::new(), uniform }
    }

    /// Returns the sum of the additions invoked before `time`.
    pub(crate) fn invoked_by(&self, time: Time) -> i64 {
        let count = self.invoked.partition_point(|(invoked, _)| *invoked < time);
        count.checked_sub(1).map_or(0, |place| self.invoked[place].1)
    }

    /// Returns the sum of the additions that returned before `time`.
    pub(crate) fn returned_by(&self, time: Time) -> i64 {
        let count = self.returned.partition_point(|(returned, ..)| *returned < time);
        count.checked_sub(1).map_or(0, |place| self.returned[place].1)
    }

    /// Returns the additions invoked after `from` that returned before `to`.
    pub(crate) fn between(&self, from: Time, to: Time) -> Vec<&Addition> {
        let first = self.invoked.partition_point(|(invoked, _)| *invoked < from);
        let after = self.all[first..].iter().take_while(|addition| addition.span.invoked < to);
        after.filter(|addition| addition.span.returned < to).collect()
    }

    /// Iterates over the additions with known outcomes invoked before `limit`.
    pub(crate) fn invoked_before(&self, limit: Time) -> impl Iterator<Item = OpId> {
        let before = self.all.iter().take_while(move |addition| addition.span.invoked < limit);
        before.filter(|addition| addition.span.is_known()).map(|addition| addition.id)
    }

    /// Advances to the stage at which the counter is `number`. All additions that returned before
    /// `certain` come before it, and those invoked before `possible` may. Returns `None` if an
    /// addition must come before the stage and cannot.
    pub(crate) fn advance(&mut self, number: i64, certain: Time, possible: Time) -> Option<Stage> {
        while let Some(addition) = self.all.get(self.possible)
            && addition.span.invoked < possible
        {
            self.open.push(u32::try_from(self.possible).expect("the number of additions fits u32"));
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

    /// Returns the choices that lead to `stage` if the additions at `before` that are still open
    /// came before it. The initial number is `init`.
    pub(crate) fn choices(&self, stage: &Stage, before: &[u32], init: i64) -> Choices {
        let is_open = |place: &u32| stage.open.binary_search(place).is_ok();
        let before: Vec<u32> = before.iter().copied().filter(is_open).collect();
        let of = |place: u32| &self.all[place as usize];
        let chosen: i64 = before.iter().map(|place| of(*place).amount).sum();
        let need = stage.number - init - stage.certain - chosen;
        let last_invoked = before.iter().map(|place| of(*place).span.invoked).max();
        let mut candidates: Vec<Candidate> = Vec::with_capacity(stage.open.len());
        for place in &stage.open {
            if need > 0 && before.binary_search(place).is_err()
                || of(*place).sum.is_some_and(|sum| sum <= stage.number)
                    && before.binary_search(place).is_err()
            {
                candidates.push(Candidate::of(*place, of(*place), stage.number));
            }
        }
        candidates.sort_unstable_by_key(|candidate| (candidate.returned, candidate.invoked));
        let mut left = vec![0; candidates.len() + 1];
        for place in (0..candidates.len()).rev() {
            left[place] = left[place + 1] + candidates[place].amount;
            let (others, this) = (&candidates[..place], candidates[place]);
            let recent = others.iter().enumerate().rev().take(BETTER_CANDIDATES_MAX);
            let better = recent.filter(|(_, other)| other.is_better_than(&this));
            candidates[place].better = better.map(|(place, _)| place).next();
        }
        let last_invoked = last_invoked.unwrap_or(Time::MIN);
        let single = self.uniform;
        Choices {
            candidates,
            left,
            last_invoked,
            before,
            chosen: Vec::new(),
            need,
            single,
            at: Position::Start,
        }
    }
}

/// A stage: a point in the order at which the counter had a number that was read.
#[derive(Clone, Debug)]
pub(crate) struct Stage {
    number: i64,
    /// The sum of the additions that certainly come before.
    certain: i64,
    /// The positions of the additions that may come before, in the order of invocation.
    pub(crate) open: Vec<u32>,
}

/// The number of earlier candidates that are compared to find a better one.
const BETTER_CANDIDATES_MAX: usize = 24;

/// An addition that may be chosen.
#[derive(Clone, Copy, Debug)]
struct Candidate {
    place: u32,
    amount: i64,
    invoked: Time,
    returned: Time,
    /// Whether the number that it returned requires or forbids it, if it returned one.
    must: Option<bool>,
    /// Another candidate with the same amount that is not invoked later and does not return later.
    /// If that is not chosen, this one need not be.
    better: Option<usize>,
}

impl Candidate {
    fn of(place: u32, addition: &Addition, number: i64) -> Candidate {
        Candidate {
            place,
            amount: addition.amount,
            invoked: addition.span.invoked,
            returned: addition.span.returned,
            must: addition.sum.map(|sum| sum <= number),
            better: None,
        }
    }

    fn is_better_than(&self, later: &Candidate) -> bool {
        self.amount == later.amount
            && self.invoked <= later.invoked
            && self.must.is_none()
            && later.must.is_none()
    }
}

/// The choices of additions before a stage, beyond the certain ones. Choices that contain the
/// earliest responses come first.
#[derive(Clone, Debug)]
pub(crate) struct Choices {
    /// The candidates, in the order of their responses.
    candidates: Vec<Candidate>,
    /// For each position, the sum of the candidates from that position on.
    left: Vec<i64>,
    /// The last invocation among the additions chosen at earlier stages.
    last_invoked: Time,
    before: Vec<u32>,
    /// For each decided candidate, whether it is chosen, and the first response of the omitted ones
    /// up to it.
    chosen: Vec<(bool, Time)>,
    /// The sum that is still missing.
    need: i64,
    /// Whether the first choice is as good as any other.
    single: bool,
    at: Position,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Position {
    Start,
    Choice,
    End,
}

impl Choices {
    /// Returns the number of bytes that the choices hold at most.
    pub(crate) fn bytes(&self) -> usize {
        let each = size_of::<Candidate>() + size_of::<i64>() + size_of::<(bool, Time)>();
        size_of::<Choices>() + size_of_val(&*self.before) + self.candidates.len() * each
    }

    /// Returns the next choice as sorted positions, or `None` if there is none or `steps` is used
    /// up.
    pub(crate) fn next(&mut self, steps: &mut u64) -> Option<Box<[u32]>> {
        let mut goes_on = match self.at {
            Position::Start => true,
            Position::Choice => !self.single && self.back(),
            Position::End => false,
        };
        while goes_on && *steps > 0 {
            *steps -= 1;
            let place = self.chosen.len();
            let possible = self.need >= 0 && self.left[place] >= self.need;
            if possible && place == self.candidates.len() {
                self.at = Position::Choice;
                return Some(self.choice());
            }
            goes_on = match possible && (self.may_choose() || self.may_omit(place)) {
                true => {
                    self.decide(self.may_choose());
                    true
                }
                false => self.back(),
            };
        }
        self.at = Position::End;
        None
    }

    /// Goes back to the last chosen candidate that may be omitted, and omits it. Returns false if
    /// there is none.
    fn back(&mut self) -> bool {
        while let Some((chosen, _)) = self.chosen.pop() {
            let place = self.chosen.len();
            if chosen {
                self.need += self.candidates[place].amount;
                if self.may_omit(place) {
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

    /// Returns true if the next candidate may be chosen.
    fn may_choose(&self) -> bool {
        let candidate = &self.candidates[self.chosen.len()];
        let worse = candidate.better.is_some_and(|better| !self.chosen[better].0);
        candidate.must != Some(false)
            && candidate.amount <= self.need
            && candidate.invoked < self.first_omitted()
            && !worse
    }

    /// Returns the first response of the omitted candidates.
    fn first_omitted(&self) -> Time {
        self.chosen.last().map_or(NEVER, |(_, returned)| *returned)
    }

    fn decide(&mut self, choose: bool) {
        let candidate = self.candidates[self.chosen.len()];
        let first_omitted = self.first_omitted();
        if choose {
            self.need -= candidate.amount;
            self.chosen.push((true, first_omitted));
        } else {
            self.chosen.push((false, first_omitted.min(candidate.returned)));
        }
    }

    /// Returns true if the candidate at `place` may be omitted.
    fn may_omit(&self, place: usize) -> bool {
        let candidate = &self.candidates[place];
        candidate.must != Some(true) && candidate.returned > self.last_invoked
    }
}
