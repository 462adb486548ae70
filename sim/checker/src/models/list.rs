//! A list-append model: keys with one list each.

use std::collections::BTreeMap;

use crate::budget::Budget;
use crate::collections::list::{self, Append, Read};
use crate::collections::span::Span;
use crate::history::Subhistory;
use crate::model::{Effect, Model};
use crate::models::heap::{array_bytes, tree_bytes};
use crate::models::ordered::{self, Restricted};
use crate::value::{ValueId, ValueTable};
use crate::verdict::Verdict;

/// Keys with one list each, initially empty, to which values are appended. A read returns the order
/// of all appends before it (Kingsbury & Alvaro 2020, §3).
#[derive(Clone, Debug, Default)]
pub struct List {
    /// The table of keys and values.
    pub values: ValueTable,
}

/// An operation on a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ListOp {
    /// Appends `value` to the list of `key`.
    Append {
        /// The key of the list.
        key: ValueId,
        /// The value to append.
        value: ValueId,
    },
    /// Reads the whole list of `key`.
    Read {
        /// The key of the list.
        key: ValueId,
    },
}

/// The result of an operation on a list.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ListRet {
    /// The value was appended.
    Appended,
    /// All values in the list, in order.
    Items(Box<[ValueId]>),
}

impl List {
    /// Returns true if all operations of `part` have one key and results that fit.
    fn is_one_list(&self, part: Subhistory<'_, ListOp, ListRet>) -> bool {
        let mut first = None;
        part.iter().all(|(_, operation)| {
            let (ListOp::Append { key, .. } | ListOp::Read { key }) = operation.op;
            let fits = match (operation.op, operation.ret()) {
                (_, None)
                | (ListOp::Append { .. }, Some(ListRet::Appended))
                | (ListOp::Read { .. }, Some(ListRet::Items(_))) => true,
                (ListOp::Append { .. }, Some(ListRet::Items(_)))
                | (ListOp::Read { .. }, Some(ListRet::Appended)) => false,
            };
            fits && *first.get_or_insert(key) == key
        })
    }

    /// Decides operations of one key, unless a value that was read was appended twice.
    fn decide_distinct(&self, part: Subhistory<'_, ListOp, ListRet>) -> Option<Verdict> {
        let (mut appends, mut reads) = (Vec::new(), Vec::new());
        for (id, operation) in part.iter() {
            let span = Span::of(operation);
            match (operation.op, operation.ret()) {
                (ListOp::Append { value, .. }, _) => appends.push(Append { id, span, value }),
                (ListOp::Read { .. }, Some(ListRet::Items(items))) => {
                    reads.push(Read { id, span, items });
                }
                (ListOp::Read { .. }, _) => {}
            }
        }
        list::decide(&appends, &reads, &self.values)
    }
}

impl Model for List {
    type State = BTreeMap<ValueId, Vec<ValueId>>;
    type Op = ListOp;
    type Ret = ListRet;

    fn init(&self) -> BTreeMap<ValueId, Vec<ValueId>> {
        BTreeMap::new()
    }

    fn step(
        &self,
        state: &BTreeMap<ValueId, Vec<ValueId>>,
        op: &ListOp,
        ret: Option<&ListRet>,
    ) -> Option<BTreeMap<ValueId, Vec<ValueId>>> {
        let mut after = state.clone();
        let legal = match (op, ret) {
            (ListOp::Append { key, value }, None | Some(ListRet::Appended)) => {
                after.entry(*key).or_default().push(*value);
                true
            }
            (ListOp::Read { key }, Some(ListRet::Items(items))) => {
                state.get(key).map_or(&[][..], Vec::as_slice) == &**items
            }
            (ListOp::Read { .. }, None) => true,
            (ListOp::Append { .. }, Some(ListRet::Items(_)))
            | (ListOp::Read { .. }, Some(ListRet::Appended)) => false,
        };
        legal.then_some(after)
    }

    fn key(&self, op: &ListOp) -> Option<u64> {
        let (ListOp::Append { key, .. } | ListOp::Read { key }) = op;
        Some(u64::from(key.0))
    }

    fn effect(&self, op: &ListOp, _: Option<&ListRet>) -> Effect {
        match op {
            ListOp::Append { .. } => Effect::Update,
            ListOp::Read { .. } => Effect::ReadOnly,
        }
    }

    fn decide(
        &self,
        part: Subhistory<'_, ListOp, ListRet>,
        budget: &Budget<'_>,
    ) -> Option<Verdict> {
        if !self.is_one_list(part) {
            return None;
        }
        ordered::decide(
            self,
            part,
            budget,
            |part| self.decide_distinct(part),
            |part| OrderedList::of(self, part),
        )
    }

    /// Counts the memory that a state owns.
    fn unhashed_bytes(&self, state: &BTreeMap<ValueId, Vec<ValueId>>) -> usize {
        let items = state.values().map(|items| array_bytes::<ValueId>(items.capacity()));
        tree_bytes::<(ValueId, Vec<ValueId>)>(state.len()) + items.sum::<usize>()
    }

    fn describe_op(&self, op: &ListOp) -> String {
        let words = |value: ValueId| self.values.describe(value);
        match *op {
            ListOp::Append { key, value } => format!("append {} {}", words(key), words(value)),
            ListOp::Read { key } => format!("read {}", words(key)),
        }
    }

    fn describe_ret(&self, _: &ListOp, ret: &ListRet) -> String {
        match ret {
            ListRet::Appended => String::new(),
            ListRet::Items(items) => self.values.describe_list(items.iter()),
        }
    }

    fn describe_state(&self, state: &BTreeMap<ValueId, Vec<ValueId>>) -> String {
        self.values.describe_pairs(state, |items| self.values.describe_list(items))
    }
}

/// A list whose items are those of the longest read. A list only grows, so it begins with them
/// from that read on, and before that it is a prefix of them.
struct OrderedList<'a> {
    list: &'a List,
    longest: Box<[ValueId]>,
}

impl<'a> OrderedList<'a> {
    /// Returns the list of `part`, all of one key, if there is a read. All reads are prefixes of
    /// the longest one.
    fn of(
        list: &'a List,
        part: Subhistory<'_, ListOp, ListRet>,
    ) -> Option<Restricted<OrderedList<'a>>> {
        let reads = part.iter().filter_map(|(id, operation)| match operation.ret() {
            Some(ListRet::Items(items)) => Some((id, items)),
            _ => None,
        });
        let (id, longest) = reads.max_by_key(|(_, items)| items.len())?;
        let longest = longest.clone();
        Some((OrderedList { list, longest }, vec![id]))
    }
}

impl Model for OrderedList<'_> {
    /// The number of items; all numbers greater than that of the longest read are one state.
    type State = usize;
    type Op = ListOp;
    type Ret = ListRet;

    fn init(&self) -> usize {
        0
    }

    fn step(&self, state: &usize, op: &ListOp, ret: Option<&ListRet>) -> Option<usize> {
        match (op, ret) {
            (ListOp::Append { value, .. }, _) => match self.longest.get(*state) {
                Some(next) => (next == value).then_some(state + 1),
                None => Some(self.longest.len() + 1),
            },
            (ListOp::Read { .. }, Some(ListRet::Items(items))) => {
                (items.len() == *state).then_some(*state)
            }
            (ListOp::Read { .. }, _) => Some(*state),
        }
    }

    fn effect(&self, op: &ListOp, ret: Option<&ListRet>) -> Effect {
        self.list.effect(op, ret)
    }

    fn describe_op(&self, op: &ListOp) -> String {
        self.list.describe_op(op)
    }

    fn describe_ret(&self, op: &ListOp, ret: &ListRet) -> String {
        self.list.describe_ret(op, ret)
    }
}
