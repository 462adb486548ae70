//! Orders of the operator's on their way, and where they arrive.

use quorate::raft::RoleName;
use quorate::replica::Input;
use quorate::types::Tag;

use crate::coverage::Spot;
use crate::fault::Fault;
use crate::witness::Witness;
use crate::world::World;
use crate::world::node::Place;
use crate::world::operator::{OPERATOR, Operator, Order};
use crate::world::queue::Event;

impl World {
    /// The operator asks a node for something.
    pub(super) fn order(&mut self, place: Place, order: Order) {
        let number = self.operator.orders.len() as u32;
        self.operator.orders.push((place, order));
        self.queue.push(self.now, Event::Order { order: number });
    }

    /// An order reaches its node: it counts if the node runs and the cluster can bear it.
    pub(super) fn obey(&mut self, number: u32, witness: &mut Witness) {
        if number < self.operator.withdrawn {
            return;
        }
        let (place, order) = self.operator.orders[number as usize].clone();
        if matches!(&order, Order::Change(change) if !self.bears_change(place, change)) {
            return;
        }
        let Some(running) = self.nodes[place.0 as usize].running.as_deref_mut() else { return };
        let fault = match order {
            Order::Change(_) | Order::GiveUp => Fault::Change,
            Order::Transfer(_) => Fault::Transfer,
        };
        if self.calm.is_none() {
            witness.fault(fault, Some(running.status.role));
        }
        if fault == Fault::Transfer {
            witness.while_lent(place.id(), Spot::LoanAtTransfer);
        }
        let tag = Tag(OPERATOR | u64::from(number));
        self.operator.waiting.insert(number);
        running.unanswered.push(tag);
        let input = match order {
            Order::Change(change) => Input::ChangeMembership { tag, change },
            Order::GiveUp => Input::GiveUpChange { tag },
            Order::Transfer(to) => Input::Transfer { tag, to },
        };
        self.step(place, input, witness);
    }

    /// Whether the node leads, and nobody asked it to hand over.
    pub(super) fn leads_by_itself(&self, place: Place) -> bool {
        let asked = |tag: &Tag| {
            let order = self.operator.orders.get((tag.0 & !OPERATOR) as usize);
            Operator::owns(*tag) && matches!(order, Some((_, Order::Transfer(_))))
        };
        let running = self.nodes[place.0 as usize].running.as_deref();
        running.is_some_and(|running| {
            running.status.role == RoleName::Leader && !running.unanswered.iter().any(asked)
        })
    }
}
