//! Advances the world, event by event, and dispatches each event to the owner of its state.

use quorate::replica::Input;

use crate::observer::Observer;
use crate::world::World;
use crate::world::place::Place;
use crate::world::scheduler::queue::Event;

impl World {
    /// Runs to the end, until `observer` has seen a violation, or until there were `events_max`
    /// events.
    pub(crate) fn run(&mut self, observer: &mut Observer, events_max: u64) {
        while !self.ended
            && self.scheduler.events() < events_max
            && observer.may_continue(self.scheduler.next())
            && self.advance(observer)
        {}
    }

    /// Executes the next event; returns false if there is none, or if there are far too many.
    pub(super) fn advance(&mut self, observer: &mut Observer) -> bool {
        let Some(event) = self.scheduler.advance() else { return false };
        let receiver = self.receiver(event);
        if !receiver.is_some_and(|place| self.cluster[place].defer(event)) {
            self.dispatch(event, observer);
        }
        true
    }

    fn dispatch(&mut self, event: Event, observer: &mut Observer) {
        match event {
            Event::Arrive { slot } => {
                if let Some(envelope) = self.network.collect(slot)
                    && let Some(place) = self.cluster.place(envelope.to)
                {
                    self.receive(place, &envelope, observer);
                }
            }
            Event::Inject { place, slot } => {
                if let Some(envelope) = self.network.collect(slot) {
                    self.receive(place, &envelope, observer);
                }
            }
            Event::Request { slot } => self.request(slot, observer),
            Event::BatchReady { place, start_number } => {
                self.propose_batch(place, start_number, observer);
            }
            Event::Wake { place, start_number } => self.wake(place, start_number, observer),
            Event::OperationDone { place, start_number, lane } => {
                self.operation_done(place, start_number, lane, observer);
            }
            Event::CompletionReported { place, start_number, lane } => {
                self.report_completions(place, start_number, lane, observer);
            }
            Event::WorkDone { place, start_number } => {
                self.work_done(place, start_number, observer);
            }
            Event::ViewDone { place, start_number } => {
                self.view_done(place, start_number, observer);
            }
            Event::ExecuteOutput { place, start_number } => {
                self.execute_next_output(place, start_number, observer);
            }
            Event::Stop { place } => self.step(place, Input::Close, observer),
            Event::AdminRequest { request } => self.admin_request(request, observer),
            Event::Campaign { place } => self.step(place, Input::Campaign, observer),
            Event::Restart { place, start_number } => {
                if self.recovery.may_recover(place) {
                    self.start(place, start_number, observer);
                }
            }
            Event::Resume { place, pause } => {
                if self.recovery.may_recover(place) {
                    let (cluster, mut run) = self.cluster_and_run(observer);
                    cluster[place].resume(pause, &mut run);
                }
            }
            Event::ClientTimer { client, timer } => {
                let (load, mut run) = self.load_and_surroundings(observer);
                load.client_timer_fires(client, timer, &mut run);
            }
            Event::Planned { op } => self.planned(op, observer),
            Event::FireDelayed { number } => self.fire_delayed(number, observer),
            Event::EndEffect { effect } => self.end_effect(effect, observer),
            Event::Flap { effect } => self.flap(effect, observer),
            Event::PollRead { effect } => self.poll_read(effect, observer),
            Event::Reseed { micros } => self.setup.choices.reseed(micros),
            Event::Stabilize => self.begin_stabilization(observer),
            Event::CheckProgress => self.check_progress(observer),
            Event::End => self.end(observer),
        }
    }

    /// Returns the node that misses the event if its process is paused.
    fn receiver(&self, event: Event) -> Option<Place> {
        match event {
            Event::Arrive { slot } => {
                self.network.peek(slot).and_then(|envelope| self.cluster.place(envelope.to))
            }
            Event::Request { slot } => self.load.place_of(slot),
            Event::AdminRequest { request } => Some(self.load.operator.place_of(request)),
            Event::Wake { place, .. }
            | Event::Inject { place, .. }
            | Event::BatchReady { place, .. }
            | Event::CompletionReported { place, .. }
            | Event::WorkDone { place, .. }
            | Event::ViewDone { place, .. }
            | Event::ExecuteOutput { place, .. }
            | Event::Stop { place }
            | Event::Campaign { place } => Some(place),
            Event::OperationDone { .. }
            | Event::Restart { .. }
            | Event::Resume { .. }
            | Event::ClientTimer { .. }
            | Event::Planned { .. }
            | Event::FireDelayed { .. }
            | Event::EndEffect { .. }
            | Event::Flap { .. }
            | Event::PollRead { .. }
            | Event::Reseed { .. }
            | Event::Stabilize
            | Event::CheckProgress
            | Event::End => None,
        }
    }
}
