//! What the operator asks nodes for: to change the membership, to give a change up, to hand over.

use std::collections::BTreeSet;

use quorate::types::{Change, NodeId, Tag};

use crate::world::node::Place;

/// What the operator has asked for, and what it waits for.
#[derive(Clone, Debug, Default)]
pub(super) struct Operator {
    /// Every order so far, by its number.
    pub(super) orders: Vec<(Place, Order)>,
    /// Those that reached their nodes and have no outcome yet.
    pub(super) waiting: BTreeSet<u32>,
    /// The orders before this one come to nothing if they are still on their way.
    pub(super) withdrawn: u32,
}

/// What a node is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Order {
    Change(Change),
    GiveUp,
    Transfer(Option<NodeId>),
}

/// The operator's tags have this bit, which no client's has.
pub(super) const OPERATOR: u64 = 1 << 63;

impl Operator {
    /// Whether the tag is the operator's.
    pub(super) fn owns(tag: Tag) -> bool {
        tag.0 & OPERATOR != 0
    }

    /// Where an order goes.
    pub(super) fn place_of(&self, order: u32) -> Place {
        self.orders[order as usize].0
    }

    /// What is still on its way comes to nothing.
    pub(super) fn withdraw(&mut self) {
        self.withdrawn = self.orders.len() as u32;
    }

    /// An order has its outcome.
    pub(super) fn hears(&mut self, tag: Tag) {
        let known = self.waiting.remove(&((tag.0 & !OPERATOR) as u32));
        assert!(known, "an order has one outcome");
    }
}
