//! After the storm: a core of nodes is made well, every other fault stays for ever, and the core
//! must make progress, agree, and fall silent.

use std::fmt::Write;
use std::time::Duration;

use quorate::raft::RoleName;
use quorate::types::{Index, NodeId};

use crate::choice::{Key, Kind};
use crate::observe::{Seen, Violation};
use crate::settings::Settings;
use crate::span::Span;
use crate::witness::Witness;
use crate::world::World;
use crate::world::calm::Calm;
use crate::world::client::Ask;
use crate::world::network::Links;
use crate::world::node::{Node, Place, Running};
use crate::world::queue::Event;

/// How long the core may stand still, in election timeouts.
const STANDSTILL_TIMEOUTS: u32 = 30;
/// How long the core may take in all.
const CALM_MAX: Duration = Duration::from_secs(300);
/// How long the run goes on while nothing is asked of the cluster.
const IDLE: Duration = Duration::from_secs(5);

impl World {
    /// The storm ends.
    pub(super) fn begin_calm(&mut self, witness: &mut Witness) {
        let core = self.draw_core();
        self.settings.calmed();
        let in_core = |place: Place| core.contains(&place);
        let sound = self.links(|from, to| in_core(from) && in_core(to));
        self.network.make_sound(sound);
        self.cut_off_the_rest(&core);
        for place in &core {
            self.make_well(*place);
        }
        let outside = self.nodes.iter().filter(|node| !core.contains(&node.place));
        let down = outside.clone().any(|node| node.running.is_none());
        let up = outside.clone().any(|node| node.running.is_some());
        witness.calm(up, down, core.iter().any(|place| place.0 >= self.settings.voters));
        let ids: Vec<NodeId> = core.iter().map(|place| place.id()).collect();
        witness.see(self.now, Seen::Calm { core: &ids });
        let (since, progress_at) = (self.now, self.now);
        let storm_lands = self.network.latest_arrival();
        self.calm = Some(Calm {
            core,
            since,
            progress: 0,
            progress_at,
            probed: false,
            reads_served: 0,
            storm_lands,
        });
        self.wake_clients();
        self.queue.push(self.now, Event::Look);
    }

    /// A majority of the voters, seldom more, and most learners.
    fn draw_core(&self) -> Vec<Place> {
        let mut draw = self.choices.draw(Kind::Calm.key());
        let voters = self.settings.voters;
        let majority = voters / 2 + 1;
        let spare = draw.below(u64::from(voters - majority) + 1).min(draw.below(8)) as u8;
        let first = draw.below(u64::from(voters)) as u8;
        let backward = *draw.pick(&[false, true]);
        // Whoever lost something of its disk may be down for ever.
        let whole = |place: &Place| !self.nodes[place.0 as usize].damaged;
        let fit: Vec<Place> = (0..voters).map(Place).filter(whole).collect();
        assert!(fit.len() >= majority.into(), "most voters' disks are whole");
        let step = if backward { fit.len() - 1 } else { 1 };
        let places = (0..usize::from(majority + spare)).map(|at| usize::from(first) + at * step);
        let mut core: Vec<Place> = places.map(|at| fit[at % fit.len()]).collect();
        let learners = (voters..self.settings.nodes()).filter(|_| !draw.chance(200));
        core.extend(learners.map(Place).filter(whole));
        core.sort_unstable();
        core.dedup();
        core
    }

    /// Cuts links between the core and the nodes outside, for ever: both ways where the run's
    /// options promise nothing under half cuts. Otherwise an outside node keeps links in one
    /// direction, and in both to so few nodes that it cannot win.
    fn cut_off_the_rest(&mut self, core: &[Place]) {
        let in_core = |place: Place| core.contains(&place);
        if !self.settings.survives_half_cuts() {
            self.network.block(self.links(|from, to| in_core(from) != in_core(to)));
            return;
        }
        let majority = usize::from(self.settings.voters / 2 + 1);
        let outside: Vec<Place> = (0..self.settings.nodes()).map(Place).collect();
        let outside = outside.into_iter().filter(|place| !in_core(*place));
        let outside: Vec<Place> = outside.collect();
        let mut blocked = Links::default();
        for place in &outside {
            let key = Key { node: place.0 + 1, counter: 100, ..Kind::Calm.key() };
            let mut draw = self.choices.draw(key);
            // It counts itself, and every voter outside as if it were in its reach.
            let mut reach = outside.iter().filter(|other| other.0 < self.settings.voters).count();
            for member in core {
                let full = draw.chance(500) && reach + 1 < majority;
                match draw.below(3) {
                    _ if full => reach += 1,
                    0 => {
                        blocked = blocked
                            .and(Links::one(*place, *member))
                            .and(Links::one(*member, *place))
                    }
                    1 => blocked = blocked.and(Links::one(*place, *member)),
                    _ => blocked = blocked.and(Links::one(*member, *place)),
                }
            }
        }
        self.network.block(blocked);
    }

    /// No fault concerns the node any more.
    fn make_well(&mut self, place: Place) {
        let now = self.now;
        let node = &mut self.nodes[place.0 as usize];
        node.clock.drift(now, 0);
        node.disk.set_capacity(None);
        node.disk.disarm();
        node.fills = 0;
        node.stalled_until = now;
        node.flush_delay = Duration::ZERO;
        node.work_delay = Duration::ZERO;
        let (incarnation, pause) = (node.incarnation, node.pause);
        if node.running.is_none() {
            self.queue.push(now, Event::Restart { node: place.0, incarnation });
        }
        self.resume(place, pause);
        self.rearm(place);
    }

    /// Whether a node that is down or stands still may ever come back: outside the core of a calm
    /// world none does.
    pub(super) fn may_recover(&self, place: Place) -> bool {
        self.calm.as_ref().is_none_or(|calm| calm.core.contains(&place))
    }

    pub(super) fn probe_committed(&mut self) {
        if let Some(calm) = &mut self.calm {
            calm.probed = true;
        }
    }

    pub(super) fn probe_served(&mut self) {
        if let Some(calm) = &mut self.calm {
            calm.reads_served += 1;
        }
    }

    /// What the prober asks for next: a command at the leader, then a read at every core node.
    fn next_probe(&self, calm: &Calm) -> Option<Ask> {
        if self.clients.is_waiting(self.clients.prober()) {
            return None;
        }
        if calm.probed {
            return calm.core.get(calm.reads_served).map(|place| Ask::ReadAt(*place));
        }
        let any = calm.core[(self.events % calm.core.len() as u64) as usize];
        Some(Ask::ProposeAt(self.core_leader(calm).unwrap_or(any)))
    }

    /// Looks whether the core has made the progress that is due, and asks for it.
    pub(super) fn look(&mut self, witness: &mut Witness) {
        let Some(mut calm) = self.calm.take() else { return };
        if let Some(ask) = self.next_probe(&calm) {
            self.invoke(self.clients.prober(), ask, witness);
        }
        let progress = self.progress(&calm);
        if progress > calm.progress {
            (calm.progress, calm.progress_at) = (progress, self.now);
        }
        let standstill = self.settings.config.election_timeout_max * STANDSTILL_TIMEOUTS;
        let served = calm.probed && calm.reads_served == calm.core.len();
        let settled = served && self.settled(&calm).is_none();
        let landed = self.now > calm.storm_lands;
        if settled && landed {
            witness.see(self.now, Seen::Idle);
            self.queue.push(self.now.after(IDLE), Event::End);
        } else if !settled
            && (self.now.since(calm.progress_at) > standstill
                || self.now.since(calm.since) > CALM_MAX)
        {
            witness.fail(self.no_progress(&calm));
        } else {
            let again = self.now.after(self.settings.config.heartbeat_interval);
            self.queue.push(again, Event::Look);
        }
        self.calm = Some(calm);
    }

    /// The run is over.
    pub(super) fn end(&mut self, witness: &mut Witness) {
        let calm = self.calm.take();
        if let Some(what) = calm.as_ref().and_then(|calm| self.settled(calm)) {
            let saw = format!("while nothing was asked of the cluster: {what}");
            witness.fail(Violation { number: "L1", check: "progress", saw, at: self.now });
        }
        self.calm = calm;
        for running in self.nodes.iter().filter_map(|node| node.running.as_deref()) {
            running.look(self.now, witness);
        }
        witness.see(self.now, Seen::Ended);
        self.ended = true;
    }

    fn core_nodes<'w>(
        &'w self,
        calm: &'w Calm,
    ) -> impl Iterator<Item = (&'w Node, Option<&'w Running>)> {
        calm.core.iter().map(|place| {
            let node = &self.nodes[place.0 as usize];
            (node, node.running.as_deref())
        })
    }

    /// The core node that leads in the highest term, if one does.
    fn core_leader(&self, calm: &Calm) -> Option<Place> {
        self.leader().filter(|leader| calm.core.contains(leader))
    }

    /// A number that rises as core nodes get on.
    fn progress(&self, calm: &Calm) -> u64 {
        let far = |running: &Running| {
            let applied = running.worker.machine().applied().index;
            applied.0 + running.status.committed.0 + running.status.durable.0
        };
        let ladders: u64 = self.core_nodes(calm).map(|(_, node)| node.map_or(0, far)).sum();
        ladders + calm.reads_served as u64
    }

    /// What the core still lacks, if anything.
    fn settled(&self, calm: &Calm) -> Option<String> {
        let Some(leader) = self.core_leader(calm) else {
            return Some("no core node leads".to_owned());
        };
        let head = self.nodes[leader.0 as usize].running.as_deref()?;
        for (node, running) in self.core_nodes(calm) {
            let id = node.place.id();
            let Some(running) = running else { return Some(format!("{id} is down")) };
            let (status, lead) = (&running.status, &head.status);
            if status.term != lead.term || status.leader != Some(leader.id()) {
                return Some(format!("{id} does not follow {}", leader.id()));
            }
            let ladder = [status.last.index, status.durable, status.committed, status.applied];
            if status.last != lead.last || ladder != [lead.last.index; 4] {
                return Some(format!("{id} has not all of the log of {}", leader.id()));
            }
            let results = |running: &Running| running.worker.machine().results();
            if let (Some(found), Some(expected)) = (results(running), results(head))
                && found != expected
            {
                return Some(format!("the states of {id} and {} differ", leader.id()));
            }
            if let Some(tag) = running.unanswered.first() {
                return Some(format!("{id} has not answered {tag}"));
            }
        }
        (self.clients.waiting() > 0).then(|| "a client waits for an answer".to_owned())
    }

    /// Who waits for what: the evidence that the core stands still.
    fn no_progress(&self, calm: &Calm) -> Violation {
        let lacks = self.settled(calm).unwrap_or_else(|| match calm.core.get(calm.reads_served) {
            Some(place) if calm.probed => format!("{} serves no read", place.id()),
            _ => "no command is committed".to_owned(),
        });
        let mut saw = format!("{lacks}, {:?} after the storm;", self.now.since(calm.since));
        for node in &self.nodes {
            let id = node.place.id();
            let core = if calm.core.contains(&node.place) { "core" } else { "outside" };
            let hears = self.nodes.iter().filter(|other| {
                other.place != node.place && self.network.is_open(other.place, node.place)
            });
            let hears: Vec<String> = hears.map(|other| other.place.id().to_string()).collect();
            let state = match &node.running {
                None => "is down".to_owned(),
                Some(_) if node.held.is_some() => "stands still".to_owned(),
                Some(running) => blocked_state(running),
            };
            // Writing to a string cannot fail.
            let _ = write!(saw, " [{core}] {id} {state}, hears {};", hears.join(" "));
        }
        Violation { number: "L1", check: "progress", saw, at: self.now }
    }
}

impl Settings {
    /// What the storm adds to every step is over.
    fn calmed(&mut self) {
        self.lag_permille = 0;
        self.torn_step_ppm = 0;
        self.report = Span::micros(0, 0);
    }
}

fn blocked_state(running: &Running) -> String {
    let status = &running.status;
    let leader = match status.leader {
        Some(leader) => format!("follows {leader}"),
        None => "knows no leader".to_owned(),
    };
    let role = match status.role {
        RoleName::Leader => "leads".to_owned(),
        role => format!("is {role}, {leader}"),
    };
    let (last, ladder) = (status.last, (status.durable, status.committed, status.applied));
    let waiting = running.unanswered.len();
    let machine: Index = running.worker.machine().applied().index;
    format!(
        "{role} in {} with last {last}, durable {}, committed {}, applied {} ({machine}), \
         {waiting} unanswered",
        status.term, ladder.0, ladder.1, ladder.2
    )
}
