//! The load of a run: clients that send one operation after another, and probes at its end.

use std::time::Duration;

use quorate_sim::observe::outcome::Failure;
use quorate_sim::values::choice::{Key, Kind};

use crate::checks::{Checked, violated};
use crate::cluster::{Cluster, Event, Stabilization};
use crate::guest::Guest;
use crate::machine::REGISTERS;
use crate::node::Input;

/// The number of rounds of probes within which a cluster without faults must make progress. A round
/// takes the longest election timeout, or eight times the longest latency if that is longer.
const PROGRESS_TIMEOUTS: u32 = 100;

impl<G: Guest> Cluster<G> {
    /// A client starts its next operation, unless the fault phase is over.
    pub(crate) fn client(&mut self, client: u16) -> Checked {
        if self.stabilization.is_some() {
            return Ok(());
        }
        let counter = self.clients.count() as u32;
        let key = Key { counter: counter * 4, peer: client + 1, ..Kind::Client.key() };
        let mut draw = self.choices.draw(key);
        let stays = !draw.chance(300);
        let any = draw.below(self.nodes.len() as u64) as usize;
        let place = self.leader().filter(|_| stays).unwrap_or(any);
        let register = draw.below(REGISTERS as u64) as usize;
        let is_read = draw.chance(self.settings.read_permille);
        self.ask(place, register, is_read, Some(client)).map(|_| ())
    }

    /// Sends an operation to a node, and returns its number.
    pub(crate) fn ask(
        &mut self,
        place: usize,
        register: usize,
        is_read: bool,
        client: Option<u16>,
    ) -> Result<u64, Failure> {
        let asked = (place, self.nodes[place].start);
        let operation = self.clients.invoke(register, is_read, asked, client);
        self.schedule.after(self.settings.request_timeout, Event::Expire { operation });
        self.input(place, Input::Operation(operation))?;
        Ok(operation)
    }

    /// Lets the client of an operation continue after a pause.
    pub(crate) fn next_operation(&mut self, number: u64) {
        let client = self.clients.request(number).and_then(|request| request.client);
        if let Some(client) = client {
            let counter = number as u32;
            let key = Key { peer: client + 1, counter, ..Kind::ThinkTime.key() };
            let pause = self.choices.within(key, self.settings.think_time);
            self.schedule.after(pause.max(Duration::from_micros(100)), Event::Client { client });
        }
    }

    /// A client no longer waits for an operation.
    pub(crate) fn expire(&mut self, operation: u64) -> Checked {
        if self.clients.request(operation).is_some_and(|it| it.is_pending()) {
            self.clients.expire(operation);
            self.next_operation(operation);
        }
        Ok(())
    }

    /// Checks for progress in the stabilization phase, and sends every node another probe.
    pub(crate) fn probe(&mut self) -> Checked {
        let Some(phase) = &self.stabilization else { return Ok(()) };
        let replied = |number: &u64| {
            let request = self.clients.request(*number)?;
            request.replied.then_some(())
        };
        let answered = phase.probes.iter().any(|number| replied(number).is_some());
        let committed = self.checks.committed().len() as u64;
        let behind = self.nodes.iter().find(|node| node.applied < committed);
        if answered && behind.is_none() {
            self.stabilization = Some(Stabilization { is_over: true, ..Default::default() });
            return Ok(());
        }
        let timeout = self.settings.config.election_timeout_max.max(self.settings.latency.max * 8);
        let rounds = phase.probes.len() / self.nodes.len();
        if rounds as u32 >= PROGRESS_TIMEOUTS {
            let now = self.schedule.now();
            return Err(match behind.filter(|_| answered) {
                Some(node) => {
                    let (id, applied) = (node.id, node.applied);
                    let text = format!(
                        "{id} has applied {applied} of {committed} entries, {PROGRESS_TIMEOUTS} \
                         rounds of probes after all faults"
                    );
                    violated("L5", now, text)
                }
                None => {
                    let text = format!(
                        "no command is committed in {PROGRESS_TIMEOUTS} rounds of probes after \
                         all faults"
                    );
                    violated("L1", now, text)
                }
            });
        }
        self.schedule.after(timeout, Event::Probe);
        for place in 0..self.nodes.len() {
            let number = self.ask(place, 0, false, None)?;
            if let Some(phase) = &mut self.stabilization {
                phase.probes.push(number);
            }
        }
        Ok(())
    }
}
