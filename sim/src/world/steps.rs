//! The events of nodes: packets and requests that reach them, their timers, and the finished work
//! of their hosts; each becomes an input of a step.

use quorate::raft::{RejectReason, Status};
use quorate::replica::{Input, Output, WorkResult};
use quorate::storage::Lane;
use quorate::types::{Message, Packet, Proposal, SnapshotTransferBody};

use crate::faults::{AdminRequest, Fault};
use crate::observe::Observation;
use crate::observe::coverage::Spot;
use crate::plan::Trigger;
use crate::world::World;
use crate::world::cluster::processes::{StepResults, replying_peer};
use crate::world::faults::{machine, versions};
use crate::world::load::clients::{Request, RequestKind};
use crate::world::network::Envelope;
use crate::world::place::{Place, Start};
use crate::world::scheduler::EventKind;

impl World {
    /// Starts a node that is down, if it may come back.
    pub(super) fn start(&mut self, start: Start) {
        let place = start.place;
        if !self.may_recover(place) || !self.cluster.start(start, &mut self.run) {
            return;
        }
        let mut results = std::mem::take(&mut self.results);
        if let Some(status) = self.cluster[place].take_first_step(&mut results, &self.run) {
            self.faults.taint.started(place.id(), status.snapshot);
            self.end_step(place, &status, &mut results);
        }
        self.results = results;
        if start.number > 1 {
            self.fire_trigger(Trigger::Restarts, place, None);
        }
    }

    /// Delivers a packet to the node at `to`, even if it is addressed to another node.
    pub(super) fn receive(&mut self, to: Place, envelope: &Envelope) {
        let Some(running) = self.cluster[to].running() else {
            self.run.scheduler.count(EventKind::Undelivered, u64::from(to.0));
            self.run.observer.packet_dropped(self.run.scheduler.now(), to.id(), envelope.number);
            return;
        };
        let packet = envelope.decode();
        if let Some(message) = packet.message() {
            self.run.observer.received(message, &running.status);
        }
        self.run.observer.packet_arrives(envelope.number);
        let part = matches!(&packet, Packet::SnapshotTransfer(transfer)
            if matches!(transfer.body, SnapshotTransferBody::Bytes(..)));
        let is_shown = envelope.is_sent && self.run.observer.has_checks();
        let message = packet.message().filter(|_| is_shown).cloned();
        if !envelope.is_sent {
            self.run.observe(Observation::FaultInput { node: to.id() });
        }
        self.take_step(to, Input::Packet(packet), message.as_ref());
        if part {
            self.fire_trigger(Trigger::ReceivesPart, to, None);
        }
    }

    /// Executes the first disk operation of a lane; the node is notified at once or later.
    pub(super) fn operation_done(&mut self, place: Place, lane: Lane) {
        let executed = self.cluster[place].execute_operation(lane, &mut self.run);
        let Some(executed) = executed else { return };
        if self.faults.plan.awaits_triggers() {
            for (trigger, peer) in self.cluster[place].triggers_of(&executed) {
                let peer = peer.and_then(|id| self.cluster.place(id));
                if self.fire_trigger(trigger, place, peer) {
                    return;
                }
            }
        }
        if self.cluster[place].finish_operation(executed, &mut self.run) {
            self.report_completions(place, lane);
        }
    }

    /// Notifies a node of every finished operation of a lane.
    pub(super) fn report_completions(&mut self, place: Place, lane: Lane) {
        let start = self.cluster[place].start();
        while self.cluster[place].start() == start
            && let Some(input) = self.cluster[place].next_completion(lane, &mut self.run)
        {
            self.step(place, input);
        }
    }

    /// Finishes the first queued job of a node's worker, and passes the result to the node.
    pub(super) fn work_done(&mut self, place: Place) {
        let Some(done) = self.cluster[place].execute_work(&mut self.run) else {
            return;
        };
        if let WorkResult::Restored { last, .. } = &done {
            self.faults.taint.restored(place.id(), *last);
            if self.fire_trigger(Trigger::RestoresSnapshot, place, None) {
                return;
            }
        }
        self.cluster[place].begin_work(&mut self.run);
        self.step(place, Input::WorkDone(done));
    }

    /// Finishes a node's request for its worker's frozen view, and passes the result to the node.
    pub(super) fn view_done(&mut self, place: Place) {
        let Some(input) = self.cluster[place].finish_view(&mut self.run) else {
            return;
        };
        if let Input::ViewFrozen(last) = &input {
            self.faults.taint.note_snapshot(place.id(), last.index);
            let status = self.cluster[place].running().map(|running| running.status);
            let waits = status.is_some_and(|status| last.index > status.durable);
            self.run.observer.reach_if(waits, Spot::SnapshotWaits);
        }
        self.step(place, input);
    }

    /// Delivers a client's request to its node.
    pub(super) fn request(&mut self, slot: u32) {
        let Some(Request { to, tag, kind }) = self.load.clients.requests.take(slot) else { return };
        let now = self.run.scheduler.now();
        let node = &mut self.cluster[to];
        let Some(running) = node.running_mut() else {
            self.run.scheduler.count(EventKind::Undelivered, tag.0);
            self.run.observer.reach(Spot::RejectedByDownNode);
            let reason = RejectReason::NotLeader { leader: None };
            return self.reply(to, &Output::Rejected { tag, reason }, None);
        };
        running.requests.unanswered.push(tag);
        if let Some((client, op)) = self.load.clients.attempt_owner(tag) {
            self.run.observer.client_request(now, client, op, tag, to.id());
        }
        self.run.observe(Observation::RequestReceived { node: to.id(), tag });
        match kind {
            RequestKind::Propose(command, acknowledge) => {
                let command = self.load.clients.principal(tag).stamp(&command);
                let proposal = Proposal { tag, acknowledge, command };
                if self.cluster[to].gather(proposal, &mut self.run) {
                    self.propose_batch(to);
                }
            }
            RequestKind::Read(level, query) => {
                let led_from = running.leadership.last_before_leading;
                self.run.observer.read_requested(&running.status, led_from, tag, level);
                self.step(to, Input::Read { tag, level, query });
                self.run.observer.read_taken();
            }
        }
    }

    /// Proposes the batch that a driver has gathered.
    pub(super) fn propose_batch(&mut self, place: Place) {
        if let Some(batch) = self.cluster[place].take_batch(&mut self.run) {
            self.step(place, batch);
        }
    }

    /// Delivers a request of the operator, if its node is up and the cluster survives the change.
    pub(super) fn admin_request(&mut self, number: u32) {
        let Some((place, request)) = self.load.operator.get(number) else { return };
        let (place, fault) = (*place, request.fault());
        let raised = match request {
            AdminRequest::RaiseVersion(version) => Some(*version),
            _ => None,
        };
        if matches!(request, AdminRequest::Change(change)
            if !self.cluster.survives_change(place, change))
        {
            return;
        }
        let Some(running) = self.cluster[place].running_mut() else { return };
        if self.stabilization.is_none() {
            self.run.observer.fault(fault, Some(running.status.role));
        }
        if fault == Fault::Transfer {
            self.run.observer.while_read_lease_granted(place.id(), Spot::ReadLeaseAtTransfer);
        }
        let (tag, input) = self.load.operator.begin(number);
        running.requests.unanswered.push(tag);
        self.step(place, input);
        if let Some(version) = raised {
            let World { run, cluster, .. } = self;
            let now = run.scheduler.now();
            versions::check_raise(cluster, place, version, now, &mut run.observer);
        }
    }

    /// Passes an input to a node, and executes the outputs of the step.
    pub(super) fn step(&mut self, place: Place, input: Input) {
        self.take_step(place, input, None);
    }

    /// Passes an input to a node, and executes the outputs of the step. `message` is the message in
    /// the input, if the checks see it. The digest and the checks depend on the order:
    ///
    /// 1. the node takes the step; if it leads, the coverage marks of the step are reached;
    /// 2. the digest and the leaders over time are updated;
    /// 3. the checks see the message that the node took, if it took one;
    /// 4. the checks see the writes that have become durable, and the entries that are damaged or
    ///    repaired;
    /// 5. the checks see the step itself, after the durable writes that allowed it;
    /// 6. a change of the membership is noted, after the checks have seen its step;
    /// 7. the step ends as in [`World::end_step`].
    fn take_step(&mut self, place: Place, input: Input, message: Option<&Message>) {
        let kind = EventKind::of(&input);
        let replying = replying_peer(&input).filter(|_| self.run.observer.has_checks());
        let mut results = std::mem::take(&mut self.results);
        let World { run, cluster, load, faults, .. } = self;
        let before = cluster[place].step(input, &mut results, run);
        let (Some(before), Some(running)) = (before, cluster[place].running()) else {
            self.results = results;
            return;
        };
        let status = &running.status;
        run.scheduler.count(kind, status.term.0 << 8 ^ (place.0 as u64) << 4 ^ status.role as u64);
        let ladder = status.last.index.0 << 32 ^ status.committed.0 << 16 ^ status.durable.0;
        run.scheduler.fold(ladder ^ (results.outputs.len() as u64) << 56);
        if before.role != status.role {
            load.scripted.note_leader(cluster.leader(), run.scheduler.now());
        }
        if let Some(message) = message {
            running.show_message(message, run);
        }
        cluster.note_durable(place, &results.notes, run);
        cluster[place].note_damage(&results.notes, run);
        machine::note_leader_quarantine(&before, &results.outputs, &mut run.observer);
        if let Some(running) = cluster[place].running() {
            running.show_step(&before, replying, run);
            versions::check_role(running, run.scheduler.now(), &mut run.observer);
        }
        cluster.show_leases(place, &before, run);
        let survives = cluster.note_membership(place, &before, run);
        // A leader suspends voters without knowing which disks are lost. A majority of the
        // remaining voters may have lost their disks: then safety cannot hold.
        if !survives
            && run.setup.settings.config.suspension.is_some()
            && !cluster.is_not_bootstrapped()
        {
            faults.lose_safety(&mut run.observer);
        }
        self.end_step(place, &before, &mut results);
        self.results = results;
    }

    /// Ends a step of a node:
    ///
    /// 1. the checks see its notes, such as submitted writes, before the outputs that depend on
    ///    them;
    /// 2. its next wake-up is scheduled;
    /// 3. its outputs are executed one by one, and the node may crash between two;
    /// 4. the observer records its abstract state after the outputs, if it records such states.
    fn end_step(&mut self, place: Place, before: &Status, results: &mut StepResults) {
        self.cluster[place].take_notes(&mut results.notes, &mut self.run);
        self.cluster[place].schedule_wake(&mut self.run.scheduler);
        self.execute_outputs(place, before, &mut results.outputs);
        if self.in_fault_phase() {
            self.cluster.show_abstract_state(place, &mut self.run);
        }
        results.outputs.clear();
    }
}
