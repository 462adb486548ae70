//! Keys with one list each, to which values are appended.

use std::collections::BTreeMap;

use crate::budget::Budget;
use crate::collections::list::{self, Append, Read};
use crate::collections::span::Span;
use crate::history::Part;
use crate::model::{Effect, Model};
use crate::value::{Value, Values};
use crate::verdict::Verdict;

/// Keys with one list each, empty at first, to which values are appended: a read shows the order
/// of all that came before it (Kingsbury & Alvaro 2020, §3).
#[derive(Clone, Debug, Default)]
pub struct List {
    /// What keys and values stand for.
    pub values: Values,
}

/// What a list is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ListOp {
    /// Have `value` at the end.
    Append {
        /// Which list.
        key: Value,
        /// What to append.
        value: Value,
    },
    /// What is in the list?
    Read {
        /// Which list.
        key: Value,
    },
}

/// What a list answers.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ListRet {
    /// It is appended.
    Appended,
    /// Everything in the list.
    Items(Box<[Value]>),
}

impl Model for List {
    type State = BTreeMap<Value, Vec<Value>>;
    type Op = ListOp;
    type Ret = ListRet;

    fn init(&self) -> BTreeMap<Value, Vec<Value>> {
        BTreeMap::new()
    }

    fn step(
        &self,
        state: &BTreeMap<Value, Vec<Value>>,
        op: &ListOp,
        ret: Option<&ListRet>,
    ) -> Option<BTreeMap<Value, Vec<Value>>> {
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
            ListOp::Read { .. } => Effect::Observe,
        }
    }

    fn decide(&self, part: Part<'_, ListOp, ListRet>, _: &Budget<'_>) -> Option<Verdict> {
        let (mut appends, mut reads, mut list) = (Vec::new(), Vec::new(), None);
        for (id, operation) in part.iter() {
            let span = Span::of(operation);
            let key = match (operation.op, operation.ret()) {
                (ListOp::Append { key, value }, None | Some(ListRet::Appended)) => {
                    appends.push(Append { id, span, value });
                    key
                }
                (ListOp::Read { key }, Some(ListRet::Items(items))) => {
                    reads.push(Read { id, span, items });
                    key
                }
                (ListOp::Read { key }, None) => key,
                (ListOp::Append { .. }, Some(ListRet::Items(_)))
                | (ListOp::Read { .. }, Some(ListRet::Appended)) => return None,
            };
            if *list.get_or_insert(key) != key {
                return None;
            }
        }
        list::decide(&appends, &reads, &self.values)
    }

    fn call_words(&self, op: &ListOp) -> String {
        let words = |value: Value| self.values.words(value);
        match *op {
            ListOp::Append { key, value } => format!("append {} {}", words(key), words(value)),
            ListOp::Read { key } => format!("read {}", words(key)),
        }
    }

    fn ret_words(&self, _: &ListOp, ret: &ListRet) -> String {
        match ret {
            ListRet::Appended => String::new(),
            ListRet::Items(items) => self.values.list_words(items.iter()),
        }
    }

    fn state_words(&self, state: &BTreeMap<Value, Vec<Value>>) -> String {
        let pair = |(key, items): (&Value, &Vec<Value>)| {
            format!("{} = {}", self.values.words(*key), self.values.list_words(items))
        };
        state.iter().map(pair).collect::<Vec<_>>().join(", ")
    }
}
