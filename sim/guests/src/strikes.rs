//! Carries out the operations of a plan on a cluster, and ends them.

use std::time::Duration;

use quorate_sim::faults::{
    KeptWrites, LinkFault, LoadSpike, NodeSelector, UNTIL_STABILIZATION, Verb,
};
use quorate_sim::link::Link;
use quorate_sim::plan::Trigger;
use quorate_sim::values::time::SimTime;

use crate::checks::Checked;
use crate::cluster::{Cluster, Event, Stabilization};
use crate::guest::{Guest, NodeId};
use crate::nemesis::Block;
use crate::node::{Handicap, Input};

/// The maximum number of ticks of a clock step.
const STEP_TICKS_MAX: u128 = 200;

impl<G: Guest> Cluster<G> {
    /// Carries out the operations that wait for this trigger at a node.
    pub(crate) fn fire(&mut self, trigger: Trigger, place: usize) -> Checked {
        let (node, now) = (self.nodes[place].id, self.schedule.now());
        for (op, delay) in self.nemesis.fired(trigger, node, now) {
            if delay.is_zero() {
                self.strike(op, Some(place))?;
            } else {
                self.schedule.after(delay, Event::Delayed { op, it: place });
            }
        }
        Ok(())
    }

    pub(crate) fn handle_fault(&mut self, event: Event<G::Message>) -> Checked {
        match event {
            Event::Heal => return self.heal(),
            _ if self.stabilization.is_some() => {}
            Event::Due { op } if self.nemesis.due(op).is_some() => return self.strike(op, None),
            Event::Delayed { op, it } => return self.strike(op, Some(it)),
            Event::Unblock { block } => return self.set_blocked(block, false),
            Event::Flap { block } => return self.flap(block),
            Event::DriftEnds { place } => self.nodes[place].handicap.end_drift(),
            Event::SlowDiskEnds { place, by } => self.nodes[place].handicap.sync -= by,
            Event::PollRead { place, period, times } => {
                if times > 1 {
                    let next = Event::PollRead { place, period, times: times - 1 };
                    self.schedule.after(period, next);
                }
                self.ask(place, 0, true, None)?;
            }
            _ => {}
        }
        Ok(())
    }

    /// Returns the place of the node that a selector means.
    fn place(&self, node: NodeSelector, it: Option<usize>) -> Option<usize> {
        let place = match node {
            NodeSelector::Node(NodeId(id)) => Some(id as usize - 1),
            NodeSelector::It | NodeSelector::Other => it,
            NodeSelector::Leader => self.leader(),
        };
        place.filter(|place| *place < self.nodes.len())
    }

    /// Carries out an operation; `it` is the node that met its trigger.
    fn strike(&mut self, op: usize, it: Option<usize>) -> Checked {
        if self.stabilization.is_some() {
            return Ok(());
        }
        let verb = self.nemesis.verb(op);
        let resolve = |node| self.place(node, it).map(|place| self.nodes[place].id);
        if let Some((fault, selected)) = verb.links(&resolve) {
            self.count(&verb);
            return self.change_links(fault, &selected, verb.duration().unwrap_or_default());
        }
        let place = node_of(&verb).and_then(|node| self.place(node, it));
        let Some(place) = place else { return Ok(()) };
        if self.nodes[place].core.is_none() {
            return Ok(());
        }
        self.count(&verb);
        self.trace(place, || format!("meets `{verb}`"));
        self.strike_node(verb, place)
    }

    fn count(&mut self, verb: &Verb) {
        if let Some(fault) = verb.fault() {
            *self.tally.faults.entry(fault.name()).or_default() += 1;
        }
    }

    fn strike_node(&mut self, verb: Verb, place: usize) -> Checked {
        match verb {
            Verb::Crash(it) => self.end_process(place, it.keep, it.down)?,
            Verb::Stop(it) => self.end_process(place, KeptWrites::All, it.down)?,
            Verb::Pause(it) => {
                self.nodes[place].pauses += 1;
                let start = self.nodes[place].start;
                self.until(it.duration, Event::Resume { place, start });
            }
            Verb::ClockDrift(it) => {
                self.nodes[place].handicap.begin_drift(it.ppm);
                self.until(it.duration, Event::DriftEnds { place });
            }
            Verb::ClockStep(it) => {
                let tick = self.settings.config.heartbeat_interval / 2;
                let ticks = it.by.as_nanos() / tick.as_nanos().max(1);
                for _ in 0..ticks.min(STEP_TICKS_MAX) {
                    self.input(place, Input::Tick)?;
                }
            }
            Verb::SlowDisk(it) => {
                self.nodes[place].handicap.sync += it.by;
                self.until(it.duration, Event::SlowDiskEnds { place, by: it.by });
            }
            Verb::LoadSpike(LoadSpike::Commands(_, count)) => {
                for _ in 0..count {
                    self.ask(place, 0, false, None)?;
                }
            }
            Verb::LoadSpike(LoadSpike::PollReads(_, period, duration)) => {
                let times = (duration.as_nanos() / period.as_nanos()).clamp(1, 1_000) as u32;
                let poll = Event::PollRead { place, period, times };
                self.schedule.after(Duration::ZERO, poll);
            }
            _ => {}
        }
        Ok(())
    }

    /// Schedules the end of a fault, unless it lasts until the stabilization phase.
    fn until(&mut self, duration: Duration, end: Event<G::Message>) {
        if duration < UNTIL_STABILIZATION {
            self.schedule.after(duration, end);
        }
    }

    fn end_process(&mut self, place: usize, keep: KeptWrites, down: Duration) -> Checked {
        self.crash(place, keep)?;
        self.until(down, Event::Restart { place });
        Ok(())
    }

    fn change_links(
        &mut self,
        fault: LinkFault,
        selected: &dyn Fn(NodeId, NodeId) -> bool,
        duration: Duration,
    ) -> Checked {
        let count = self.nodes.len();
        let pairs = (0..count).flat_map(|from| (0..count).map(move |to| (from, to)));
        let id = |place: usize| self.nodes[place].id;
        let links: Vec<(usize, usize)> =
            pairs.filter(|(from, to)| from != to && selected(id(*from), id(*to))).collect();
        let end = self.schedule.now().after(duration);
        let flaps = match fault {
            LinkFault::Clog => {
                for (from, to) in links {
                    self.links[from * count + to].clog(end);
                }
                return Ok(());
            }
            LinkFault::Flap(period) => Some((period, end)),
            LinkFault::Block => None,
        };
        let block = self.nemesis.remember(Block { links, flaps, is_blocked: false });
        self.set_blocked(block, true)?;
        match flaps {
            Some((period, end)) => self.schedule_flap(block, period, end),
            None => self.until(duration, Event::Unblock { block }),
        }
        Ok(())
    }

    fn flap(&mut self, block: usize) -> Checked {
        let Block { flaps, is_blocked, .. } = *self.nemesis.block(block);
        let Some((period, end)) = flaps else { return Ok(()) };
        if self.schedule.now() >= end {
            return self.set_blocked(block, false);
        }
        self.schedule_flap(block, period, end);
        self.set_blocked(block, !is_blocked)
    }

    /// Schedules the next change of flapping links, at the latest at the end of the fault.
    fn schedule_flap(&mut self, block: usize, period: Duration, end: SimTime) {
        let next = self.schedule.now().after(period);
        self.schedule.at(next.min(end), Event::Flap { block });
    }

    /// Blocks the links of an operation, or lifts that block.
    fn set_blocked(&mut self, block: usize, blocked: bool) -> Checked {
        let block = self.nemesis.block(block);
        if block.is_blocked == blocked {
            return Ok(());
        }
        block.is_blocked = blocked;
        let links = block.links.clone();
        let count = self.nodes.len();
        for (from, to) in &links {
            let link = &mut self.links[from * count + to];
            if blocked {
                link.block()
            } else {
                link.unblock()
            }
            self.end_session(*from, *to);
        }
        if !blocked {
            for (from, to) in links {
                self.reconnect(from, to)?;
            }
        }
        Ok(())
    }

    /// Notifies two nodes that they can reach each other again, if they can.
    pub(crate) fn reconnect(&mut self, one: usize, other: usize) -> Checked {
        let count = self.nodes.len();
        let is_open =
            self.links[one * count + other].is_open() && self.links[other * count + one].is_open();
        let run = self.nodes[one].core.is_some() && self.nodes[other].core.is_some();
        if one == other || !is_open || !run {
            return Ok(());
        }
        let (first, second) = (self.nodes[one].id, self.nodes[other].id);
        self.input(one, Input::Reconnected(second))?;
        self.input(other, Input::Reconnected(first))
    }

    /// Ends all faults: the stabilization phase begins.
    fn heal(&mut self) -> Checked {
        self.stabilization = Some(Stabilization::default());
        self.nemesis.end();
        for (link, session) in self.links.iter().zip(&mut self.sessions) {
            *session += u32::from(!link.is_open());
        }
        self.links.iter_mut().for_each(Link::exempt_from_faults);
        for place in 0..self.nodes.len() {
            let node = &mut self.nodes[place];
            let steps = node.handicap.steps;
            node.handicap = Handicap { steps, ..Handicap::default() };
            node.pauses = 0;
            node.crash_after = None;
            self.start(place)?;
        }
        for one in 0..self.nodes.len() {
            for other in 0..one {
                self.reconnect(one, other)?;
            }
        }
        self.schedule.after(Duration::ZERO, Event::Probe);
        Ok(())
    }
}

/// Returns the node that an operation strikes, if it is one of those that strike a node.
fn node_of(verb: &Verb) -> Option<NodeSelector> {
    Some(match verb {
        Verb::Crash(it) => it.node,
        Verb::Stop(it) => it.node,
        Verb::Pause(it) => it.node,
        Verb::ClockDrift(it) => it.node,
        Verb::ClockStep(it) => it.node,
        Verb::SlowDisk(it) => it.node,
        Verb::LoadSpike(LoadSpike::Commands(node, _) | LoadSpike::PollReads(node, ..)) => *node,
        _ => return None,
    })
}
