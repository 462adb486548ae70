//! The load: each client has one operation at a time, asks the node it takes for the leader or any
//! other, gives up after a while, and never repeats a command.

use quorate::raft::{Input, RejectReason};
use quorate::types::{Command, EntryId, Index, NodeId, Tag};

use crate::choice::{Draw, Key, Kind};
use crate::coverage::Spot;
use crate::observe::{OpId, Seen};
use crate::settings::Settings;
use crate::witness::Witness;
use crate::world::client::{self, Ask, Request};
use crate::world::node::{Machine, Place};
use crate::world::queue::Event;
use crate::world::{EventKind, World};

impl World {
    pub(super) fn schedule_clients(&mut self) {
        for client in 0..self.settings.clients {
            self.nap(client);
        }
    }

    /// The client waits a while before its next operation.
    fn nap(&mut self, client: u16) {
        let nap = self.clients.nap(client);
        let key = Key { peer: client, counter: nap.turn, ..Kind::Think.key() };
        let at = self.now.after(self.choices.within(key, self.settings.think));
        self.queue.push(at, Event::Client { client, nap: nap.number });
    }

    /// A client gives up waiting, or invokes its next operation.
    pub(super) fn client_wakes(&mut self, client: u16, nap: u32, witness: &mut Witness) {
        if !self.clients.wakes(client, nap) {
            return;
        }
        let stormy = self.calm.is_none();
        if let Some(op) = self.clients.give_up(client) {
            self.clients.believes(client, None);
            witness.reach(Spot::UnknownByPatience);
            witness.see(self.now, Seen::Unknown { op });
            if stormy {
                self.nap(client);
            }
        } else if stormy {
            self.invoke(client, Ask::Any, witness);
        }
    }

    /// A client begins its next operation.
    pub(super) fn invoke(&mut self, client: u16, ask: Ask, witness: &mut Witness) {
        let op = self.clients.begin(client);
        let nap = self.clients.nap(client);
        let key = Key { peer: client, counter: nap.turn << 3, ..Kind::Client.key() };
        let mut draw = self.choices.draw(key);
        let nodes = u64::from(self.settings.nodes());
        let any = NodeId(draw.between(1, nodes));
        let astray = draw.chance(200);
        let (target, reads) = match ask {
            Ask::Any => (None, draw.chance(self.settings.read_permille)),
            Ask::ProposeAt(place) => (Some(place), false),
            Ask::ReadAt(place) => (Some(place), true),
        };
        // Every second client lives beside one node, and reads there whoever leads.
        let home = NodeId(u64::from(client) % nodes + 1);
        let believed = match self.clients.leader(client) {
            _ if reads && client.is_multiple_of(2) => home,
            Some(leader) if !astray => leader,
            _ => any,
        };
        let length = command_length(&mut draw, &self.settings);
        let command = (!reads).then(|| command(op, length));
        let travels = draw.within(self.settings.latency) / 2;
        match &command {
            Some(command) => witness.see(self.now, Seen::ProposeInvoked { op, command }),
            None => witness.see(self.now, Seen::ReadInvoked { op }),
        }
        let to = target.or_else(|| self.place(believed)).unwrap_or(Place(0));
        let tag = client::tag(client, op);
        let slot = self.clients.dispatch(Request { to, tag, command });
        self.queue.push(self.now.after(travels), Event::Request { slot });
        let gives_up = self.now.after(travels + self.settings.patience);
        self.queue.push(gives_up, Event::Client { client, nap: nap.number });
    }

    /// A request reaches its node.
    pub(super) fn request(&mut self, slot: u32, witness: &mut Witness) {
        let Some(Request { to, tag, command }) = self.clients.collect(slot) else { return };
        let Some(running) = self.nodes[to.0 as usize].running.as_deref_mut() else {
            self.count_event(EventKind::Vain, tag.0);
            witness.reach(Spot::RejectedByDownNode);
            self.client_is_rejected(tag, RejectReason::NotLeader { leader: None }, witness);
            return;
        };
        running.unanswered.push(tag);
        let input = match command {
            Some(command) => Input::Propose { tag, command },
            None => {
                witness.reads_at(&running.status, running.led_from);
                Input::Read { tag }
            }
        };
        self.step(to, input, witness);
    }

    pub(super) fn client_commits(
        &mut self,
        tag: Tag,
        at: Place,
        id: EntryId,
        witness: &mut Witness,
    ) {
        let Some((client, op)) = self.clients.ends(tag) else {
            witness.reach(Spot::OutcomeTooLate);
            return;
        };
        witness.see(self.now, Seen::Committed { op, id });
        self.clients.believes(client, Some(at.id()));
        if client == self.clients.prober() {
            self.probe_committed();
        } else {
            self.nap(client);
        }
    }

    pub(super) fn client_reads(
        &mut self,
        tag: Tag,
        at: Place,
        index: Index,
        machine: Machine,
        witness: &mut Witness,
    ) {
        let Some((client, op)) = self.clients.ends(tag) else {
            witness.reach(Spot::OutcomeTooLate);
            return;
        };
        let Machine { applied, state } = machine;
        witness.see(self.now, Seen::ReadServed { op, node: at.id(), index, applied, state });
        if client == self.clients.prober() {
            self.probe_served();
        } else {
            self.nap(client);
        }
    }

    pub(super) fn client_is_rejected(
        &mut self,
        tag: Tag,
        reason: RejectReason,
        witness: &mut Witness,
    ) {
        let Some((client, op)) = self.clients.ends(tag) else { return };
        witness.see(self.now, Seen::Rejected { op, reason });
        match reason {
            RejectReason::NotLeader { leader } => self.clients.believes(client, leader),
            RejectReason::NoLeader => self.clients.believes(client, None),
            _ => {}
        }
        self.nap(client);
    }

    /// The client does not know what became of its operation.
    pub(super) fn client_loses(&mut self, tag: Tag, witness: &mut Witness) {
        let Some((client, op)) = self.clients.ends(tag) else { return };
        witness.see(self.now, Seen::Unknown { op });
        self.clients.believes(client, None);
        self.nap(client);
    }
}

/// A command that no other operation has.
fn command(op: OpId, length: u64) -> Command {
    let mut bytes = vec![0; length as usize];
    bytes[..8].copy_from_slice(&op.0.to_le_bytes());
    Command::from(bytes)
}

/// Mostly the run's usual length; sometimes up to the largest that is allowed, or one more.
fn command_length(draw: &mut Draw<'_>, settings: &Settings) -> u64 {
    let largest = settings.config.command_bytes_max as u64;
    match draw.below(50) {
        0..38 => settings.command_bytes,
        38..46 => draw.between(16, largest),
        46..49 => largest,
        _ => largest + 1,
    }
}
