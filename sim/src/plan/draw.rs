//! Draws a plan from the seed: single faults, triggered faults, and schedules known to be hard for
//! Raft.

use std::iter;
use std::time::Duration;

use quorate::types::NodeId;

use crate::choice::{Choices, Draw, Key, Kind};
use crate::fault::Fault;
use crate::plan::{
    Call, KeptWrites, MachineFault, NodeSelector, Op, Plan, Region, Trigger, TriggerCondition,
    Verb, When,
};
use crate::settings::{Clocks, Settings};
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
            let draw = choices.draw(Key { peer: slot, ..Kind::Plan.key() });
            let mut planner = Planner { draw, settings, ops: &mut ops };
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
    let weight = |fault: &Fault| if Fault::OF_DISKS.contains(fault) { 1 } else { 2 };
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
    let on_disks = singles.iter().any(|fault| Fault::OF_DISKS.contains(fault));
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
    let by_chance = |fault| {
        matches!(fault, Fault::Loss | Fault::Duplicate | Fault::Delay | Fault::Reorder | Fault::Lag)
    };
    settings.faults.iter().filter(|fault| !by_chance(*fault)).collect()
}

pub(super) struct Planner<'a> {
    pub(super) draw: Draw<'a>,
    pub(super) settings: &'a Settings,
    pub(super) ops: &'a mut Vec<Op>,
}

impl Planner<'_> {
    fn draw_pattern(&mut self, pattern: Pattern) {
        match pattern {
            Pattern::Single(fault) => {
                let at = self.any_moment();
                let target = self.any_node();
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
    pub(super) fn push(&mut self, at: SimTime, verb: Verb) {
        self.ops.push(Op { when: When::At(at), verb });
    }

    /// Adds an operation with this trigger condition.
    pub(super) fn push_on(&mut self, occasion: TriggerCondition, verb: Verb) {
        self.ops.push(Op { when: When::On(occasion), verb });
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
        let down = self.downtime();
        self.push_on(
            TriggerCondition { node, nth, times, delay, ..soon },
            Verb::Crash(NodeSelector::It, keep, down),
        );
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
            let slow = Verb::SlowDisk(NodeSelector::It, self.extra_time(), self.fault_duration());
            self.push_on(at_once, slow);
        }
        let (rival, delay) = (NodeSelector::Node(self.voter()), self.delay());
        self.push_on(TriggerCondition { delay, ..at_once }, Verb::Campaign(rival));
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
        let kinds = Fault::OF_DISKS.into_iter().filter(|fault| faults.has(*fault));
        let kinds: Vec<Fault> = kinds.collect();
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
        self.push_on(
            TriggerCondition { nth, times, delay, ..soon },
            Verb::Replay(NodeSelector::It, count),
        );
    }

    pub(super) fn verb(&mut self, fault: Fault, target: NodeSelector) -> Verb {
        let duration = self.fault_duration();
        match fault {
            Fault::Crash => {
                let keep = *self.draw.pick(&[KeptWrites::Part, KeptWrites::None, KeptWrites::All]);
                Verb::Crash(target, keep, self.downtime())
            }
            Fault::Pause => Verb::Pause(target, duration),
            Fault::Partition if self.draw.chance(500) => {
                Verb::Split(self.side(target), self.partition_duration(duration))
            }
            Fault::Partition => Verb::Isolate(target, self.partition_duration(duration)),
            Fault::OneWay => match self.draw.below(3) {
                0 => Verb::Cut(target, self.any_node(), duration),
                1 => Verb::BlockInbound(target, duration),
                _ => Verb::BlockOutbound(target, duration),
            },
            Fault::Bridge if self.draw.chance(300) => {
                Verb::Strand(target, NodeSelector::Node(self.voter()), duration)
            }
            Fault::Bridge => Verb::Only(self.links(), duration),
            Fault::Flap => {
                let period = self.settings.latency.max * self.draw.between(2, 60) as u32;
                Verb::Flap(target, self.any_node(), period, duration * 2)
            }
            Fault::Clog => Verb::Clog(target, duration),
            Fault::ClockDrift => {
                let steps = i64::from(Clocks::DRIFT_PPM_MAX);
                let most = i64::from(self.settings.clocks.drift_ppm_max);
                let ppm = (self.draw.below(steps as u64 + 1) as i64 * most / steps) as i32;
                Verb::ClockDrift(
                    target,
                    if self.draw.chance(500) { -ppm } else { ppm },
                    duration * 4,
                )
            }
            Fault::ClockStep => Verb::ClockStep(target, duration),
            Fault::SlowDisk => Verb::SlowDisk(target, self.extra_time(), duration * 2),
            Fault::SlowApply => Verb::SlowApply(target, self.extra_time(), duration * 2),
            Fault::Misroute => Verb::Misroute(target, self.draw.between(1, 8) as u32),
            Fault::Replay => Verb::Replay(target, self.draw.between(1, 30) as u32),
            Fault::Campaign => Verb::Campaign(target),
            Fault::Wipe => Verb::Wipe(target, self.downtime()),
            Fault::Rollback => Verb::RollBack(target, duration * 2, self.downtime()),
            Fault::Stop => Verb::Stop(target, self.downtime()),
            Fault::LoadSpike => Verb::LoadSpike(target, self.load_spike()),
            Fault::Change => Verb::Change(self.operator_target(target), self.change()),
            Fault::Transfer => Verb::Transfer(self.operator_target(target), self.transfer_target()),
            Fault::MachineFault => {
                let errors = [
                    MachineFault::SkippedCommand,
                    MachineFault::RepeatedCommand,
                    MachineFault::WrongReply,
                    MachineFault::BitFlip,
                ];
                Verb::MachineFault(target, *self.draw.pick(&errors))
            }
            _ => self.disk_verb(fault, target, duration),
        }
    }

    fn disk_verb(&mut self, fault: Fault, target: NodeSelector, duration: Duration) -> Verb {
        let after = *self.draw.pick(&[0, 0, 1, 3, 10]);
        let sectors = *self.draw.pick(&[0, 1, 2, 7, 20]);
        let region = *self.draw.pick(&[
            Region::Bodies,
            Region::Headers,
            Region::Superblock,
            Region::Snapshot,
        ]);
        match fault {
            Fault::FailedFlush => {
                let calls = [Call::Flush, Call::Flush, Call::FlushDirectory];
                Verb::FailCall(target, *self.draw.pick(&calls), after, sectors)
            }
            Fault::FailedWrite => {
                let calls = [Call::Write, Call::Write, Call::Create, Call::Rename, Call::Remove];
                Verb::FailCall(target, *self.draw.pick(&calls), after, sectors)
            }
            Fault::FailedRead => Verb::FailCall(target, Call::Read, after, 0),
            Fault::FullDisk => {
                let segment = self.settings.storage.segment_bytes as u32;
                let room = *self.draw.pick(&[0, 0, 512, 4096, segment / 2, segment - 1]);
                Verb::FillDisk(target, room, duration * 4)
            }
            Fault::StalledDisk => Verb::StallDisk(target, duration * 3),
            Fault::MisdirectedWrite => Verb::MisdirectWrite(target, region, after),
            Fault::LostWrite => Verb::LoseWrite(target, after),
            _ => Verb::Corrupt(target, region),
        }
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

    /// Draws the duration of a fault: from well below the election timeout to well above it.
    pub(super) fn fault_duration(&mut self) -> Duration {
        let timeout = self.settings.config.election_timeout_max.as_millis() as u64;
        let percent = *self.draw.pick(&[25, 60, 100, 100, 150, 150, 250, 400, 800]);
        let span = timeout * percent / 100;
        Duration::from_millis(span * self.draw.between(75, 125) / 100 + 1)
    }

    /// Returns the duration of a partition. With last-survivor takeover it is long enough for both
    /// sides to declare the other one dead and go on.
    fn partition_duration(&self, duration: Duration) -> Duration {
        let after = self.settings.config.survivor.map_or(Duration::ZERO, |it| it.after * 2);
        after + duration
    }

    /// Draws how long a node stays down: from an immediate restart to many election timeouts.
    pub(super) fn downtime(&mut self) -> Duration {
        if self.draw.chance(250) { self.settings.latency.max } else { self.fault_duration() * 2 }
    }

    /// Draws the delay between a trigger and its operation; often zero.
    pub(super) fn delay(&mut self) -> Duration {
        let trips = *self.draw.pick(&[0, 0, 1, 3, 10]);
        self.settings.latency.max * trips
    }

    /// Draws the number of requests in one load spike.
    pub(super) fn load_spike(&mut self) -> u32 {
        *self.draw.pick(&[10, 3, 30, 100])
    }

    fn extra_time(&mut self) -> Duration {
        let trips = *self.draw.pick(&[2, 10, 50, 200]);
        self.settings.latency.max * trips
    }

    fn any_node(&mut self) -> NodeSelector {
        if self.draw.chance(400) { NodeSelector::Leader } else { NodeSelector::Node(self.node()) }
    }

    pub(super) fn any_or_one_node(&mut self) -> Option<NodeId> {
        let node = self.node();
        self.draw.chance(400).then_some(node)
    }

    pub(super) fn node(&mut self) -> NodeId {
        NodeId(self.draw.between(1, u64::from(self.settings.nodes())))
    }

    pub(super) fn voter(&mut self) -> NodeId {
        NodeId(self.draw.between(1, u64::from(self.settings.voters)))
    }

    /// Draws a voter other than `first`, if there are two.
    pub(super) fn voter_after(&mut self, first: NodeId) -> NodeId {
        let voters = u64::from(self.settings.voters);
        let steps = self.draw.between(1, voters.max(2) - 1);
        NodeId((first.0 - 1 + steps) % voters + 1)
    }
}
