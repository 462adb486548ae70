//! Draws a plan from the seed: single faults, triggered faults, and schedules known to be hard for
//! Raft.

use std::iter;
use std::time::Duration;

use quorate::types::NodeId;

use crate::faults::{Campaign, Crash, Fault, Faults, KeptWrites, NodeSelector, Replay, SlowDisk};
use crate::plan::planner::{Planner, planned_faults};
use crate::plan::{
    Op, Plan, Trigger, TriggerCondition, When, combined, damage, elections, leases, members,
    returns, snapshots, upgrades,
};
use crate::settings::Settings;
use crate::settings::strategy::Strategy;
use crate::values::choice::Choices;
use crate::values::time::SimTime;

use Pattern::{Hard, Single};

/// The content of one slot of the plan.
#[derive(Clone, Copy)]
enum Pattern {
    /// One operation of this fault kind, at a random time.
    Single(Fault),
    /// A schedule known to be hard.
    Hard(fn(&mut Planner<'_>)),
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
    pub fn draw(settings: &Settings, strategy: Strategy, choices: &Choices) -> Plan {
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
                draw_pattern(&mut planner, pattern);
            }
        }
        Plan { ops }
    }
}

/// Returns the patterns that the run's faults allow, each repeated by its weight.
fn patterns(settings: &Settings, strategy: Strategy) -> Vec<Pattern> {
    let singles = planned_faults(settings);
    let weight = |fault: &Fault| if Faults::OF_DISKS.has(*fault) { 1 } else { 2 };
    let single = |fault: &Fault| (Single(*fault), weight(fault), true);
    let mut weighed: Vec<WeightedPattern> = singles.iter().map(single).collect();
    if strategy >= Strategy::Nemeses && settings.has_lasting_faults {
        weighed = vec![(
            Hard(combined::lasting_fault),
            1,
            !combined::lasting_faults(settings).is_empty(),
        )];
    } else if strategy >= Strategy::Nemeses {
        weighed.extend(protocol_patterns(settings, &singles));
        weighed.extend(cluster_patterns(settings, &singles));
    }
    let allowed = weighed.into_iter().filter(|(_, _, allowed)| *allowed);
    allowed.flat_map(|(pattern, weight, _)| iter::repeat_n(pattern, weight)).collect()
}

/// A pattern, its weight (a single disk fault weighs 1), and whether the run allows it.
type WeightedPattern = (Pattern, usize, bool);

/// Returns the patterns for weak points of the protocol. If all are allowed, they occur about as
/// often as all single faults together.
fn protocol_patterns(settings: &Settings, singles: &[Fault]) -> Vec<WeightedPattern> {
    let has = |fault| settings.faults.has(fault);
    let crash = has(Fault::Crash);
    let on_disks = singles.iter().any(|fault| Faults::OF_DISKS.has(*fault));
    let on_nodes = crash || has(Fault::Partition) || has(Fault::OneWay) || has(Fault::Pause);
    let can_be_outvoted = settings.voters > 2;
    vec![
        (Hard(combined::fault_at_any_event), 4, !singles.is_empty()),
        (Hard(combined::two_faults_at_events), 5, !singles.is_empty()),
        (Hard(combined::lasting_fault), 1, !combined::lasting_faults(settings).is_empty()),
        (Hard(disk_fails_at_role_change), 4, on_disks),
        (Hard(fault_during_file_work), 4, on_disks || crash),
        (Hard(fault_at_role_change), 6, !singles.is_empty()),
        (Hard(fault_on_each_leader), 2, on_nodes),
        (Hard(fault_during_replication), 2, on_nodes),
        (Hard(crash_around_write), 5, crash),
        (Hard(returns::crash_again_after_restart), 4, crash),
        (Hard(replay_at_role_change), 3, has(Fault::Replay)),
        (Hard(elections::two_candidates), 3, has(Fault::Campaign) && can_be_outvoted),
        (Hard(elections::figure_8), 3, crash && has(Fault::Bridge) && can_be_outvoted),
        (
            Hard(elections::leader_isolation),
            3,
            has(Fault::Partition) && has(Fault::LoadSpike) && can_be_outvoted,
        ),
        (Hard(campaign_during_file_work), 3, has(Fault::Campaign) && can_be_outvoted),
        (Hard(bit_rot_while_down), 3, has(Fault::BitRot) && (crash || has(Fault::Stop))),
    ]
}

/// Returns the patterns for membership, bootstrap, upgrades, state machines, leases, disks,
/// snapshots and lagging nodes.
fn cluster_patterns(settings: &Settings, singles: &[Fault]) -> Vec<WeightedPattern> {
    let has = |fault| settings.faults.has(fault);
    let can_be_outvoted = settings.voters > 2;
    let can_lease = settings.config.lease.is_some() && settings.voters > 1;
    let often = settings.snapshot_entries <= LAGGARD_ENTRIES_MAX;
    let lags = often && has(Fault::Partition) && has(Fault::SlowApply);
    vec![
        (Hard(members::membership_churn), 12, has(Fault::Change)),
        (
            Hard(members::cancel_at_isolated_leader),
            3,
            has(Fault::Change) && has(Fault::Partition) && can_be_outvoted,
        ),
        (Single(Fault::MachineFault), 12, has(Fault::MachineFault)),
        (Hard(upgrades::rolling_upgrade), 30, has(Fault::Upgrade)),
        (
            Hard(members::split_in_halves),
            6,
            has(Fault::Partition) && settings.voters.is_multiple_of(2),
        ),
        (Hard(members::fault_during_bootstrap), 6, settings.bootstraps && !singles.is_empty()),
        (Hard(members::replace_disk), 6, has(Fault::Wipe)),
        (Single(Fault::Rollback), 8, has(Fault::Rollback)),
        (
            Hard(returns::rollback_behind_minority),
            8,
            has(Fault::Rollback) && has(Fault::Partition) && has(Fault::Crash) && can_be_outvoted,
        ),
        (Hard(leases::lease_expiry), 8, can_lease && has(Fault::LoadSpike)),
        (
            Hard(elections::reads_at_follower_of_stranded_leader),
            3,
            has(Fault::Bridge) && has(Fault::LoadSpike) && can_be_outvoted,
        ),
        (Hard(returns::repeated_snapshot_install), 3, lags && can_be_outvoted),
        (Hard(snapshots::unreadable_source), 2, often && has(Fault::FailedRead)),
        (
            Hard(snapshots::full_disk_during_snapshot),
            2,
            often && has(Fault::FullDisk) && has(Fault::SlowApply),
        ),
        (Hard(damage::damage_in_turn), 8, has(Fault::DamagedBody)),
        (Hard(damage::damage_at_role_change), 4, has(Fault::DamagedBody)),
        (Hard(damage::damage_while_down), 4, has(Fault::DamagedBody)),
        (
            Hard(damage::lost_write_of_repair),
            4,
            has(Fault::DamagedBody) && has(Fault::LostWrite) && has(Fault::Crash),
        ),
        (
            Hard(damage::damage_slow_node),
            4,
            has(Fault::DamagedBody) && has(Fault::SlowApply) && has(Fault::Crash),
        ),
    ]
}

fn draw_pattern(planner: &mut Planner<'_>, pattern: Pattern) {
    match pattern {
        Single(fault) => {
            let at = planner.any_moment();
            let target = planner.draw.any_node();
            let verb = planner.verb(fault, target);
            planner.push(at, verb);
        }
        Hard(draw) => draw(planner),
    }
}

/// A node crashes just before, during or after one of its writes.
fn crash_around_write(planner: &mut Planner<'_>) {
    let trigger = *planner.draw.pick(&[
        Trigger::SubmitsVote,
        Trigger::SubmitsEntries,
        Trigger::AboutToWrite,
        Trigger::CompletesFlush,
        Trigger::Acknowledges,
        Trigger::TruncatesLog,
    ]);
    let node = planner.any_or_one_node();
    let nth = planner.draw.between(1, 4) as u32;
    let times = planner.draw.between(1, 3) as u32;
    let delay = if planner.draw.chance(300) { planner.delay() } else { Duration::ZERO };
    let soon = planner.soon_after(trigger);
    let keep = *planner.draw.pick(&[KeptWrites::None, KeptWrites::Part, KeptWrites::None]);
    let crash = Crash { node: NodeSelector::It, keep, down: planner.draw.downtime() };
    planner.push_on(TriggerCondition { node, nth, times, delay, ..soon }, crash);
}

/// A node crashes, or its disk fails, while it creates, writes, renames or removes files.
fn fault_during_file_work(planner: &mut Planner<'_>) {
    let trigger = *planner.draw.pick(&FILE_WORK);
    let node = planner.any_or_one_node();
    let nth = planner.draw.between(1, 6) as u32;
    let times = planner.draw.between(1, 3) as u32;
    let any_time = planner.any_time(trigger);
    let delay = planner.delay();
    let crash = planner.settings.faults.has(Fault::Crash).then_some(Fault::Crash);
    let on_disk = planner.disk_fault();
    let fault = if planner.draw.chance(600) { crash.or(on_disk) } else { on_disk.or(crash) };
    let fault = fault.expect("the pattern is allowed only with such a fault");
    let verb = planner.verb(fault, NodeSelector::It);
    planner.push_on(TriggerCondition { node, nth, times, delay, ..any_time }, verb);
}

/// A voter campaigns while a node, mostly another one, works on its files. If the run has slow
/// disks, the work is slow.
fn campaign_during_file_work(planner: &mut Planner<'_>) {
    let trigger = *planner.draw.pick(&FILE_WORK);
    let node = planner.any_or_one_node();
    let nth = planner.draw.between(1, 6) as u32;
    let times = planner.draw.between(1, 3) as u32;
    let at_once = TriggerCondition { node, nth, times, ..planner.any_time(trigger) };
    if planner.settings.faults.has(Fault::SlowDisk) {
        let by = planner.draw.extra_time();
        let slow = SlowDisk { node: NodeSelector::It, by, duration: planner.draw.fault_duration() };
        planner.push_on(at_once, slow);
    }
    let (rival, delay) = (NodeSelector::Node(planner.draw.voter()), planner.delay());
    planner.push_on(TriggerCondition { delay, ..at_once }, Campaign { node: rival });
}

/// A node's disk is corrupted while the node is down.
fn bit_rot_while_down(planner: &mut Planner<'_>) {
    let goes_down = planner.any_time(Trigger::GoesDown);
    let nth = planner.draw.between(1, 3) as u32;
    let verb = planner.verb(Fault::BitRot, NodeSelector::It);
    planner.push_on(TriggerCondition { nth, ..goes_down }, verb);
}

/// A disk fault strikes a node right when it writes, votes, acknowledges, restarts or changes its
/// role.
fn disk_fails_at_role_change(planner: &mut Planner<'_>) {
    let trigger = *planner.draw.pick(&[
        Trigger::SubmitsEntries,
        Trigger::AboutToWrite,
        Trigger::SubmitsVote,
        Trigger::BecomesLeader,
        Trigger::BecomesCandidate,
        Trigger::BecomesPreCandidate,
        Trigger::Restarts,
        Trigger::Acknowledges,
    ]);
    let nth = planner.draw.between(1, 4) as u32;
    let times = planner.draw.between(1, 2) as u32;
    let node = planner.any_or_one_node();
    let any_time = planner.any_time(trigger);
    let fault = planner.disk_fault().expect("the pattern is allowed only with such a fault");
    let verb = planner.verb(fault, NodeSelector::It);
    planner.push_on(TriggerCondition { node, nth, times, ..any_time }, verb);
}

/// Up to four leaders elected within ten election timeouts get the same fault.
fn fault_on_each_leader(planner: &mut Planner<'_>) {
    let fault = planner.node_fault();
    let times = planner.draw.between(1, 4) as u32;
    let delay = planner.delay();
    let soon = planner.soon_after(Trigger::BecomesLeader);
    let verb = planner.verb(fault, NodeSelector::It);
    planner.push_on(TriggerCondition { times, delay, ..soon }, verb);
}

/// When a node advances its commit index, submits entries, becomes a candidate or sends a
/// heartbeat, it, its peer or the leader gets a fault.
fn fault_during_replication(planner: &mut Planner<'_>) {
    let trigger = *planner.draw.pick(&[
        Trigger::AdvancesCommit,
        Trigger::SubmitsEntries,
        Trigger::BecomesCandidate,
        Trigger::SendsHeartbeat,
    ]);
    let node = planner.any_or_one_node();
    let nth = planner.draw.between(1, 40) as u32;
    let delay = planner.delay();
    let soon = planner.soon_after(trigger);
    let target = *planner.draw.pick(&[NodeSelector::It, NodeSelector::Other, NodeSelector::Leader]);
    let fault = planner.node_fault();
    let verb = planner.verb(fault, target);
    planner.push_on(TriggerCondition { node, nth, delay, ..soon }, verb);
}

/// A node gets a fault of any kind right when its role changes.
fn fault_at_role_change(planner: &mut Planner<'_>) {
    let trigger = *planner.draw.pick(&[
        Trigger::BecomesCandidate,
        Trigger::BecomesPreCandidate,
        Trigger::BecomesLeader,
    ]);
    let times = planner.draw.between(1, 3) as u32;
    let any_time = planner.any_time(trigger);
    let kinds = planned_faults(planner.settings);
    let fault = *planner.draw.pick(&kinds);
    let verb = planner.verb(fault, NodeSelector::It);
    planner.push_on(TriggerCondition { times, ..any_time }, verb);
}

/// Old messages are replayed when a node restarts, acknowledges or changes its role, where they
/// could be taken for new ones.
fn replay_at_role_change(planner: &mut Planner<'_>) {
    let trigger = *planner.draw.pick(&[
        Trigger::Restarts,
        Trigger::BecomesLeader,
        Trigger::Acknowledges,
        Trigger::BecomesCandidate,
    ]);
    let nth = planner.draw.between(1, 3) as u32;
    let times = planner.draw.between(1, 4) as u32;
    let delay = planner.delay();
    let soon = planner.soon_after(trigger);
    let count = planner.draw.between(5, 60) as u32;
    let replay = Replay { node: NodeSelector::It, count };
    planner.push_on(TriggerCondition { nth, times, delay, ..soon }, replay);
}

/// The number of draws in 1,000 that yield a fault.
const STRIKES_PERMILLE: u64 = 750;

impl Op {
    /// Draws a fault of any kind that the run allows, for `node` at `at`; usually there is one.
    pub(crate) fn single_fault(
        settings: &Settings,
        choices: &Choices,
        at: SimTime,
        node: NodeId,
    ) -> Option<Op> {
        let faults = planned_faults(settings);
        let mut ops = Vec::new();
        // No slot of a plan has this number.
        let mut planner = Planner::new(settings, choices, u16::MAX, &mut ops);
        if faults.is_empty() || !planner.draw.chance(STRIKES_PERMILLE) {
            return None;
        }
        let fault = *planner.draw.pick(&faults);
        let verb = planner.verb(fault, NodeSelector::Node(node));
        Some(Op { when: When::At(at), verb })
    }
}
