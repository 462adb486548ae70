//! Sends the operator's requests, and delivers them to their nodes.

use quorate::raft::RoleName;
use quorate::replica::Input;
use quorate::types::Tag;

use crate::coverage::Spot;
use crate::fault::Fault;
use crate::observer::Observer;
use crate::world::World;
use crate::world::operator::{AdminRequest, OPERATOR_TAG_BIT, Operator};
use crate::world::place::Place;
use crate::world::scheduler::queue::Event;

impl World {
    /// Sends a request of the operator to a node.
    pub(super) fn send_admin_request(&mut self, place: Place, request: AdminRequest) {
        let number = self.operator.requests.len() as u32;
        self.operator.requests.push((place, request));
        self.scheduler.at_once(Event::AdminRequest { request: number });
    }

    /// Delivers a request, if the node is up and the cluster survives the change.
    pub(super) fn admin_request_arrives(&mut self, number: u32, observer: &mut Observer) {
        if number < self.operator.cancelled_before {
            return;
        }
        let (place, request) = self.operator.requests[number as usize].clone();
        if matches!(&request, AdminRequest::Change(change) if !self.survives_change(place, change))
        {
            return;
        }
        let Some(running) = self.nodes[place.0 as usize].running.as_deref_mut() else { return };
        let fault = match request {
            AdminRequest::Change(_) | AdminRequest::CancelChange => Fault::Change,
            AdminRequest::Transfer(_) => Fault::Transfer,
        };
        if self.stabilization.is_none() {
            observer.fault(fault, Some(running.status.role));
        }
        if fault == Fault::Transfer {
            observer.while_read_lease_granted(place.id(), Spot::ReadLeaseAtTransfer);
        }
        let tag = Tag(OPERATOR_TAG_BIT | u64::from(number));
        self.operator.waiting.insert(number);
        running.unanswered.push(tag);
        let input = match request {
            AdminRequest::Change(change) => Input::ChangeMembership { tag, change },
            AdminRequest::CancelChange => Input::CancelMembershipChange { tag },
            AdminRequest::Transfer(to) => Input::TransferLeadership { tag, to },
        };
        self.step(place, input, observer);
    }

    /// Returns true if the node leads and the operator has not asked it for a transfer.
    pub(super) fn leads_by_itself(&self, place: Place) -> bool {
        let is_transfer = |tag: &Tag| {
            let request = self.operator.requests.get((tag.0 & !OPERATOR_TAG_BIT) as usize);
            Operator::owns_tag(*tag) && matches!(request, Some((_, AdminRequest::Transfer(_))))
        };
        let running = self.nodes[place.0 as usize].running.as_deref();
        running.is_some_and(|running| {
            running.status.role == RoleName::Leader && !running.unanswered.iter().any(is_transfer)
        })
    }
}
