//! Advances the world, event by event, and dispatches each event to the owner of its state.

use quorate::replica::Input;

use crate::observe::Observation;
use crate::world::World;
use crate::world::place::{Place, Start};
use crate::world::scheduler::{Event, ProcessEvent};

impl World {
    /// Runs to the end, until the observer has seen a violation or its recording is complete, or
    /// until there were `events_max` events.
    pub(crate) fn run(&mut self, events_max: u64) {
        while !self.ended
            && self.run.scheduler.events < events_max
            && self.run.observer.may_continue(self.run.scheduler.next())
            && self.advance()
        {}
    }

    /// Executes the next event; returns false if the scheduler has none or cannot go on.
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
            Event::Arrive { place, slot } => {
                if let Some(envelope) = self.network.in_flight.take(slot) {
                    self.receive(place, &envelope);
                }
            }
            Event::Request { slot } => self.request(slot),
            Event::Process { place, start_number, event } => {
                if self.cluster[place].start().number == start_number {
                    self.continue_process(place, event);
                }
            }
            Event::Stop { place } => self.step(place, Input::Close),
            Event::AdminRequest { request } => self.admin_request(request),
            Event::Campaign { place } => {
                self.run.observe(Observation::FaultInput { node: place.id() });
                self.step(place, Input::Campaign);
            }
            Event::Restart { place, start_number } => {
                self.start(Start { place, number: start_number });
            }
            Event::Resume { place, pause } => {
                if self.may_recover(place) {
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
            Event::Plan(event, number) => {
                // In the stabilization phase the plan neither begins nor ends faults.
                if self.in_fault_phase() {
                    self.continue_plan(event, number);
                }
            }
        }
    }

    /// Continues the running process of a node.
    fn continue_process(&mut self, place: Place, event: ProcessEvent) {
        let World { run, cluster, .. } = self;
        let node = &mut cluster[place];
        match event {
            ProcessEvent::BatchReady => self.propose_batch(place),
            ProcessEvent::Wake => {
                if node.is_due(&mut run.scheduler) {
                    self.step(place, Input::Timeout);
                }
            }
            ProcessEvent::OperationDone(lane) => self.operation_done(place, lane),
            ProcessEvent::CompletionReported(lane) => self.report_completions(place, lane),
            ProcessEvent::WorkDone => self.work_done(place),
            ProcessEvent::ViewDone => self.view_done(place),
            ProcessEvent::ExecuteOutput => {
                if let Some(output) = node.next_output(run) {
                    run.observe(Observation::OutputDelayed { node: place.id() });
                    self.execute_output(place, output);
                }
            }
        }
    }

    /// Returns the node that takes the event only after its pause, if its process is paused.
    fn receiver(&self, event: Event) -> Option<Place> {
        match event {
            Event::Request { slot } => {
                self.load.clients.requests.get(slot).map(|request| request.to)
            }
            Event::AdminRequest { request } => Some(self.load.operator.place_of(request)),
            Event::Process { event: ProcessEvent::OperationDone(_), .. } => None,
            Event::Process { place, .. }
            | Event::Arrive { place, .. }
            | Event::Stop { place }
            | Event::Campaign { place } => Some(place),
            Event::Restart { .. }
            | Event::Resume { .. }
            | Event::ClientTimer { .. }
            | Event::Plan(..)
            | Event::Reseed { .. }
            | Event::Stabilize
            | Event::CheckProgress
            | Event::End => None,
        }
    }
}
