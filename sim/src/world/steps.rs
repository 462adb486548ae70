//! The events of nodes: packets and requests that reach them, their timers, and what their hosts
//! finish; each becomes an input of a step.

use quorate::raft::{RejectReason, Status};
use quorate::replica::{Input, WorkResult};
use quorate::storage::Lane;
use quorate::types::{Packet, Proposal, SnapshotTransferBody};

use crate::faults::{AdminRequest, Fault};
use crate::observe::Observation;
use crate::observe::coverage::Spot;
use crate::observer::Observer;
use crate::plan::Trigger;
use crate::world::World;
use crate::world::cluster::steps::{StepResults, replying_peer};
use crate::world::faults::machine;
use crate::world::load::clients::{Request, RequestKind};
use crate::world::load::replies::ClientReply;
use crate::world::network::envelope::Envelope;
use crate::world::place::Place;
use crate::world::run::Run;
use crate::world::scheduler::EventKind;

impl World {
    /// Starts a node that is down.
    pub(super) fn start(&mut self, place: Place, start_number: u16, observer: &mut Observer) {
        let (cluster, mut run) = self.cluster_and_run(observer);
        if !cluster.start(place, start_number, &mut run) {
            return;
        }
        let mut results = std::mem::take(&mut self.results);
        if let Some(status) = self.cluster[place].take_first_step(&mut results) {
            self.faults.taint.started(place.id(), status.snapshot);
            self.end_step(place, &status, &mut results, observer);
        }
        self.results = results;
        if start_number > 1 {
            self.fire_trigger(Trigger::Restarts, place, None, observer);
        }
    }

    /// Delivers a packet to the node at `to`, even if it is addressed to another node.
    pub(super) fn receive(&mut self, to: Place, envelope: &Envelope, observer: &mut Observer) {
        let Some(running) = self.cluster[to].running() else {
            self.scheduler.count(EventKind::Undelivered, u64::from(to.0));
            observer.packet_dropped(self.scheduler.now(), to.id(), envelope.number);
            return;
        };
        let packet = envelope.decode();
        if let Some(message) = packet.message() {
            observer.received(message, running.status());
        }
        observer.packet_arrives(envelope.number);
        let part = matches!(&packet, Packet::SnapshotTransfer(transfer)
            if matches!(transfer.body, SnapshotTransferBody::Bytes(..)));
        self.step(to, Input::Packet(packet), observer);
        if part {
            self.fire_trigger(Trigger::ReceivesPart, to, None, observer);
        }
    }

    /// Wakes a node up at its deadline.
    pub(super) fn wake(&mut self, place: Place, start_number: u16, observer: &mut Observer) {
        if self.cluster[place].is_due(start_number, &mut self.scheduler) {
            self.step(place, Input::Timeout, observer);
        }
    }

    /// Executes the first disk operation of a lane; the node is notified at once or later.
    pub(super) fn operation_done(
        &mut self,
        place: Place,
        start_number: u16,
        lane: Lane,
        observer: &mut Observer,
    ) {
        let (cluster, mut run) = self.cluster_and_run(observer);
        let executed = cluster[place].execute_operation(start_number, lane, &mut run);
        let Some(executed) = executed else { return };
        if self.faults.plan.awaits_triggers() {
            for (trigger, peer) in self.cluster[place].triggers_of(&executed) {
                let peer = peer.and_then(|id| self.cluster.place(id));
                if self.fire_trigger(trigger, place, peer, observer) {
                    return;
                }
            }
        }
        let (cluster, mut run) = self.cluster_and_run(observer);
        if cluster[place].finish_operation(executed, &mut run) {
            self.report_completions(place, start_number, lane, observer);
        }
    }

    /// Notifies a node of every finished operation of a lane.
    pub(super) fn report_completions(
        &mut self,
        place: Place,
        start_number: u16,
        lane: Lane,
        observer: &mut Observer,
    ) {
        loop {
            let (cluster, mut run) = self.cluster_and_run(observer);
            let input = cluster[place].next_completion(start_number, lane, &mut run);
            let Some(input) = input else { return };
            self.step(place, input, observer);
        }
    }

    /// Finishes the first work of a worker, and passes the result to the node.
    pub(super) fn work_done(&mut self, place: Place, start_number: u16, observer: &mut Observer) {
        let (cluster, mut run) = self.cluster_and_run(observer);
        let Some(done) = cluster[place].execute_work(start_number, &mut run) else { return };
        if let WorkResult::Restored { last, .. } = &done {
            self.faults.taint.restored(place.id(), *last);
            if self.fire_trigger(Trigger::RestoresSnapshot, place, None, observer) {
                return;
            }
        }
        let (cluster, mut run) = self.cluster_and_run(observer);
        cluster[place].begin_work(&mut run);
        self.step(place, Input::WorkDone(done), observer);
    }

    /// Finishes the request of a node for its worker's frozen view.
    pub(super) fn view_done(&mut self, place: Place, start_number: u16, observer: &mut Observer) {
        let (cluster, mut run) = self.cluster_and_run(observer);
        let Some(input) = cluster[place].finish_view(start_number, &mut run) else { return };
        if let Input::ViewFrozen(last) = &input {
            self.faults.taint.note_snapshot(place.id(), last.index);
        }
        self.step(place, input, observer);
    }

    /// Delivers a client's request to its node.
    pub(super) fn request(&mut self, slot: u32, observer: &mut Observer) {
        let Some(Request { to, tag, kind }) = self.load.collect(slot) else { return };
        let now = self.scheduler.now();
        let node = &mut self.cluster[to];
        let start_number = node.start_number();
        let Some(running) = node.running_mut() else {
            self.scheduler.count(EventKind::Undelivered, tag.0);
            observer.reach(Spot::RejectedByDownNode);
            let rejected = ClientReply::Rejected(RejectReason::NotLeader { leader: None });
            return self.reply(tag, rejected, observer);
        };
        running.requests.add(tag);
        if let Some((client, op)) = self.load.clients().attempt_owner(tag) {
            observer.client_request(now, client, op, tag, to.id());
        }
        observer.observe(now, Observation::RequestReceived { node: to.id(), tag });
        match kind {
            RequestKind::Propose(command, acknowledge) => {
                let proposal = Proposal { tag, acknowledge, command };
                let (cluster, mut run) = self.cluster_and_run(observer);
                if cluster[to].gather(proposal, &mut run) {
                    self.propose_batch(to, start_number, observer);
                }
            }
            RequestKind::Read(level, query) => {
                let led_from = running.leadership.last_before_leading();
                observer.read_requested(running.status(), led_from, tag, level);
                self.step(to, Input::Read { tag, level, query }, observer);
                observer.read_taken();
            }
        }
    }

    /// Proposes the batch that a driver has gathered.
    pub(super) fn propose_batch(
        &mut self,
        place: Place,
        start_number: u16,
        observer: &mut Observer,
    ) {
        let (cluster, mut run) = self.cluster_and_run(observer);
        if let Some(batch) = cluster[place].take_batch(start_number, &mut run) {
            self.step(place, batch, observer);
        }
    }

    /// Delivers a request of the operator, if its node is up and the cluster survives the change.
    pub(super) fn admin_request(&mut self, number: u32, observer: &mut Observer) {
        let operator = &mut self.load.operator;
        let Some((place, request)) = operator.get(number) else { return };
        let (place, fault) = (*place, request.fault());
        if matches!(request, AdminRequest::Change(change)
            if !self.cluster.survives_change(place, change))
        {
            return;
        }
        let Some(running) = self.cluster[place].running_mut() else { return };
        if self.recovery.in_fault_phase() {
            observer.fault(fault, Some(running.status().role));
        }
        if fault == Fault::Transfer {
            observer.while_read_lease_granted(place.id(), Spot::ReadLeaseAtTransfer);
        }
        let (tag, input) = operator.begin(number);
        running.requests.add(tag);
        self.step(place, input, observer);
    }

    /// Passes an input to a node, and executes the outputs of the step. The digest and the checks
    /// depend on the order:
    ///
    /// 1. the node takes the step; if it leads, the coverage marks of the step are reached;
    /// 2. the digest and the leaders over time are updated;
    /// 3. writes that have become durable are shown;
    /// 4. the step itself is shown, after the writes that allowed it;
    /// 5. a change of the membership is noted, after the checks have seen its step;
    /// 6. what follows in [`World::end_step`].
    pub(super) fn step(&mut self, place: Place, input: Input, observer: &mut Observer) {
        let kind = EventKind::of(&input);
        let replying = replying_peer(&input).filter(|_| observer.has_checks());
        let mut results = std::mem::take(&mut self.results);
        let World { setup, scheduler, cluster, load, faults, .. } = self;
        let mut run = Run { setup, scheduler, observer };
        let before = cluster[place].step(input, &mut results, &mut run);
        let (Some(before), Some(running)) = (before, cluster[place].running()) else {
            self.results = results;
            return;
        };
        let status = running.status();
        run.scheduler.count(kind, status.term.0 << 8 ^ (place.0 as u64) << 4 ^ status.role as u64);
        let ladder = status.last.index.0 << 32 ^ status.committed.0 << 16 ^ status.durable.0;
        run.scheduler.fold(ladder ^ (results.outputs.len() as u64) << 56);
        if before.role != status.role {
            load.note_leader(cluster.leader(), run.scheduler.now());
        }
        cluster.note_durable(place, &results.notes, &mut run);
        machine::note_leader_quarantine(&before, &results.outputs, run.observer);
        if let Some(running) = cluster[place].running() {
            running.show_step(&before, replying, &mut run);
        }
        let survives = cluster.note_membership(place, &before, run.observer);
        // A leader suspends voters without knowing which disks are lost. The voters that remain may
        // have lost a majority of theirs: then safety cannot hold.
        if !survives && setup.settings.config.suspension.is_some() && !cluster.is_not_bootstrapped()
        {
            faults.lose_safety(observer);
        }
        self.end_step(place, &before, &mut results, observer);
        self.results = results;
    }

    /// Ends a step of a node:
    ///
    /// 1. its notes, such as submitted writes, are shown before the outputs that depend on them;
    /// 2. its next wake-up is scheduled;
    /// 3. its outputs are executed one by one, and the node may crash between two;
    /// 4. its abstract state after that is shown.
    fn end_step(
        &mut self,
        place: Place,
        before: &Status,
        results: &mut StepResults,
        observer: &mut Observer,
    ) {
        let (cluster, mut run) = self.cluster_and_run(observer);
        cluster[place].take_notes(&mut results.notes, &mut run);
        cluster[place].schedule_wake(run.scheduler);
        self.execute_outputs(place, before, &mut results.outputs, observer);
        if self.recovery.in_fault_phase() {
            self.cluster.show_shape(place, self.scheduler.now(), observer);
        }
        results.outputs.clear();
    }
}
