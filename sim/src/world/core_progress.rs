//! The progress of the core in the stabilization phase, and its missing goals: check L1.

use std::fmt::Write;
use std::time::Duration;

use quorate::raft::{Config, RoleName, Suspension};
use quorate::types::{Index, Membership, NodeId, PendingTransition, Tag};

use crate::check::L1;
use crate::coverage::Spot;
use crate::observe::{Observation, Violation};
use crate::observer::Observer;
use crate::world::World;
use crate::world::client::NextOperation;
use crate::world::node::{Node, Running};
use crate::world::operator::AdminRequest;
use crate::world::place::Place;
use crate::world::scheduler::queue::Event;
use crate::world::stabilization::Stabilization;

/// The longest time without progress of the core, in election timeouts: at least the first number,
/// and the second one for each node, because a waiting client may have tried every node.
const STANDSTILL_TIMEOUTS: (u32, u32) = (30, 5);
/// The longest duration of the stabilization phase: the longer of the first, and the second in
/// election timeouts.
const STABILIZATION_MAX: (Duration, u32) = (Duration::from_secs(300), 52);
/// The duration of the idle time at the end of the run: the longer of the first, and the second in
/// heartbeat intervals.
const IDLE: (Duration, u32) = (Duration::from_secs(5), 20);

impl World {
    pub(super) fn probe_committed(&mut self) {
        if let Some(stabilization) = &mut self.stabilization {
            stabilization.probed = true;
        }
    }

    pub(super) fn probe_served(&mut self) {
        if let Some(stabilization) = &mut self.stabilization {
            stabilization.reads_served += 1;
        }
    }

    /// Returns the prober's next request: a command at the leader, then a read at every core node.
    fn next_probe(&self, stabilization: &Stabilization) -> Option<NextOperation> {
        if self.clients.is_waiting(self.clients.prober()) {
            return None;
        }
        if stabilization.probed {
            return stabilization
                .core
                .get(stabilization.reads_served)
                .map(|place| NextOperation::ReadAt(*place));
        }
        let any = stabilization.core
            [(self.scheduler.events() % stabilization.core.len() as u64) as usize];
        Some(NextOperation::ProposeAt(self.core_leader(stabilization).unwrap_or(any)))
    }

    /// Checks that the core makes progress in time, and sends the prober's next request.
    pub(super) fn check_progress(&mut self, observer: &mut Observer) {
        let Some(mut stabilization) = self.stabilization.take() else { return };
        // A node that is no longer a member serves no read.
        while let Some(place) = stabilization.core.get(stabilization.reads_served)
            && stabilization.probed
            && !self.is_still_member(&stabilization, *place)
        {
            stabilization.reads_served += 1;
        }
        if let Some(ask) = self.next_probe(&stabilization) {
            self.invoke(self.clients.prober(), ask, observer);
        }
        let progress = self.progress(&stabilization);
        if progress > stabilization.progress {
            (stabilization.progress, stabilization.progress_at) = (progress, self.scheduler.now());
        }
        self.cut_off_removed(&stabilization);
        self.help_core(&mut stabilization, observer);
        if self.taint.is_too_many() {
            // More state machines may be wrong than the nodes can detect, so nothing is guaranteed.
            self.scheduler.at_once(Event::End);
            return;
        }
        let Config { heartbeat_interval, election_timeout_max, .. } = self.settings.config;
        let (least, each) = STANDSTILL_TIMEOUTS;
        let timeouts = least.max(each * self.nodes.len() as u32);
        let standstill = election_timeout_max * timeouts;
        let stabilization_max = STABILIZATION_MAX.0.max(election_timeout_max * STABILIZATION_MAX.1);
        let served = stabilization.probed && stabilization.reads_served == stabilization.core.len();
        let settled = served && self.missing_progress(&stabilization).is_none();
        let landed = self.scheduler.now() > stabilization.last_message_arrival;
        if settled && landed {
            observer.observe(self.scheduler.now(), Observation::Idle);
            let idle = IDLE.0.max(heartbeat_interval * IDLE.1);
            self.scheduler.after(idle, Event::End);
        } else if !settled
            && (self.scheduler.now().since(stabilization.progress_at) > standstill
                || self.scheduler.now().since(stabilization.since) > stabilization_max)
        {
            observer.fail(self.stall_report(&stabilization));
        } else {
            let again = self.scheduler.now().after(heartbeat_interval);
            self.scheduler.at(again, Event::CheckProgress);
        }
        self.stabilization = Some(stabilization);
    }

    /// Ends the run after its last checks.
    pub(super) fn end(&mut self, observer: &mut Observer) {
        let stabilization = self.stabilization.take();
        if let Some(finding) =
            stabilization.as_ref().and_then(|stabilization| self.missing_progress(stabilization))
        {
            let saw = format!("while the cluster was idle: {finding}");
            observer.fail(L1.violation_at(saw, self.scheduler.now()));
        }
        self.stabilization = stabilization;
        for running in self.nodes.iter().filter_map(|node| node.running.as_deref()) {
            running.note_comparisons(observer);
            running.show_machine(self.scheduler.now(), observer);
        }
        observer.observe(self.scheduler.now(), Observation::Ended);
        self.ended = true;
    }

    fn core_nodes<'w>(
        &'w self,
        stabilization: &'w Stabilization,
    ) -> impl Iterator<Item = (&'w Node, Option<&'w Running>)> {
        stabilization.core.iter().map(|place| {
            let node = &self.nodes[place.0 as usize];
            (node, node.running.as_deref())
        })
    }

    /// Returns the core node that leads in the highest term, if one leads.
    fn core_leader(&self, stabilization: &Stabilization) -> Option<Place> {
        self.leader().filter(|leader| stabilization.core.contains(leader))
    }

    /// Returns a number that grows with the progress of the core nodes.
    fn progress(&self, stabilization: &Stabilization) -> u64 {
        let far = |running: &Running| {
            let applied = running.worker.machine().applied().index;
            applied.0 + running.status.committed.0 + running.status.durable.0
        };
        let ladders: u64 =
            self.core_nodes(stabilization).map(|(_, node)| node.map_or(0, far)).sum();
        ladders + stabilization.reads_served as u64
    }

    /// Returns true if the core's leader has the node in its membership, or if there is no leader.
    fn is_still_member(&self, stabilization: &Stabilization, place: Place) -> bool {
        let leader = self.core_leader(stabilization).map(|leader| &self.nodes[leader.0 as usize]);
        leader.is_none_or(|leader| leader.last_membership.membership.is_member(place.id()))
    }

    /// Isolates nodes that were removed in the stabilization phase and may not know it, if the
    /// run's options do not keep them from starting elections without end (thesis §4.2.3).
    fn cut_off_removed(&mut self, stabilization: &Stabilization) {
        if self.settings.tolerates_one_way_cuts() || self.is_not_bootstrapped() {
            return;
        }
        let counts = |place: &Place| self.electorates().any(|it| it.is_member(place.id()));
        let removed = |place: &Place| !counts(place);
        let removed: Vec<Place> = stabilization.core.iter().copied().filter(removed).collect();
        self.network.close(self.links(|from, _| removed.contains(&from)));
    }

    /// Returns a goal that the core has not reached yet, if there is one.
    fn missing_progress(&self, stabilization: &Stabilization) -> Option<String> {
        let Some(leader) = self.core_leader(stabilization) else {
            return Some("no core node leads".to_owned());
        };
        let head = self.nodes[leader.0 as usize].running.as_deref()?;
        for (node, running) in self.core_nodes(stabilization) {
            let id = node.place.id();
            if !self.is_still_member(stabilization, node.place) {
                continue;
            }
            let Some(running) = running else { return Some(format!("{id} is down")) };
            let (status, lead) = (&running.status, &head.status);
            if status.term != lead.term || status.leader != Some(leader.id()) {
                return Some(format!("{id} does not follow {}", leader.id()));
            }
            let ladder = [status.last.index, status.durable, status.committed, status.applied];
            if status.last != lead.last || ladder != [lead.last.index; 4] {
                return Some(format!("{id} lacks log entries of {}", leader.id()));
            }
            let results = |running: &Running| running.worker.machine().results();
            if let (Some(found), Some(expected)) = (results(running), results(head))
                && found != expected
            {
                return Some(format!("the results of {id} and {} differ", leader.id()));
            }
            if self.has_machine_faults() && self.states_differ(node.place, leader) {
                return Some(format!("the states of {id} and {} differ", leader.id()));
            }
            let held_back = self.waits_for_outside_voter(stabilization, node.place);
            let due = |tag: &&Tag| !(held_back && running.for_all_live.contains(*tag));
            if let Some(tag) = running.unanswered.iter().find(due) {
                return Some(format!("{id} has not answered {tag}"));
            }
        }
        if self.clients.waiting() > 0 {
            return Some("a client waits for a reply".to_owned());
        }
        self.missing_membership_step(stabilization, leader)
    }

    /// Returns a step that the core's leader still has to take about the membership or the
    /// leadership.
    fn missing_membership_step(
        &self,
        stabilization: &Stabilization,
        leader: Place,
    ) -> Option<String> {
        let (id, config) = (leader.id(), &self.settings.config);
        let membership = &self.nodes[leader.0 as usize].last_membership.membership;
        let voters = membership.incoming();
        if !membership.is_settled() {
            return Some(format!("a membership change is in progress: {membership}"));
        }
        if !voters.contains(&id) {
            return Some(format!("{id} leads but is no voter of {membership}"));
        }
        if config.casting_vote && voters.can_split() && voters.casting() != Some(id) {
            return Some(format!("{id} has not taken over the casting vote in {membership}"));
        }
        if let Some(preferred_leader) = self.preferred_leader(stabilization, leader) {
            return Some(format!("{} has a higher priority than {id}", preferred_leader.id()));
        }
        let Suspension { voters_min, .. } = config.suspension?;
        let hears = |other: NodeId| other == id || self.is_heard(stabilization, other);
        let silent = voters.iter().find(|voter| !hears(**voter));
        if let Some(silent) = silent.filter(|_| voters.len() > voters_min) {
            return Some(format!("{silent} is silent, but still a voter of {membership}"));
        }
        let returns = |of: &NodeId| {
            membership.member(*of).is_some_and(|of| of.pending == PendingTransition::Promote)
        };
        let back = membership.ids().filter(returns).find(|id| hears(*id))?;
        Some(format!("{back} is back, but no voter of {membership}"))
    }

    /// Returns true if the node is in the core, so that a leader of the core hears from it.
    fn is_heard(&self, stabilization: &Stabilization, id: NodeId) -> bool {
        self.place(id).is_some_and(|place| stabilization.core.contains(&place))
    }

    /// Returns true if the node leads and considers a voter outside the core alive that lacks
    /// committed entries, without end if its disk is full. Proposals for all live voters wait for
    /// that voter.
    pub(super) fn waits_for_outside_voter(
        &self,
        stabilization: &Stabilization,
        place: Place,
    ) -> bool {
        let node = &self.nodes[place.0 as usize];
        let Some(running) = node.running.as_deref() else { return false };
        let (status, raft) = (&running.status, running.node.raft());
        let (own, patience) =
            (node.clock.read(self.scheduler.now()), self.settings.config.election_timeout_max);
        running.heard.iter().any(|(peer, (term, at))| {
            let outside = !self.is_heard(stabilization, *peer) && raft.membership().is_voter(*peer);
            let alive = *term == status.term && own < at.after(patience);
            let lacks = raft.matched(*peer).is_some_and(|matched| matched < status.committed);
            outside && alive && lacks
        })
    }

    /// Returns the core voter of the highest priority, if it should lead instead of the leader.
    fn preferred_leader(&self, stabilization: &Stabilization, leader: Place) -> Option<Place> {
        let membership = &self.nodes[leader.0 as usize].last_membership.membership;
        let priority = |place: &Place| membership.priority(place.id());
        let voters = membership.incoming().iter().filter_map(|id| self.place(*id));
        let best =
            voters.filter(|place| stabilization.core.contains(place)).max_by_key(priority)?;
        (priority(&best) > priority(&leader)).then_some(best)
    }

    /// Sends the operator's requests that no node sends by itself, or only after a long time:
    /// cancels a change that waits for nodes outside the core, and transfers the leadership to the
    /// preferred leader.
    fn help_core(&mut self, stabilization: &mut Stabilization, observer: &mut Observer) {
        let patience = self.settings.config.election_timeout_max * 3;
        let Some(leader) = self.core_leader(stabilization) else { return };
        if self.scheduler.now().since(stabilization.last_admin_request_at) < patience {
            return;
        }
        let differs = |place: &Place| self.states_differ(*place, leader);
        if self.has_machine_faults()
            && stabilization.probed
            && stabilization.core.iter().any(differs)
        {
            // States are compared after the log has grown.
            (
                stabilization.last_admin_request_at,
                stabilization.probed,
                stabilization.reads_served,
            ) = (self.scheduler.now(), false, 0);
            return;
        }
        let membership = &self.nodes[leader.0 as usize].last_membership.membership;
        let outside =
            |id: &&NodeId| !self.is_heard(stabilization, **id) && !membership.is_voter(**id);
        let request = if membership.target().iter().any(|id| outside(&id)) {
            observer.reach(Spot::CoreCancelsChange);
            AdminRequest::CancelChange
        } else if let Some(preferred_leader) =
            self.preferred_leader(stabilization, leader).filter(|_| membership.is_settled())
        {
            AdminRequest::Transfer(Some(preferred_leader.id()))
        } else {
            return;
        };
        stabilization.last_admin_request_at = self.scheduler.now();
        self.send_admin_request(leader, request);
    }

    /// Describes the state of every node: the evidence that the core makes no progress.
    fn stall_report(&self, stabilization: &Stabilization) -> Violation {
        let lacks = self.missing_progress(stabilization).unwrap_or_else(|| {
            match stabilization.core.get(stabilization.reads_served) {
                Some(place) if stabilization.probed => format!("{} serves no read", place.id()),
                _ => "no command is committed".to_owned(),
            }
        });
        let mut saw = format!(
            "{lacks}, {:?} after the fault phase;",
            self.scheduler.now().since(stabilization.since)
        );
        for node in &self.nodes {
            let id = node.place.id();
            let core = if stabilization.core.contains(&node.place) { "core" } else { "outside" };
            let hears = self.nodes.iter().filter(|other| {
                other.place != node.place && self.network.is_open(other.place, node.place)
            });
            let hears: Vec<String> = hears.map(|other| other.place.id().to_string()).collect();
            let state = match &node.running {
                None => "is down".to_owned(),
                Some(_) if node.held.is_some() => "is paused".to_owned(),
                Some(running) => blocked_state(running),
            };
            // Writing to a string cannot fail.
            let membership = &node.last_membership.membership;
            let _ = write!(
                saw,
                " [{core}] {id} {state}, has membership {membership}, hears {};",
                hears.join(" ")
            );
        }
        if let Some(leader) = self.core_leader(stabilization) {
            let membership = &self.nodes[leader.0 as usize].last_membership.membership;
            let _ = write!(saw, " {}", self.absent_voters(stabilization, membership));
        }
        L1.violation_at(saw, self.scheduler.now())
    }
}

impl World {
    /// Describes the voters of each set that are not in the core, for which a leader may wait.
    fn absent_voters(&self, stabilization: &Stabilization, membership: &Membership) -> String {
        let sets = [
            ("to decide", membership.incoming()),
            ("to decide with the outgoing voters", membership.outgoing()),
            ("to complete the change", membership.target()),
        ];
        let lacking = sets.iter().filter_map(|(purpose, voters)| {
            let absent = voters.iter().filter(|id| !self.is_heard(stabilization, **id));
            let absent: Vec<String> = absent.map(|id| id.to_string()).collect();
            let absent = absent.join(" ");
            (!absent.is_empty())
                .then(|| format!("the leader does not hear {absent}, which it needs {purpose}"))
        });
        let lacking: Vec<String> = lacking.collect();
        match lacking.is_empty() {
            true => "the leader hears every voter".to_owned(),
            false => lacking.join("; "),
        }
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
