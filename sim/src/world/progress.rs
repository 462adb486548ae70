//! What the core has reached since the storm is over, and what it lacks: L1 and L7.

use std::fmt::Write;
use std::time::Duration;

use quorate::raft::{Config, Removal, RoleName};
use quorate::types::{Fate, Index, Membership, NodeId, Tag};

use crate::check::L1;
use crate::coverage::Spot;
use crate::observe::{Seen, Violation};
use crate::witness::Witness;
use crate::world::World;
use crate::world::calm::Calm;
use crate::world::client::Ask;
use crate::world::node::{Node, Place, Running};
use crate::world::operator::Order;
use crate::world::queue::Event;

/// How long the core may stand still, in election timeouts: at least the first, and for each node
/// the second, for a client that waits may have turned to every one.
const STANDSTILL_TIMEOUTS: (u32, u32) = (30, 5);
/// How long the core may take in all: the longer of the first, and so many election timeouts.
const CALM_MAX: (Duration, u32) = (Duration::from_secs(300), 52);
/// How long the run goes on while nothing is asked of the cluster: the longer of the first, and so
/// many heartbeats.
const IDLE: (Duration, u32) = (Duration::from_secs(5), 20);

impl World {
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
        // Who is no member any more answers no read.
        while let Some(place) = calm.core.get(calm.reads_served)
            && calm.probed
            && !self.is_still_member(&calm, *place)
        {
            calm.reads_served += 1;
        }
        if let Some(ask) = self.next_probe(&calm) {
            self.invoke(self.clients.prober(), ask, witness);
        }
        let progress = self.progress(&calm);
        if progress > calm.progress {
            (calm.progress, calm.progress_at) = (progress, self.now);
        }
        self.cut_off_removed(&calm);
        self.help(&mut calm, witness);
        if self.taint.is_beyond() {
            // Nobody can tell who is right: nothing is promised.
            self.queue.push(self.now, Event::End);
            return;
        }
        let Config { heartbeat_interval, election_timeout_max, .. } = self.settings.config;
        let (least, each) = STANDSTILL_TIMEOUTS;
        let timeouts = least.max(each * self.nodes.len() as u32);
        let standstill = election_timeout_max * timeouts;
        let calm_max = CALM_MAX.0.max(election_timeout_max * CALM_MAX.1);
        let served = calm.probed && calm.reads_served == calm.core.len();
        let settled = served && self.settled(&calm).is_none();
        let landed = self.now > calm.storm_lands;
        if settled && landed {
            witness.see(self.now, Seen::Idle);
            let idle = IDLE.0.max(heartbeat_interval * IDLE.1);
            self.queue.push(self.now.after(idle), Event::End);
        } else if !settled
            && (self.now.since(calm.progress_at) > standstill
                || self.now.since(calm.since) > calm_max)
        {
            witness.fail(self.no_progress(&calm));
        } else {
            let again = self.now.after(heartbeat_interval);
            self.queue.push(again, Event::Look);
        }
        self.calm = Some(calm);
    }

    /// The run is over.
    pub(super) fn end(&mut self, witness: &mut Witness) {
        let calm = self.calm.take();
        if let Some(what) = calm.as_ref().and_then(|calm| self.settled(calm)) {
            let saw = format!("while nothing was asked of the cluster: {what}");
            witness.fail(L1.seen(saw, self.now));
        }
        self.calm = calm;
        for running in self.nodes.iter().filter_map(|node| node.running.as_deref()) {
            running.note_comparisons(witness);
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

    /// Whether the core's leader counts the node as a member.
    fn is_still_member(&self, calm: &Calm, place: Place) -> bool {
        let leader = self.core_leader(calm).map(|leader| &self.nodes[leader.0 as usize]);
        leader.is_none_or(|leader| leader.standing.membership.is_member(place.id()))
    }

    /// Cuts off who was removed since the storm and may not have heard of it, where the run's
    /// options do not keep it from calling elections for ever (thesis §4.2.3).
    fn cut_off_removed(&mut self, calm: &Calm) {
        if self.settings.survives_half_cuts() || self.is_unfounded() {
            return;
        }
        let counts = |place: &Place| self.electorates().any(|it| it.is_member(place.id()));
        let removed = |place: &Place| !counts(place);
        let removed: Vec<Place> = calm.core.iter().copied().filter(removed).collect();
        self.network.close(self.links(|from, _| removed.contains(&from)));
    }

    /// What the core still lacks, if anything.
    fn settled(&self, calm: &Calm) -> Option<String> {
        let Some(leader) = self.core_leader(calm) else {
            return Some("no core node leads".to_owned());
        };
        let head = self.nodes[leader.0 as usize].running.as_deref()?;
        for (node, running) in self.core_nodes(calm) {
            let id = node.place.id();
            if !self.is_still_member(calm, node.place) {
                continue;
            }
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
                return Some(format!("the results of {id} and {} differ", leader.id()));
            }
            if self.has_slips() && self.states_differ(node.place, leader) {
                return Some(format!("the states of {id} and {} differ", leader.id()));
            }
            let held_back = self.is_held_back(calm, node.place);
            let due = |tag: &&Tag| !(held_back && running.for_all_live.contains(*tag));
            if let Some(tag) = running.unanswered.iter().find(due) {
                return Some(format!("{id} has not answered {tag}"));
            }
        }
        if self.clients.waiting() > 0 {
            return Some("a client waits for an answer".to_owned());
        }
        self.unsettled(calm, leader)
    }

    /// What the core's leader has still to do about who counts and who leads.
    fn unsettled(&self, calm: &Calm, leader: Place) -> Option<String> {
        let (id, config) = (leader.id(), &self.settings.config);
        let membership = &self.nodes[leader.0 as usize].standing.membership;
        let voters = membership.incoming();
        if !membership.is_settled() {
            return Some(format!("a change is under way: {membership}"));
        }
        if !voters.contains(&id) {
            return Some(format!("{id} leads without a vote in {membership}"));
        }
        if config.casting_vote && voters.can_split() && voters.casting() != Some(id) {
            return Some(format!("{id} has not taken the casting vote over in {membership}"));
        }
        if let Some(heir) = self.heir(calm, leader) {
            return Some(format!("{} comes before {id}", heir.id()));
        }
        let Removal { voters_min, .. } = config.removal?;
        let hears = |other: NodeId| other == id || self.is_heard(calm, other);
        let silent = voters.iter().find(|voter| !hears(**voter));
        if let Some(silent) = silent.filter(|_| voters.len() > voters_min) {
            return Some(format!("{silent} is silent, and votes in {membership}"));
        }
        let returns =
            |of: &NodeId| membership.member(*of).is_some_and(|of| of.fate == Fate::Returns);
        let back = membership.ids().filter(returns).find(|id| hears(*id))?;
        Some(format!("{back} is back, and has no vote in {membership}"))
    }

    /// Whether a leader of the core hears from the node, in a run in which it counts.
    fn is_heard(&self, calm: &Calm, id: NodeId) -> bool {
        self.place(id).is_some_and(|place| calm.core.contains(&place))
    }

    /// Whether the node leads and takes a voter outside the core for alive that lacks what is
    /// committed: for ever, if its disk is full. What all live voters are to have waits for it.
    pub(super) fn is_held_back(&self, calm: &Calm, place: Place) -> bool {
        let node = &self.nodes[place.0 as usize];
        let Some(running) = node.running.as_deref() else { return false };
        let (status, raft) = (&running.status, running.node.raft());
        let (own, patience) =
            (node.clock.read(self.now), self.settings.config.election_timeout_max);
        running.heard.iter().any(|(peer, (term, at))| {
            let outside = !self.is_heard(calm, *peer) && raft.membership().is_voter(*peer);
            let alive = *term == status.term && own < at.after(patience);
            let lacks = raft.matched(*peer).is_some_and(|matched| matched < status.committed);
            outside && alive && lacks
        })
    }

    /// The core voter that should lead in the leader's place.
    fn heir(&self, calm: &Calm, leader: Place) -> Option<Place> {
        let membership = &self.nodes[leader.0 as usize].standing.membership;
        let priority = |place: &Place| membership.priority(place.id());
        let voters = membership.incoming().iter().filter_map(|id| self.place(*id));
        let best = voters.filter(|place| calm.core.contains(place)).max_by_key(priority)?;
        (priority(&best) > priority(&leader)).then_some(best)
    }

    /// The operator does what nobody else can, or would do only after long: it gives up a change
    /// that waits for nodes outside the core, and lets the right node lead.
    fn help(&mut self, calm: &mut Calm, witness: &mut Witness) {
        let patience = self.settings.config.election_timeout_max * 3;
        let Some(leader) = self.core_leader(calm) else { return };
        if self.now.since(calm.ordered_at) < patience {
            return;
        }
        let differs = |place: &Place| self.states_differ(*place, leader);
        if self.has_slips() && calm.probed && calm.core.iter().any(differs) {
            // States are compared when the log has grown.
            (calm.ordered_at, calm.probed, calm.reads_served) = (self.now, false, 0);
            return;
        }
        let membership = &self.nodes[leader.0 as usize].standing.membership;
        let outside = |id: &&NodeId| !self.is_heard(calm, **id) && !membership.is_voter(**id);
        let order = if membership.wanted().iter().any(|id| outside(&id)) {
            witness.reach(Spot::CalmGivesUp);
            Order::GiveUp
        } else if let Some(heir) = self.heir(calm, leader).filter(|_| membership.is_settled()) {
            Order::Transfer(Some(heir.id()))
        } else {
            return;
        };
        calm.ordered_at = self.now;
        self.order(leader, order);
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
            let membership = &node.standing.membership;
            let _ = write!(
                saw,
                " [{core}] {id} {state}, goes by {membership}, hears {};",
                hears.join(" ")
            );
        }
        if let Some(leader) = self.core_leader(calm) {
            let membership = &self.nodes[leader.0 as usize].standing.membership;
            let _ = write!(saw, " {}", self.waits_for(calm, membership));
        }
        L1.seen(saw, self.now)
    }
}

impl World {
    /// Which voters of each set the core does not have: whom a leader may wait for.
    fn waits_for(&self, calm: &Calm, membership: &Membership) -> String {
        let sets = [
            ("to decide", membership.incoming()),
            ("to decide with those before", membership.outgoing()),
            ("to let in", membership.wanted()),
        ];
        let lacking = sets.iter().filter_map(|(what, voters)| {
            let absent = voters.iter().filter(|id| !self.is_heard(calm, **id));
            let absent: Vec<String> = absent.map(|id| id.to_string()).collect();
            (!absent.is_empty()).then(|| format!("{what} the leader lacks {}", absent.join(" ")))
        });
        let lacking: Vec<String> = lacking.collect();
        if lacking.is_empty() { "nobody is absent".to_owned() } else { lacking.join(", ") }
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
