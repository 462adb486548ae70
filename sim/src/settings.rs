//! What one run is made of: the cluster, its options, its network, disks and load.

use std::fmt;
use std::num::NonZero;
use std::time::Duration;

use quorate::machine::{Request, SessionLimits};
use quorate::raft::{Config, Lease, Removal, Survivor};
use quorate::replica::ReplicaConfig;
use quorate::storage::StorageConfig;
use quorate::types::{Entry, Incarnation, Member, Membership, NodeId};

use crate::check::{Costs, keeps_outsiders_out};
use crate::choice::{Choices, Draw, Key, Kind};
use crate::fault::{Fault, Faults};
use crate::profile::Profile;
use crate::request::MARK_BYTES;
use crate::rung::Rung;
use crate::span::Span;

/// The parameters of one run, fixed before it starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// How many nodes vote at first: the nodes from 1 on.
    pub voters: u8,
    /// How many nodes learn at first: those after the voters.
    pub learners: u8,
    /// How many nodes are no members at first: those after the learners.
    pub spares: u8,
    /// Whether the voters begin without a membership, and found the cluster; learners wait then, as
    /// spares do, to become members.
    pub founds: bool,
    /// The priority of each member, by its number; the rest have the default.
    pub priorities: Vec<u8>,
    /// The configuration of every node, save its id.
    pub config: Config,
    /// The kinds of faults that the run may meet.
    pub faults: Faults,
    /// How long the storm lasts.
    pub storm: Duration,
    /// How many operations the plan has slots for.
    pub plan_slots: u16,
    /// How long messages take.
    pub latency: Span,
    /// How many messages in a thousand are lost.
    pub loss_permille: u64,
    /// How many messages in a thousand arrive twice.
    pub duplicate_permille: u64,
    /// How many messages in a thousand take far longer than the others.
    pub delay_permille: u64,
    /// How long a flush takes.
    pub flush: Span,
    /// The bounds of every node's store.
    pub storage: StorageConfig,
    /// After how many applied entries a snapshot is taken.
    pub snapshot_entries: u64,
    /// After how many applied bytes of entries a snapshot is taken.
    pub snapshot_bytes: u64,
    /// How many entries before a snapshot are kept for peers that lag.
    pub trailing_entries: u64,
    /// How many bytes of a snapshot a node writes, or sends, in a second.
    pub snapshot_bytes_per_second: u64,
    /// After how many commands each state machine makes its state durable by itself; none if it
    /// lives in memory.
    pub machine_keeps_each: Option<NonZero<u64>>,
    /// What is kept for the sessions of clients.
    pub session_limits: SessionLimits,
    /// How long a node takes to hear of a finished flush, when it does not hear at once.
    pub report: Span,
    /// How long the state machine takes for a batch, and the disk to read one.
    pub work: Span,
    /// How many steps in a thousand are carried out late, action by action.
    pub lag_permille: u64,
    /// How many steps in a million end in a crash between two of their actions.
    pub torn_step_ppm: u64,
    /// How long a node's driver gathers proposals before it hands them over together; zero where
    /// it hands each over as it comes.
    pub gather: Duration,
    /// How many clients there are.
    pub clients: u16,
    /// How many operations they ask for by themselves, all together, those apart that are refused.
    pub operations_max: u64,
    /// How long a client waits between two operations.
    pub think: Span,
    /// How long a client waits for an outcome.
    pub patience: Duration,
    /// How many operations in a thousand read.
    pub read_permille: u64,
    /// The usual size of a command, in bytes; it has at least 16.
    pub command_bytes: u64,
    /// How the clocks of nodes go.
    pub clocks: Clocks,
    /// How the state machines are compared.
    pub validation: Validation,
}

/// How far clocks stray.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clocks {
    /// By how many millionths each may always run too fast or too slow.
    pub usual_ppm_max: u32,
    /// And while a fault ails it.
    pub drift_ppm_max: u32,
    /// Whether they stand still while their process does.
    pub stand_still: bool,
}

impl Clocks {
    /// The most that a fault makes of either.
    pub const DRIFT_PPM_MAX: u32 = 50_000;
}

/// How the state machines of a run are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validation {
    /// After how many applied entries.
    pub entries: u64,
    /// After how long at the latest.
    pub period: Duration,
    /// Whether the states themselves are compared.
    pub states: bool,
}

impl Settings {
    /// The most nodes that there may be.
    pub const NODES_MAX: u8 = 11;

    /// The settings that `choices` draw from `profile` on `rung`, for a storm `length` times as
    /// long as usual, and for commands of up to `command_bytes` bytes of a user's.
    #[must_use]
    pub fn draw(
        (profile, rung): (&Profile, Rung),
        choices: &Choices,
        length: u32,
        command_bytes: usize,
    ) -> Settings {
        if rung > Rung::Random {
            return Settings::swarm(profile, choices, length, command_bytes);
        }
        // Nothing is drawn, and nothing omitted.
        let always = profile.faults.without(APART).and(profile.always);
        let every = Profile { always, ..*profile };
        Settings::swarm(&every, &Choices::benign(), length, command_bytes)
    }

    fn swarm(profile: &Profile, choices: &Choices, length: u32, command_bytes: usize) -> Settings {
        let mut draw = choices.draw(Kind::Setting.key());
        let faults = draw_faults(&mut draw, profile);
        let (voters, learners) = draw_cluster(&mut draw, profile);
        let work = *draw.pick(&[1_000, 300, 3_000, 8_000]);
        let distance = u64::from(profile.distance);
        let unit = work * distance;
        let mut config = draw_config(&mut draw, unit, command_bytes);
        config.outbox_messages_max = *draw.pick(&[256, 16, 3]);
        let storm = Duration::from_millis(draw.between(8_000, 13_000)) * length * profile.distance;
        let slots = storm.as_millis() as u64 / (draw.between(500, 1_300) * distance);
        let faults = draw_members(choices, profile, faults, &mut config);
        let (faults, clocks) = draw_leases(choices, profile, faults, &mut config);
        draw_survivor(choices, profile, &mut config);
        let (founds, faults) = draw_identity(choices, profile, faults);
        let (spares, priorities) = draw_strangers(choices, faults, voters + learners);
        let storage = draw_storage(&mut draw, &config);
        let [snapshot_entries, snapshot_bytes, trailing_entries, snapshot_bytes_per_second] =
            draw_snapshots(&mut draw, profile.snapshots);
        let validation = draw_validation(choices, faults, &config);
        let gather = draw_gather(choices, unit, &mut config);
        Settings {
            voters,
            learners,
            spares,
            founds,
            priorities,
            storm,
            plan_slots: u16::try_from(slots).unwrap_or(u16::MAX),
            latency: Span::micros(unit / 4, unit / 4 + draw.between(unit / 4, unit)),
            loss_permille: permille(&mut draw, faults, Fault::Loss, &[10, 2, 30, 80]),
            duplicate_permille: permille(&mut draw, faults, Fault::Duplicate, &[10, 3, 50, 200]),
            delay_permille: permille(&mut draw, faults, Fault::Delay, &[5, 1, 20, 50]),
            flush: draw_flush(&mut draw, work),
            storage,
            snapshot_entries,
            snapshot_bytes,
            trailing_entries,
            snapshot_bytes_per_second,
            session_limits: SessionLimits {
                sessions_max: *draw.pick(&[64, 2, 3]),
                window: *draw.pick(&[16, 1, 3]),
                replies_bytes_max: *draw.pick(&[1 << 16, 200]),
            },
            report: Span::micros(0, work),
            work: Span::micros(work / 100, *draw.pick(&[work / 10, work, work * 5])),
            lag_permille: permille(&mut draw, faults, Fault::Lag, &[10, 50, 200]),
            torn_step_ppm: permille(&mut draw, faults, Fault::Crash, &[100, 0, 400]),
            gather,
            clients: draw.between(2, 6) as u16,
            operations_max: u64::MAX,
            think: Span::micros(distance * 1_000, distance * *draw.pick(&[20_000, 5_000, 50_000])),
            patience: config.election_timeout_max * draw.between(1, 6) as u32,
            read_permille: *draw.pick(&[300, 100, 600]),
            command_bytes: draw.between(16, 64),
            clocks,
            // A machine that keeps what is wrong with it has nothing else to start over from.
            machine_keeps_each: NonZero::new(*draw.pick(&[0, 0, 0, 0, 1, 7]))
                .filter(|_| !faults.has(Fault::Slip)),
            validation,
            config,
            faults,
        }
    }

    /// The configuration of node `id`.
    #[must_use]
    pub fn replica(&self, id: NodeId) -> ReplicaConfig {
        let first = self.membership();
        let founders = Some(first).filter(|first| self.founds && first.is_voter(id));
        let mut config = ReplicaConfig::new(Config { id, founders, ..self.config.clone() });
        config.storage = self.storage.clone();
        config.snapshot_entries = self.snapshot_entries;
        config.snapshot_bytes = self.snapshot_bytes;
        config.trailing_entries = self.trailing_entries;
        config.snapshot_bytes_per_second = self.snapshot_bytes_per_second;
        config.part_patience = self.config.election_timeout_max;
        config.space_retry = self.config.election_timeout_max;
        config.validation_entries = self.validation.entries;
        config.validation_period = self.validation.period;
        config.validation_patience = self.config.heartbeat_interval * 2;
        config.validate_states = self.validation.states;
        config
    }

    /// The largest command of a client's, in bytes: what the log takes, less what a request adds.
    #[must_use]
    pub fn command_bytes_max(&self) -> u64 {
        (self.config.command_bytes_max - Request::OVERHEAD_BYTES_MAX) as u64
    }

    /// How many nodes there are.
    #[must_use]
    pub fn nodes(&self) -> u8 {
        self.voters + self.learners + self.spares
    }

    /// The membership that every directory is made with: none if the nodes found the cluster.
    #[must_use]
    pub fn formatted(&self) -> Membership {
        if self.founds { Membership::default() } else { self.membership() }
    }

    /// The life of the disk of the node `id`, which has lost so many disks before.
    #[must_use]
    pub fn incarnation(id: NodeId, lost: u16) -> Incarnation {
        Incarnation(u128::from(lost) << 64 | u128::from(id.0))
    }

    /// The first membership of the cluster. It names the disks of its members where disks are lost;
    /// founders name them by themselves.
    #[must_use]
    pub fn membership(&self) -> Membership {
        let node = |number: u8| NodeId(u64::from(number));
        let members = if self.founds { self.voters } else { self.voters + self.learners };
        let plain = Membership::new((1..=self.voters).map(node))
            .with_learners((self.voters + 1..=members).map(node));
        let names = self.faults.has(Fault::Wipe) && !self.founds;
        let name = |id| if names { Settings::incarnation(id, 0) } else { Incarnation::default() };
        let priority = |id: NodeId| self.priorities.get(id.0 as usize - 1).copied();
        (1..=members).map(node).fold(plain, |membership, id| {
            let member = Member::new(id);
            let priority = priority(id).unwrap_or(member.priority);
            membership.with_member(Member { priority, incarnation: name(id), ..member })
        })
    }

    /// What things take at most where no fault concerns them.
    pub(crate) fn costs(&self) -> Costs {
        Costs {
            message: self.latency.most,
            flush: self.flush.most,
            batch: self.work.most,
            snapshot_bytes_per_second: self.snapshot_bytes_per_second,
            part_bytes: self.storage.snapshots.chunk_bytes as u64,
        }
    }

    /// Whether the algorithm promises liveness although nodes outside the live majority are only
    /// half cut off.
    #[must_use]
    pub fn survives_half_cuts(&self) -> bool {
        keeps_outsiders_out(&self.config)
    }
}

/// A random part of `allowed`: usually about half, sometimes all.
/// What is drawn by itself, and not as one kind among others.
const APART: Faults = Faults::of(&Fault::OF_MEMBERS)
    .and(Faults::of(&Fault::OF_IDENTITY))
    .and(Faults::of(&[Fault::Slip]));

fn draw_faults(draw: &mut Draw<'_>, profile: &Profile) -> Faults {
    let share = *draw.pick(&[500, 1000, 300, 700]);
    let drawn: Faults = Fault::ALL
        .into_iter()
        .filter(|fault| !APART.has(*fault))
        .filter(|_| draw.chance(share))
        .filter(|fault| profile.faults.has(*fault))
        .collect();
    drawn.and(profile.always)
}

fn draw_cluster(draw: &mut Draw<'_>, profile: &Profile) -> (u8, u8) {
    let voters = *draw.pick(profile.voters);
    let learners = draw.chance(profile.learners_permille);
    (voters, if learners { draw.between(1, 2) as u8 } else { 0 })
}

/// Whether the membership changes in the run, by the operator's will and by the leader's own.
fn draw_members(
    choices: &Choices,
    profile: &Profile,
    faults: Faults,
    config: &mut Config,
) -> Faults {
    let mut draw = choices.draw(Kind::Members.key());
    config.casting_vote = *draw.pick(&[true, true, true, false]);
    if !draw.chance(profile.churn_permille) {
        return faults.without(Faults::of(&Fault::OF_MEMBERS));
    }
    let timeout = config.election_timeout_max;
    let after = timeout * draw.between(2, 5) as u32;
    let pause = after * draw.between(4, 8) as u32 / 4;
    let voters_min = *draw.pick(&[2, 3, 1]);
    if draw.chance(profile.removal_permille) {
        config.removal = Some(Removal { after, voters_min, pause });
        // A leader that counts on fewer disks cannot know which of them are lost.
        let losses = [Fault::Rot, Fault::MisdirectedWrite, Fault::LostWrite];
        return faults.without(Faults::of(&losses)).and(Faults::of(&Fault::OF_MEMBERS));
    }
    faults.and(Faults::of(&Fault::OF_MEMBERS))
}

/// Whether leaders hold leases, and how clocks go: within what leases allow for, unless the profile
/// is there to show what comes of the rest.
fn draw_leases(
    choices: &Choices,
    profile: &Profile,
    faults: Faults,
    config: &mut Config,
) -> (Faults, Clocks) {
    let mut draw = choices.draw(Key { counter: 100, ..Kind::Level.key() });
    let drift_ppm_max = Clocks::DRIFT_PPM_MAX;
    let exact = Clocks { usual_ppm_max: 0, drift_ppm_max, stand_still: false };
    if !draw.chance(profile.leases_permille) {
        return (faults, exact);
    }
    let drift_ppm = *draw.pick(&[drift_ppm_max, 10_000, drift_ppm_max, 300]);
    let replicas = draw.chance(profile.loans_permille);
    if profile.clocks_stray {
        config.lease = Some(Lease { drift_ppm: 300, replicas });
        return (faults, Clocks { stand_still: true, ..exact });
    }
    config.lease = Some(Lease { drift_ppm, replicas });
    let within = Clocks { usual_ppm_max: drift_ppm, drift_ppm_max: drift_ppm, stand_still: false };
    (faults.without(Faults::of(&[Fault::Jump])), within)
}

/// After how long a silence means death, in runs in which it does.
fn draw_survivor(choices: &Choices, profile: &Profile, config: &mut Config) {
    if profile.survives {
        let mut draw = choices.draw(Key { counter: 200, ..Kind::Members.key() });
        let after = config.election_timeout_max * draw.between(4, 6) as u32;
        config.survivor = Some(Survivor { after });
    }
}

/// Whether the cluster founds itself, and whether disks are lost.
fn draw_identity(choices: &Choices, profile: &Profile, mut faults: Faults) -> (bool, Faults) {
    let mut draw = choices.draw(Kind::Identity.key());
    let founds = draw.chance(profile.founding_permille);
    if draw.chance(profile.wipe_permille) {
        faults.insert(Fault::Wipe);
    }
    if draw.chance(profile.rollback_permille) {
        faults.insert(Fault::Rollback);
    }
    (founds, faults)
}

/// How many nodes wait to become members, and who of the others should lead.
fn draw_strangers(choices: &Choices, faults: Faults, members: u8) -> (u8, Vec<u8>) {
    let mut draw = choices.draw(Key { counter: 100, ..Kind::Members.key() });
    if !faults.has(Fault::Change) {
        return (0, Vec::new());
    }
    let room = (Settings::NODES_MAX - members).min(4);
    let spares = draw.between(u64::from(room.min(1)), u64::from(room)) as u8;
    let differ = draw.chance(400);
    let priorities: Vec<u8> = (0..members).map(|_| *draw.pick(&[100, 0, 101, 255])).collect();
    (spares, if differ { priorities } else { Vec::new() })
}

fn draw_config(draw: &mut Draw<'_>, unit: u64, command_bytes: usize) -> Config {
    let mut config = Config::new(NodeId(1));
    let heartbeat = unit * draw.between(10, 30);
    config.heartbeat_interval = Duration::from_micros(heartbeat.max(10_000));
    config.election_timeout_min = config.heartbeat_interval * draw.between(3, 8) as u32;
    // Raft promises leaders only where a round of votes is short beside the spread of timeouts.
    let spread = *draw.pick(&[100, 25, 50, 200]);
    let spread = config.election_timeout_min * spread / 100;
    let votes = Duration::from_micros(unit * 25);
    config.election_timeout_max = config.election_timeout_min + spread.max(votes);
    (config.pre_vote, config.check_quorum, config.stickiness) = *draw.pick(&[
        (true, true, true),
        (true, true, true),
        (true, true, true),
        (false, false, false),
        (true, false, false),
        (false, true, false),
        (true, true, false),
        (false, true, true),
    ]);
    let command = MARK_BYTES + Request::OVERHEAD_BYTES_MAX + command_bytes;
    config.command_bytes_max = command + *draw.pick(&[128, 0, 32, 256]);
    let largest = config.command_bytes_max + Entry::OVERHEAD_BYTES;
    config.message_entries_max = *draw.pick(&[64, 1, 2, 5, 512]);
    config.message_bytes_max = largest * *draw.pick(&[4, 1, 2, 20]);
    config.inflight_messages_max = *draw.pick(&[16, 1, 2, 64]);
    config.inflight_entries_max = *draw.pick(&[512, 1, 3, 20]);
    config.inflight_bytes_max = config.message_bytes_max * *draw.pick(&[8, 1, 2]);
    config.unapplied_bytes_max = largest * *draw.pick(&[64, 1, 3, 10]);
    config.tail_bytes_max = *draw.pick(&[1 << 20, 1, 200, 2_000]);
    config.apply_bytes_max = *draw.pick(&[1 << 16, 1, 300, 2_000]);
    config.reads_max = *draw.pick(&[256, 1, 3]);
    debug_assert_eq!(config.check(), Ok(()));
    config
}

/// How long drivers gather proposals; and how long leaders keep to themselves that more is
/// committed.
fn draw_gather(choices: &Choices, unit: u64, config: &mut Config) -> Duration {
    let mut draw = choices.draw(Kind::Gather.key());
    let gather = Duration::from_micros(*draw.pick(&[0, unit, 0, unit * 10]));
    config.commit_delay = Duration::from_micros(*draw.pick(&[0, unit, 0, unit * 50]));
    gather
}

/// How often the state machines are compared, and what of them. Where they err, the states are
/// compared: not every error shows in a reply.
fn draw_validation(choices: &Choices, faults: Faults, config: &Config) -> Validation {
    let mut draw = choices.draw(Kind::Validation.key());
    let entries = *draw.pick(&[16, 4, 64, 1]);
    let period = config.election_timeout_max * *draw.pick(&[4, 1, 16]);
    let states = draw.chance(300) || faults.has(Fault::Slip);
    Validation { entries, period, states }
}

fn draw_storage(draw: &mut Draw<'_>, config: &Config) -> StorageConfig {
    let mut storage = StorageConfig {
        segment_bytes: *draw.pick(&[64 << 10, 32 << 10, 128 << 10]),
        segments_ahead: *draw.pick(&[3, 2]),
        command_bytes_max: config.command_bytes_max.max(Membership::BYTES_MAX),
        flush_bytes_max: *draw.pick(&[16 << 10, 4 << 10, 8 << 10]),
        read_bytes_max: *draw.pick(&[1 << 16, 12 << 10]),
        tail_bytes_max: *draw.pick(&[1 << 16, 0, 300, 3_000]),
        ..StorageConfig::default()
    };
    storage.snapshots.chunk_bytes = *draw.pick(&[4096, 512, 1024]);
    debug_assert_eq!(storage.check(), Ok(()));
    storage
}

/// After how many entries and bytes there is a snapshot, how many entries before it are kept, and
/// how many of its bytes pass in a second.
fn draw_snapshots(draw: &mut Draw<'_>, often: bool) -> [u64; 4] {
    let options: [[u64; 4]; 4] = if often {
        [
            [40, 5, 10, 20],
            [4_000, 1 << 20, 1_000, 2_000],
            [3, 0, 1, 20],
            [1 << 15, 8_192, 2_048, 512],
        ]
    } else {
        [
            [400, 20, 60, 1_000],
            [1 << 20, 4_000, 20_000, 1 << 20],
            [20, 0, 3, 100],
            [1 << 20, 1 << 15, 1 << 13, 1 << 20],
        ]
    };
    options.map(|options| *draw.pick(&options))
}

fn draw_flush(draw: &mut Draw<'_>, unit: u64) -> Span {
    let least = *draw.pick(&[unit / 10, unit / 2, unit * 2]);
    Span::micros(least, least + draw.between(1, unit * 2))
}

/// One of `rates` if the run may meet `fault`, else 0.
fn permille(draw: &mut Draw<'_>, faults: Faults, fault: Fault, rates: &[u64]) -> u64 {
    let rate = *draw.pick(rates);
    if faults.has(fault) { rate } else { 0 }
}

impl fmt::Display for Settings {
    /// One line, as the first line of a plan: what differs from run to run.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Config { pre_vote, check_quorum, stickiness, casting_vote, .. } = self.config;
        write!(f, "nodes {}", self.voters)?;
        if self.learners > 0 {
            write!(f, " learners {}", self.learners)?;
        }
        if self.spares > 0 {
            write!(f, " spares {}", self.spares)?;
        }
        if self.founds {
            f.write_str(" found the cluster")?;
        }
        if !self.priorities.is_empty() {
            write!(f, " priorities {:?}", self.priorities)?;
        }
        if let Some(Removal { after, voters_min, .. }) = self.config.removal {
            write!(f, " suspends after {after:?} down to {voters_min}")?;
        }
        if let Some(Survivor { after }) = self.config.survivor {
            write!(f, " dead after {after:?}")?;
        }
        if let Some(Lease { drift_ppm, replicas }) = self.config.lease {
            let loans = if replicas { ", lent" } else { "" };
            write!(f, " leases for clocks within {drift_ppm}ppm{loans}")?;
            if self.clocks.drift_ppm_max > drift_ppm || self.clocks.stand_still {
                f.write_str(", which they leave")?;
            }
        }
        for (option, on) in [
            ("pre-vote", pre_vote),
            ("check-quorum", check_quorum),
            ("stickiness", stickiness),
            ("casting-vote", casting_vote),
        ] {
            write!(f, " {option} {}", if on { "on" } else { "off" })?;
        }
        if let Some(each) = self.machine_keeps_each {
            write!(f, " machine keeps each {each}")?;
        }
        f.write_str(" faults")?;
        self.faults.iter().try_for_each(|fault| write!(f, " {fault}"))
    }
}
