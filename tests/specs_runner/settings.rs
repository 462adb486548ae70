//! The option syntax of commands: `key=value` words, durations, nodes and configuration bounds.

use std::time::Duration;

use quorate::raft::{Config, Lease, Survivor};
use quorate::types::{EntryId, Index, NodeId, Term};

use super::change::suspension;

/// Reads a node such as `n3`.
pub(crate) fn node(word: &str) -> Result<NodeId, String> {
    number(word, "n").map(NodeId).ok_or_else(|| format!("`{word}` is not a node: write n1, n2, …"))
}

/// Reads a list of nodes such as `n4,n5`.
pub(crate) fn nodes(word: &str) -> Result<Vec<NodeId>, String> {
    word.split(',').map(node).collect()
}

/// Reads a term such as `2` or `t2`.
pub(crate) fn term(word: &str) -> Result<Term, String> {
    let bare = word.strip_prefix('t').unwrap_or(word);
    number(bare, "").map(Term).ok_or_else(|| format!("`{word}` is not a term: write 2 or t2"))
}

/// Reads a whole number such as `7`.
pub(crate) fn whole(word: &str) -> Result<u64, String> {
    number(word, "").ok_or_else(|| format!("`{word}` is not a whole number"))
}

/// Reads an entry such as `3@t2`, the syntax in which traces print it.
pub(crate) fn entry_id(word: &str) -> Result<EntryId, String> {
    let wrong = || format!("`{word}` is not an entry: write index@term, such as 3@t2");
    let (index, at) = word.split_once('@').ok_or_else(wrong)?;
    Ok(EntryId::new(term(at)?, Index(whole(index)?)))
}

/// Reads a switch, `on` or `off`.
pub(crate) fn switch(word: &str) -> Result<bool, String> {
    match word {
        "on" => Ok(true),
        "off" => Ok(false),
        _ => Err(format!("`{word}` is neither on nor off")),
    }
}

/// Reads a duration such as `50ms` or `2s`.
pub(crate) fn duration(word: &str) -> Result<Duration, String> {
    let wrong = || format!("`{word}` is not a duration: write 50ms or 2s");
    if let Some(count) = word.strip_suffix("ms") {
        return number(count, "").map(Duration::from_millis).ok_or_else(wrong);
    }
    let count = word.strip_suffix('s').ok_or_else(wrong)?;
    number(count, "").map(Duration::from_secs).ok_or_else(wrong)
}

/// Splits a `key=value` word.
pub(crate) fn pair(word: &str) -> Result<(&str, &str), String> {
    word.split_once('=').ok_or_else(|| format!("`{word}` is not of the form key=value"))
}

/// Changes one field of every node's configuration. The keys are the fields' names;
/// `election_timeout=min..max` sets two of them.
pub(crate) fn configure(config: &mut Config, key: &str, value: &str) -> Result<(), String> {
    match key {
        "election_timeout" => {
            let (min, max) = value
                .split_once("..")
                .ok_or_else(|| format!("`{value}` is not a range: write 300ms..600ms"))?;
            config.election_timeout_min = duration(min)?;
            config.election_timeout_max = duration(max)?;
        }
        "heartbeat_interval" => config.heartbeat_interval = duration(value)?,
        "commit_delay" => config.commit_delay = duration(value)?,
        "pre_vote" => config.pre_vote = switch(value)?,
        "check_quorum" => config.check_quorum = switch(value)?,
        "stickiness" => config.stickiness = switch(value)?,
        "casting_vote" => config.casting_vote = switch(value)?,
        "survivor" => config.survivor = Some(Survivor { after: duration(value)? }),
        "suspension" => config.suspension = Some(suspension(value)?),
        "lease" => config.lease = Some(lease(value)?),
        _ => {
            let bound = bound(config, key)?;
            *bound = usize::try_from(whole(value)?).expect("a bound fits");
        }
    }
    Ok(())
}

/// Reads a lease such as `100ppm` or `100ppm,read-leases`.
fn lease(word: &str) -> Result<Lease, String> {
    let (drift, read_leases) = match word.strip_suffix(",read-leases") {
        Some(drift) => (drift, true),
        None => (word, false),
    };
    let drift = drift.strip_suffix("ppm").and_then(|count| count.parse().ok());
    let drift_ppm =
        drift.ok_or_else(|| format!("`{word}` is not a lease: write 100ppm[,read-leases]"))?;
    Ok(Lease { drift_ppm, read_leases })
}

fn bound<'a>(config: &'a mut Config, key: &str) -> Result<&'a mut usize, String> {
    Ok(match key {
        "command_bytes_max" => &mut config.command_bytes_max,
        "message_entries_max" => &mut config.message_entries_max,
        "message_bytes_max" => &mut config.message_bytes_max,
        "inflight_messages_max" => &mut config.inflight_messages_max,
        "inflight_entries_max" => &mut config.inflight_entries_max,
        "inflight_bytes_max" => &mut config.inflight_bytes_max,
        "unapplied_bytes_max" => &mut config.unapplied_bytes_max,
        "all_live_max" => &mut config.all_live_max,
        "tail_bytes_max" => &mut config.tail_bytes_max,
        "apply_bytes_max" => &mut config.apply_bytes_max,
        "reads_max" => &mut config.reads_max,
        "outbox_messages_max" => &mut config.outbox_messages_max,
        _ => return Err(format!("`{key}` is not a cluster option")),
    })
}

fn number(word: &str, prefix: &str) -> Option<u64> {
    let digits = word.strip_prefix(prefix)?;
    let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    if plain { digits.parse().ok() } else { None }
}
