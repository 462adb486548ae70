//! Draws the settings of a run from its profile.

use std::num::NonZero;
use std::time::Duration;

use quorate::machine::SessionLimits;
use quorate::raft::{Config, Lease, Survivor, Suspension};
use quorate::storage::StorageConfig;
use quorate::types::{Entry, Membership, NodeId};

use crate::faults::{ClockDrift, Fault, Faults};
use crate::settings::ingredients::Ingredients;
use crate::settings::profile::Profile;
use crate::settings::strategy::Strategy;
use crate::settings::{
    Clocks, MESSAGE_BYTES_MAX, REQUEST_BYTES, Repeats, Settings, Validation, disks,
};
use crate::values::choice::{Choices, Draw, Key, Kind};
use crate::values::duration_range::DurationRange;
use crate::workload::request::MARK_BYTES;

/// The largest usual size of a command, in bytes. Commands of this size fit into the log even if
/// all of the workload's commands are shorter, because commands are padded to the usual size.
const COMMAND_BYTES_MAX: u64 = 64;

impl Settings {
    /// Draws the settings of a run from `profile` for a search strategy. The fault phase is
    /// `length` times as long as usual; commands of the user have up to `command_bytes` bytes.
    #[must_use]
    pub fn draw(
        profile: &Profile,
        strategy: Strategy,
        choices: &Choices,
        length: u32,
        command_bytes: usize,
    ) -> Settings {
        if strategy > Strategy::Random {
            let profile = profile.of_run(choices);
            return Settings::draw_all(profile, choices, length, command_bytes);
        }
        // The random strategy draws no settings, and enables every fault kind of the profile that
        // is not drawn separately.
        let always = profile.faults.without(DRAWN_SEPARATELY).union(profile.always);
        let every = Profile { always, ..*profile };
        Settings::draw_all(&every, &Choices::benign(), length, command_bytes)
    }

    fn draw_all(
        profile: &Profile,
        choices: &Choices,
        length: u32,
        command_bytes: usize,
    ) -> Settings {
        let ingredients = Ingredients::draw(choices, profile);
        let mut draw = choices.draw(Kind::Setting.key());
        let faults = ingredients.limit(draw_faults(&mut draw, profile));
        let (voters, learners) = draw_cluster(&mut draw, profile);
        let work = *draw.pick(&[1_000, 300, 3_000, 8_000]);
        let distance = u64::from(profile.distance);
        let unit = work * distance;
        let mut config = draw_config(&mut draw, unit, command_bytes);
        let fault_phase =
            Duration::from_millis(draw.between(8_000, 13_000)) * length * profile.distance;
        let slots = fault_phase.as_millis() as u64 / (draw.between(550, 1_350) * distance);
        let faults = draw_members(choices, profile, faults, &mut config);
        let (faults, clocks) = draw_leases(choices, profile, faults, &mut config);
        draw_survivor(choices, profile, &mut config);
        let (bootstraps, faults) = draw_disk_loss(choices, profile, faults);
        let faults = disks::draw_entry_damage(choices, profile, faults, &config);
        let (spares, priorities) = draw_spares(choices, faults, voters + learners);
        let mut storage = draw_storage(&mut draw, &config);
        disks::draw_small_segments(choices, ingredients.has_small_segments, &mut storage);
        let [snapshot_entries, snapshot_bytes, trailing_entries, snapshot_bytes_per_second] =
            draw_snapshots(&mut draw, ingredients.has_frequent_snapshots);
        Settings {
            voters,
            learners,
            spares,
            bootstraps,
            priorities,
            fault_phase,
            plan_slots: ingredients.slots(u16::try_from(slots).unwrap_or(u16::MAX)),
            has_lasting_faults: ingredients.has_lasting_faults,
            latency: DurationRange::micros(unit / 4, unit / 4 + draw.between(unit / 4, unit)),
            loss_permille: draw_rate(&mut draw, faults, Fault::Loss, &[10, 2, 30, 80]),
            duplicate_permille: draw_rate(&mut draw, faults, Fault::Duplicate, &[10, 3, 50, 200]),
            delay_permille: draw_rate(&mut draw, faults, Fault::Delay, &[5, 1, 20, 50]),
            flush: draw_flush(&mut draw, work),
            storage,
            snapshot_entries,
            snapshot_bytes,
            trailing_entries,
            snapshot_bytes_per_second,
            repeats: draw_repeats(choices, &mut config),
            sessions: *draw.pick(&[Settings::SESSIONS_DEFAULT, 1, 2]),
            session_limits: draw_session_limits(&mut draw),
            report_delay: DurationRange::micros(0, work),
            batch_time: DurationRange::micros(work / 100, *draw.pick(&[work / 10, work, work * 5])),
            lag_permille: draw_rate(&mut draw, faults, Fault::Lag, &[10, 50, 200]),
            torn_step_ppm: draw_rate(&mut draw, faults, Fault::Crash, &[100, 0, 400]),
            gather: draw_gather(choices, unit, &mut config),
            clients: draw.between(2, 6) as u16,
            hostile_clients: ingredients.hostile_clients,
            operations_max: u64::MAX,
            think_time: draw_think_time(&mut draw, distance),
            request_timeout: config.election_timeout_max * draw.between(1, 6) as u32,
            read_permille: *draw.pick(&[300, 100, 600]),
            command_bytes: draw.between(16, COMMAND_BYTES_MAX),
            clocks,
            // A state machine with its own checkpoint could not be rebuilt after a machine fault.
            machine_checkpoint_every: NonZero::new(*draw.pick(&[0, 0, 0, 0, 1, 7]))
                .filter(|_| !faults.has(Fault::MachineFault)),
            validation: draw_validation(choices, faults, &config),
            config,
            faults,
        }
    }
}

/// The fault kinds that are not drawn like the others: options of the profile enable them.
const DRAWN_SEPARATELY: Faults = Faults::OF_MEMBERS
    .union(Faults::OF_IDENTITY)
    .union(Faults::of(&[Fault::MachineFault, Fault::DamagedBody, Fault::Upgrade]));

fn draw_faults(draw: &mut Draw<'_>, profile: &Profile) -> Faults {
    let share = *draw.pick(&[500, 1000, 300, 700]);
    let drawn: Faults = Fault::ALL
        .into_iter()
        .filter(|fault| !DRAWN_SEPARATELY.has(*fault))
        .filter(|_| draw.chance(share))
        .filter(|fault| profile.faults.has(*fault))
        .collect();
    drawn.union(profile.always)
}

fn draw_cluster(draw: &mut Draw<'_>, profile: &Profile) -> (u8, u8) {
    let voters = *draw.pick(profile.voters);
    let learners = draw.chance(profile.learners_permille);
    (voters, if learners { draw.between(1, 2) as u8 } else { 0 })
}

/// Draws whether the operator, and the leader by itself, change the membership.
fn draw_members(
    choices: &Choices,
    profile: &Profile,
    faults: Faults,
    config: &mut Config,
) -> Faults {
    let mut draw = choices.draw(Kind::Members.key());
    config.casting_vote = *draw.pick(&[true, true, true, false]);
    if !draw.chance(profile.churn_permille) {
        return faults.without(Faults::OF_MEMBERS);
    }
    let timeout = config.election_timeout_max;
    let after = timeout * draw.between(2, 5) as u32;
    let pause = after * draw.between(4, 8) as u32 / 4;
    let voters_min = *draw.pick(&[2, 3, 1]);
    if draw.chance(profile.suspension_permille) {
        config.suspension = Some(Suspension { after, voters_min, pause });
        // After suspensions fewer voters have each entry, and a leader cannot know which of their
        // disks are damaged.
        let losses = [Fault::BitRot, Fault::MisdirectedWrite, Fault::LostWrite];
        return faults.without(Faults::of(&losses)).union(Faults::OF_MEMBERS);
    }
    faults.union(Faults::OF_MEMBERS)
}

/// Draws whether leaders hold leases, and the clock error: within the drift bound of the leases,
/// unless the profile is about clocks that exceed it.
fn draw_leases(
    choices: &Choices,
    profile: &Profile,
    faults: Faults,
    config: &mut Config,
) -> (Faults, Clocks) {
    let mut draw = choices.draw(Key { counter: 100, ..Kind::ReadLevel.key() });
    let drift_ppm_max = ClockDrift::PPM_MAX;
    let exact = Clocks { error_ppm_max: 0, drift_ppm_max, stop_while_paused: false };
    if !draw.chance(profile.leases_permille) {
        return (faults, exact);
    }
    let drift_ppm = *draw.pick(&[drift_ppm_max, 10_000, drift_ppm_max, 300]);
    let read_leases = draw.chance(profile.read_leases_permille);
    if profile.clocks_exceed_lease {
        config.lease = Some(Lease { drift_ppm: 300, read_leases });
        return (faults, Clocks { stop_while_paused: true, ..exact });
    }
    config.lease = Some(Lease { drift_ppm, read_leases });
    let within =
        Clocks { error_ppm_max: drift_ppm, drift_ppm_max: drift_ppm, stop_while_paused: false };
    (faults.without(Faults::of(&[Fault::ClockStep])), within)
}

/// Draws the duration of silence that counts as death, if the profile has last-survivor takeover.
fn draw_survivor(choices: &Choices, profile: &Profile, config: &mut Config) {
    if profile.last_survivor {
        let mut draw = choices.draw(Key { counter: 200, ..Kind::Members.key() });
        let after = config.election_timeout_max * draw.between(4, 6) as u32;
        config.survivor = Some(Survivor { after });
    }
}

/// Draws whether the cluster bootstraps itself, and whether disks are lost or rolled back.
fn draw_disk_loss(choices: &Choices, profile: &Profile, mut faults: Faults) -> (bool, Faults) {
    let mut draw = choices.draw(Kind::Disks.key());
    let bootstraps = draw.chance(profile.bootstrap_permille);
    if draw.chance(profile.wipe_permille) {
        faults.insert(Fault::Wipe);
    }
    if draw.chance(profile.rollback_permille) {
        faults.insert(Fault::Rollback);
    }
    (bootstraps, faults)
}

/// Draws the time between two requests of a client.
fn draw_think_time(draw: &mut Draw<'_>, distance: u64) -> DurationRange {
    DurationRange::micros(distance * 1_000, distance * *draw.pick(&[20_000, 5_000, 50_000]))
}

/// Draws the number of spares, and the members' priorities.
fn draw_spares(choices: &Choices, faults: Faults, members: u8) -> (u8, Vec<u8>) {
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
    // Raft needs a spread of timeouts that is long compared with a round of votes (Raft §5.6).
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
    let command = MARK_BYTES + REQUEST_BYTES + command_bytes.max(COMMAND_BYTES_MAX as usize);
    config.command_bytes_max = command + *draw.pick(&[128, 0, 32, 256]);
    let largest = config.command_bytes_max + Entry::OVERHEAD_BYTES;
    config.message_entries_max = *draw.pick(&[64, 1, 2, 5, 512]);
    config.message_bytes_max =
        (largest * *draw.pick(&[4, 1, 2, 20])).min(MESSAGE_BYTES_MAX.max(largest));
    config.inflight_messages_max = *draw.pick(&[16, 1, 2, 64]);
    config.inflight_entries_max = *draw.pick(&[512, 1, 3, 20]);
    config.inflight_bytes_max = config.message_bytes_max * *draw.pick(&[8, 1, 2]);
    config.unapplied_bytes_max = largest * *draw.pick(&[64, 1, 3, 10]);
    config.tail_bytes_max = *draw.pick(&[1 << 20, 1, 200, 2_000]);
    config.apply_bytes_max = *draw.pick(&[1 << 16, 1, 300, 2_000]);
    config.reads_max = *draw.pick(&[256, 1, 3]);
    config.outbox_messages_max = *draw.pick(&[256, 16, 3]);
    debug_assert_eq!(config.check(), Ok(()));
    config
}

/// Draws the time for which drivers gather proposals, and the time by which leaders delay the
/// announcement of a commit index. Returns the former, and sets the latter in `config`.
fn draw_gather(choices: &Choices, unit: u64, config: &mut Config) -> Duration {
    let mut draw = choices.draw(Kind::Gather.key());
    let gather = Duration::from_micros(*draw.pick(&[0, unit, 0, unit * 10]));
    config.commit_delay = Duration::from_micros(*draw.pick(&[0, unit, 0, unit * 50]));
    gather
}

/// Draws when nodes repeat their work, and the bound of proposals that wait for every live voter,
/// which it sets in `config`.
fn draw_repeats(choices: &Choices, config: &mut Config) -> Repeats {
    let mut draw = choices.draw(Key { counter: 100, ..Kind::Ingredient.key() });
    config.all_live_max = *draw.pick(&[config.all_live_max, config.all_live_max, 1, 3]);
    Repeats {
        retry_percent: *draw.pick(&[100, 100, 25, 200]),
        parts_inflight_max: *draw.pick(&[4, 4, 1, 2, 16]),
        scrub_period: *draw.pick(&[
            Repeats::SCRUB_NEVER,
            config.election_timeout_max * 100,
            config.election_timeout_max * 10,
        ]),
    }
}

/// Draws the limits that clients ask for their sessions.
fn draw_session_limits(draw: &mut Draw<'_>) -> SessionLimits {
    SessionLimits {
        window: *draw.pick(&[16, 1, 3]),
        replies_bytes_max: *draw.pick(&[1 << 16, 200]),
    }
}

/// Draws how often state machines are compared, and whether their states are. With machine faults
/// the states are compared, because not every error shows in a reply; and at most 16 entries lie
/// between two comparisons, because few entries may follow the last fault.
fn draw_validation(choices: &Choices, faults: Faults, config: &Config) -> Validation {
    let mut draw = choices.draw(Kind::Validation.key());
    let entries = *draw.pick(&[16, 4, 64, 1]);
    let entries = if faults.has(Fault::MachineFault) { entries.min(16) } else { entries };
    let period = config.election_timeout_max * *draw.pick(&[4, 1, 16]);
    let states = draw.chance(300) || faults.has(Fault::MachineFault);
    Validation { entries, period, states }
}

fn draw_storage(draw: &mut Draw<'_>, config: &Config) -> StorageConfig {
    let mut storage = StorageConfig {
        segment_bytes: *draw.pick(&[64 << 10, 32 << 10, 128 << 10]),
        spare_segments: *draw.pick(&[3, 2]),
        command_bytes_max: config.command_bytes_max.max(Membership::BYTES_MAX),
        flush_bytes_max: *draw.pick(&[16 << 10, 4 << 10, 8 << 10]),
        read_bytes_max: *draw.pick(&[1 << 16, 12 << 10]),
        tail_bytes_max: *draw.pick(&[1 << 16, 0, 300, 3_000]),
        ..StorageConfig::default()
    };
    storage.snapshots.chunk_bytes = *draw.pick(&[4096, 512, 1024]);
    disks::fit_largest_command(&mut storage);
    debug_assert_eq!(storage.check(), Ok(()));
    storage
}

/// Draws the snapshot intervals in entries and in bytes, the number of trailing entries, and the
/// transfer rate in bytes per second.
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

fn draw_flush(draw: &mut Draw<'_>, unit: u64) -> DurationRange {
    let least = *draw.pick(&[unit / 10, unit / 2, unit * 2]);
    DurationRange::micros(least, least + draw.between(1, unit * 2))
}

/// Draws one of `rates` if the run allows `fault`; returns 0 otherwise.
fn draw_rate(draw: &mut Draw<'_>, faults: Faults, fault: Fault, rates: &[u64]) -> u64 {
    let rate = *draw.pick(rates);
    if faults.has(fault) { rate } else { 0 }
}
