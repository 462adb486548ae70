//! The operator's requests: membership changes, their cancellation, leadership transfers, and
//! raises of the version.

use std::collections::BTreeSet;

use quorate::machine::{Proposer, Request};
use quorate::raft::RoleName;
use quorate::replica::Input;
use quorate::types::{Acknowledge, MachineVersion, Tag};

use crate::faults::AdminRequest;
use crate::world::cluster::running::Running;
use crate::world::place::Place;
use crate::world::scheduler::Event;
use crate::world::scheduler::Scheduler;

/// The operator's requests, and the pending ones.
#[derive(Clone, Debug, Default)]
pub(crate) struct Operator {
    /// Every request so far, by its number, with its destination.
    requests: Vec<(Place, AdminRequest)>,
    /// The requests that reached their nodes and have no outcome yet.
    waiting: BTreeSet<u32>,
    /// Requests before this number are dropped if they are still in flight.
    cancelled_before: u32,
}

/// The bit of a tag that marks a request of the operator.
const OPERATOR_TAG_BIT: u64 = 1 << 63;

impl Operator {
    /// Returns true if the tag belongs to the operator.
    pub(crate) fn owns_tag(tag: Tag) -> bool {
        tag.0 & OPERATOR_TAG_BIT != 0
    }

    /// Sends a request to a node.
    pub(crate) fn send(&mut self, place: Place, request: AdminRequest, scheduler: &mut Scheduler) {
        let number = self.requests.len() as u32;
        self.requests.push((place, request));
        scheduler.at_once(Event::AdminRequest { request: number });
    }

    /// Returns a request and its destination, unless it is cancelled.
    pub(crate) fn get(&self, number: u32) -> Option<&(Place, AdminRequest)> {
        (number >= self.cancelled_before).then(|| &self.requests[number as usize])
    }

    /// Returns the input for a request that reaches its running node, and its tag.
    pub(crate) fn begin(&mut self, number: u32) -> (Tag, Input) {
        let tag = Tag(OPERATOR_TAG_BIT | u64::from(number));
        self.waiting.insert(number);
        let input = match self.requests[number as usize].1.clone() {
            AdminRequest::Change(change) => Input::ChangeMembership { tag, change },
            AdminRequest::CancelChange => Input::CancelMembershipChange { tag },
            AdminRequest::Transfer(to) => Input::TransferLeadership { tag, to },
            AdminRequest::RaiseVersion(user) => {
                let version = MachineVersion { user, ..MachineVersion::FIRST };
                let command = Request::RaiseVersion(version).encode_for(Proposer::Unnamed);
                Input::propose(tag, Acknowledge::Quorum, command)
            }
        };
        (tag, input)
    }

    /// Returns true if the node leads and no transfer request of the operator is pending at it.
    pub(crate) fn leads_by_itself(&self, running: &Running) -> bool {
        let is_transfer = |tag: &Tag| {
            let request = self.requests.get((tag.0 & !OPERATOR_TAG_BIT) as usize);
            Operator::owns_tag(*tag) && matches!(request, Some((_, AdminRequest::Transfer(_))))
        };
        running.status.role == RoleName::Leader
            && !running.requests.unanswered.iter().any(is_transfer)
    }

    /// Returns the destination of a request.
    pub(crate) fn place_of(&self, request: u32) -> Place {
        self.requests[request as usize].0
    }

    /// Drops the requests that are still in flight.
    pub(crate) fn cancel_in_flight(&mut self) {
        self.cancelled_before = self.requests.len() as u32;
    }

    /// Records the outcome of a request.
    pub(crate) fn finish(&mut self, tag: Tag) {
        let known = self.waiting.remove(&((tag.0 & !OPERATOR_TAG_BIT) as u32));
        assert!(known, "a request has one outcome");
    }
}
