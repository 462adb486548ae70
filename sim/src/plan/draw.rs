//! Draws a plan from the seed: single faults, triggered faults, and schedules known to be hard for
//! Raft.

use std::iter;
use std::time::Duration;

use quorate::types::NodeId;

use crate::choice::{Choices, Key, Kind};
use crate::faults::{
    Campaign, Crash, Fault, FaultDraw, Faults, KeptWrites, NodeSelector, Replay, Scale, SlowDisk,
    Verb,
};
use crate::plan::{Op, Plan, Trigger, TriggerCondition, When};
use crate::settings::Settings;
use crate::strategy::Strategy;
use crate::time::SimTime;

/// The content of one slot of the plan.
#[derive(Clone, Copy)]
enum Pattern {
    /// One operation of this fault kind, at a random time.
    Single(Fault),
    /// A node crashes just before, during or after one of its writes.
    CrashAroundWrite,
    /// A node crashes, or its disk fails, while it creates, writes, renames or removes files.
    FaultDuringFileWork,
    /// A node's disk fails at its next call, right when the node votes, acknowledges or changes its
    /// role.
    DiskFailsAtRoleChange,
    /// Every new leader gets the same fault.
    FaultOnEachLeader,
    /// A node gets a fault when it, or its peer, advances the commit index or takes entries.
    FaultDuringReplication,
    /// A node gets a fault of any kind right when its role changes.
    FaultAtRoleChange,
    /// Old messages are replayed when a node restarts, acknowledges or changes its role, where they
    /// could be taken for new ones.
    ReplayAtRoleChange,
    /// Two nodes campaign at once, and voters crash.
    TwoCandidates,
    /// Leaders are isolated with a minority that has their last entries, crash, and return: figure
    /// 8 of the paper (Raft §5.4.2).
    Figure8,
    /// A leader with many pending requests is isolated, so that it has a long log tail of its own,
    /// and returns after the others have made some progress.
    LeaderIsolation,
    /// A node campaigns while another node does slow work on its files.
    CampaignDuringFileWork,
    /// A node's disk is corrupted while the node is down.
    BitRotWhileDown,
    /// Membership changes in quick succession, with faults, transfers and cancellations among them.
    MembershipChurn,
    /// A partition splits the nodes into halves.
    SplitInHalves,
    /// A fault occurs while the bootstrap peers set up the cluster.
    FaultDuringBootstrap,
    /// A node loses its disk, and the operator adds it again.
    ReplaceDisk,
    /// A leader lease or a read lease ends while reads depend on it.
    LeaseExpiry,
    /// A node crashes during a write, and goes down again as soon as it is back.
    CrashAgainAfterRestart,
    /// A leader and one follower are isolated from the others, which elect another leader, and
    /// clients read at the follower.
    ReadsAtIsolatedFollower,
    /// A node needs several snapshots in a row while it slowly restores the first one.
    RepeatedSnapshotInstall,
}

/// The triggers for a node's work on its files.
const FILE_WORK: [Trigger; 11] = [
    Trigger::UpdatesSuperblock,
    Trigger::CreatesSegment,
    Trigger::BeginsSegment,
    Trigger::RemovesFile,
    Trigger::TakesSnapshot,
    Trigger::WritesSnapshot,
    Trigger::RenamesSnapshot,
    Trigger::ReceivesPart,
    Trigger::SendsPart,
    Trigger::InstallsSnapshot,
    Trigger::RestoresSnapshot,
];

/// The largest snapshot interval, in entries, at which an isolated node soon needs a snapshot.
const LAGGARD_ENTRIES_MAX: u64 = 60;

impl Plan {
    /// Draws the plan of a run; it depends on `choices`, `settings` and the search strategy only.
    #[must_use]
    pub fn draw((settings, strategy): (&Settings, Strategy), choices: &Choices) -> Plan {
        let patterns = patterns(settings, strategy);
        let mut ops = Vec::new();
        if patterns.is_empty() {
            return Plan { ops };
        }
        for slot in 1..=settings.plan_slots {
            let mut planner = Planner::new(settings, choices, slot, &mut ops);
            // The benign choice leaves the slot empty.
            if planner.draw.chance(950) {
                let pattern = *planner.draw.pick(&patterns);
                planner.draw_pattern(pattern);
            }
        }
        Plan { ops }
    }
}

/// Returns the patterns that the run's faults allow, each repeated by its weight.
fn patterns(settings: &Settings, strategy: Strategy) -> Vec<Pattern> {
    let weight = |fault: &Fault| if Faults::OF_DISKS.has(*fault) { 1 } else { 2 };
    let singles = planned_faults(settings);
    let single = |fault: &Fault| (Pattern::Single(*fault), weight(fault), true);
    let mut weighed: Vec<WeightedPattern> = singles.iter().map(single).collect();
    if strategy >= Strategy::Nemeses {
        weighed.extend(protocol_patterns(settings, &singles));
        weighed.extend(cluster_patterns(settings, &singles));
    }
    let allowed = weighed.into_iter().filter(|(_, _, allowed)| *allowed);
    allowed.flat_map(|(pattern, weight, _)| iter::repeat_n(pattern, weight)).collect()
}

/// A pattern, its weight (a single disk fault weighs 1), and whether the run allows it.
type WeightedPattern = (Pattern, usize, bool);

/// Returns the patterns for weak points of the protocol. If all are allowed, they occur as often as
/// all single faults together.
fn protocol_patterns(settings: &Settings, singles: &[Fault]) -> Vec<WeightedPattern> {
    let has = |fault| settings.faults.has(fault);
    let crash = has(Fault::Crash);
    let on_disks = singles.iter().any(|fault| Faults::OF_DISKS.has(*fault));
    let on_nodes = crash || has(Fault::Partition) || has(Fault::OneWay) || has(Fault::Pause);
    let can_be_outvoted = settings.voters > 2;
    vec![
        (Pattern::DiskFailsAtRoleChange, 4, on_disks),
        (Pattern::FaultDuringFileWork, 4, on_disks || crash),
        (Pattern::FaultAtRoleChange, 6, !singles.is_empty()),
        (Pattern::FaultOnEachLeader, 2, on_nodes),
        (Pattern::FaultDuringReplication, 2, on_nodes),
        (Pattern::CrashAroundWrite, 5, crash),
        (Pattern::CrashAgainAfterRestart, 4, crash),
        (Pattern::ReplayAtRoleChange, 3, has(Fault::Replay)),
        (Pattern::TwoCandidates, 3, has(Fault::Campaign) && can_be_outvoted),
        (Pattern::Figure8, 3, crash && has(Fault::Bridge) && can_be_outvoted),
        (
            Pattern::LeaderIsolation,
            3,
            has(Fault::Partition) && has(Fault::LoadSpike) && can_be_outvoted,
        ),
        (Pattern::CampaignDuringFileWork, 3, has(Fault::Campaign) && can_be_outvoted),
        (Pattern::BitRotWhileDown, 3, has(Fault::BitRot) && (crash || has(Fault::Stop))),
    ]
}

/// Returns the patterns for membership, bootstrap, leases, disks and lagging nodes.
fn cluster_patterns(settings: &Settings, singles: &[Fault]) -> Vec<WeightedPattern> {
    let has = |fault| settings.faults.has(fault);
    let can_be_outvoted = settings.voters > 2;
    let can_lease = settings.config.lease.is_some() && settings.voters > 1;
    let often = settings.snapshot_entries <= LAGGARD_ENTRIES_MAX;
    let lags = often && has(Fault::Partition) && has(Fault::SlowApply);
    vec![
        (Pattern::MembershipChurn, 12, has(Fault::Change)),
        (Pattern::Single(Fault::MachineFault), 12, has(Fault::MachineFault)),
        (Pattern::SplitInHalves, 6, has(Fault::Partition) && settings.voters.is_multiple_of(2)),
        (Pattern::FaultDuringBootstrap, 6, settings.bootstraps && !singles.is_empty()),
        (Pattern::ReplaceDisk, 6, has(Fault::Wipe)),
        (Pattern::Single(Fault::Rollback), 8, has(Fault::Rollback)),
        (Pattern::LeaseExpiry, 8, can_lease && has(Fault::LoadSpike)),
        (
            Pattern::ReadsAtIsolatedFollower,
            3,
            has(Fault::Bridge) && has(Fault::LoadSpike) && can_be_outvoted,
        ),
        (Pattern::RepeatedSnapshotInstall, 3, lags && can_be_outvoted),
    ]
}

/// Returns the run's fault kinds that are planned for a node or link, rather than drawn by chance
/// for each message or step.
pub(super) fn planned_faults(settings: &Settings) -> Vec<Fault> {
    settings.faults.iter().filter(|fault| Faults::PLANNED.has(*fault)).collect()
}

pub(super) struct Planner<'a> {
    pub(super) draw: FaultDraw<'a>,
    pub(super) settings: &'a Settings,
    pub(super) ops: &'a mut Vec<Op>,
}

impl<'a> Planner<'a> {
    /// Creates the planner of one slot of a plan.
    pub(super) fn new(
        settings: &'a Settings,
        choices: &'a Choices,
        slot: u16,
        ops: &'a mut Vec<Op>,
    ) -> Planner<'a> {
        let scale = Scale {
            nodes: settings.nodes(),
            voters: settings.voters,
            election_timeout_max: settings.config.election_timeout_max,
            latency_max: settings.latency.max,
            takeover: settings.config.survivor.map_or(Duration::ZERO, |it| it.after * 2),
            segment_bytes: settings.storage.segment_bytes as u32,
            drift_ppm_max: settings.clocks.drift_ppm_max,
        };
        let draw = choices.draw(Key { peer: slot, ..Kind::Plan.key() });
        Planner { draw: FaultDraw::new(draw, scale), settings, ops }
    }

    fn draw_pattern(&mut self, pattern: Pattern) {
        match pattern {
            Pattern::Single(fault) => {
                let at = self.any_moment();
                let target = self.draw.any_node();
                let verb = self.verb(fault, target);
                self.push(at, verb);
            }
            Pattern::CrashAroundWrite => self.crash_around_write(),
            Pattern::FaultDuringFileWork => self.fault_during_file_work(),
            Pattern::DiskFailsAtRoleChange => self.disk_fails_at_role_change(),
            Pattern::FaultOnEachLeader => self.fault_on_each_leader(),
            Pattern::FaultDuringReplication => self.fault_during_replication(),
            Pattern::FaultAtRoleChange => self.fault_at_role_change(),
            Pattern::ReplayAtRoleChange => self.replay_at_role_change(),
            Pattern::TwoCandidates => self.two_candidates(),
            Pattern::Figure8 => self.figure_8(),
            Pattern::LeaderIsolation => self.leader_isolation(),
            Pattern::CampaignDuringFileWork => self.campaign_during_file_work(),
            Pattern::BitRotWhileDown => self.bit_rot_while_down(),
            Pattern::MembershipChurn => self.membership_churn(),
            Pattern::SplitInHalves => self.split_in_halves(),
            Pattern::FaultDuringBootstrap => self.fault_during_bootstrap(),
            Pattern::ReplaceDisk => self.replace_disk(),
            Pattern::LeaseExpiry => self.lease_expiry(),
            Pattern::CrashAgainAfterRestart => self.crash_again_after_restart(),
            Pattern::ReadsAtIsolatedFollower => self.reads_at_isolated_follower(),
            Pattern::RepeatedSnapshotInstall => self.repeated_snapshot_install(),
        }
    }

    /// Adds an operation at this time.
    pub(super) fn push(&mut self, at: SimTime, verb: impl Into<Verb>) {
        self.ops.push(Op { when: When::At(at), verb: verb.into() });
    }

    /// Adds an operation with this trigger condition.
    pub(super) fn push_on(&mut self, occasion: TriggerCondition, verb: impl Into<Verb>) {
        self.ops.push(Op { when: When::On(occasion), verb: verb.into() });
    }

    fn crash_around_write(&mut self) {
        let trigger = *self.draw.pick(&[
            Trigger::SubmitsVote,
            Trigger::SubmitsEntries,
            Trigger::AboutToWrite,
            Trigger::CompletesFlush,
            Trigger::Acknowledges,
            Trigger::TruncatesLog,
        ]);
        let node = self.any_or_one_node();
        let nth = self.draw.between(1, 4) as u32;
        let times = self.draw.between(1, 3) as u32;
        let delay = if self.draw.chance(300) { self.delay() } else { Duration::ZERO };
        let soon = self.soon_after(trigger);
        let keep = *self.draw.pick(&[KeptWrites::None, KeptWrites::Part, KeptWrites::None]);
        let crash = Crash { node: NodeSelector::It, keep, down: self.draw.downtime() };
        self.push_on(TriggerCondition { node, nth, times, delay, ..soon }, crash);
    }

    fn fault_during_file_work(&mut self) {
        let trigger = *self.draw.pick(&FILE_WORK);
        let node = self.any_or_one_node();
        let nth = self.draw.between(1, 6) as u32;
        let times = self.draw.between(1, 3) as u32;
        let any_time = self.any_time(trigger);
        let delay = self.delay();
        let crash = self.settings.faults.has(Fault::Crash).then_some(Fault::Crash);
        let on_disk = self.disk_fault();
        let fault = if self.draw.chance(600) { crash.or(on_disk) } else { on_disk.or(crash) };
        let fault = fault.expect("the pattern is allowed only with such a fault");
        let verb = self.verb(fault, NodeSelector::It);
        self.push_on(TriggerCondition { node, nth, times, delay, ..any_time }, verb);
    }

    fn campaign_during_file_work(&mut self) {
        let trigger = *self.draw.pick(&FILE_WORK);
        let node = self.any_or_one_node();
        let nth = self.draw.between(1, 6) as u32;
        let times = self.draw.between(1, 3) as u32;
        let at_once = TriggerCondition { node, nth, times, ..self.any_time(trigger) };
        if self.settings.faults.has(Fault::SlowDisk) {
            let by = self.draw.extra_time();
            let slow =
                SlowDisk { node: NodeSelector::It, by, duration: self.draw.fault_duration() };
            self.push_on(at_once, slow);
        }
        let (rival, delay) = (NodeSelector::Node(self.draw.voter()), self.delay());
        self.push_on(TriggerCondition { delay, ..at_once }, Campaign { node: rival });
    }

    fn bit_rot_while_down(&mut self) {
        let falls = self.any_time(Trigger::GoesDown);
        let nth = self.draw.between(1, 3) as u32;
        let verb = self.verb(Fault::BitRot, NodeSelector::It);
        self.push_on(TriggerCondition { nth, ..falls }, verb);
    }

    fn disk_fails_at_role_change(&mut self) {
        let trigger = *self.draw.pick(&[
            Trigger::SubmitsEntries,
            Trigger::AboutToWrite,
            Trigger::SubmitsVote,
            Trigger::BecomesLeader,
            Trigger::BecomesCandidate,
            Trigger::BecomesPreCandidate,
            Trigger::Restarts,
            Trigger::Acknowledges,
        ]);
        let nth = self.draw.between(1, 4) as u32;
        let times = self.draw.between(1, 2) as u32;
        let node = self.any_or_one_node();
        let any_time = self.any_time(trigger);
        let fault = self.disk_fault().expect("the pattern is allowed only with such a fault");
        let verb = self.verb(fault, NodeSelector::It);
        self.push_on(TriggerCondition { node, nth, times, ..any_time }, verb);
    }

    /// Draws one of the run's disk fault kinds, if it has any.
    fn disk_fault(&mut self) -> Option<Fault> {
        let faults = self.settings.faults;
        let kinds: Vec<Fault> = faults.iter().filter(|it| Faults::OF_DISKS.has(*it)).collect();
        let place = self.draw.below(kinds.len().max(1) as u64);
        kinds.get(place as usize).copied()
    }

    fn fault_on_each_leader(&mut self) {
        let fault = self.node_fault();
        let times = self.draw.between(1, 4) as u32;
        let delay = self.delay();
        let soon = self.soon_after(Trigger::BecomesLeader);
        let verb = self.verb(fault, NodeSelector::It);
        self.push_on(TriggerCondition { times, delay, ..soon }, verb);
    }

    fn fault_during_replication(&mut self) {
        let trigger = *self.draw.pick(&[
            Trigger::AdvancesCommit,
            Trigger::SubmitsEntries,
            Trigger::BecomesCandidate,
            Trigger::SendsHeartbeat,
        ]);
        let node = self.any_or_one_node();
        let nth = self.draw.between(1, 40) as u32;
        let delay = self.delay();
        let soon = self.soon_after(trigger);
        let target =
            *self.draw.pick(&[NodeSelector::It, NodeSelector::Other, NodeSelector::Leader]);
        let fault = self.node_fault();
        let verb = self.verb(fault, target);
        self.push_on(TriggerCondition { node, nth, delay, ..soon }, verb);
    }

    fn fault_at_role_change(&mut self) {
        let trigger = *self.draw.pick(&[
            Trigger::BecomesCandidate,
            Trigger::BecomesPreCandidate,
            Trigger::BecomesLeader,
        ]);
        let times = self.draw.between(1, 3) as u32;
        let any_time = self.any_time(trigger);
        let kinds = planned_faults(self.settings);
        let fault = *self.draw.pick(&kinds);
        let verb = self.verb(fault, NodeSelector::It);
        self.push_on(TriggerCondition { times, ..any_time }, verb);
    }

    fn replay_at_role_change(&mut self) {
        let trigger = *self.draw.pick(&[
            Trigger::Restarts,
            Trigger::BecomesLeader,
            Trigger::Acknowledges,
            Trigger::BecomesCandidate,
        ]);
        let nth = self.draw.between(1, 3) as u32;
        let times = self.draw.between(1, 4) as u32;
        let delay = self.delay();
        let soon = self.soon_after(trigger);
        let count = self.draw.between(5, 60) as u32;
        let replay = Replay { node: NodeSelector::It, count };
        self.push_on(TriggerCondition { nth, times, delay, ..soon }, replay);
    }

    /// Draws an operation of this fault kind, which is none that occurs by chance.
    pub(super) fn verb(&mut self, fault: Fault, target: NodeSelector) -> Verb {
        Verb::draw(&mut self.draw, fault, target).expect("patterns have planned kinds only")
    }

    /// Draws one of the run's fault kinds that affect a node or its links.
    fn node_fault(&mut self) -> Fault {
        let kinds = [
            Fault::Crash,
            Fault::Partition,
            Fault::OneWay,
            Fault::Pause,
            Fault::Bridge,
            Fault::SlowDisk,
            Fault::Clog,
            Fault::Misroute,
            Fault::ClockStep,
            Fault::StalledDisk,
            Fault::FailedFlush,
        ];
        let faults = self.settings.faults;
        let allowed: Vec<Fault> = kinds.into_iter().filter(|fault| faults.has(*fault)).collect();
        *self.draw.pick(&allowed)
    }

    /// Returns a condition for the trigger's next match within ten election timeouts of a random
    /// time.
    pub(super) fn soon_after(&mut self, trigger: Trigger) -> TriggerCondition {
        let from = self.any_moment();
        let to = from.after(self.settings.config.election_timeout_max * 10);
        TriggerCondition::next(trigger, from, to)
    }

    /// Returns a condition for the trigger's next match between a random time and the end of the
    /// fault phase, because the trigger may be rare.
    pub(super) fn any_time(&mut self, trigger: Trigger) -> TriggerCondition {
        let from = self.any_moment();
        TriggerCondition::next(trigger, from, SimTime::default().after(self.settings.fault_phase))
    }

    /// Draws a time within the fault phase, in whole milliseconds for readability.
    pub(super) fn any_moment(&mut self) -> SimTime {
        let phase_millis = self.settings.fault_phase.as_millis() as u64;
        SimTime::default()
            .after(Duration::from_millis(self.draw.between(phase_millis / 50, phase_millis)))
    }

    /// Draws the delay between a trigger and its operation; often zero.
    pub(super) fn delay(&mut self) -> Duration {
        let trips = *self.draw.pick(&[0, 0, 1, 3, 10]);
        self.settings.latency.max * trips
    }

    pub(super) fn any_or_one_node(&mut self) -> Option<NodeId> {
        let node = self.draw.node();
        self.draw.chance(400).then_some(node)
    }

    /// Draws a voter other than `first`, if there are two.
    pub(super) fn voter_after(&mut self, first: NodeId) -> NodeId {
        let voters = u64::from(self.settings.voters);
        let steps = self.draw.between(1, voters.max(2) - 1);
        NodeId((first.0 - 1 + steps) % voters + 1)
    }
}
