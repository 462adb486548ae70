//! Draws a plan: single faults, triggered ones, and small schedules known to be treacherous.

use std::iter;
use std::time::Duration;

use quorate::types::NodeId;

use crate::choice::{Choices, Draw, Key, Kind};
use crate::fault::Fault;
use crate::plan::{Call, Keep, Occasion, Op, Plan, Region, Slip, Trigger, Verb, When, Who};
use crate::rung::Rung;
use crate::settings::{Clocks, Settings};
use crate::time::SimTime;

/// What one slot of the plan is filled with.
#[derive(Clone, Copy)]
enum Pattern {
    /// One operation of this kind, at a time.
    Single(Fault),
    /// A node crashes at a boundary of one of its writes.
    Boundary,
    /// A node crashes, or its disk fails, in the middle of its work on files.
    Upkeep,
    /// A node's disk fails at the next thing the node asks of it, just when the node promises
    /// something or takes on another role.
    Treason,
    /// Every new leader meets the same fault.
    Chase,
    /// A node meets a fault when it, or another, advances its commit index or takes entries.
    Progress,
    /// A node meets a fault of any kind just when its role changes.
    Ambush,
    /// Old messages come again just when they could be taken for new ones.
    Echo,
    /// Two nodes campaign at once, and voters crash.
    Duel,
    /// Leaders are cut off with a minority that took their last entries, crash, and come back
    /// (Raft §5.4.2).
    Relay,
    /// A leader is cut off with many requests, so that it has a long tail that nobody else has,
    /// and comes back when the others have gone on for a little.
    Exile,
    /// Somebody campaigns in the middle of a node's work on files, which takes long.
    Usurp,
    /// A node's disk rots while the node is down.
    Decay,
    /// Members come and go, one change after the other, and something happens in the midst of it.
    Churn,
    /// The nodes split in halves.
    Halves,
    /// Something happens while the founders meet.
    Dawn,
    /// A node loses its disk, and the operator lets it in again.
    Replace,
    /// A lease ends, or a loan of it, while reads rest on it.
    Tenancy,
    /// A node falls in the middle of a write, and again as soon as it is back.
    Relapse,
    /// A leader and one who follows it are parted from the others, who elect another, and somebody
    /// reads at the follower.
    Remnant,
    /// A node needs one snapshot after the other, while it takes long to start over from the first.
    Laggard,
}

/// What a node does with its files.
const UPKEEP: [Trigger; 11] = [
    Trigger::UpdatesSuperblock,
    Trigger::CreatesSegment,
    Trigger::BeginsSegment,
    Trigger::RemovesFile,
    Trigger::TakesSnapshot,
    Trigger::WritesSnapshot,
    Trigger::NamesSnapshot,
    Trigger::ReceivesPart,
    Trigger::SendsPart,
    Trigger::InstallsSnapshot,
    Trigger::RestoresSnapshot,
];

/// Where snapshots are no more than so many entries apart, a node that is cut off soon needs one.
const LAGGARD_ENTRIES_MAX: u64 = 60;

impl Plan {
    /// The plan that `choices` draw on `rung` for a run with `settings`: a function of these alone.
    #[must_use]
    pub fn draw((settings, rung): (&Settings, Rung), choices: &Choices) -> Plan {
        let patterns = patterns(settings, rung);
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
                planner.fill(pattern);
            }
        }
        Plan { ops }
    }
}

/// The patterns that the run's faults allow, each as often as it weighs.
fn patterns(settings: &Settings, rung: Rung) -> Vec<Pattern> {
    let weight = |fault: &Fault| if Fault::OF_DISKS.contains(fault) { 1 } else { 2 };
    let singles = planned_faults(settings);
    let single = |fault: &Fault| (Pattern::Single(*fault), weight(fault), true);
    let mut weighed: Vec<Weighed> = singles.iter().map(single).collect();
    if rung >= Rung::Nemeses {
        weighed.extend(of_moments(settings, &singles));
        weighed.extend(of_clusters(settings, &singles));
    }
    let allowed = weighed.into_iter().filter(|(_, _, allowed)| *allowed);
    allowed.flat_map(|(pattern, weight, _)| iter::repeat_n(pattern, weight)).collect()
}

/// A pattern, what it weighs beside one kind of fault of disks, and whether the run allows it.
type Weighed = (Pattern, usize, bool);

/// Those that target the algorithm's weak moments: where all are allowed they come about as often
/// as all single faults together.
fn of_moments(settings: &Settings, singles: &[Fault]) -> Vec<Weighed> {
    let has = |fault| settings.faults.has(fault);
    let crash = has(Fault::Crash);
    let on_disks = singles.iter().any(|fault| Fault::OF_DISKS.contains(fault));
    let on_nodes = crash || has(Fault::Partition) || has(Fault::OneWay) || has(Fault::Pause);
    let can_be_outvoted = settings.voters > 2;
    vec![
        (Pattern::Treason, 4, on_disks),
        (Pattern::Upkeep, 4, on_disks || crash),
        (Pattern::Ambush, 6, !singles.is_empty()),
        (Pattern::Chase, 2, on_nodes),
        (Pattern::Progress, 2, on_nodes),
        (Pattern::Boundary, 5, crash),
        (Pattern::Relapse, 4, crash),
        (Pattern::Echo, 3, has(Fault::Replay)),
        (Pattern::Duel, 3, has(Fault::Campaign) && can_be_outvoted),
        (Pattern::Relay, 3, crash && has(Fault::Bridge) && can_be_outvoted),
        (Pattern::Exile, 3, has(Fault::Partition) && has(Fault::Surge) && can_be_outvoted),
        (Pattern::Usurp, 3, has(Fault::Campaign) && can_be_outvoted),
        (Pattern::Decay, 3, has(Fault::Rot) && (crash || has(Fault::Stop))),
    ]
}

/// Those about who is in the cluster, what it rests on, and how far behind somebody is.
fn of_clusters(settings: &Settings, singles: &[Fault]) -> Vec<Weighed> {
    let has = |fault| settings.faults.has(fault);
    let can_be_outvoted = settings.voters > 2;
    let can_lease = settings.config.lease.is_some() && settings.voters > 1;
    let often = settings.snapshot_entries <= LAGGARD_ENTRIES_MAX;
    let lags = often && has(Fault::Partition) && has(Fault::SlowApply);
    vec![
        (Pattern::Churn, 12, has(Fault::Change)),
        (Pattern::Single(Fault::Slip), 12, has(Fault::Slip)),
        (Pattern::Halves, 6, has(Fault::Partition) && settings.voters.is_multiple_of(2)),
        (Pattern::Dawn, 6, settings.founds && !singles.is_empty()),
        (Pattern::Replace, 6, has(Fault::Wipe)),
        (Pattern::Single(Fault::Rollback), 8, has(Fault::Rollback)),
        (Pattern::Tenancy, 8, can_lease && has(Fault::Surge)),
        (Pattern::Remnant, 3, has(Fault::Bridge) && has(Fault::Surge) && can_be_outvoted),
        (Pattern::Laggard, 3, lags && can_be_outvoted),
    ]
}

/// The kinds of faults of the run that befall nodes and links at a time, rather than each message
/// or step by chance.
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
    fn fill(&mut self, pattern: Pattern) {
        match pattern {
            Pattern::Single(fault) => {
                let at = self.moment();
                let who = self.anyone();
                let verb = self.verb(fault, who);
                self.push(at, verb);
            }
            Pattern::Boundary => self.boundary(),
            Pattern::Upkeep => self.upkeep(),
            Pattern::Treason => self.treason(),
            Pattern::Chase => self.chase(),
            Pattern::Progress => self.progress(),
            Pattern::Ambush => self.ambush(),
            Pattern::Echo => self.echo(),
            Pattern::Duel => self.duel(),
            Pattern::Relay => self.relay(),
            Pattern::Exile => self.exile(),
            Pattern::Usurp => self.usurp(),
            Pattern::Decay => self.decay(),
            Pattern::Churn => self.churn(),
            Pattern::Halves => self.halves(),
            Pattern::Dawn => self.dawn(),
            Pattern::Replace => self.replace(),
            Pattern::Tenancy => self.tenancy(),
            Pattern::Relapse => self.relapse(),
            Pattern::Remnant => self.remnant(),
            Pattern::Laggard => self.laggard(),
        }
    }

    /// This happens at that time.
    pub(super) fn push(&mut self, at: SimTime, verb: Verb) {
        self.ops.push(Op { when: When::At(at), verb });
    }

    /// This happens when a node does that.
    pub(super) fn push_on(&mut self, occasion: Occasion, verb: Verb) {
        self.ops.push(Op { when: When::On(occasion), verb });
    }

    fn boundary(&mut self) {
        let trigger = *self.draw.pick(&[
            Trigger::SubmitsVote,
            Trigger::SubmitsEntries,
            Trigger::AboutToSubmit,
            Trigger::Flushes,
            Trigger::Promises,
            Trigger::CutsLog,
        ]);
        let by = self.perhaps_node();
        let nth = self.draw.between(1, 4) as u32;
        let times = self.draw.between(1, 3) as u32;
        let later = if self.draw.chance(300) { self.delay() } else { Duration::ZERO };
        let soon = self.soon(trigger);
        let keep = *self.draw.pick(&[Keep::None, Keep::Part, Keep::None]);
        let down = self.downtime();
        self.push_on(Occasion { by, nth, times, later, ..soon }, Verb::Crash(Who::It, keep, down));
    }

    fn upkeep(&mut self) {
        let trigger = *self.draw.pick(&UPKEEP);
        let by = self.perhaps_node();
        let nth = self.draw.between(1, 6) as u32;
        let times = self.draw.between(1, 3) as u32;
        let any_time = self.any_time(trigger);
        let later = self.delay();
        let crash = self.settings.faults.has(Fault::Crash).then_some(Fault::Crash);
        let on_disk = self.disk_fault();
        let fault = if self.draw.chance(600) { crash.or(on_disk) } else { on_disk.or(crash) };
        let fault = fault.expect("the run has one of them");
        let verb = self.verb(fault, Who::It);
        self.push_on(Occasion { by, nth, times, later, ..any_time }, verb);
    }

    fn usurp(&mut self) {
        let trigger = *self.draw.pick(&UPKEEP);
        let by = self.perhaps_node();
        let nth = self.draw.between(1, 6) as u32;
        let times = self.draw.between(1, 3) as u32;
        let at_once = Occasion { by, nth, times, ..self.any_time(trigger) };
        if self.settings.faults.has(Fault::SlowDisk) {
            let slow = Verb::SlowDisk(Who::It, self.slowness(), self.lasting());
            self.push_on(at_once, slow);
        }
        let (rival, later) = (Who::Node(self.voter()), self.delay());
        self.push_on(Occasion { later, ..at_once }, Verb::Campaign(rival));
    }

    fn decay(&mut self) {
        let falls = self.any_time(Trigger::Falls);
        let nth = self.draw.between(1, 3) as u32;
        let verb = self.verb(Fault::Rot, Who::It);
        self.push_on(Occasion { nth, ..falls }, verb);
    }

    fn treason(&mut self) {
        let trigger = *self.draw.pick(&[
            Trigger::SubmitsEntries,
            Trigger::AboutToSubmit,
            Trigger::SubmitsVote,
            Trigger::BecomesLeader,
            Trigger::BecomesCandidate,
            Trigger::BecomesPreCandidate,
            Trigger::Starts,
            Trigger::Promises,
        ]);
        let nth = self.draw.between(1, 4) as u32;
        let times = self.draw.between(1, 2) as u32;
        let by = self.perhaps_node();
        let any_time = self.any_time(trigger);
        let fault = self.disk_fault().expect("the run has one of them");
        let verb = self.verb(fault, Who::It);
        self.push_on(Occasion { by, nth, times, ..any_time }, verb);
    }

    /// A kind of fault that befalls disks, among those of the run, if it has any.
    fn disk_fault(&mut self) -> Option<Fault> {
        let faults = self.settings.faults;
        let kinds = Fault::OF_DISKS.into_iter().filter(|fault| faults.has(*fault));
        let kinds: Vec<Fault> = kinds.collect();
        let place = self.draw.below(kinds.len().max(1) as u64);
        kinds.get(place as usize).copied()
    }

    fn chase(&mut self) {
        let fault = self.node_fault();
        let times = self.draw.between(1, 4) as u32;
        let later = self.delay();
        let soon = self.soon(Trigger::BecomesLeader);
        let verb = self.verb(fault, Who::It);
        self.push_on(Occasion { times, later, ..soon }, verb);
    }

    fn progress(&mut self) {
        let trigger = *self.draw.pick(&[
            Trigger::AdvancesCommit,
            Trigger::SubmitsEntries,
            Trigger::BecomesCandidate,
            Trigger::Beats,
        ]);
        let by = self.perhaps_node();
        let nth = self.draw.between(1, 40) as u32;
        let later = self.delay();
        let soon = self.soon(trigger);
        let who = *self.draw.pick(&[Who::It, Who::Other, Who::Leader]);
        let fault = self.node_fault();
        let verb = self.verb(fault, who);
        self.push_on(Occasion { by, nth, later, ..soon }, verb);
    }

    fn ambush(&mut self) {
        let trigger = *self.draw.pick(&[
            Trigger::BecomesCandidate,
            Trigger::BecomesPreCandidate,
            Trigger::BecomesLeader,
        ]);
        let times = self.draw.between(1, 3) as u32;
        let any_time = self.any_time(trigger);
        let kinds = planned_faults(self.settings);
        let fault = *self.draw.pick(&kinds);
        let verb = self.verb(fault, Who::It);
        self.push_on(Occasion { times, ..any_time }, verb);
    }

    fn echo(&mut self) {
        let trigger = *self.draw.pick(&[
            Trigger::Starts,
            Trigger::BecomesLeader,
            Trigger::Promises,
            Trigger::BecomesCandidate,
        ]);
        let nth = self.draw.between(1, 3) as u32;
        let times = self.draw.between(1, 4) as u32;
        let later = self.delay();
        let soon = self.soon(trigger);
        let count = self.draw.between(5, 60) as u32;
        self.push_on(Occasion { nth, times, later, ..soon }, Verb::Replay(Who::It, count));
    }

    pub(super) fn verb(&mut self, fault: Fault, who: Who) -> Verb {
        let lasting = self.lasting();
        match fault {
            Fault::Crash => {
                let keep = *self.draw.pick(&[Keep::Part, Keep::None, Keep::All]);
                Verb::Crash(who, keep, self.downtime())
            }
            Fault::Pause => Verb::Pause(who, lasting),
            Fault::Partition if self.draw.chance(500) => {
                Verb::Split(self.side(who), self.parted(lasting))
            }
            Fault::Partition => Verb::Isolate(who, self.parted(lasting)),
            Fault::OneWay => match self.draw.below(3) {
                0 => Verb::Cut(who, self.anyone(), lasting),
                1 => Verb::Deafen(who, lasting),
                _ => Verb::Mute(who, lasting),
            },
            Fault::Bridge if self.draw.chance(300) => {
                Verb::Strand(who, Who::Node(self.voter()), lasting)
            }
            Fault::Bridge => Verb::Only(self.links(), lasting),
            Fault::Flap => {
                let period = self.settings.latency.most * self.draw.between(2, 60) as u32;
                Verb::Flap(who, self.anyone(), period, lasting * 2)
            }
            Fault::Clog => Verb::Clog(who, lasting),
            Fault::Drift => {
                let steps = i64::from(Clocks::DRIFT_PPM_MAX);
                let most = i64::from(self.settings.clocks.drift_ppm_max);
                let ppm = (self.draw.below(steps as u64 + 1) as i64 * most / steps) as i32;
                Verb::Drift(who, if self.draw.chance(500) { -ppm } else { ppm }, lasting * 4)
            }
            Fault::Jump => Verb::Jump(who, lasting),
            Fault::SlowDisk => Verb::SlowDisk(who, self.slowness(), lasting * 2),
            Fault::SlowApply => Verb::SlowApply(who, self.slowness(), lasting * 2),
            Fault::Stray => Verb::Stray(who, self.draw.between(1, 8) as u32),
            Fault::Replay => Verb::Replay(who, self.draw.between(1, 30) as u32),
            Fault::Campaign => Verb::Campaign(who),
            Fault::Wipe => Verb::Wipe(who, self.downtime()),
            Fault::Rollback => Verb::Rollback(who, lasting * 2, self.downtime()),
            Fault::Stop => Verb::Stop(who, self.downtime()),
            Fault::Surge => Verb::Surge(who, self.surge()),
            Fault::Change => Verb::Change(self.whom_to_ask(who), self.change()),
            Fault::Transfer => Verb::Transfer(self.whom_to_ask(who), self.heir()),
            Fault::Slip => {
                let slips = [Slip::Skips, Slip::Repeats, Slip::Misspeaks, Slip::Forgets];
                Verb::Slip(who, *self.draw.pick(&slips))
            }
            _ => self.disk_verb(fault, who, lasting),
        }
    }

    fn disk_verb(&mut self, fault: Fault, who: Who, lasting: Duration) -> Verb {
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
                Verb::Fail(who, *self.draw.pick(&calls), after, sectors)
            }
            Fault::FailedWrite => {
                let calls = [Call::Write, Call::Write, Call::Create, Call::Rename, Call::Remove];
                Verb::Fail(who, *self.draw.pick(&calls), after, sectors)
            }
            Fault::FailedRead => Verb::Fail(who, Call::Read, after, 0),
            Fault::FullDisk => {
                let segment = self.settings.storage.segment_bytes as u32;
                let room = *self.draw.pick(&[0, 0, 512, 4096, segment / 2, segment - 1]);
                Verb::Fill(who, room, lasting * 4)
            }
            Fault::StalledDisk => Verb::Stall(who, lasting * 3),
            Fault::MisdirectedWrite => Verb::Misdirect(who, region, after),
            Fault::LostWrite => Verb::LoseWrite(who, after),
            _ => Verb::Rot(who, region),
        }
    }

    /// A kind of fault that befalls a node, among those of the run.
    fn node_fault(&mut self) -> Fault {
        let kinds = [
            Fault::Crash,
            Fault::Partition,
            Fault::OneWay,
            Fault::Pause,
            Fault::Bridge,
            Fault::SlowDisk,
            Fault::Clog,
            Fault::Stray,
            Fault::Jump,
            Fault::StalledDisk,
            Fault::FailedFlush,
        ];
        let faults = self.settings.faults;
        let allowed: Vec<Fault> = kinds.into_iter().filter(|fault| faults.has(*fault)).collect();
        *self.draw.pick(&allowed)
    }

    /// The next time that this happens within ten election timeouts of some moment.
    pub(super) fn soon(&mut self, trigger: Trigger) -> Occasion {
        let from = self.moment();
        let to = from.after(self.settings.config.election_timeout_max * 10);
        Occasion::next(trigger, from, to)
    }

    /// The next time that this happens from some moment to the end of the storm: it may be rare.
    pub(super) fn any_time(&mut self, trigger: Trigger) -> Occasion {
        let from = self.moment();
        Occasion::next(trigger, from, SimTime::default().after(self.settings.storm))
    }

    /// A time within the storm, to the millisecond, so that a person can read it.
    pub(super) fn moment(&mut self) -> SimTime {
        let storm = self.settings.storm.as_millis() as u64;
        SimTime::default().after(Duration::from_millis(self.draw.between(storm / 50, storm)))
    }

    /// Time that a fault lasts: from well below the election timeout to well above.
    pub(super) fn lasting(&mut self) -> Duration {
        let timeout = self.settings.config.election_timeout_max.as_millis() as u64;
        let percent = *self.draw.pick(&[25, 60, 100, 100, 150, 150, 250, 400, 800]);
        let span = timeout * percent / 100;
        Duration::from_millis(span * self.draw.between(75, 125) / 100 + 1)
    }

    /// Time that the network parts nodes: where a silence means death, longer than it takes both
    /// sides to bury the other and go on.
    fn parted(&self, lasting: Duration) -> Duration {
        let after = self.settings.config.survivor.map_or(Duration::ZERO, |it| it.after * 2);
        after + lasting
    }

    /// Time that a node stays down: from nothing, as a supervisor would have it, to very long.
    pub(super) fn downtime(&mut self) -> Duration {
        if self.draw.chance(250) { self.settings.latency.most } else { self.lasting() * 2 }
    }

    /// Time between a trigger and what it fires; often none.
    pub(super) fn delay(&mut self) -> Duration {
        let trips = *self.draw.pick(&[0, 0, 1, 3, 10]);
        self.settings.latency.most * trips
    }

    /// How many requests come at once.
    pub(super) fn surge(&mut self) -> u32 {
        *self.draw.pick(&[10, 3, 30, 100])
    }

    fn slowness(&mut self) -> Duration {
        let trips = *self.draw.pick(&[2, 10, 50, 200]);
        self.settings.latency.most * trips
    }

    fn anyone(&mut self) -> Who {
        if self.draw.chance(400) { Who::Leader } else { Who::Node(self.node()) }
    }

    pub(super) fn perhaps_node(&mut self) -> Option<NodeId> {
        let node = self.node();
        self.draw.chance(400).then_some(node)
    }

    pub(super) fn node(&mut self) -> NodeId {
        NodeId(self.draw.between(1, u64::from(self.settings.nodes())))
    }

    pub(super) fn voter(&mut self) -> NodeId {
        NodeId(self.draw.between(1, u64::from(self.settings.voters)))
    }

    /// A voter other than `first`, if there are two.
    pub(super) fn voter_after(&mut self, first: NodeId) -> NodeId {
        let voters = u64::from(self.settings.voters);
        let steps = self.draw.between(1, voters.max(2) - 1);
        NodeId((first.0 - 1 + steps) % voters + 1)
    }
}
