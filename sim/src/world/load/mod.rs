//! The load of a run: its clients, its operator, and its scripted requests.

pub(super) mod clients;
mod operations;
pub(super) mod operator;
pub(super) mod replies;
mod scripted;
mod scripted_clients;
mod sending;
pub(super) mod surroundings;
mod timers;

use crate::observe::outcome::ScriptedResults;
use crate::settings::Settings;
use crate::values::time::SimTime;
use crate::world::load::clients::{Clients, Request};
use crate::world::load::operator::Operator;
use crate::world::load::scripted::ScriptedRequests;
use crate::world::place::Place;

/// The clients and the operator of a run.
#[derive(Clone, Debug)]
pub(super) struct Load {
    clients: Clients,
    scripted: ScriptedRequests,
    pub(super) operator: Operator,
}

impl Load {
    /// Returns the load at the start of a run.
    pub(super) fn new(settings: &Settings) -> Load {
        Load {
            clients: Clients::new(settings.clients),
            scripted: ScriptedRequests::default(),
            operator: Operator::default(),
        }
    }

    /// Returns the destination of the client's request in a slot.
    pub(super) fn place_of(&self, slot: u32) -> Option<Place> {
        self.clients.place_of(slot)
    }

    /// Removes a client's request from its slot: it reaches its node.
    pub(super) fn collect(&mut self, slot: u32) -> Option<Request> {
        self.clients.collect(slot)
    }

    /// Returns the clients, for questions about them.
    pub(super) fn clients(&self) -> &Clients {
        &self.clients
    }

    /// Records the current leader if it has changed.
    pub(super) fn note_leader(&mut self, leader: Option<Place>, now: SimTime) {
        self.scripted.note_leader(leader.map(Place::id), now);
    }

    /// Returns the outcomes of scripted requests, and the leaders over time.
    pub(super) fn scripted_results(&self) -> ScriptedResults {
        self.scripted.results()
    }
}
