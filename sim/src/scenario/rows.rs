//! The settings that a scenario can name, one row each: how it is printed, read and explained.

use std::num::NonZero;
use std::time::Duration;

use quorate::machine::SessionLimits;
use quorate::raft::{Lease, Removal, Survivor};

use crate::fault::{Fault, Faults};
use crate::settings::{Clocks, Settings};
use crate::words::{Exact, Mistake, Words};

/// One setting.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// The words that its line begins with.
    pub name: &'static str,
    /// What follows them.
    pub takes: &'static str,
    /// What it decides, in a sentence.
    pub about: &'static str,
    /// What the settings have, as it is read.
    pub(super) print: fn(&Settings) -> String,
    /// Takes what the line says into the settings.
    pub(super) read: fn(&mut Settings, &mut Words<'_>) -> Result<(), Mistake>,
}

/// The rows that read like `pre-vote on`, `heartbeat 50ms`, `latency 1ms..2ms`, `loss 10 in 1000`
/// and `spares 2`, each by the field that it is about; and rows with words of their own.
macro_rules! rows {
    (@ $name:literal switch ($($field:ident).+) $about:literal) => {
        Row {
            name: $name,
            takes: "on|off",
            about: $about,
            print: |s| if s.$($field).+ { "on" } else { "off" }.to_owned(),
            read: |s, words| { s.$($field).+ = words.switch()?; Ok(()) },
        }
    };
    (@ $name:literal time ($($field:ident).+) $about:literal) => {
        Row {
            name: $name,
            takes: "SPAN",
            about: $about,
            print: |s| Exact(s.$($field).+).to_string(),
            read: |s, words| { s.$($field).+ = words.duration()?; Ok(()) },
        }
    };
    (@ $name:literal span ($($field:ident).+) $about:literal) => {
        Row {
            name: $name,
            takes: "SPAN[..SPAN]",
            about: $about,
            print: |s| s.$($field).+.to_string(),
            read: |s, words| { s.$($field).+ = words.span()?; Ok(()) },
        }
    };
    (@ $name:literal rate ($($field:ident).+, $of:literal) $about:literal) => {
        Row {
            name: $name,
            takes: concat!("N in ", $of),
            about: $about,
            print: |s| format!("{} in {}", s.$($field).+, $of),
            read: |s, words| {
                s.$($field).+ = words.count(0, $of)?;
                words.need(concat!("in ", $of))
            },
        }
    };
    (@ $name:literal count ($($field:ident).+, $least:literal, $most:expr) $about:literal) => {
        Row {
            name: $name,
            takes: "N",
            about: $about,
            print: |s| s.$($field).+.to_string(),
            read: |s, words| { s.$($field).+ = words.count($least, $most)? as _; Ok(()) },
        }
    };
    (@ $name:literal own ($takes:literal, $print:expr, $read:expr) $about:literal) => {
        Row { name: $name, takes: $takes, about: $about, print: $print, read: $read }
    };
    ($($name:literal $kind:ident $field:tt $about:literal;)*) => {
        /// Every setting, in the order in which they are printed.
        pub static ROWS: &[Row] = &[$(rows!(@ $name $kind $field $about)),*];
    };
}

/// The most that a bound in bytes or entries may be.
const BOUND_MAX: u64 = 1 << 32;

rows! {
    "nodes" count (voters, 1, 11) "How many nodes vote at first: n1, n2 and so on.";
    "learners" count (learners, 0, 10) "How many nodes learn at first: those after the voters.";
    "spares" count (spares, 0, 10) "How many nodes are no members at first: the last ones.";
    "founding" switch (founds)
        "The voters begin without a membership and found the cluster; learners wait to be let in.";
    "priorities" own ("N..", priorities, read_priorities)
        "The priority of each member at first, from 0 to 255.";
    "heartbeat" time (config.heartbeat_interval) "How often a leader says that it is alive.";
    "election timeout" own ("SPAN..SPAN", timeout, read_timeout)
        "The shortest and the longest silence after which a node campaigns.";
    "pre-vote" switch (config.pre_vote)
        "Nodes ask whether votes would be given before they raise the term.";
    "check-quorum" switch (config.check_quorum) "A leader that hears from no quorum steps down.";
    "stickiness" switch (config.stickiness) "Nodes refuse votes while they hear a leader.";
    "casting-vote" switch (config.casting_vote)
        "The leader of an even set of voters holds its casting vote.";
    "removal" own ("off|after SPAN, down to N, pause SPAN", removal, read_removal)
        "Leaders suspend voters that are silent for so long, down to so many, with such pauses.";
    "survivor" own ("off|after SPAN", survivor, read_survivor)
        "Silence of so long means death, and the last survivor goes on.";
    "lease" own ("off|Nppm [lent]", lease, read_lease)
        "Leaders hold leases for clocks within so many millionths, and may lend them.";
    "clock error" own ("Nppm", |s| format!("{}ppm", s.clocks.usual_ppm_max), read_clock_error)
        "By how many millionths each clock may always run too fast or too slow.";
    "clock drift" own ("Nppm", |s| format!("{}ppm", s.clocks.drift_ppm_max), read_clock_drift)
        "And by how many while `drift` ails it: checks that measure time allow for it.";
    "clocks stop" switch (clocks.stand_still) "A clock stands still while its process is paused.";
    "commit delay" time (config.commit_delay)
        "How long a leader keeps to itself that more is committed.";
    "outbox messages" count (config.outbox_messages_max, 1, BOUND_MAX)
        "The most messages of a node that wait for its disk.";
    "command bytes max" count (config.command_bytes_max, 1, BOUND_MAX)
        "The largest command in the log, in bytes.";
    "message entries" count (config.message_entries_max, 1, BOUND_MAX)
        "The most entries in one message.";
    "message bytes" count (config.message_bytes_max, 1, BOUND_MAX)
        "The most bytes of entries in one message; four largest entries.";
    "inflight messages" count (config.inflight_messages_max, 1, BOUND_MAX)
        "The most appends on their way to one peer.";
    "inflight entries" count (config.inflight_entries_max, 1, BOUND_MAX)
        "The most entries on their way to one peer.";
    "inflight bytes" count (config.inflight_bytes_max, 1, BOUND_MAX)
        "The most bytes on their way to one peer; eight messages' worth.";
    "unapplied bytes" count (config.unapplied_bytes_max, 1, BOUND_MAX)
        "The most bytes that a leader has in its log and not applied; 64 largest entries.";
    "tail bytes" count (config.tail_bytes_max, 1, BOUND_MAX)
        "The most bytes of durable entries kept in memory.";
    "apply bytes" count (config.apply_bytes_max, 1, BOUND_MAX)
        "The most bytes of entries handed to the state machine at once.";
    "reads max" count (config.reads_max, 1, BOUND_MAX) "The most reads that wait on one node.";
    "latency" span (latency) "How long a message takes.";
    "loss" rate (loss_permille, 1000) "How many messages are lost.";
    "duplicates" rate (duplicate_permille, 1000) "How many messages arrive twice.";
    "delays" rate (delay_permille, 1000) "How many messages take far longer than others.";
    "flush" span (flush) "How long a flush of a disk takes.";
    "report" span (report)
        "How long a node takes to hear of a finished flush, when it does not hear at once.";
    "work" span (work) "How long a state machine takes for a batch, and a disk to read one.";
    "segment bytes" count (storage.segment_bytes, 1, BOUND_MAX)
        "The size of a segment of the log; a multiple of 4096.";
    "segments ahead" count (storage.segments_ahead, 1, 65536)
        "How many empty segments are kept ready.";
    "flush bytes" count (storage.flush_bytes_max, 1, BOUND_MAX)
        "The most bytes of entries in one flush.";
    "read bytes" count (storage.read_bytes_max, 1, BOUND_MAX) "The most bytes read at once.";
    "opened bytes" count (storage.tail_bytes_max, 0, BOUND_MAX)
        "The most bytes of entries that a restart hands over.";
    "chunk bytes" count (storage.snapshots.chunk_bytes, 1, BOUND_MAX)
        "The size of a part of a snapshot.";
    "snapshot entries" count (snapshot_entries, 1, u64::MAX)
        "After how many applied entries there is a snapshot.";
    "snapshot bytes" count (snapshot_bytes, 1, u64::MAX)
        "And after how many bytes of them.";
    "trailing entries" count (trailing_entries, 0, u64::MAX)
        "How many entries before a snapshot are kept for peers that lag.";
    "snapshot rate" count (snapshot_bytes_per_second, 1, u64::MAX)
        "How many bytes of a snapshot a node writes, or sends, in a second.";
    "sessions" count (session_limits.sessions_max, 1, SessionLimits::SESSIONS_MAX.into())
        "The most sessions of clients.";
    "session window" count (session_limits.window, 1, SessionLimits::WINDOW_MAX.into())
        "The most requests of a session at once.";
    "session replies" count
        (session_limits.replies_bytes_max, 0, SessionLimits::REPLIES_BYTES_MAX.into())
        "The most bytes of replies kept for a session.";
    "machine keeps" own ("nothing|every N", machine_keeps, read_machine_keeps)
        "After how many commands each state machine makes its state durable by itself.";
    "validation entries" count (validation.entries, 1, u64::MAX)
        "After how many entries nodes compare their state machines.";
    "validation period" time (validation.period) "And after how long at the latest.";
    "validation states" switch (validation.states) "They compare the states themselves, too.";
    "lag" rate (lag_permille, 1000) "How many steps of nodes are carried out late.";
    "torn steps" rate (torn_step_ppm, 1000000) "How many steps end in a crash in their midst.";
    "gather" time (gather) "How long a driver gathers proposals to hand them over together.";
    "clients" own ("N [operations N]", clients, read_clients)
        "How many clients there are, and how many operations they ask for in all, refused ones \
         apart.";
    "think" span (think) "How long a client waits between two operations.";
    "patience" time (patience) "How long a client waits for an outcome.";
    "reads" rate (read_permille, 1000) "How many operations read.";
    "command bytes" count (command_bytes, 16, BOUND_MAX) "The usual size of a command.";
    "faults" own ("KIND..", faults, read_faults)
        "Kinds of faults that the run may meet besides those that its lines bring.";
    "storm" time (storm)
        "How long clients and faults go on; then a few nodes are made well, and must agree.";
}

/// What is read when a setting can be off.
fn off_or<T>(
    words: &mut Words<'_>,
    read: impl Fn(&mut Words<'_>) -> Result<T, Mistake>,
) -> Result<Option<T>, Mistake> {
    if words.accept("off") { Ok(None) } else { read(words).map(Some) }
}

fn ppm(words: &mut Words<'_>, most: u32) -> Result<u32, Mistake> {
    let what = format!("millionths up to {most}, like 300ppm");
    let read = |word: &str| word.strip_suffix("ppm")?.parse().ok().filter(|ppm| *ppm <= most);
    words.read(&what, read)
}

fn priorities(settings: &Settings) -> String {
    let each: Vec<String> = settings.priorities.iter().map(u8::to_string).collect();
    each.join(" ")
}

fn read_priorities(settings: &mut Settings, words: &mut Words<'_>) -> Result<(), Mistake> {
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

fn read_timeout(settings: &mut Settings, words: &mut Words<'_>) -> Result<(), Mistake> {
    let span = words.span()?;
    settings.config.election_timeout_min = span.least;
    settings.config.election_timeout_max = span.most;
    Ok(())
}

fn removal(settings: &Settings) -> String {
    settings.config.removal.map_or("off".to_owned(), |Removal { after, voters_min, pause }| {
        format!("after {}, down to {voters_min}, pause {}", Exact(after), Exact(pause))
    })
}

fn read_removal(settings: &mut Settings, words: &mut Words<'_>) -> Result<(), Mistake> {
    settings.config.removal = off_or(words, |words| {
        words.need("after")?;
        let after = words.duration()?;
        words.need(", down to")?;
        let voters_min = words.count(1, 11)? as usize;
        words.need(", pause")?;
        Ok(Removal { after, voters_min, pause: words.duration()? })
    })?;
    Ok(())
}

fn survivor(settings: &Settings) -> String {
    let after = |survivor: Survivor| format!("after {}", Exact(survivor.after));
    settings.config.survivor.map_or("off".to_owned(), after)
}

fn read_survivor(settings: &mut Settings, words: &mut Words<'_>) -> Result<(), Mistake> {
    settings.config.survivor = off_or(words, |words| {
        words.need("after")?;
        Ok(Survivor { after: words.duration()? })
    })?;
    Ok(())
}

fn lease(settings: &Settings) -> String {
    settings.config.lease.map_or("off".to_owned(), |Lease { drift_ppm, replicas }| {
        format!("{drift_ppm}ppm{}", if replicas { " lent" } else { "" })
    })
}

fn read_lease(settings: &mut Settings, words: &mut Words<'_>) -> Result<(), Mistake> {
    settings.config.lease = off_or(words, |words| {
        let drift_ppm = ppm(words, Lease::DRIFT_PPM_MAX)?;
        Ok(Lease { drift_ppm, replicas: words.accept("lent") })
    })?;
    Ok(())
}

fn read_clock_error(settings: &mut Settings, words: &mut Words<'_>) -> Result<(), Mistake> {
    settings.clocks.usual_ppm_max = ppm(words, Clocks::DRIFT_PPM_MAX)?;
    Ok(())
}

fn read_clock_drift(settings: &mut Settings, words: &mut Words<'_>) -> Result<(), Mistake> {
    settings.clocks.drift_ppm_max = ppm(words, Clocks::DRIFT_PPM_MAX)?;
    Ok(())
}

fn machine_keeps(settings: &Settings) -> String {
    settings.machine_keeps_each.map_or("nothing".to_owned(), |each| format!("every {each}"))
}

fn read_machine_keeps(settings: &mut Settings, words: &mut Words<'_>) -> Result<(), Mistake> {
    settings.machine_keeps_each = match words.name("part of a state", &["nothing", "every"])? {
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

fn read_clients(settings: &mut Settings, words: &mut Words<'_>) -> Result<(), Mistake> {
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

fn read_faults(settings: &mut Settings, words: &mut Words<'_>) -> Result<(), Mistake> {
    let names = Fault::ALL.map(Fault::name);
    settings.faults = Faults::NONE;
    settings.faults.insert(Fault::ALL[words.name("kind of fault", &names)?]);
    while !words.is_empty() {
        settings.faults.insert(Fault::ALL[words.name("kind of fault", &names)?]);
    }
    Ok(())
}

impl Row {
    /// Why no run can have these settings, if so, in words that say what to do.
    pub(super) fn flaw(settings: &Settings) -> Option<String> {
        let members = usize::from(settings.voters + settings.learners);
        let rated = settings.priorities.len();
        if settings.nodes() > Settings::NODES_MAX {
            let most = Settings::NODES_MAX;
            return Some(format!("{} nodes are over {most}: take some out", settings.nodes()));
        }
        if rated != 0 && rated != members {
            return Some(format!("{rated} priorities for {members} members: write one for each"));
        }
        if settings.storm < Duration::from_millis(1) {
            return Some("the storm is over before it begins: write a longer one".to_owned());
        }
        if let Err(error) = settings.config.check() {
            return Some(error.to_string());
        }
        settings.storage.check().err().map(str::to_owned)
    }
}
