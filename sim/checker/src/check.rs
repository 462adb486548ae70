//! The linearizability check of a whole history.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use foldhash::fast::FixedState;
use hashbrown::HashMap;

use crate::budget::Budget;
use crate::history::{History, OpId, Operation, Outcome, Subhistory};
use crate::model::{Effect, Model};
use crate::search::search;
use crate::verdict::{BudgetExhausted, Resource, Verdict};

/// Decides whether `history` is linearizable for `model`. Each key is decided by the algorithm of
/// its object ([`Model::decide`]), and by [search](crate::search) where that does not apply.
///
/// The verdict names the smallest key that is found not to be linearizable with the least effort:
/// keys that `decide` rejects come before keys that need a search, and of those, short searches
/// come before long ones. The bounded searches that `decide` itself makes, for lists, queues and
/// stacks with repeated values, are in the order of the keys. The verdict does not depend on the
/// number of threads.
pub fn check<M: Model>(
    model: &M,
    history: &History<M::Op, M::Ret>,
    budget: &Budget<'_>,
) -> Verdict {
    let partitions = Partitions::new(model, history);
    let all: Vec<usize> = (0..partitions.len()).collect();
    let decided = check_each(&all, budget, |place, budget| {
        let verdict = model.decide(Subhistory::new(history, partitions.ids(place)), budget);
        match verdict {
            Some(Verdict::Linearizable) => PartitionResult::Linearizable,
            Some(bad @ Verdict::NotLinearizable(_)) => PartitionResult::NotLinearizable(bad),
            Some(Verdict::Unknown(_)) | None => PartitionResult::Undecided(None),
        }
    });
    match decided {
        PartitionResults::NotLinearizable(bad) => bad,
        PartitionResults::Undecided(open, _) => {
            search_parts(model, history, &partitions, &open, budget)
        }
    }
}

/// Decides as [`check`] does, but by search alone, without [`Model::decide`].
pub fn check_without_decide<M: Model>(
    model: &M,
    history: &History<M::Op, M::Ret>,
    budget: &Budget<'_>,
) -> Verdict {
    let partitions = Partitions::new(model, history);
    let all: Vec<usize> = (0..partitions.len()).collect();
    search_parts(model, history, &partitions, &all, budget)
}

/// Returns true if `operation` can affect the verdict. Failed operations and read-only operations
/// with an unknown outcome cannot.
#[must_use]
pub fn affects_verdict<M: Model>(model: &M, operation: &Operation<M::Op, M::Ret>) -> bool {
    match operation.outcome {
        Outcome::Returned { .. } => true,
        Outcome::Failed => false,
        Outcome::Unknown => model.effect(&operation.op, None) != Effect::ReadOnly,
    }
}

/// Returns the operations of `history` that can affect the verdict, in the order of invocation.
pub(crate) fn relevant_operations<M: Model>(
    model: &M,
    history: &History<M::Op, M::Ret>,
) -> impl Iterator<Item = OpId> {
    let operations = (0..).map(OpId).zip(history.operations());
    operations.filter(|(_, operation)| affects_verdict(model, operation)).map(|(id, _)| id)
}

/// Searches the partitions `open` in rounds with growing budgets, so that a key that is easily
/// rejected does not wait for a hard one. A search that lacked anything but configurations is not
/// repeated, because it would end in the same way.
fn search_parts<M: Model>(
    model: &M,
    history: &History<M::Op, M::Ret>,
    partitions: &Partitions,
    open: &[usize],
    budget: &Budget<'_>,
) -> Verdict {
    let mut open = open.to_vec();
    // The partitions that no larger number of configurations can decide, and why.
    let mut given_up: Vec<(usize, BudgetExhausted)> = Vec::new();
    let mut configurations_max = FIRST_ROUND.min(budget.configurations_max);
    loop {
        let round = Budget { configurations_max, ..*budget };
        let searched = check_each(&open, &round, |place, budget| {
            match search(model, Subhistory::new(history, partitions.ids(place)), budget) {
                Verdict::Linearizable => PartitionResult::Linearizable,
                bad @ Verdict::NotLinearizable(_) => PartitionResult::NotLinearizable(bad),
                Verdict::Unknown(exhausted) => PartitionResult::Undecided(Some(exhausted)),
            }
        });
        let mut unknown = match searched {
            PartitionResults::NotLinearizable(bad) => return bad,
            PartitionResults::Undecided(_, unknown) => unknown,
        };
        let is_last = configurations_max == budget.configurations_max;
        let is_stopped = budget.stop.is_some_and(|stop| stop());
        if is_stopped && !is_last {
            for (_, exhausted) in &mut unknown {
                if exhausted.resource == Resource::Configurations {
                    exhausted.resource = Resource::Stopped;
                }
            }
        }
        let needs_more = |(_, exhausted): &mut (usize, BudgetExhausted)| {
            exhausted.resource == Resource::Configurations && !is_last
        };
        open = unknown.extract_if(.., needs_more).map(|(place, _)| place).collect();
        given_up.extend(unknown);
        if open.is_empty() {
            let first = given_up.into_iter().min_by_key(|(place, _)| *place);
            return first.map_or(Verdict::Linearizable, |(_, why)| Verdict::Unknown(why));
        }
        configurations_max =
            configurations_max.saturating_mul(NEXT_ROUND).min(budget.configurations_max);
    }
}

/// The number of configurations that the search of one key may visit in the first round.
const FIRST_ROUND: u64 = 20_000;
/// The factor by which each later round may visit more.
const NEXT_ROUND: u64 = 16;

/// The result of the check of one partition.
enum PartitionResult {
    Linearizable,
    NotLinearizable(Verdict),
    /// The partition was not decided; its search, if there was one, exhausted this.
    Undecided(Option<BudgetExhausted>),
}

/// The combined result of the check of all partitions.
enum PartitionResults {
    /// The verdict on the first partition that is not linearizable.
    NotLinearizable(Verdict),
    /// The undecided partitions; and those whose search could not decide, each with the reason.
    Undecided(Vec<usize>, Vec<(usize, BudgetExhausted)>),
}

/// Runs `check_partition` on each of `partitions`, in that order, on up to `budget.threads`
/// threads. The partitions after the first that is not linearizable are abandoned.
fn check_each(
    partitions: &[usize],
    budget: &Budget<'_>,
    check_partition: impl Fn(usize, &Budget<'_>) -> PartitionResult + Sync,
) -> PartitionResults {
    let next = AtomicUsize::new(0);
    let first_bad = AtomicUsize::new(usize::MAX);
    let answers = Mutex::new(BTreeMap::new());
    let work = || {
        loop {
            let turn = next.fetch_add(1, Ordering::Relaxed);
            if turn >= partitions.len() || turn > first_bad.load(Ordering::Relaxed) {
                return;
            }
            let stop = || {
                let is_stopped = budget.stop.is_some_and(|stop| stop());
                is_stopped || turn > first_bad.load(Ordering::Relaxed)
            };
            let answer =
                check_partition(partitions[turn], &Budget { stop: Some(&stop), ..*budget });
            if let PartitionResult::NotLinearizable(_) = answer {
                first_bad.fetch_min(turn, Ordering::Relaxed);
            }
            if !matches!(answer, PartitionResult::Linearizable) {
                answers.lock().unwrap_or_else(PoisonError::into_inner).insert(turn, answer);
            }
        }
    };
    let threads = budget.threads.min(partitions.len());
    if threads <= 1 {
        work();
    } else {
        std::thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(work);
            }
        });
    }
    let answers = answers.into_inner().unwrap_or_else(PoisonError::into_inner);
    let (mut open, mut unknown) = (Vec::new(), Vec::new());
    for (turn, answer) in answers {
        match answer {
            PartitionResult::NotLinearizable(bad) if turn == first_bad.load(Ordering::Relaxed) => {
                return PartitionResults::NotLinearizable(bad);
            }
            PartitionResult::NotLinearizable(_) | PartitionResult::Linearizable => {}
            PartitionResult::Undecided(why) => {
                open.push(partitions[turn]);
                unknown.extend(why.map(|why| (partitions[turn], why)));
            }
        }
    }
    PartitionResults::Undecided(open, unknown)
}

/// Returns the positions of the keys, the smallest key first. It is not generic over the model,
/// so it is compiled once for all models.
fn in_ascending_order(keys: &[u64]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..keys.len()).collect();
    order.sort_unstable_by_key(|number| keys[*number]);
    order
}

/// The operations of each key, in the order of keys, or all operations together if one has no key.
/// Operations that cannot affect the verdict are left out.
pub(crate) struct Partitions {
    ids: Vec<OpId>,
    /// The end of each partition in `ids`.
    ends: Vec<usize>,
}

impl Partitions {
    pub(crate) fn new<M: Model>(model: &M, history: &History<M::Op, M::Ret>) -> Partitions {
        const NONE: u32 = u32::MAX;
        let mut numbers: HashMap<u64, u32, FixedState> =
            HashMap::with_hasher(FixedState::default());
        // The key of each partition, and its number of operations.
        let mut keys: Vec<u64> = Vec::new();
        let mut counts: Vec<usize> = Vec::new();
        let mut keyless = false;
        let number = |operation: &Operation<M::Op, M::Ret>| {
            if !affects_verdict(model, operation) {
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
        let relevant = (0..).map(OpId).zip(&of).filter(|(_, number)| **number != NONE);
        if keyless {
            let ids: Vec<OpId> = relevant.map(|(id, _)| id).collect();
            return Partitions { ends: vec![ids.len()], ids };
        }
        let order = in_ascending_order(&keys);
        // The position at which the next operation of each key goes.
        let mut places = vec![0; keys.len()];
        let mut ends = Vec::with_capacity(keys.len());
        let mut end = 0;
        for number in order {
            places[number] = end;
            end += counts[number];
            ends.push(end);
        }
        let mut ids = vec![OpId(0); end];
        for (id, number) in relevant {
            let place = &mut places[*number as usize];
            ids[*place] = id;
            *place += 1;
        }
        Partitions { ids, ends }
    }

    /// Returns the number of partitions.
    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    /// Returns the operations of the partition at `place`.
    pub(crate) fn ids(&self, place: usize) -> &[OpId] {
        let start = if place == 0 { 0 } else { self.ends[place - 1] };
        &self.ids[start..self.ends[place]]
    }
}
