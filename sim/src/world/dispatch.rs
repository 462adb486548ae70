//! Advances the world, event by event, and dispatches each event to the owner of its state.

use quorate::replica::Input;

use crate::world::World;
use crate::world::place::Place;
use crate::world::scheduler::queue::Event;

impl World {
    /// Runs to the end, until the observer has seen a violation, or until there were `events_max`
    /// events.
    pub(crate) fn run(&mut self, events_max: u64) {
        while !self.ended
            && self.run.scheduler.events() < events_max
            && self.run.observer.may_continue(self.run.scheduler.next())
            && self.advance()
        {}
    }

    /// Executes the next event; returns false if there is none, or if there are far too many.
    pub(super) fn advance(&mut self) -> bool {
        let Some(event) = self.run.scheduler.advance() else { return false };
        let receiver = self.receiver(event);
        if !receiver.is_some_and(|place| self.cluster[place].defer(event)) {
            self.dispatch(event);
        }
        true
    }

    fn dispatch(&mut self, event: Event) {
        match event {
            Event::Arrive { slot } => {
                if let Some(envelope) = self.network.collect(slot)
                    && let Some(place) = self.cluster.place(envelope.to)
                {
                    self.receive(place, &envelope);
                }
            }
            Event::Inject { place, slot } => {
                if let Some(envelope) = self.network.collect(slot) {
                    self.receive(place, &envelope);
                }
            }
            Event::Request { slot } => self.request(slot),
            Event::BatchReady { place, start_number } => self.propose_batch(place, start_number),
            Event::Wake { place, start_number } => {
                if self.cluster[place].is_due(start_number, &mut self.run.scheduler) {
                    self.step(place, Input::Timeout);
                }
            }
            Event::OperationDone { place, start_number, lane } => {
                self.operation_done(place, start_number, lane);
            }
            Event::CompletionReported { place, start_number, lane } => {
                self.report_completions(place, start_number, lane);
            }
            Event::WorkDone { place, start_number } => self.work_done(place, start_number),
            Event::ViewDone { place, start_number } => self.view_done(place, start_number),
            Event::ExecuteOutput { place, start_number } => {
                if let Some(output) = self.cluster[place].next_output(start_number, &mut self.run) {
                    self.execute_output(place, output);
                }
            }
            Event::Stop { place } => self.step(place, Input::Close),
            Event::AdminRequest { request } => self.admin_request(request),
            Event::Campaign { place } => self.step(place, Input::Campaign),
            Event::Restart { place, start_number } => self.start(place, start_number),
            Event::Resume { place, pause } => {
                if self.recovery.may_recover(place) {
                    self.cluster[place].resume(pause, &mut self.run);
                }
            }
            Event::ClientTimer { client, timer } => {
                let (load, mut run) = self.load_and_surroundings();
                load.client_timer_fires(client, timer, &mut run);
            }
            Event::Reseed { micros } => self.run.setup.choices.reseed(micros),
            Event::Stabilize => self.begin_stabilization(),
            Event::CheckProgress => self.check_progress(),
            Event::End => self.end(),
            Event::Plan(event) => {
                // The stabilization phase keeps the faults that it finds, and begins no others.
                if self.recovery.in_fault_phase() {
                    self.continue_plan(event);
                }
            }
        }
    }

    /// Returns the node that misses the event if its process is paused.
    fn receiver(&self, event: Event) -> Option<Place> {
        match event {
            Event::Arrive { slot } => {
                self.network.peek(slot).and_then(|envelope| self.cluster.place(envelope.to))
            }
            Event::Request { slot } => self.load.clients.place_of(slot),
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
            | Event::Plan(_)
            | Event::Reseed { .. }
            | Event::Stabilize
            | Event::CheckProgress
            | Event::End => None,
        }
    }
}
