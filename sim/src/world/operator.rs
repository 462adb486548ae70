//! The operator's requests: membership changes, their cancellation, and leadership transfers.

use std::collections::BTreeSet;

use quorate::types::{Change, NodeId, Tag};

use crate::world::place::Place;

/// The operator's requests, and the pending ones.
#[derive(Clone, Debug, Default)]
pub(super) struct Operator {
    /// Every request so far, by its number, with its destination.
    pub(super) requests: Vec<(Place, AdminRequest)>,
    /// The requests that reached their nodes and have no outcome yet.
    pub(super) waiting: BTreeSet<u32>,
    /// Requests before this number are dropped if they are still in flight.
    pub(super) cancelled_before: u32,
}

/// A request of the operator to a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum AdminRequest {
    Change(Change),
    CancelChange,
    Transfer(Option<NodeId>),
}

/// The bit of a tag that marks a request of the operator.
pub(super) const OPERATOR_TAG_BIT: u64 = 1 << 63;

impl Operator {
    /// Returns true if the tag belongs to the operator.
    pub(super) fn owns_tag(tag: Tag) -> bool {
        tag.0 & OPERATOR_TAG_BIT != 0
    }

    /// Returns the destination of a request.
    pub(super) fn place_of(&self, request: u32) -> Place {
        self.requests[request as usize].0
    }

    /// Drops the requests that are still in flight.
    pub(super) fn cancel_in_flight(&mut self) {
        self.cancelled_before = self.requests.len() as u32;
    }

    /// Records the outcome of a request.
    pub(super) fn finish(&mut self, tag: Tag) {
        let known = self.waiting.remove(&((tag.0 & !OPERATOR_TAG_BIT) as u32));
        assert!(known, "a request has one outcome");
    }
}
