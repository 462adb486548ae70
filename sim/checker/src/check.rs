//! One history, one verdict.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use foldhash::fast::FixedState;
use hashbrown::HashMap;

use crate::budget::Budget;
use crate::history::{History, OpId, Operation, Outcome, Part};
use crate::model::{Effect, Model};
use crate::search::search;
use crate::verdict::Verdict;

/// Decides whether `history` is linearizable for `model`: each of its keys by what is known of its
/// object ([`Model::decide`]), and those for which that is not enough by [search](crate::search).
///
/// The verdict is that of the smallest key that is found not to be linearizable by the least
/// effort: those that `decide` refuses come before those that take a search, and short searches
/// before long ones. It does not depend on how many threads look for it.
pub fn check<M: Model>(
    model: &M,
    history: &History<M::Op, M::Ret>,
    budget: &Budget<'_>,
) -> Verdict {
    let parts = Parts::new(model, history);
    let all: Vec<usize> = (0..parts.len()).collect();
    let decided = each(&all, budget, |place, budget| {
        let verdict = model.decide(Part::new(history, parts.ids(place)), budget);
        match verdict {
            Some(Verdict::Linearizable) => Answer::Good,
            Some(bad @ Verdict::NotLinearizable(_)) => Answer::Bad(bad),
            Some(Verdict::Unknown(_)) | None => Answer::Open(None),
        }
    });
    match decided {
        Decided::Bad(bad) => bad,
        Decided::Open(open, _) => search_parts(model, history, &parts, &open, budget),
    }
}

/// Decides as [`check`] does, but all by search: what [`Model::decide`] knows is not used.
pub fn check_without_decide<M: Model>(
    model: &M,
    history: &History<M::Op, M::Ret>,
    budget: &Budget<'_>,
) -> Verdict {
    let parts = Parts::new(model, history);
    let all: Vec<usize> = (0..parts.len()).collect();
    search_parts(model, history, &parts, &all, budget)
}

/// Whether `operation` can matter to a verdict: one that failed, and an observation that nobody
/// learned of, cannot.
#[must_use]
pub fn tells<M: Model>(model: &M, operation: &Operation<M::Op, M::Ret>) -> bool {
    match operation.outcome {
        Outcome::Returned { .. } => true,
        Outcome::Failed => false,
        Outcome::Unknown => model.effect(&operation.op, None) != Effect::Observe,
    }
}

/// Searches the parts `open` in rounds, each of which may look at more than the one before: a key
/// that is easily refused is not kept waiting by one that is hard.
fn search_parts<M: Model>(
    model: &M,
    history: &History<M::Op, M::Ret>,
    parts: &Parts,
    open: &[usize],
    budget: &Budget<'_>,
) -> Verdict {
    let mut open = open.to_vec();
    let mut configurations_max = FIRST_ROUND.min(budget.configurations_max);
    loop {
        let round = Budget { configurations_max, ..*budget };
        let searched = each(&open, &round, |place, budget| {
            match search(model, Part::new(history, parts.ids(place)), budget) {
                Verdict::Linearizable => Answer::Good,
                bad @ Verdict::NotLinearizable(_) => Answer::Bad(bad),
                unknown @ Verdict::Unknown(_) => Answer::Open(Some(unknown)),
            }
        });
        let (still_open, unknown) = match searched {
            Decided::Bad(bad) => return bad,
            Decided::Open(open, unknown) => (open, unknown),
        };
        let Some(unknown) = unknown else { return Verdict::Linearizable };
        let is_stopped = budget.stop.is_some_and(|stop| stop());
        if configurations_max == budget.configurations_max || is_stopped {
            return unknown;
        }
        open = still_open;
        configurations_max =
            configurations_max.saturating_mul(NEXT_ROUND).min(budget.configurations_max);
    }
}

/// How many configurations the search of one key may look at in the first round.
const FIRST_ROUND: u64 = 20_000;
/// How many times more in each round that follows.
const NEXT_ROUND: u64 = 16;

/// What one part comes to.
enum Answer {
    Good,
    Bad(Verdict),
    /// It could not be told, and the verdict that says why.
    Open(Option<Verdict>),
}

/// What all parts come to.
enum Decided {
    /// The first that is bad.
    Bad(Verdict),
    /// Those of which it could not be told, and why of the first.
    Open(Vec<usize>, Option<Verdict>),
}

/// Asks of each of `parts`, in that order, on as many threads as there may be. What comes after
/// the first that is bad is not waited for.
fn each(
    parts: &[usize],
    budget: &Budget<'_>,
    ask: impl Fn(usize, &Budget<'_>) -> Answer + Sync,
) -> Decided {
    let next = AtomicUsize::new(0);
    let first_bad = AtomicUsize::new(usize::MAX);
    let answers = Mutex::new(Vec::new());
    let work = || {
        loop {
            let turn = next.fetch_add(1, Ordering::Relaxed);
            if turn >= parts.len() || turn > first_bad.load(Ordering::Relaxed) {
                return;
            }
            let stop = || {
                let asked = budget.stop.is_some_and(|stop| stop());
                asked || turn > first_bad.load(Ordering::Relaxed)
            };
            let answer = ask(parts[turn], &Budget { stop: Some(&stop), ..*budget });
            if let Answer::Bad(_) = answer {
                first_bad.fetch_min(turn, Ordering::Relaxed);
            }
            if !matches!(answer, Answer::Good) {
                answers.lock().unwrap_or_else(PoisonError::into_inner).push((turn, answer));
            }
        }
    };
    let threads = budget.threads.min(parts.len());
    if threads <= 1 {
        work();
    } else {
        std::thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(work);
            }
        });
    }
    let mut answers = answers.into_inner().unwrap_or_else(PoisonError::into_inner);
    answers.sort_unstable_by_key(|(turn, _)| *turn);
    let (mut open, mut unknown) = (Vec::new(), None);
    for (turn, answer) in answers {
        match answer {
            Answer::Bad(bad) if turn == first_bad.load(Ordering::Relaxed) => {
                return Decided::Bad(bad);
            }
            Answer::Bad(_) | Answer::Good => {}
            Answer::Open(why) => {
                open.push(parts[turn]);
                unknown = unknown.or(why);
            }
        }
    }
    Decided::Open(open, unknown)
}

/// The operations of each key, in the order of keys; all of them together if one has no key.
/// Those that failed, and observations that nobody learned of, say nothing and are left out.
pub(crate) struct Parts {
    ids: Vec<OpId>,
    /// Where each part ends.
    ends: Vec<usize>,
}

impl Parts {
    pub(crate) fn new<M: Model>(model: &M, history: &History<M::Op, M::Ret>) -> Parts {
        const NONE: u32 = u32::MAX;
        let mut numbers: HashMap<u64, u32, FixedState> =
            HashMap::with_hasher(FixedState::default());
        // The key of each operation, and how many operations each has.
        let mut keys: Vec<u64> = Vec::new();
        let mut counts: Vec<usize> = Vec::new();
        let mut keyless = false;
        let number = |operation: &Operation<M::Op, M::Ret>| {
            if !tells(model, operation) {
                return NONE;
            }
            let Some(key) = model.key(&operation.op) else {
                keyless = true;
                return 0;
            };
            let new = numbers.len() as u32;
            let number = *numbers.entry(key).or_insert(new);
            if number == new {
                keys.push(key);
                counts.push(0);
            }
            counts[number as usize] += 1;
            number
        };
        let of: Vec<u32> = history.operations().iter().map(number).collect();
        let told = (0..).map(OpId).zip(&of).filter(|(_, number)| **number != NONE);
        if keyless {
            let ids: Vec<OpId> = told.map(|(id, _)| id).collect();
            return Parts { ends: vec![ids.len()], ids };
        }
        let mut order: Vec<usize> = (0..keys.len()).collect();
        order.sort_unstable_by_key(|number| keys[*number]);
        // Where the next operation of each key goes.
        let mut places = vec![0; keys.len()];
        let mut ends = Vec::with_capacity(keys.len());
        let mut end = 0;
        for number in order {
            places[number] = end;
            end += counts[number];
            ends.push(end);
        }
        let mut ids = vec![OpId(0); end];
        for (id, number) in told {
            let place = &mut places[*number as usize];
            ids[*place] = id;
            *place += 1;
        }
        Parts { ids, ends }
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    /// The operations of one of them.
    pub(crate) fn ids(&self, place: usize) -> &[OpId] {
        let start = if place == 0 { 0 } else { self.ends[place - 1] };
        &self.ids[start..self.ends[place]]
    }
}
