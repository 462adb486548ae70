//! Pairs each insertion with the operation that took its value, which is known if no value is
//! inserted twice.

use foldhash::fast::FixedState;
use hashbrown::{HashMap, HashSet};

use crate::budget::StopCheck;
use crate::collections::narrowing::{CheckResult, Narrowing, Violation, verdict};
use crate::collections::span::{Span, Time};
use crate::history::OpId;
use crate::value::{ValueId, ValueTable};
use crate::verdict::Verdict;

/// An operation on a collection from which values are taken.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Access {
    pub(crate) id: OpId,
    pub(crate) span: Span,
    pub(crate) kind: AccessKind,
}

/// The kind of an operation on a collection.
#[derive(Clone, Copy, Debug)]
pub(crate) enum AccessKind {
    /// The operation inserted this value.
    Insert(ValueId),
    /// The operation took this value, or [`ValueId::NULL`] if the collection was empty; `None` if
    /// the result is unknown.
    Take(Option<ValueId>),
}

/// The names of the operations of a collection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OpNames<'a> {
    /// The name of the object, such as `queue`.
    pub(crate) object: &'static str,
    /// The name of the insertion, such as `enqueue`.
    pub(crate) insert: &'static str,
    /// The past participle of the insertion, such as `enqueued`.
    pub(crate) inserted: &'static str,
    /// The name of the removal, such as `dequeue`.
    pub(crate) take: &'static str,
    pub(crate) values: &'a ValueTable,
}

/// Decides a collection that initially contains `init`: pairs its accesses, and checks the pairs.
pub(crate) fn decide(
    init: &[ValueId],
    accesses: &[Access],
    names: &OpNames<'_>,
    stop: &StopCheck<'_>,
    check: impl Fn(Pairs, &OpNames<'_>) -> CheckResult,
) -> Option<Verdict> {
    verdict(Narrowing::Singly, accesses.len(), stop, |known| {
        Pairs::of(init, accesses, known, names)
            .map_or_else(|found| found, |pairs| check(pairs, names))
    })
}

/// One value, and the operations that inserted and took it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Item {
    pub(crate) value: ValueId,
    /// The operation that inserted the value, or `None` if it was present initially.
    pub(crate) insert: Option<OpId>,
    pub(crate) inserted: Span,
    /// The operation that took the value, if it is known.
    pub(crate) take: Option<OpId>,
    pub(crate) taken: Span,
}

impl Item {
    /// Returns the interval in which the value was certainly present, if there is one.
    pub(crate) fn zone(&self) -> Option<(Time, Time)> {
        let (from, to) = (self.inserted.returned, self.taken.invoked);
        (from < to).then_some((from, to))
    }

    /// Returns the operations that inserted and took the value.
    pub(crate) fn operations(&self) -> impl Iterator<Item = OpId> {
        self.insert.into_iter().chain(self.take)
    }
}

/// A take with a known result.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Take {
    pub(crate) id: OpId,
    /// The value that was taken, or [`ValueId::NULL`] if the collection was empty.
    pub(crate) value: ValueId,
    pub(crate) span: Span,
}

/// The items of a collection, and its other takes.
#[derive(Clone, Debug)]
pub(crate) struct Pairs {
    /// The items that a known operation took.
    pub(crate) taken: Vec<Item>,
    /// The items that were certainly inserted and that no known operation took.
    pub(crate) left: Vec<Item>,
    /// The takes that returned nothing.
    pub(crate) empty_takes: Vec<Take>,
    /// The invocations of takes that may have taken any value, or never took effect, in order.
    pub(crate) spare: Vec<Time>,
    /// All takes with a known result, and their invocations.
    pub(crate) takes: Vec<(OpId, Time)>,
}

impl Pairs {
    /// Pairs the `accesses` of a collection that initially contains `init`. Operations that are not
    /// `known` have an unknown outcome.
    ///
    /// # Errors
    /// Returns the result of the check if the accesses cannot be paired: not linearizable if a
    /// value was taken more often than it was inserted before, and otherwise unknown, because a
    /// value was inserted twice.
    fn of(
        init: &[ValueId],
        accesses: &[Access],
        known: &dyn Fn(OpId) -> bool,
        names: &OpNames<'_>,
    ) -> Result<Pairs, CheckResult> {
        let (mut pairs, takes) = Pairs::takes(accesses, known);
        let taken: HashSet<ValueId, FixedState> = takes.iter().map(|take| take.value).collect();
        let mut items: Vec<Item> = Vec::with_capacity(accesses.len() / 2 + init.len());
        let item = |value, insert, inserted| Item {
            value,
            insert,
            inserted,
            take: None,
            taken: Span::NEVER,
        };
        for (place, value) in init.iter().enumerate() {
            items.push(item(*value, None, Span::initial(place, init.len())));
        }
        for access in accesses {
            let AccessKind::Insert(value) = access.kind else { continue };
            let span = access.span_if(known);
            // An insertion that may never have taken effect, of a value that no known operation
            // took, explains nothing.
            if span.is_known() || taken.contains(&value) {
                items.push(item(value, Some(access.id), span));
            }
        }
        let mut places: HashMap<ValueId, usize, FixedState> = HashMap::default();
        places.reserve(items.len());
        for (place, item) in items.iter().enumerate() {
            if places.insert(item.value, place).is_some() {
                let violation = too_many_takes(takes, &items, names);
                return Err(violation.map_or(CheckResult::Unknown, CheckResult::NotLinearizable));
            }
        }
        for take in takes {
            let place = places.get(&take.value).copied();
            let item = place.map(|place| &mut items[place]);
            if let Some(violation) = violation_of_take(take, item.as_deref(), names) {
                return Err(CheckResult::NotLinearizable(violation));
            }
            if let Some(item) = item {
                (item.take, item.taken) = (Some(take.id), take.span);
            }
        }
        (pairs.taken, pairs.left) = items.into_iter().partition(|item| item.take.is_some());
        Ok(pairs)
    }

    /// Separates the takes among `accesses`: those that took a value are returned apart.
    fn takes(accesses: &[Access], known: &dyn Fn(OpId) -> bool) -> (Pairs, Vec<Take>) {
        let mut takes = Vec::with_capacity(accesses.len());
        let mut pairs = Pairs {
            taken: Vec::new(),
            left: Vec::new(),
            empty_takes: Vec::new(),
            spare: Vec::new(),
            takes: Vec::new(),
        };
        for access in accesses {
            let AccessKind::Take(returned) = access.kind else { continue };
            let span = access.span_if(known);
            match returned {
                Some(value) if span.is_known() => {
                    pairs.takes.push((access.id, span.invoked));
                    let to = match value {
                        ValueId::NULL => &mut pairs.empty_takes,
                        _ => &mut takes,
                    };
                    to.push(Take { id: access.id, value, span });
                }
                _ => pairs.spare.push(span.invoked),
            }
        }
        pairs.spare.sort_unstable();
        (pairs, takes)
    }

    /// Returns the operations that prove that one of `left` was not taken before `limit`: all takes
    /// that could have taken it, and the insertions up to `last` whose values spare takes could
    /// have taken instead.
    pub(crate) fn not_taken(&self, limit: Time, last: Time) -> impl Iterator<Item = OpId> {
        let takes = self.takes.iter().filter(move |(_, invoked)| *invoked < limit);
        let spare = self.spare.first().is_some_and(|invoked| *invoked < limit);
        let instead = self.left.iter().filter(move |item| spare && item.inserted.returned <= last);
        takes.map(|(id, _)| *id).chain(instead.filter_map(|item| item.insert))
    }
}

impl Access {
    /// Returns the span of the operation, with an unknown outcome unless it is `known`.
    fn span_if(&self, known: &dyn Fn(OpId) -> bool) -> Span {
        if known(self.id) { self.span } else { self.span.unknown() }
    }
}

/// Finds takes of one value that outnumber its insertions: those invoked before the last of these
/// takes returned. It does not matter which insertion each of them took.
fn too_many_takes(mut takes: Vec<Take>, items: &[Item], names: &OpNames<'_>) -> Option<Violation> {
    let mut invoked: HashMap<ValueId, Vec<Time>, FixedState> = HashMap::default();
    for item in items {
        invoked.entry(item.value).or_default().push(item.inserted.invoked);
    }
    for times in invoked.values_mut() {
        times.sort_unstable();
    }
    takes.sort_unstable_by_key(|take| take.span.returned);
    let mut earlier: HashMap<ValueId, Vec<OpId>, FixedState> = HashMap::default();
    for Take { id, value, span } in takes {
        let times = invoked.get(&value).map_or(&[][..], Vec::as_slice);
        let earlier = earlier.entry(value).or_default();
        if times.get(earlier.len()).is_none_or(|invoked| span.returned < *invoked) {
            let (take, value) = (names.take, names.values.describe(value));
            let count = earlier.len();
            let reason = match (count, times.is_empty()) {
                (0, true) => {
                    format!("{take} {} returned {value}, which was never {}", id.0, names.inserted)
                }
                (0, false) => format!(
                    "{take} {} returned {value} before any {} of it was invoked",
                    id.0, names.insert
                ),
                _ => format!(
                    "{take} {} returned {value}, although earlier operations had returned it as \
                     often as it had been {} by then: {count}",
                    id.0, names.inserted
                ),
            };
            let kept = earlier.iter().copied().chain([id]).collect();
            return Some(Violation { kept, reason });
        }
        earlier.push(id);
    }
    None
}

/// Finds a violation of a take by itself, or of two takes of the same value.
fn violation_of_take(
    Take { id, value, span }: Take,
    item: Option<&Item>,
    names: &OpNames<'_>,
) -> Option<Violation> {
    let returned = format!("{} {} returned {}", names.take, id.0, names.values.describe(value));
    let inserted = names.inserted;
    let Some(item) = item else {
        let reason = format!("{returned}, which was never {inserted}");
        return Some(Violation { kept: vec![id], reason });
    };
    if span.returned < item.inserted.invoked {
        let insert = item.insert.map_or(0, |insert| insert.0);
        let reason =
            format!("{returned} before {} {insert}, its only insertion, was invoked", names.insert);
        return Some(Violation { kept: vec![id], reason });
    }
    let other = item.take?;
    let reason = format!(
        "{returned}, and so did {} {}, although it was {inserted} only once",
        names.take, other.0
    );
    Some(Violation { kept: vec![id, other], reason })
}
