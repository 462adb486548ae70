//! The progress of the core in the stabilization phase, and its missing goals: check L1.

use std::fmt::Write;
use std::time::Duration;

use quorate::raft::{RoleName, Suspension};
use quorate::types::{Index, Membership, NodeId, PendingTransition, Tag};

use crate::check::{L1, PART_TIMEOUTS_MAX};
use crate::machine::taint::Taint;
use crate::observe::Violation;
use crate::values::time::SimTime;
use crate::world::cluster::Cluster;
use crate::world::cluster::node::Node;
use crate::world::cluster::running::Running;
use crate::world::faults::machine::states_differ;
use crate::world::load::Load;
use crate::world::load::clients::NextOperation;
use crate::world::network::Network;
use crate::world::network::links::Links;
use crate::world::place::Place;
use crate::world::recovery::stabilization::Stabilization;
use crate::world::run::Setup;

/// The time for elections in the longest time without progress of the core, in election timeouts:
/// the first number, or the second one for each node if that is more, because a waiting client may
/// try every node.
const STANDSTILL_TIMEOUTS: (u32, u32) = (30, 5);
/// The longest duration of the stabilization phase, besides the time for its log: the duration, or
/// the longest time without progress times the number if that is longer.
const STABILIZATION_MAX: (Duration, u32) = (Duration::from_secs(300), 2);

/// The goals of the core in the stabilization phase, compared with the present state of the nodes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Goals<'a> {
    pub(crate) setup: &'a Setup,
    pub(crate) cluster: &'a Cluster,
    pub(crate) load: &'a Load,
    pub(crate) taint: &'a Taint,
    pub(crate) stabilization: &'a Stabilization,
    pub(crate) now: SimTime,
}

/// The steps that the core needs and that no node takes by itself, or only after a long time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Help {
    /// The operator asks the leader to cancel a change.
    CancelChange(Place),
    /// The operator asks the leader to transfer the leadership to this node.
    Transfer(Place, NodeId),
    /// The prober starts again, because states are compared after the log has grown.
    ProbeAgain,
}

impl Goals<'_> {
    fn core_nodes(&self) -> impl Iterator<Item = &Node> {
        self.stabilization.core.iter().map(|place| &self.cluster[*place])
    }

    /// Returns the leader with the highest term of all nodes, if it is in the core.
    fn core_leader(&self) -> Option<Place> {
        self.cluster.leader().filter(|leader| self.stabilization.core.contains(leader))
    }

    /// Returns true if the disk of the core's leader lacks committed entries.
    pub(crate) fn leader_lags(&self) -> bool {
        let leader = self.core_leader().and_then(|leader| self.cluster[leader].running());
        leader.is_some_and(|leader| leader.status.durable < leader.status.committed)
    }

    /// Returns a number that grows with the progress of the core nodes.
    pub(crate) fn progress(&self) -> u64 {
        let far = |running: &Running| {
            let applied = running.worker.machine().applied().index;
            applied.0 + running.status.committed.0 + running.status.durable.0
        };
        let indexes: u64 = self.core_nodes().filter_map(Node::running).map(far).sum();
        indexes + self.stabilization.reads_served as u64
    }

    /// Returns true if the core's leader has the node in its membership, or if there is no leader.
    fn is_still_member(&self, place: Place) -> bool {
        let leader = self.core_leader().map(|leader| &self.cluster[leader]);
        leader.is_none_or(|leader| leader.membership().is_member(place.id()))
    }

    /// Returns a goal that the core has not reached yet, if there is one.
    pub(crate) fn missing_progress(&self) -> Option<String> {
        let Some(leader) = self.core_leader() else {
            return Some("no core node leads".to_owned());
        };
        let head = self.cluster[leader].running()?;
        for node in self.core_nodes() {
            let id = node.place.id();
            if !self.is_still_member(node.place) {
                continue;
            }
            let Some(running) = node.running() else { return Some(format!("{id} is down")) };
            let (status, lead) = (&running.status, &head.status);
            if status.term != lead.term || status.leader != Some(leader.id()) {
                return Some(format!("{id} does not follow {}", leader.id()));
            }
            let ladder = [status.last.index, status.durable, status.committed, status.applied];
            if status.last != lead.last || ladder != [lead.last.index; 4] {
                return Some(format!("{id} lacks log entries of {}", leader.id()));
            }
            if status.is_uncertain {
                return Some(format!("{id} is still uncertain"));
            }
            let log = running.node.raft().log();
            if let Some(lost) = log.first_damaged_after(log.snapshot().index) {
                return Some(format!("{id} still lacks its damaged entry {lost}"));
            }
            let results = |running: &Running| running.worker.machine().results();
            if let (Some(found), Some(expected)) = (results(running), results(head))
                && found != expected
            {
                return Some(format!("the results of {id} and {} differ", leader.id()));
            }
            if self.taint.fault_count() > 0
                && states_differ(self.cluster, self.taint, node.place, leader)
            {
                return Some(format!("the states of {id} and {} differ", leader.id()));
            }
            let held_back = self.stabilization.waits_for_outside_voter(node, self.setup, self.now);
            let due = |tag: &&Tag| !(held_back && running.requests.for_all_live.contains(*tag));
            if let Some(tag) = running.requests.unanswered.iter().find(due) {
                return Some(format!("{id} has not answered {tag}"));
            }
        }
        if self.load.clients.waiting() > 0 {
            return Some("a client waits for a reply".to_owned());
        }
        self.missing_membership_step(leader)
    }

    /// Returns a step that the core's leader still has to take about the membership or the
    /// leadership.
    fn missing_membership_step(&self, leader: Place) -> Option<String> {
        let (id, config) = (leader.id(), &self.setup.settings.config);
        let membership = self.cluster[leader].membership();
        let voters = membership.incoming();
        if !membership.is_settled() {
            return Some(format!("a membership change is in progress: {membership}"));
        }
        if !voters.contains(&id) {
            return Some(format!("{id} leads but is not a voter of {membership}"));
        }
        if config.casting_vote && voters.can_split() && voters.casting() != Some(id) {
            return Some(format!("{id} has not taken over the casting vote in {membership}"));
        }
        if let Some(preferred_leader) = self.preferred_leader(leader) {
            return Some(format!("{} has a higher priority than {id}", preferred_leader.id()));
        }
        let Suspension { voters_min, .. } = config.suspension?;
        let hears = |other: NodeId| other == id || self.stabilization.hears(other);
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

    /// Returns the core voter of the highest priority, if it should lead instead of the leader.
    fn preferred_leader(&self, leader: Place) -> Option<Place> {
        let membership = self.cluster[leader].membership();
        let priority = |place: &Place| membership.priority(place.id());
        let voters = membership.incoming().iter().filter_map(|id| self.cluster.place(*id));
        let best =
            voters.filter(|place| self.stabilization.core.contains(place)).max_by_key(priority)?;
        (priority(&best) > priority(&leader)).then_some(best)
    }

    /// Returns the prober's next request: a command at the leader, then a read at every core node.
    pub(crate) fn next_probe(&self, events: u64) -> Option<NextOperation> {
        let Stabilization { core, probed, reads_served, .. } = self.stabilization;
        let clients = &self.load.clients;
        if clients[clients.prober()].is_waiting() {
            return None;
        }
        if *probed {
            return core.get(*reads_served).map(|place| NextOperation::ReadAt(*place));
        }
        let any = core[(events % core.len() as u64) as usize];
        Some(NextOperation::ProposeAt(self.core_leader().unwrap_or(any)))
    }

    /// Returns the number of the first core nodes that need not serve a read any more: they have
    /// served one, or are no longer members.
    pub(crate) fn reads_served(&self) -> usize {
        let Stabilization { core, probed, reads_served, .. } = self.stabilization;
        let waiting = core.iter().skip(*reads_served);
        let gone = waiting.take_while(|place| *probed && !self.is_still_member(**place));
        reads_served + gone.count()
    }

    /// Returns true if the core has reached every goal.
    pub(crate) fn is_reached(&self) -> bool {
        let Stabilization { core, probed, reads_served, .. } = self.stabilization;
        *probed && *reads_served == core.len() && self.missing_progress().is_none()
    }

    /// Returns true if the core has made no progress for too long, or takes too long altogether.
    pub(crate) fn is_overdue(&self) -> bool {
        self.now.since(self.stabilization.progress_at) > self.standstill_max()
            || self.now.since(self.stabilization.since) > self.stabilization_max()
    }

    /// Returns the longest time without progress of the core. A last survivor takes over only after
    /// the silence that counts as death. A leader suspends a silent voter only after its silence,
    /// and a pause since the last suspension. The driver of a follower may gather proposals for a
    /// while before it rejects them, and so may the leader's before it takes them.
    pub(crate) fn standstill_max(&self) -> Duration {
        let config = &self.setup.settings.config;
        let death = config.survivor.map_or(Duration::ZERO, |survivor| survivor.after);
        let suspension = config.suspension.map_or(Duration::ZERO, |of| of.after + of.pause);
        let (least, each) = STANDSTILL_TIMEOUTS;
        let timeouts = least.max(each * self.cluster.len() as u32);
        let elections = config.election_timeout_max * timeouts;
        let gather = self.setup.settings.gather * 2;
        elections.max(suspension) + death + gather + self.snapshots_time_max()
    }

    /// Returns the longest duration of the stabilization phase.
    fn stabilization_max(&self) -> Duration {
        let (least, standstills) = STABILIZATION_MAX;
        least.max(self.standstill_max() * standstills) + self.log_time_max()
    }

    /// Returns the longest time that a node takes to get and apply the whole log, if it gets one
    /// entry after the other.
    fn log_time_max(&self) -> Duration {
        let settings = &self.setup.settings;
        let entry = settings.latency.max * 2 + settings.flush.max + settings.batch_time.max * 2;
        let last = |running: &Running| running.status.last.index.0;
        let entries = self.core_nodes().filter_map(Node::running).map(last).max().unwrap_or(0);
        entry * u32::try_from(entries).unwrap_or(u32::MAX)
    }

    /// Returns the longest time that the largest snapshot of the core takes to reach every other
    /// node, if a later one may replace it on the way. Before that, a node may wait for a source
    /// that is gone: up to three times as long as a source needs to serve every node. Lost requests
    /// for parts are repeated after [`PART_TIMEOUTS_MAX`] part timeouts at the latest.
    fn snapshots_time_max(&self) -> Duration {
        let bytes = |running: &Running| running.node.storage().snapshot().bytes;
        let largest = self.core_nodes().filter_map(Node::running).map(bytes).max().unwrap_or(0);
        let nodes = self.cluster.len() as u64;
        let rate = u32::try_from(self.setup.settings.snapshot_bytes_per_second);
        let repeats = self.setup.settings.part_timeout() * PART_TIMEOUTS_MAX;
        Duration::from_secs(5 * nodes * largest) / rate.unwrap_or(u32::MAX) + repeats
    }

    /// Returns the outbound links of nodes that were removed in the stabilization phase and may not
    /// know it, if the run's options do not keep them from starting elections without end (thesis
    /// §4.2.3).
    pub(crate) fn links_of_removed(&self) -> Links {
        let Goals { setup, cluster, .. } = self;
        if setup.settings.tolerates_one_way_cuts() || cluster.is_not_bootstrapped() {
            return Links::default();
        }
        let counts = |place: &Place| cluster.electorates().any(|it| it.is_member(place.id()));
        let core = self.stabilization.core.iter().copied();
        let removed: Vec<Place> = core.filter(|place| !counts(place)).collect();
        Links::between(cluster.places(), |from, _| removed.contains(&from))
    }

    /// Returns the help that the core needs: more commands if states differ after a machine fault,
    /// the cancellation of a change that waits for nodes outside the core, or a transfer of the
    /// leadership to the preferred leader.
    pub(crate) fn help(&self) -> Option<Help> {
        let Stabilization { core, probed, last_admin_request_at, .. } = self.stabilization;
        let patience = self.setup.settings.config.election_timeout_max * 3;
        let leader = self.core_leader()?;
        if self.now.since(*last_admin_request_at) < patience {
            return None;
        }
        let differs = |place: &Place| states_differ(self.cluster, self.taint, *place, leader);
        if self.taint.fault_count() > 0 && *probed && core.iter().any(differs) {
            return Some(Help::ProbeAgain);
        }
        let membership = self.cluster[leader].membership();
        let outside = |id: &&NodeId| !self.stabilization.hears(**id) && !membership.is_voter(**id);
        if membership.target().iter().any(|id| outside(&id)) {
            return Some(Help::CancelChange(leader));
        }
        let preferred = self.preferred_leader(leader).filter(|_| membership.is_settled())?;
        Some(Help::Transfer(leader, preferred.id()))
    }
}

impl Goals<'_> {
    /// Describes the state of every node: the evidence that the core makes no progress.
    pub(crate) fn stall_report(&self, network: &Network) -> Violation {
        let lacks = self.missing_progress().unwrap_or_else(|| {
            match self.stabilization.core.get(self.stabilization.reads_served) {
                Some(place) if self.stabilization.probed => {
                    format!("{} serves no read", place.id())
                }
                _ => "no command is committed".to_owned(),
            }
        });
        let mut saw = format!(
            "{lacks}, {:?} after the fault phase;",
            self.now.since(self.stabilization.since)
        );
        for node in self.cluster.nodes() {
            let id = node.place.id();
            let core =
                if self.stabilization.core.contains(&node.place) { "core" } else { "outside" };
            let hears = self.cluster.nodes().filter(|other| {
                other.place != node.place && network.is_open(other.place, node.place)
            });
            let hears: Vec<String> = hears.map(|other| other.place.id().to_string()).collect();
            let hears = if hears.is_empty() { "no node".to_owned() } else { hears.join(" ") };
            let state = match node.running() {
                None => "is down".to_owned(),
                Some(_) if node.is_paused() => "is paused".to_owned(),
                Some(running) => blocked_state(running),
            };
            // Writing to a string cannot fail.
            let membership = node.membership();
            let _ =
                write!(saw, " [{core}] {id} {state}, has membership {membership}, hears {hears};");
        }
        if let Some(leader) = self.core_leader() {
            let membership = self.cluster[leader].membership();
            let _ = write!(saw, " {}", self.absent_voters(membership));
        }
        L1.violation_at(saw, self.now)
    }

    /// Describes the voters of each set that are not in the core, for which a leader may wait.
    fn absent_voters(&self, membership: &Membership) -> String {
        let sets = [
            ("to decide", membership.incoming()),
            ("to decide with the outgoing voters", membership.outgoing()),
            ("to complete the change", membership.target()),
        ];
        let lacking = sets.iter().filter_map(|(purpose, voters)| {
            let absent = voters.iter().filter(|id| !self.stabilization.hears(**id));
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
    let waiting = running.requests.unanswered.len();
    let machine: Index = running.worker.machine().applied().index;
    format!(
        "{role} in {} with last {last}, durable {}, committed {}, applied {}, machine at \
         {machine}, {waiting} unanswered",
        status.term, ladder.0, ladder.1, ladder.2
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observer::Observer;
    use crate::plan::Plan;
    use crate::settings::Settings;
    use crate::settings::profile::Profile;
    use crate::settings::strategy::Strategy;
    use crate::values::choice::{Choices, Overrides};
    use crate::workload::AnyWorkload;
    use crate::workload::kv::Kv;
    use crate::world::World;

    #[test]
    fn a_core_may_stand_still_and_still_have_time_for_its_log() {
        // If every choice had the benign value, all nodes would campaign at the same time.
        let choices = Choices::new(11, Overrides::new());
        let profile = Profile::by_name("no-faults").expect("the profile exists");
        let mut settings = Settings::draw(profile, Strategy::default(), &choices, 1, 64);
        (settings.voters, settings.learners) = (Settings::NODES_MAX, 0);
        let observer = Observer::new(&settings, None, None, None);
        let workload = AnyWorkload::new(Kv::new(8, 8));
        let mut world = World::new(settings, workload, Plan::default(), choices, observer);
        for _ in 0..100_000 {
            world.advance();
        }
        world.run.setup.settings.config.election_timeout_max = Duration::from_secs(20);
        let core = world.cluster.places().collect();
        let stabilization = Stabilization { core, ..Stabilization::default() };
        let goals = Goals {
            setup: &world.run.setup,
            cluster: &world.cluster,
            load: &world.load,
            taint: &world.faults.taint,
            stabilization: &stabilization,
            now: world.run.scheduler.now(),
        };
        assert!(goals.log_time_max() > Duration::ZERO);
        assert!(goals.stabilization_max() >= goals.standstill_max() + goals.log_time_max());
    }
}
