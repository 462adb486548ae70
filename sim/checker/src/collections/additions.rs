//! What was added to a counter, and the choices among what may have been.

use std::collections::BTreeSet;

use foldhash::fast::FixedState;
use hashbrown::HashMap;

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

    /// Goes on to where all that returned before `certain` came before, and what was invoked
    /// before `possible` may have. False if something must have that cannot.
    pub(crate) fn advance(&mut self, certain: Time, possible: Time) -> bool {
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
        can
    }

    /// The sum of what certainly came before.
    fn certain_sum(&self) -> i64 {
        self.certain.checked_sub(1).map_or(0, |place| self.returned[place].1)
    }
}

/// Choices of what came before a moment, beyond what certainly did.
pub(crate) struct Choices<'a> {
    sums: &'a Additions,
    number: i64,
    enough: usize,
    /// What is open, and can be chosen.
    open: Vec<Candidate>,
    /// Each as the places of what is chosen, in order.
    pub(crate) found: BTreeSet<Box<[u32]>>,
}

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

/// A choice under way.
struct Path {
    candidates: Vec<Candidate>,
    /// What is left to choose beyond each candidate, all in all.
    sums: Vec<i64>,
    /// What was invoked last of what was chosen before.
    last_invoked: Time,
    before: Vec<u32>,
}

impl<'a> Choices<'a> {
    /// No choices yet, for a time when the counter was at `number`; no more than `enough`.
    pub(crate) fn new(sums: &'a Additions, number: i64, enough: usize) -> Choices<'a> {
        let mut latest: HashMap<i64, Vec<usize>, FixedState> = HashMap::default();
        let mut open: Vec<Candidate> = Vec::with_capacity(sums.open.len());
        for place in &sums.open {
            let addition = &sums.all[*place as usize];
            let alike = latest.entry(addition.more).or_default();
            let is_better = |other: &usize| {
                open[*other].returned <= addition.span.returned && open[*other].must.is_none()
            };
            let better = alike.iter().rev().take(16).copied().find(is_better);
            alike.push(open.len());
            open.push(Candidate {
                place: *place,
                more: addition.more,
                invoked: addition.span.invoked,
                returned: addition.span.returned,
                must: addition.told.map(|told| told <= number),
                better: better.filter(|_| addition.told.is_none()),
            });
        }
        Choices { sums, number, enough, open, found: BTreeSet::new() }
    }

    /// Adds the choices that contain `before`. False if there are too many, or it takes too many
    /// `steps` to find them.
    pub(crate) fn after(&mut self, before: &[u32], init: i64, steps: &mut u64) -> bool {
        if self.enough == 1 && !self.found.is_empty() {
            return true;
        }
        let is_open = |place: &u32| self.sums.open.binary_search(place).is_ok();
        let before: Vec<u32> = before.iter().copied().filter(is_open).collect();
        let of = |place: u32| &self.sums.all[place as usize];
        let chosen: i64 = before.iter().map(|place| of(*place).more).sum();
        let need = self.number - init - self.sums.certain_sum() - chosen;
        if need < 0 {
            return true;
        }
        if self.sums.uniform {
            self.first_to_return(before, need);
            return true;
        }
        let last_invoked = before.iter().map(|place| of(*place).span.invoked).max();
        let mut path = Path {
            candidates: self.candidates(&before),
            sums: Vec::new(),
            last_invoked: last_invoked.unwrap_or(Time::MIN),
            before,
        };
        path.sums = vec![0; path.candidates.len() + 1];
        for place in (0..path.candidates.len()).rev() {
            path.sums[place] = path.sums[place + 1] + path.candidates[place].more;
        }
        self.follow(&path, need, steps)
    }

    /// What is open, but for what is chosen `before`.
    fn candidates(&self, before: &[u32]) -> Vec<Candidate> {
        let mut kept: Vec<Option<usize>> = Vec::with_capacity(self.open.len());
        let mut candidates: Vec<Candidate> = Vec::with_capacity(self.open.len());
        for candidate in &self.open {
            if before.binary_search(&candidate.place).is_ok() {
                kept.push(None);
                continue;
            }
            kept.push(Some(candidates.len()));
            let better = candidate.better.and_then(|better| kept[better]);
            candidates.push(Candidate { better, ..*candidate });
        }
        candidates
    }

    /// All add the same, so those come first that return first.
    fn first_to_return(&mut self, mut chosen: Vec<u32>, mut need: i64) {
        let mut candidates = self.candidates(&chosen);
        candidates.sort_unstable_by_key(|candidate| (candidate.returned, candidate.invoked));
        for candidate in candidates {
            if need <= 0 {
                break;
            }
            need -= candidate.more;
            chosen.push(candidate.place);
        }
        if need == 0 {
            chosen.sort_unstable();
            self.found.insert(chosen.into_boxed_slice());
        }
    }

    /// Tries every choice along `path` that makes `need`, the fuller ones first.
    fn follow(&mut self, path: &Path, mut need: i64, steps: &mut u64) -> bool {
        let candidates = &path.candidates;
        // For each candidate decided on: whether it is chosen, and the first return of those up to
        // it that are not.
        let mut chosen: Vec<(bool, Time)> = Vec::with_capacity(candidates.len());
        loop {
            if *steps == 0 {
                return false;
            }
            *steps -= 1;
            let place = chosen.len();
            let mut dead = need < 0 || path.sums[place] < need;
            if !dead && place == candidates.len() {
                self.keep(path, &chosen);
                if self.found.len() >= self.enough {
                    return self.enough == 1;
                }
                dead = true;
            }
            if !dead {
                let choice = path.may_choose(&chosen);
                if choice || path.may_leave(place) {
                    need -= if choice { candidates[place].more } else { 0 };
                    chosen.push(path.decided(&chosen, choice));
                    continue;
                }
            }
            // Back to the last that was chosen and need not be.
            loop {
                let Some((last, _)) = chosen.pop() else { return true };
                let place = chosen.len();
                need += if last { candidates[place].more } else { 0 };
                if last && path.may_leave(place) {
                    chosen.push(path.decided(&chosen, false));
                    break;
                }
            }
        }
    }

    fn keep(&mut self, path: &Path, chosen: &[(bool, Time)]) {
        let new = path.candidates.iter().zip(chosen).filter(|(_, chosen)| chosen.0);
        let mut places = path.before.clone();
        places.extend(new.map(|(candidate, _)| candidate.place));
        places.sort_unstable();
        self.found.insert(places.into_boxed_slice());
    }
}

impl Path {
    /// Whether the next candidate may be chosen, given what is `chosen` of those before it.
    fn may_choose(&self, chosen: &[(bool, Time)]) -> bool {
        let candidate = &self.candidates[chosen.len()];
        let worse = candidate.better.is_some_and(|better| !chosen[better].0);
        let first_left = chosen.last().map_or(NEVER, |(_, returned)| *returned);
        candidate.must != Some(false) && !worse && candidate.invoked < first_left
    }

    /// The decision on the candidate after `chosen`.
    fn decided(&self, chosen: &[(bool, Time)], choice: bool) -> (bool, Time) {
        let first_left = chosen.last().map_or(NEVER, |(_, returned)| *returned);
        match choice {
            true => (true, first_left),
            false => (false, first_left.min(self.candidates[chosen.len()].returned)),
        }
    }

    /// Whether the candidate at `place` may be left out.
    fn may_leave(&self, place: usize) -> bool {
        let candidate = &self.candidates[place];
        candidate.must != Some(true) && candidate.returned > self.last_invoked
    }
}
