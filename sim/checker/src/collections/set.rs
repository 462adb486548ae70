//! Decides sets. Each element is an independent switch, in or out, except for reads of the whole
//! set.
//!
//! A read observes every element at one instant. It is wrong if it is wrong about one element, but
//! being right about each element separately is not enough. So the check assigns an instant to each
//! read and checks the elements again with these instants. If all are legal, the order is a
//! linearization. If no such instants are found, the result is unknown.

use foldhash::fast::FixedState;
use hashbrown::HashMap;

use crate::budget::StopCheck;
use crate::collections::narrowing::{CheckResult, Narrowing, Violation, narrowed};
use crate::collections::span::{Span, Time};
use crate::collections::switch::{Kind, SwitchOp, check_switch};
use crate::history::OpId;
use crate::value::ValueId;
use crate::verdict::{Counterexample, Verdict};

/// A read of the whole set.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Read<'a> {
    pub(crate) id: OpId,
    pub(crate) span: Span,
    pub(crate) members: &'a [ValueId],
}

/// The operations on a set.
#[derive(Clone, Copy)]
pub(crate) struct SetHistory<'a> {
    /// The operations on single elements.
    pub(crate) ops: &'a [(ValueId, SwitchOp)],
    /// The reads of the whole set with known outcomes.
    pub(crate) reads: &'a [Read<'a>],
    /// Formats an operation, as in `add x (operation 7 -> true)`.
    pub(crate) describe: &'a dyn Fn(OpId) -> String,
    /// Ends a check that takes too long.
    pub(crate) stop: &'a StopCheck<'a>,
}

/// The maximum number of pairs of reads and elements.
const PAIRS_MAX: usize = 20_000_000;

/// One element, and the operations on it.
#[derive(Debug)]
struct Element {
    value: ValueId,
    init: bool,
    ops: Vec<SwitchOp>,
}

/// Decides a set that initially contains `init`.
pub(crate) fn decide<'a>(
    init: impl Iterator<Item = &'a ValueId>,
    history: &SetHistory<'_>,
) -> Option<Verdict> {
    let is_not_sorted = |read: &&Read<'_>| !read.members.is_sorted_by(|a, b| a < b);
    if let Some(read) = history.reads.iter().find(is_not_sorted) {
        let read_by = (history.describe)(read.id);
        let reason = match read.members.is_sorted() {
            true => format!("{read_by} returned an element twice"),
            false => format!("{read_by} returned values that are not sorted"),
        };
        let violation = Violation { kept: vec![read.id], reason };
        let counterexample =
            narrowed(Narrowing::Singly, 1, violation, history.stop, |_| CheckResult::Linearizable);
        return Some(Verdict::NotLinearizable(counterexample));
    }
    let elements = elements(init, history);
    if elements.len().checked_mul(history.reads.len())? > PAIRS_MAX {
        return None;
    }
    match check(&elements, history, &|_| true) {
        (_, CheckResult::Linearizable) => Some(Verdict::Linearizable),
        (_, CheckResult::Unknown) => None,
        (place, CheckResult::NotLinearizable(violation)) => {
            Some(Verdict::NotLinearizable(counterexample(&elements, place, history, violation)))
        }
    }
}

/// Checks each element, then searches for instants at which the reads are right about all elements.
/// Also returns the position of the violated element.
fn check(
    elements: &[Element],
    history: &SetHistory<'_>,
    known: &dyn Fn(OpId) -> bool,
) -> (usize, CheckResult) {
    let reads: Vec<Read<'_>> =
        history.reads.iter().copied().filter(|read| known(read.id)).collect();
    let spans: Vec<Span> = reads.iter().map(|read| read.span).collect();
    let history = SetHistory { reads: &reads, ..*history };
    let mut unsure = false;
    for (place, element) in elements.iter().enumerate() {
        let ops = element.with_reads(&reads, &spans, 1);
        match check_switch(element.init, &ops, known, history.describe, history.stop) {
            CheckResult::Linearizable => {}
            CheckResult::Unknown => unsure = true,
            wrong @ CheckResult::NotLinearizable(_) => return (place, wrong),
        }
    }
    let reads_hold = || reads.is_empty() || have_read_points(elements, &history, known);
    (0, if !unsure && reads_hold() { CheckResult::Linearizable } else { CheckResult::Unknown })
}

/// Returns the counterexample of a `violation` of the element at `place`. It is minimised for that
/// element first, and then for all elements, because a read may be wrong about another element by
/// itself.
fn counterexample(
    elements: &[Element],
    place: usize,
    history: &SetHistory<'_>,
    violation: Violation,
) -> Counterexample {
    let spans: Vec<Span> = history.reads.iter().map(|read| read.span).collect();
    let (init, ops) = (elements[place].init, elements[place].with_reads(history.reads, &spans, 1));
    let stop = history.stop;
    let counterexample = narrowed(Narrowing::OldestFirst, ops.len(), violation, stop, |known| {
        check_switch(init, &ops, known, history.describe, stop)
    });
    if history.reads.is_empty() {
        return counterexample;
    }
    let count = elements.len() * history.reads.len() + history.ops.len();
    let violation = Violation { kept: counterexample.operations, reason: counterexample.reason };
    narrowed(Narrowing::Singly, count, violation, stop, |known| check(elements, history, known).1)
}

/// Returns the elements that occur in the history, in the order of their first occurrence.
fn elements<'a>(init: impl Iterator<Item = &'a ValueId>, history: &SetHistory<'_>) -> Vec<Element> {
    let mut places: HashMap<ValueId, usize, FixedState> = HashMap::default();
    let mut elements: Vec<Element> = Vec::new();
    let mut place = |elements: &mut Vec<Element>, value: ValueId| {
        *places.entry(value).or_insert_with(|| {
            elements.push(Element { value, init: false, ops: Vec::new() });
            elements.len() - 1
        })
    };
    for value in init {
        let place = place(&mut elements, *value);
        elements[place].init = true;
    }
    for (value, op) in history.ops {
        let place = place(&mut elements, *value);
        elements[place].ops.push(*op);
    }
    for value in history.reads.iter().flat_map(|read| read.members) {
        place(&mut elements, *value);
    }
    elements
}

impl Element {
    /// Returns the operations on the element, and `reads` of it within `spans`, which count each
    /// event as `scale` instants.
    fn with_reads(&self, reads: &[Read<'_>], spans: &[Span], scale: Time) -> Vec<SwitchOp> {
        let scaled = |op: &SwitchOp| {
            let invoked = op.span.invoked * scale;
            let returned = if op.span.is_known() { op.span.returned * scale } else { Time::MAX };
            SwitchOp { span: Span { invoked, returned }, ..*op }
        };
        let mut ops: Vec<SwitchOp> = self.ops.iter().map(scaled).collect();
        ops.extend(reads.iter().zip(spans).map(|(read, span)| SwitchOp {
            id: read.id,
            span: *span,
            kind: Kind::Read,
            state: read.members.binary_search(&self.value).is_ok(),
            may_toggle: false,
        }));
        ops
    }

    /// Returns the first event at which the element can differ from its initial state.
    fn first_change(&self) -> Time {
        let changes = self.ops.iter().filter(|op| op.may_toggle && op.state != self.init);
        changes.map(|op| op.span.invoked).min().unwrap_or(Time::MAX)
    }
}

/// Returns true if an instant was found for each read at which it is right about all elements.
/// False means that none was found.
fn have_read_points(
    elements: &[Element],
    history: &SetHistory<'_>,
    known: &dyn Fn(OpId) -> bool,
) -> bool {
    let reads = history.reads;
    let mut first_right: Vec<Time> = reads.iter().map(|read| read.span.invoked).collect();
    for element in elements {
        if history.stop.is_stopped_after(reads.len()) {
            return false;
        }
        let change = element.first_change();
        for (read, first) in reads.iter().zip(&mut first_right) {
            if read.members.binary_search(&element.value).is_ok() != element.init {
                *first = change.max(*first);
            }
        }
    }
    let by_growth = |place: usize| (reads[place].members.len(), first_right[place]);
    let by_change = |place: usize| (0, first_right[place]);
    let by_invocation = |place: usize| (0, reads[place].span.invoked);
    let by_return = |place: usize| (0, reads[place].span.returned - 1);
    let rankings: [&dyn Fn(usize) -> (usize, Time); 4] =
        [&by_growth, &by_change, &by_return, &by_invocation];
    rankings.iter().any(|rank| {
        let mut order: Vec<usize> = (0..reads.len()).collect();
        order.sort_by_key(|place| (rank(*place), reads[*place].span.returned));
        let read_points = read_points(&order, |place| rank(place).1);
        reads_agree(elements, history, known, &order, &read_points)
    })
}

/// Returns an instant for each read, not before its `due`, so that the instants do not decrease in
/// `order`.
fn read_points(order: &[usize], due: impl Fn(usize) -> Time) -> Vec<Time> {
    let mut now = Time::MIN;
    let mut read_points = vec![now; order.len()];
    for place in order {
        now = now.max(due(*place));
        read_points[*place] = now;
    }
    read_points
}

/// Returns true if the reads are right about all elements at the instants just after `read_points`,
/// in `order` where these are equal.
fn reads_agree(
    elements: &[Element],
    history: &SetHistory<'_>,
    known: &dyn Fn(OpId) -> bool,
    order: &[usize],
    read_points: &[Time],
) -> bool {
    let within = |(read, point): (&Read<'_>, &Time)| {
        read.span.invoked <= *point && *point < read.span.returned
    };
    if !history.reads.iter().zip(read_points).all(within) {
        return false;
    }
    let count = Time::try_from(order.len()).expect("the number of operations fits i64");
    let scale = 2 * count + 2;
    let mut spans = vec![Span::NEVER; order.len()];
    for (rank, place) in (0..count).zip(order) {
        let invoked = read_points[*place] * scale + 2 * rank + 1;
        spans[*place] = Span { invoked, returned: invoked + 1 };
    }
    elements.iter().all(|element| {
        let ops = element.with_reads(history.reads, &spans, scale);
        check_switch(element.init, &ops, known, history.describe, history.stop)
            == CheckResult::Linearizable
    })
}
