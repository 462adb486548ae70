//! Limits of settings: beyond them a run of a correct cluster fails, or hardly advances.

use std::time::Duration;

use quorate::replica::ReplicaConfig;
use quorate::types::{Body, NodeId, SessionBounds};

use crate::faults::{MachineFault, Verb};
use crate::plan::Op;
use crate::scenario::rows::storage_of;
use crate::settings::{MESSAGE_BYTES_MAX, Settings};
use crate::values::words::Exact;

/// The shortest heartbeat interval and validation period. With shorter ones time hardly advances.
const INTERVAL_MIN: Duration = Duration::from_millis(1);
/// The shortest time between two requests of a client.
const PAUSE_MIN: Duration = Duration::from_micros(10);
/// The shortest time between two requests of any clients, in microseconds.
const PAUSE_OF_ALL_MIN: u64 = 10;
/// The longest election timeout. With longer ones the stabilization phase takes hours.
const ELECTION_TIMEOUT_MAX: Duration = Duration::from_secs(600);
/// The longest delay of a node's own work, in longest election timeouts: the core must make
/// progress within thirty of them.
const DELAY_TIMEOUTS_MAX: u32 = 10;
/// The longest silence that counts as death, in longest election timeouts.
const SURVIVOR_TIMEOUTS_MAX: u32 = 100;
/// The maximum number of entries between two comparisons of state machines in a scenario with a
/// machine fault, because few entries may follow the fault.
const ENTRIES_AFTER_FAULT_MAX: u64 = 16;

/// Returns why a correct cluster could not pass with these settings, and what to do.
pub(super) fn problem(settings: &Settings) -> Option<String> {
    let replica = settings.replica(NodeId(1));
    if let Err(error) = (ReplicaConfig { storage: storage_of(settings), ..replica }).check() {
        return Some(error.to_string());
    }
    message_problem(settings)
        .or_else(|| timeout_problem(settings))
        .or_else(|| load_problem(settings))
}

/// Returns why a message may be too long for the wire format.
fn message_problem(settings: &Settings) -> Option<String> {
    let config = &settings.config;
    let bounds = [
        ("message entries", config.message_entries_max, Body::ENTRIES_MAX),
        ("message bytes", config.message_bytes_max, MESSAGE_BYTES_MAX),
    ];
    let (name, _, most) = bounds.into_iter().find(|(_, bound, most)| bound > most)?;
    Some(format!("`{name}` is over {most}, the most that a message has room for: lower it"))
}

/// The longest time until a candidate has a vote: its own term and vote are durable before it sends
/// requests, and a voter's before it replies.
fn vote_time(settings: &Settings) -> Duration {
    settings.latency.max.saturating_add(settings.flush.max).saturating_mul(2)
}

/// The longest time until another voter has acknowledged an entry.
fn acknowledgement_time(settings: &Settings) -> Duration {
    settings.latency.max.saturating_mul(2).saturating_add(settings.flush.max)
}

/// Returns why there may be no leader, or why time hardly advances.
fn timeout_problem(settings: &Settings) -> Option<String> {
    let config = &settings.config;
    let (shortest, longest) = (config.election_timeout_min, config.election_timeout_max);
    let vote = vote_time(settings);
    let intervals = config.heartbeat_interval.min(settings.validation.period);
    let problems = [
        (longest > ELECTION_TIMEOUT_MAX).then(|| {
            let most = Exact(ELECTION_TIMEOUT_MAX);
            format!("an election timeout is longer than {most}: write a shorter one")
        }),
        (intervals < INTERVAL_MIN).then(|| {
            let least = Exact(INTERVAL_MIN);
            format!(
                "`heartbeat` and `validation period` are at least {least}, or time hardly \
                 advances: write a longer one"
            )
        }),
        (settings.repeats.scrub_period < longest).then(|| {
            format!(
                "`scrub period` is shorter than the longest election timeout, {}: write a longer \
                 one",
                Exact(longest)
            )
        }),
        (vote >= shortest).then(|| {
            format!(
                "a vote takes up to {}, and the shortest election timeout is {}, so there may be \
                 no leader: write a longer `election timeout`, or a shorter `latency` or `flush`",
                Exact(vote),
                Exact(shortest)
            )
        }),
        (settings.voters > 1 && longest - shortest <= vote).then(|| {
            format!(
                "election timeouts differ by at most {}, and a vote takes up to {}, so there may \
                 be no leader: write a longer longest `election timeout`",
                Exact(longest - shortest),
                Exact(vote)
            )
        }),
    ];
    problems.into_iter().flatten().next()
}

/// Returns why requests may not be answered in time, or why clients send too many.
fn load_problem(settings: &Settings) -> Option<String> {
    let Settings { config, latency, batch_time, .. } = settings;
    let longest = config.election_timeout_max;
    let acknowledged = acknowledgement_time(settings);
    let answer = acknowledged.saturating_add(batch_time.max).saturating_add(settings.gather);
    // With other bounds, an administrator and hostile clients send without waiting for replies.
    let waits = settings.session_bounds() == SessionBounds::DEFAULT;
    let least = if waits { latency.min } else { Duration::ZERO };
    let pause = settings.think_time.min.saturating_add(least);
    let senders =
        u64::from(settings.clients) + u64::from(settings.hostile_clients) + u64::from(!waits);
    let pause_min = PAUSE_MIN.max(Duration::from_micros(senders * PAUSE_OF_ALL_MIN));
    let delay = batch_time.max.max(settings.report_delay.max);
    let delay_max = longest * DELAY_TIMEOUTS_MAX;
    let survivor = config.survivor.map_or(Duration::ZERO, |survivor| survivor.after);
    let survivor_max = longest * SURVIVOR_TIMEOUTS_MAX;
    let command_bytes_max = config.command_bytes_max as u64;
    let problems = [
        (delay > delay_max).then(|| {
            format!(
                "`batch time` and `report delay` are at most ten longest election timeouts, {}: \
                 write a shorter one",
                Exact(delay_max)
            )
        }),
        (settings.request_timeout < answer).then(|| {
            format!(
                "an answer takes up to {}, and `request timeout` is {}: write a longer one",
                Exact(answer),
                Exact(settings.request_timeout)
            )
        }),
        ((settings.clients > 0 || !waits) && pause < pause_min).then(|| {
            format!(
                "clients pause for as little as {} between two requests, so time hardly \
                 advances: write a longer `think time`{}",
                Exact(pause),
                if waits { " or `latency`" } else { "" }
            )
        }),
        (survivor > survivor_max).then(|| {
            format!(
                "`survivor` is at most a hundred longest election timeouts, {}: write a shorter \
                 time",
                Exact(survivor_max)
            )
        }),
        (settings.command_bytes > command_bytes_max).then(|| {
            format!("`command bytes` is over `command bytes max`, {command_bytes_max}: lower it")
        }),
    ];
    problems.into_iter().flatten().next()
}

/// Returns why a correct cluster might not detect the machine fault of an operation, or not
/// recover from it, and the setting to change; `None` if it can do both, or if the operation is not
/// a machine fault.
pub(super) fn machine_fault_problem(settings: &Settings, op: &Op) -> Option<String> {
    let Verb::FaultyMachine(machine) = &op.verb else { return None };
    if settings.machine_checkpoint_every.is_some() {
        let text = "a state machine with a checkpoint of its own cannot be rebuilt after a machine \
                    fault: remove the line `machine checkpoint`";
        return Some(text.to_owned());
    }
    let entries = settings.validation.entries;
    if entries > ENTRIES_AFTER_FAULT_MAX {
        return Some(format!(
            "nodes compare their state machines after {entries} entries, and fewer may follow the \
             fault: write `validation entries {ENTRIES_AFTER_FAULT_MAX}` or fewer"
        ));
    }
    (machine.fault == MachineFault::BitFlip && !settings.validation.states).then(|| {
        "no reply may show the fault, and nodes compare only replies: write `validation states on`"
            .to_owned()
    })
}
