//! Which operation took out of a collection what which other had put into it: known if no value is
//! put in twice.

use foldhash::fast::FixedState;
use hashbrown::{HashMap, HashSet};

use crate::collections::finding::{Fault, Finding};
use crate::collections::span::{Span, Time};
use crate::history::OpId;
use crate::value::{Value, Values};

/// One operation of a collection from which values are taken.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Access {
    pub(crate) id: OpId,
    pub(crate) span: Span,
    pub(crate) what: What,
}

/// What it did.
#[derive(Clone, Copy, Debug)]
pub(crate) enum What {
    /// It put this in.
    Insert(Value),
    /// It took this out, or [`Value::NULL`], nothing; if that is known.
    Take(Option<Value>),
}

/// How the operations of a collection are called.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Words<'a> {
    /// `queue`
    pub(crate) object: &'static str,
    /// `enqueue`
    pub(crate) insert: &'static str,
    /// `enqueued`
    pub(crate) inserted: &'static str,
    /// `dequeue`
    pub(crate) take: &'static str,
    pub(crate) values: &'a Values,
}

/// One value, and when it came and went.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Item {
    pub(crate) value: Value,
    /// What put it in, unless it was there before.
    pub(crate) insert: Option<OpId>,
    pub(crate) inserted: Span,
    /// What took it, if that is known.
    pub(crate) take: Option<OpId>,
    pub(crate) taken: Span,
}

impl Item {
    /// From when to when it was certainly there, if it ever was.
    pub(crate) fn zone(&self) -> Option<(Time, Time)> {
        let (from, to) = (self.inserted.returned, self.taken.invoked);
        (from < to).then_some((from, to))
    }

    /// The operations that put it in and took it.
    pub(crate) fn operations(&self) -> impl Iterator<Item = OpId> {
        self.insert.into_iter().chain(self.take)
    }
}

/// What was put in and taken.
#[derive(Clone, Debug)]
pub(crate) struct Pairs {
    /// What was taken, and by whom is known.
    pub(crate) taken: Vec<Item>,
    /// What was certainly put in, and is not known to be taken.
    pub(crate) left: Vec<Item>,
    /// Who found nothing, and when.
    pub(crate) found_nothing: Vec<(OpId, Span)>,
    /// When those were invoked that may have taken anything, or never happened; in order.
    pub(crate) spare: Vec<Time>,
    /// Every operation that took something known, or nothing, and when it was invoked.
    pub(crate) takes: Vec<(OpId, Time)>,
}

impl Pairs {
    /// The pairs among `accesses` of a collection that had `init` in it, if those that are `known`
    /// have the outcome they have, and the others none.
    ///
    /// # Errors
    /// What is found if there are no pairs.
    pub(crate) fn of(
        init: &[Value],
        accesses: &[Access],
        known: &dyn Fn(OpId) -> bool,
        words: &Words<'_>,
    ) -> Result<Pairs, Finding> {
        let (mut pairs, takes) = Pairs::takes(accesses, known);
        let taken: HashSet<Value, FixedState> = takes.iter().map(|(_, value, _)| *value).collect();
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
            let What::Insert(value) = access.what else { continue };
            let span = access.span_if(known);
            // An insertion that perhaps never happened, of what nobody is known to have taken:
            // it explains nothing.
            if span.is_known() || taken.contains(&value) {
                items.push(item(value, Some(access.id), span));
            }
        }
        let mut places: HashMap<Value, usize, FixedState> = HashMap::default();
        places.reserve(items.len());
        for (place, item) in items.iter().enumerate() {
            if item.value == Value::NULL || places.insert(item.value, place).is_some() {
                return Err(Finding::Unsure);
            }
        }
        for (id, value, span) in takes {
            let place = places.get(&value).copied();
            let item = place.map(|place| &mut items[place]);
            if let Some(fault) = fault_of_take((id, value, span), item.as_deref(), words) {
                return Err(Finding::Wrong(fault));
            }
            if let Some(item) = item {
                (item.take, item.taken) = (Some(id), span);
            }
        }
        (pairs.taken, pairs.left) = items.into_iter().partition(|item| item.take.is_some());
        Ok(pairs)
    }

    /// The takes among `accesses`: those that took something, apart.
    fn takes(
        accesses: &[Access],
        known: &dyn Fn(OpId) -> bool,
    ) -> (Pairs, Vec<(OpId, Value, Span)>) {
        let mut takes = Vec::with_capacity(accesses.len());
        let mut pairs = Pairs {
            taken: Vec::new(),
            left: Vec::new(),
            found_nothing: Vec::new(),
            spare: Vec::new(),
            takes: Vec::new(),
        };
        for access in accesses {
            let What::Take(told) = access.what else { continue };
            let span = access.span_if(known);
            match told {
                Some(value) if span.is_known() => {
                    pairs.takes.push((access.id, span.invoked));
                    match value {
                        Value::NULL => pairs.found_nothing.push((access.id, span)),
                        value => takes.push((access.id, value, span)),
                    }
                }
                _ => pairs.spare.push(span.invoked),
            }
        }
        pairs.spare.sort_unstable();
        (pairs, takes)
    }

    /// The evidence of a fault that needs one of those `left` not to be taken before `limit`: all
    /// that could have taken it, and all that spare takes could have taken instead, put in up to
    /// `last`.
    pub(crate) fn not_taken(&self, limit: Time, last: Time) -> impl Iterator<Item = OpId> {
        let takes = self.takes.iter().filter(move |(_, invoked)| *invoked < limit);
        let spare = self.spare.first().is_some_and(|invoked| *invoked < limit);
        let instead = self.left.iter().filter(move |item| spare && item.inserted.returned <= last);
        takes.map(|(id, _)| *id).chain(instead.filter_map(|item| item.insert))
    }
}

impl Access {
    /// When it was under way, if its outcome is taken as known only where it is `known`.
    fn span_if(&self, known: &dyn Fn(OpId) -> bool) -> Span {
        match self.span.is_known() && known(self.id) {
            true => self.span,
            false => Span { invoked: self.span.invoked, ..Span::NEVER },
        }
    }
}

/// What is wrong with a take by itself, or with two of the same value.
fn fault_of_take(
    (id, value, span): (OpId, Value, Span),
    item: Option<&Item>,
    words: &Words<'_>,
) -> Option<Fault> {
    let told = format!("{} {} returned {}", words.take, id.0, words.values.words(value));
    let inserted = words.inserted;
    let Some(item) = item else {
        let because = format!("{told}, which was never {inserted}");
        return Some(Fault { kept: vec![id], because });
    };
    if span.returned < item.inserted.invoked {
        let insert = item.insert.map_or(0, |insert| insert.0);
        let because =
            format!("{told} before {} {insert}, the only one of it, was invoked", words.insert);
        return Some(Fault { kept: vec![id], because });
    }
    let other = item.take?;
    let because = format!(
        "{told}, and so did {} {}, although it was {inserted} only once",
        words.take, other.0
    );
    Some(Fault { kept: vec![id, other], because })
}
