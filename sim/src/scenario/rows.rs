//! The settings of the scenario language, one row each: its name, its syntax, its parser and its
//! summary.

use std::num::NonZero;
use std::time::Duration;

use quorate::raft::{Lease, Survivor, Suspension};
use quorate::storage::StorageConfig;
use quorate::types::{Membership, SessionBounds};

use crate::faults::{ClockDrift, Fault, Faults};
use crate::settings::Settings;
use crate::values::words::{Exact, SyntaxError, Words};

/// One setting of the scenario language.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// The words that its line starts with.
    pub name: &'static str,
    /// The arguments after the name: `DURATION[..DURATION]`.
    pub arguments: &'static str,
    /// One sentence for the reference: what the setting decides.
    pub summary: &'static str,
    /// Prints the value in the settings, in the form that `read` parses.
    pub(super) print: fn(&Settings) -> String,
    /// Parses the arguments of a line into the settings.
    pub(super) read: fn(&mut Settings, &mut Words<'_>) -> Result<(), SyntaxError>,
}

/// Builds the rows: those with the syntax `pre-vote on`, `heartbeat 50ms`, `latency 1ms..2ms`,
/// `loss 10 in 1000` or `spares 2`, each for one field; and rows with their own parser.
macro_rules! rows {
    (@ $name:literal switch ($($field:ident).+) $summary:literal) => {
        Row {
            name: $name,
            arguments: "on|off",
            summary: $summary,
            print: |s| if s.$($field).+ { "on" } else { "off" }.to_owned(),
            read: |s, words| { s.$($field).+ = words.switch()?; Ok(()) },
        }
    };
    (@ $name:literal time ($($field:ident).+) $summary:literal) => {
        Row {
            name: $name,
            arguments: "DURATION",
            summary: $summary,
            print: |s| Exact(s.$($field).+).to_string(),
            read: |s, words| { s.$($field).+ = words.duration()?; Ok(()) },
        }
    };
    (@ $name:literal span ($($field:ident).+) $summary:literal) => {
        Row {
            name: $name,
            arguments: "DURATION[..DURATION]",
            summary: $summary,
            print: |s| s.$($field).+.to_string(),
            read: |s, words| { s.$($field).+ = words.span()?; Ok(()) },
        }
    };
    (@ $name:literal rate ($($field:ident).+, $of:literal) $summary:literal) => {
        Row {
            name: $name,
            arguments: concat!("N in ", $of),
            summary: $summary,
            print: |s| format!("{} in {}", s.$($field).+, $of),
            read: |s, words| {
                s.$($field).+ = words.count(0, $of)?;
                words.need(concat!("in ", $of))
            },
        }
    };
    (@ $name:literal count ($($field:ident).+, $least:expr, $most:expr) $summary:literal) => {
        Row {
            name: $name,
            arguments: "N",
            summary: $summary,
            print: |s| s.$($field).+.to_string(),
            read: |s, words| { s.$($field).+ = words.count($least, $most)? as _; Ok(()) },
        }
    };
    (@ $name:literal own ($arguments:literal, $print:expr, $read:expr) $summary:literal) => {
        Row { name: $name, arguments: $arguments, summary: $summary, print: $print, read: $read }
    };
    ($($name:literal $kind:ident $field:tt $summary:literal;)*) => {
        /// Every setting, in the order in which they print.
        pub static ROWS: &[Row] = &[$(rows!(@ $name $kind $field $summary)),*];
    };
}

/// The largest bound in bytes, entries or messages.
const BOUND_MAX: u64 = 1 << 32;
/// The least bound of commands, in bytes: the requests of the administrator with which a run starts
/// are not longer.
const LEAST_COMMAND_BYTES_MAX: u64 = 100;

rows! {
    "nodes" count (voters, 1, 11) "Number of initial voters: n1, n2 and so on.";
    "learners" count (learners, 0, 10) "Number of initial learners: the nodes after the voters.";
    "spares" count (spares, 0, 10) "Number of nodes that are not members at first: the last ones.";
    "bootstrap" switch (bootstraps)
        "The voters start without a membership and bootstrap the cluster; learners start as \
         spares.";
    "priorities" own ("N..", priorities, read_priorities)
        "Initial leadership priority of each member, from 0 to 255.";
    "heartbeat" time (config.heartbeat_interval) "Heartbeat interval of the leader.";
    "election timeout" own ("DURATION..DURATION", timeout, read_timeout)
        "Shortest and longest election timeout.";
    "pre-vote" switch (config.pre_vote)
        "Nodes hold a pre-vote before they raise their term for an election.";
    "check-quorum" switch (config.check_quorum)
        "A leader steps down if it hears from no quorum for an election timeout.";
    "stickiness" switch (config.stickiness) "Nodes reject vote requests while they hear a leader.";
    "casting-vote" switch (config.casting_vote)
        "The leader of an even number of voters holds the casting vote.";
    "suspension" own ("off|after DURATION, down to N, pause DURATION", suspension, read_suspension)
        "Leaders suspend voters that are silent for the first duration, down to N voters, and wait \
         for the second duration between two changes.";
    "survivor" own ("off|after DURATION", survivor, read_survivor)
        "A node that is silent for the duration counts as dead, and the last survivor takes over.";
    "lease" own ("off|Nppm [read-leases]", lease, read_lease)
        "Leaders hold leases, for clocks with at most this drift, and may grant read leases.";
    "clock error" own ("Nppm", |s| format!("{}ppm", s.clocks.error_ppm_max), read_clock_error)
        "Largest permanent rate error of each clock, fast or slow.";
    "drift max" own ("Nppm", |s| format!("{}ppm", s.clocks.drift_ppm_max), read_clock_drift)
        "Largest rate error of a clock under `clock drift`, which checks of durations allow for.";
    "clocks stop" switch (clocks.stop_while_paused)
        "The clock of a node stops while its process is paused.";
    "commit delay" time (config.commit_delay)
        "Longest time for which a leader delays the announcement of a new commit index.";
    "outbox messages" count (config.outbox_messages_max, 1, BOUND_MAX)
        "Maximum number of messages of a node that wait for its disk.";
    "command bytes max" count (config.command_bytes_max, LEAST_COMMAND_BYTES_MAX, BOUND_MAX)
        "Largest command in the log, in bytes.";
    "message entries" count (config.message_entries_max, 1, BOUND_MAX)
        "Maximum number of entries in one message.";
    "message bytes" count (config.message_bytes_max, 1, BOUND_MAX)
        "Maximum bytes of entries in one message; by default four entries of the largest size.";
    "inflight messages" count (config.inflight_messages_max, 1, BOUND_MAX)
        "Maximum number of in-flight AppendEntries messages to one peer.";
    "inflight entries" count (config.inflight_entries_max, 1, BOUND_MAX)
        "Maximum number of in-flight entries to one peer.";
    "inflight bytes" count (config.inflight_bytes_max, 1, BOUND_MAX)
        "Maximum in-flight bytes to one peer; by default eight messages of the largest size.";
    "unapplied bytes" count (config.unapplied_bytes_max, 1, BOUND_MAX)
        "Maximum bytes in a leader's log that are not applied, or not on its disk; by default 64 \
         entries of the largest size.";
    "tail bytes" count (config.tail_bytes_max, 1, BOUND_MAX)
        "Maximum bytes of durable entries kept in memory.";
    "apply bytes" count (config.apply_bytes_max, 1, BOUND_MAX)
        "Maximum bytes of entries in one batch for the state machine.";
    "reads max" count (config.reads_max, 1, BOUND_MAX)
        "Maximum number of pending reads on one node.";
    "all live max" count (config.all_live_max, 1, BOUND_MAX)
        "Maximum number of proposals of one leader that wait for every live voter.";
    "latency" span (latency) "Network latency of a message.";
    "loss" rate (loss_permille, 1000) "Rate of lost messages.";
    "duplicates" rate (duplicate_permille, 1000) "Rate of messages that arrive twice.";
    "delays" rate (delay_permille, 1000) "Rate of messages that take far longer than others.";
    "flush" span (flush) "Duration of a disk flush.";
    "report delay" span (report_delay)
        "Delay between a finished flush and its notification, when the notification is late.";
    "batch time" span (batch_time)
        "Time to apply one batch; a disk read, and a write of a snapshot, take a quarter of it.";
    "segment bytes" count (storage.segment_bytes, 1, BOUND_MAX)
        "Size of a log segment; a multiple of 4096.";
    "spare segments" count (storage.spare_segments, 1, 65536)
        "Number of empty segments kept ready.";
    "flush bytes" count (storage.flush_bytes_max, 1, BOUND_MAX)
        "Maximum bytes of entries in one flush.";
    "read bytes" count (storage.read_bytes_max, 1, BOUND_MAX) "Maximum bytes in one disk read.";
    "recovery bytes" count (storage.tail_bytes_max, 0, BOUND_MAX)
        "Maximum bytes of entries that a restart loads into memory.";
    "chunk bytes" count (storage.snapshots.chunk_bytes, 1, BOUND_MAX)
        "Size of one part of a snapshot.";
    "snapshot entries" count (snapshot_entries, 1, u64::MAX)
        "Number of applied entries after which a node takes a snapshot.";
    "snapshot bytes" count (snapshot_bytes, 1, u64::MAX)
        "Number of applied bytes after which a node takes a snapshot.";
    "trailing entries" count (trailing_entries, 0, u64::MAX)
        "Number of entries before a snapshot that are kept for slow peers.";
    "snapshot rate" count (snapshot_bytes_per_second, 1, u64::MAX)
        "Bytes of a snapshot that a node writes, or sends, per second.";
    "retry" count (repeats.retry_percent, 1, 10_000)
        "Shortest time before a node requests a part of a snapshot again, or tries a full disk \
         again, in percent of the longest election timeout.";
    "snapshot parts" count (repeats.parts_inflight_max, 1, 1_000)
        "Maximum number of parts of a snapshot that a node asks for at once.";
    "scrub period" time (repeats.scrub_period)
        "Period in which a node reads its whole disk again.";
    "sessions" count (sessions, 1, SessionBounds::SESSIONS_MAX.into())
        "Maximum number of client sessions of one principal; with 64, the library's own bounds.";
    "session window" count (session_limits.window, 1, SessionBounds::WINDOW_MAX.into())
        "Maximum number of requests of one session in flight.";
    "session replies" count
        (session_limits.replies_bytes_max, 0, SessionBounds::REPLIES_BYTES_PER_SESSION_MAX.into())
        "Maximum bytes of replies kept for one session.";
    "machine checkpoint" own ("off|every N", machine_checkpoint, read_machine_checkpoint)
        "Each state machine makes its own state durable after every N commands.";
    "validation entries" count (validation.entries, 1, u64::MAX)
        "Number of entries after which nodes compare their state machines.";
    "validation period" time (validation.period)
        "Longest time between two comparisons of state machines.";
    "validation states" switch (validation.states)
        "Nodes compare the states as well as the replies.";
    "lag" rate (lag_permille, 1000) "Rate of node steps that the driver executes late.";
    "torn steps" rate (torn_step_ppm, 1000000)
        "Rate of node steps with a crash between two of their actions.";
    "gather" time (gather) "Time for which a driver gathers proposals into one batch.";
    "clients" own ("N [operations N]", clients, read_clients)
        "Number of clients, and the total number of their operations, not counting rejected ones.";
    "hostile clients" count (hostile_clients, 0, 100)
        "Number of further clients that lie in every field of their requests.";
    "think time" span (think_time) "Pause of a client between two operations.";
    "request timeout" time (request_timeout) "Time for which a client waits for an outcome.";
    "reads" rate (read_permille, 1000) "Rate of operations that are reads.";
    "command bytes" count (command_bytes, 16, BOUND_MAX) "Usual size of a command.";
    "faults" own ("KIND..", faults, read_faults)
        "Kinds of faults that may occur in the run besides those of its lines.";
    "fault phase" time (fault_phase)
        "Duration of client load and faults; then the stabilization phase repairs a core of nodes, \
         which must agree.";
}

/// Parses `off`, or the value of a setting that can be off.
fn off_or<T>(
    words: &mut Words<'_>,
    read: impl Fn(&mut Words<'_>) -> Result<T, SyntaxError>,
) -> Result<Option<T>, SyntaxError> {
    if words.accept("off") { Ok(None) } else { read(words).map(Some) }
}

fn ppm(words: &mut Words<'_>, most: u32) -> Result<u32, SyntaxError> {
    let expected = format!("a rate of up to {most}ppm, like 300ppm");
    let read = |word: &str| word.strip_suffix("ppm")?.parse().ok().filter(|ppm| *ppm <= most);
    words.read(&expected, read)
}

fn priorities(settings: &Settings) -> String {
    let each: Vec<String> = settings.priorities.iter().map(u8::to_string).collect();
    each.join(" ")
}

fn read_priorities(settings: &mut Settings, words: &mut Words<'_>) -> Result<(), SyntaxError> {
    settings.priorities = vec![words.count(0, 255)? as u8];
    while !words.is_empty() {
        settings.priorities.push(words.count(0, 255)? as u8);
    }
    Ok(())
}

fn timeout(settings: &Settings) -> String {
    let config = &settings.config;
    format!("{}..{}", Exact(config.election_timeout_min), Exact(config.election_timeout_max))
}

fn read_timeout(settings: &mut Settings, words: &mut Words<'_>) -> Result<(), SyntaxError> {
    let span = words.span()?;
    settings.config.election_timeout_min = span.min;
    settings.config.election_timeout_max = span.max;
    Ok(())
}

fn suspension(settings: &Settings) -> String {
    settings.config.suspension.map_or(
        "off".to_owned(),
        |Suspension { after, voters_min, pause }| {
            format!("after {}, down to {voters_min}, pause {}", Exact(after), Exact(pause))
        },
    )
}

fn read_suspension(settings: &mut Settings, words: &mut Words<'_>) -> Result<(), SyntaxError> {
    settings.config.suspension = off_or(words, |words| {
        words.need("after")?;
        let after = words.duration()?;
        words.need(", down to")?;
        let voters_min = words.count(1, 11)? as usize;
        words.need(", pause")?;
        Ok(Suspension { after, voters_min, pause: words.duration()? })
    })?;
    Ok(())
}

fn survivor(settings: &Settings) -> String {
    let after = |survivor: Survivor| format!("after {}", Exact(survivor.after));
    settings.config.survivor.map_or("off".to_owned(), after)
}

fn read_survivor(settings: &mut Settings, words: &mut Words<'_>) -> Result<(), SyntaxError> {
    settings.config.survivor = off_or(words, |words| {
        words.need("after")?;
        Ok(Survivor { after: words.duration()? })
    })?;
    Ok(())
}

fn lease(settings: &Settings) -> String {
    settings.config.lease.map_or("off".to_owned(), |Lease { drift_ppm, read_leases }| {
        format!("{drift_ppm}ppm{}", if read_leases { " read-leases" } else { "" })
    })
}

fn read_lease(settings: &mut Settings, words: &mut Words<'_>) -> Result<(), SyntaxError> {
    settings.config.lease = off_or(words, |words| {
        let drift_ppm = ppm(words, Lease::DRIFT_PPM_MAX)?;
        Ok(Lease { drift_ppm, read_leases: words.accept("read-leases") })
    })?;
    Ok(())
}

fn read_clock_error(settings: &mut Settings, words: &mut Words<'_>) -> Result<(), SyntaxError> {
    settings.clocks.error_ppm_max = ppm(words, ClockDrift::PPM_MAX)?;
    Ok(())
}

fn read_clock_drift(settings: &mut Settings, words: &mut Words<'_>) -> Result<(), SyntaxError> {
    settings.clocks.drift_ppm_max = ppm(words, ClockDrift::PPM_MAX)?;
    Ok(())
}

fn machine_checkpoint(settings: &Settings) -> String {
    settings.machine_checkpoint_every.map_or("off".to_owned(), |each| format!("every {each}"))
}

fn read_machine_checkpoint(
    settings: &mut Settings,
    words: &mut Words<'_>,
) -> Result<(), SyntaxError> {
    settings.machine_checkpoint_every =
        match words.name("checkpoint interval", &["off", "every"])? {
            0 => None,
            _ => NonZero::new(words.count(1, u64::MAX)?),
        };
    Ok(())
}

fn clients(settings: &Settings) -> String {
    match settings.operations_max {
        u64::MAX => settings.clients.to_string(),
        most => format!("{} operations {most}", settings.clients),
    }
}

fn read_clients(settings: &mut Settings, words: &mut Words<'_>) -> Result<(), SyntaxError> {
    settings.clients = words.count(0, 1_000)? as u16;
    settings.operations_max = match words.accept("operations") {
        true => words.count(0, u64::MAX - 1)?,
        false => u64::MAX,
    };
    Ok(())
}

fn faults(settings: &Settings) -> String {
    let names: Vec<&str> = settings.faults.iter().map(Fault::name).collect();
    names.join(" ")
}

fn read_faults(settings: &mut Settings, words: &mut Words<'_>) -> Result<(), SyntaxError> {
    let names = Fault::ALL.map(Fault::name);
    settings.faults = Faults::NONE;
    settings.faults.insert(Fault::ALL[words.name("kind of fault", &names)?]);
    while !words.is_empty() {
        settings.faults.insert(Fault::ALL[words.name("kind of fault", &names)?]);
    }
    Ok(())
}

/// The storage settings with the largest command that the configuration allows.
pub(super) fn storage_of(settings: &Settings) -> StorageConfig {
    let command_bytes_max = settings.config.command_bytes_max.max(Membership::BYTES_MAX);
    StorageConfig { command_bytes_max, ..settings.storage.clone() }
}

impl Row {
    /// Returns the reason why no run can have these settings, and what to do, if there is one.
    pub(super) fn problem(settings: &Settings) -> Option<String> {
        let members = usize::from(settings.voters + settings.learners);
        let rated = settings.priorities.len();
        if settings.nodes() > Settings::NODES_MAX {
            let most = Settings::NODES_MAX;
            return Some(format!(
                "{} nodes are more than {most}: remove some nodes",
                settings.nodes()
            ));
        }
        if rated != 0 && rated != members {
            return Some(format!("{rated} priorities for {members} members: write one per member"));
        }
        if settings.fault_phase < Duration::from_millis(1) {
            return Some("the fault phase is shorter than 1ms: write a longer one".to_owned());
        }
        if let Err(error) = settings.config.check() {
            return Some(error.to_string());
        }
        storage_of(settings).check().err().map(|error| error.to_string())
    }
}
