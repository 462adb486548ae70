//! A set: each element is a switch, in or out, and no matter to the others, but where the whole
//! set is read.
//!
//! A read looks at every element at one moment. It cannot be right if it is wrong about one
//! element; that it is right about each is not enough. So where there are reads, each is given a
//! moment, and the elements are looked at again; if they agree, that is an order. No such moments
//! found, nothing is said.

use foldhash::fast::FixedState;
use hashbrown::HashMap;

use crate::collections::finding::{Fault, Finding, Narrowing, narrowed};
use crate::collections::span::{Span, Time};
use crate::collections::switch::{Act, Kind, find};
use crate::history::OpId;
use crate::value::Value;
use crate::verdict::{Evidence, Verdict};

/// A read of the whole set.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Read<'a> {
    pub(crate) id: OpId,
    pub(crate) span: Span,
    pub(crate) members: &'a [Value],
}

/// What is known of a set.
#[derive(Clone, Copy)]
pub(crate) struct Told<'a> {
    /// What is done to single elements.
    pub(crate) acts: &'a [(Value, Act)],
    /// Reads of the whole set, whose outcomes are known.
    pub(crate) reads: &'a [Read<'a>],
    /// Says an operation in words, as in `add 7 of x`.
    pub(crate) words: &'a dyn Fn(OpId) -> String,
}

/// The most looks of reads at elements.
const LOOKS_MAX: usize = 20_000_000;

/// One element.
#[derive(Debug)]
struct Element {
    value: Value,
    init: bool,
    acts: Vec<Act>,
}

/// Decides on a set that had `init` in it.
pub(crate) fn decide<'a>(
    init: impl Iterator<Item = &'a Value>,
    told: &Told<'_>,
) -> Option<Verdict> {
    let in_disorder = |read: &&Read<'_>| !read.members.is_sorted_by(|a, b| a < b);
    if let Some(read) = told.reads.iter().find(in_disorder) {
        let because = format!("{} returned what is no set", (told.words)(read.id));
        let fault = Fault { kept: vec![read.id], because };
        let evidence = narrowed(Narrowing::Singly, 1, fault, |_| Finding::Fine);
        return Some(Verdict::NotLinearizable(evidence));
    }
    let elements = elements(init, told);
    if elements.len().checked_mul(told.reads.len())? > LOOKS_MAX {
        return None;
    }
    match look(&elements, told, &|_| true) {
        (_, Finding::Fine) => Some(Verdict::Linearizable),
        (_, Finding::Unsure) => None,
        (place, Finding::Wrong(fault)) => {
            Some(Verdict::NotLinearizable(evidence(&elements, place, told, fault)))
        }
    }
}

/// Looks at each element, then for moments at which reads are right about all. Also tells which
/// element is wrong.
fn look(elements: &[Element], told: &Told<'_>, known: &dyn Fn(OpId) -> bool) -> (usize, Finding) {
    let reads: Vec<Read<'_>> = told.reads.iter().copied().filter(|read| known(read.id)).collect();
    let spans: Vec<Span> = reads.iter().map(|read| read.span).collect();
    let told = Told { reads: &reads, ..*told };
    let mut unsure = false;
    for (place, element) in elements.iter().enumerate() {
        let acts = element.with_reads(&reads, &spans, 1);
        match find(element.init, &acts, known, told.words) {
            Finding::Fine => {}
            Finding::Unsure => unsure = true,
            wrong @ Finding::Wrong(_) => return (place, wrong),
        }
    }
    let agreed = || reads.is_empty() || may_agree(elements, &told, known);
    (0, if !unsure && agreed() { Finding::Fine } else { Finding::Unsure })
}

/// The evidence of a `fault` of the element at `place`: made small at that element first, and where
/// there are reads then at all of them, because a read may be wrong about another by itself.
fn evidence(elements: &[Element], place: usize, told: &Told<'_>, fault: Fault) -> Evidence {
    let spans: Vec<Span> = told.reads.iter().map(|read| read.span).collect();
    let (init, acts) = (elements[place].init, elements[place].with_reads(told.reads, &spans, 1));
    let evidence = narrowed(Narrowing::OldestFirst, acts.len(), fault, |known| {
        find(init, &acts, known, told.words)
    });
    if told.reads.is_empty() {
        return evidence;
    }
    let count = elements.len() * told.reads.len() + told.acts.len();
    let fault = Fault { kept: evidence.operations, because: evidence.because };
    narrowed(Narrowing::Singly, count, fault, |known| look(elements, told, known).1)
}

/// The elements that anything is known of, in the order in which they occur.
fn elements<'a>(init: impl Iterator<Item = &'a Value>, told: &Told<'_>) -> Vec<Element> {
    let mut places: HashMap<Value, usize, FixedState> = HashMap::default();
    let mut elements: Vec<Element> = Vec::new();
    let mut place = |elements: &mut Vec<Element>, value: Value| {
        *places.entry(value).or_insert_with(|| {
            elements.push(Element { value, init: false, acts: Vec::new() });
            elements.len() - 1
        })
    };
    for value in init {
        let place = place(&mut elements, *value);
        elements[place].init = true;
    }
    for (value, act) in told.acts {
        let place = place(&mut elements, *value);
        elements[place].acts.push(*act);
    }
    for value in told.reads.iter().flat_map(|read| read.members) {
        place(&mut elements, *value);
    }
    elements
}

impl Element {
    /// Its acts, and the looks of `reads` at it, which happened within `spans`; these count each
    /// moment as `scale` moments.
    fn with_reads(&self, reads: &[Read<'_>], spans: &[Span], scale: Time) -> Vec<Act> {
        let scaled = |act: &Act| {
            let invoked = act.span.invoked * scale;
            let returned = if act.span.is_known() { act.span.returned * scale } else { Time::MAX };
            Act { span: Span { invoked, returned }, ..*act }
        };
        let mut acts: Vec<Act> = self.acts.iter().map(scaled).collect();
        acts.extend(reads.iter().zip(spans).map(|(read, span)| Act {
            id: read.id,
            span: *span,
            kind: Kind::Look,
            state: read.members.binary_search(&self.value).is_ok(),
            may_turn: false,
        }));
        acts
    }

    /// The first moment at which it can be in another state than at first.
    fn first_change(&self) -> Time {
        let changes = self.acts.iter().filter(|act| act.may_turn && act.state != self.init);
        changes.map(|act| act.span.invoked).min().unwrap_or(Time::MAX)
    }
}

/// Whether each read can be given a moment at which it is right about all elements; no if none was
/// found, although there may be one.
fn may_agree(elements: &[Element], told: &Told<'_>, known: &dyn Fn(OpId) -> bool) -> bool {
    let reads = told.reads;
    let mut first_right: Vec<Time> = reads.iter().map(|read| read.span.invoked).collect();
    for element in elements {
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
    let plans: [&dyn Fn(usize) -> (usize, Time); 4] =
        [&by_growth, &by_change, &by_return, &by_invocation];
    plans.iter().any(|rank| {
        let mut order: Vec<usize> = (0..reads.len()).collect();
        order.sort_by_key(|place| (rank(*place), reads[*place].span.returned));
        let moments = moments(&order, |place| rank(place).1);
        agree(elements, (told, known), &order, &moments)
    })
}

/// When each of `order` happens, in its order, none before it is `due`.
fn moments(order: &[usize], due: impl Fn(usize) -> Time) -> Vec<Time> {
    let mut now = Time::MIN;
    let mut moments = vec![now; order.len()];
    for place in order {
        now = now.max(due(*place));
        moments[*place] = now;
    }
    moments
}

/// Whether the reads are right about all elements if they happen right after `moments`, those of
/// one moment in `order`.
fn agree(
    elements: &[Element],
    (told, known): (&Told<'_>, &dyn Fn(OpId) -> bool),
    order: &[usize],
    moments: &[Time],
) -> bool {
    let within = |(read, moment): (&Read<'_>, &Time)| {
        read.span.invoked <= *moment && *moment < read.span.returned
    };
    if !told.reads.iter().zip(moments).all(within) {
        return false;
    }
    let count = Time::try_from(order.len()).expect("there is memory for fewer");
    let scale = 2 * count + 2;
    let mut spans = vec![Span::NEVER; order.len()];
    for (rank, place) in (0..count).zip(order) {
        let invoked = moments[*place] * scale + 2 * rank + 1;
        spans[*place] = Span { invoked, returned: invoked + 1 };
    }
    elements.iter().all(|element| {
        let acts = element.with_reads(told.reads, &spans, scale);
        find(element.init, &acts, known, told.words) == Finding::Fine
    })
}
