//! The settings of one run: the cluster, its options, its network, disks, load and clocks.

mod disks;
mod draw;
mod ingredients;
pub mod profile;
mod reach;
pub mod strategy;

use std::fmt;
use std::num::NonZero;
use std::time::Duration;

use quorate::machine::{Request, SessionLimits};
use quorate::raft::{Config, Lease, Survivor, Suspension};
use quorate::replica::ReplicaConfig;
use quorate::storage::StorageConfig;
use quorate::types::{Incarnation, Member, Membership, NodeId, SessionBounds};

use crate::check::{Costs, prevents_disruptive_servers};
use crate::faults::{Fault, Faults};
use crate::values::duration_range::DurationRange;
use crate::workload::Principal;

pub(crate) use disks::fit_largest_command;

/// The number of bytes that a request, with its proposer, adds to the user's command.
pub(crate) const REQUEST_BYTES: usize = Request::OVERHEAD_BYTES_MAX + Principal::BYTES_MAX;

/// The maximum number of bytes of entries in one message. The configuration of a server has the
/// same bound, because the wire format has no room for more.
pub(crate) const MESSAGE_BYTES_MAX: usize = (8 << 20) - (1 << 10);

/// The parameters of one run, fixed before it starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The number of initial voters: the nodes from 1 on.
    pub voters: u8,
    /// The number of initial learners: the nodes after the voters.
    pub learners: u8,
    /// The number of nodes that are not members at first, and have no membership: those after the
    /// learners.
    pub spares: u8,
    /// Whether the voters start without a membership and bootstrap the cluster; learners then start
    /// as spares.
    pub bootstraps: bool,
    /// The priority of each member, by its number; other members have the default priority.
    pub priorities: Vec<u8>,
    /// The Raft configuration of every node, except its id.
    pub config: Config,
    /// The kinds of faults that may occur in the run.
    pub faults: Faults,
    /// The duration of the fault phase, in which clients send requests and faults occur.
    pub fault_phase: Duration,
    /// The number of slots of the plan; each slot holds one drawn fault pattern, or none.
    pub plan_slots: u16,
    /// Whether the drawn faults are few, and last for a large part of the run.
    pub has_lasting_faults: bool,
    /// The network latency of a message.
    pub latency: DurationRange,
    /// The rate of lost messages, in 1,000.
    pub loss_permille: u64,
    /// The rate of duplicate messages, in 1,000.
    pub duplicate_permille: u64,
    /// The rate of messages that take far longer than others, in 1,000.
    pub delay_permille: u64,
    /// The duration of a disk flush.
    pub flush: DurationRange,
    /// The configuration of every node's storage.
    pub storage: StorageConfig,
    /// The number of applied entries after which a node takes a snapshot.
    pub snapshot_entries: u64,
    /// The number of applied bytes of entries after which a node takes a snapshot.
    pub snapshot_bytes: u64,
    /// The number of entries before a snapshot that are kept for slow peers.
    pub trailing_entries: u64,
    /// The number of bytes of a snapshot that a node writes, or sends, per second.
    pub snapshot_bytes_per_second: u64,
    /// The times after which nodes repeat requests and reads.
    pub repeats: Repeats,
    /// The number of commands after which each state machine makes its state durable by itself;
    /// `None` if it lives in memory.
    pub machine_checkpoint_every: Option<NonZero<u64>>,
    /// The maximum number of client sessions of one principal.
    pub sessions: u32,
    /// The limits that clients ask for their sessions.
    pub session_limits: SessionLimits,
    /// The delay between a finished flush and its notification, when the notification is late.
    pub report_delay: DurationRange,
    /// The time to apply one batch. A disk read, and a write of a snapshot, take a quarter of it.
    pub batch_time: DurationRange,
    /// The rate of steps whose actions are executed late, one by one, in 1,000.
    pub lag_permille: u64,
    /// The rate of steps with a crash between two of their actions, in 1,000,000.
    pub torn_step_ppm: u64,
    /// The time for which a node's driver gathers proposals into one batch; zero if it passes on
    /// each proposal at once.
    pub gather: Duration,
    /// The number of clients.
    pub clients: u16,
    /// The number of further clients that lie in every field of their requests.
    pub hostile_clients: u16,
    /// The total number of operations of the `clients`, not counting rejected ones.
    pub operations_max: u64,
    /// The pause of a client between two operations.
    pub think_time: DurationRange,
    /// The time for which a client waits for an outcome.
    pub request_timeout: Duration,
    /// The rate of operations that are reads, in 1,000.
    pub read_permille: u64,
    /// The usual size of a command, in bytes; at least 16.
    pub command_bytes: u64,
    /// The error of the nodes' clocks.
    pub clocks: Clocks,
    /// The options of state machine comparison.
    pub validation: Validation,
}

/// The error of the nodes' clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clocks {
    /// The largest permanent rate error of a clock, in parts per million, fast or slow.
    pub error_ppm_max: u32,
    /// The largest rate error of a clock under a clock-drift fault, in parts per million.
    pub drift_ppm_max: u32,
    /// Whether the clock of a node stops while its process is paused.
    pub stop_while_paused: bool,
}

/// The times after which the nodes of a run repeat requests and reads, and how many they make at
/// once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Repeats {
    /// The shortest time before a node asks again for a part of a snapshot, or for space on a full
    /// disk, in percent of the longest election timeout.
    pub retry_percent: u32,
    /// The maximum number of parts of a snapshot that a node asks for at once.
    pub parts_inflight_max: usize,
    /// The period in which a node reads its whole disk again.
    pub scrub_period: Duration,
}

impl Repeats {
    /// A scrub period with which no run scrubs: the first read is an hour after the start.
    pub const SCRUB_NEVER: Duration = Duration::from_secs(7 * 24 * 3600);
}

/// The options of state machine comparison in a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validation {
    /// The number of applied entries between two comparisons.
    pub entries: u64,
    /// The longest time between two comparisons.
    pub period: Duration,
    /// Whether nodes compare the states as well as the replies.
    pub states: bool,
}

impl Settings {
    /// The largest number of nodes in a run, including spares.
    pub const NODES_MAX: u8 = 11;
    /// The maximum number of sessions of one principal in runs that keep the bounds of the library,
    /// which they never reach.
    pub const SESSIONS_DEFAULT: u32 = 64;

    /// Returns the configuration of node `id`.
    #[must_use]
    pub fn replica(&self, id: NodeId) -> ReplicaConfig {
        let first = self.membership();
        let peers = Some(first).filter(|first| self.bootstraps && first.is_voter(id));
        let mut config =
            ReplicaConfig::new(Config { id, bootstrap_peers: peers, ..self.config.clone() });
        config.storage = self.storage.clone();
        config.snapshot_entries = self.snapshot_entries;
        config.snapshot_bytes = self.snapshot_bytes;
        config.trailing_entries = self.trailing_entries;
        config.snapshot_bytes_per_second = self.snapshot_bytes_per_second;
        config.part_timeout = self.part_timeout();
        config.space_retry = self.part_timeout();
        config.parts_inflight_max = self.repeats.parts_inflight_max;
        config.scrub_period = self.repeats.scrub_period;
        config.validation_entries = self.validation.entries;
        config.validation_period = self.validation.period;
        config.validation_timeout = self.config.heartbeat_interval * 2;
        config.validate_states = self.validation.states;
        config
    }

    /// Returns the time after which a node requests a part of a snapshot again, or retries after a
    /// full disk.
    pub(crate) fn part_timeout(&self) -> Duration {
        self.config.election_timeout_max * self.repeats.retry_percent / 100
    }

    /// Returns the largest command of a client, in bytes: the log's bound less the request's
    /// overhead.
    #[must_use]
    pub fn command_bytes_max(&self) -> u64 {
        (self.config.command_bytes_max - REQUEST_BYTES) as u64
    }

    /// Returns the bounds of the client sessions that the administrator sets at the start. Honest
    /// clients reach only those of sessions and of bytes.
    #[must_use]
    pub fn session_bounds(&self) -> SessionBounds {
        if self.sessions == Settings::SESSIONS_DEFAULT && self.hostile_clients == 0 {
            return SessionBounds::DEFAULT;
        }
        let SessionLimits { window, replies_bytes_max } = self.session_limits;
        let bytes = u64::from(replies_bytes_max);
        SessionBounds {
            sessions_max: self.sessions.saturating_mul(3).min(SessionBounds::SESSIONS_MAX),
            sessions_per_principal_max: self.sessions,
            window_max: window,
            requests_per_principal_max: window * 4,
            requests_max: window * 16,
            replies_bytes_per_session_max: replies_bytes_max,
            replies_bytes_per_principal_max: bytes * 2,
            replies_bytes_max: bytes * 4,
        }
    }

    /// Returns the number of nodes: voters, learners and spares.
    #[must_use]
    pub fn nodes(&self) -> u8 {
        self.voters + self.learners + self.spares
    }

    /// Returns the membership that the directories of its members are formatted with: empty if the
    /// cluster bootstraps.
    #[must_use]
    pub fn formatted(&self) -> Membership {
        if self.bootstraps { Membership::default() } else { self.membership() }
    }

    /// Returns the membership that the first directory of node `id` is formatted with: a node that
    /// is not a member at first has none, as a node that joins a cluster at run time.
    pub(crate) fn formatted_at(&self, id: NodeId) -> Membership {
        Some(self.formatted()).filter(|first| first.is_member(id)).unwrap_or_default()
    }

    /// Returns true if the node is one of those that bootstrap the cluster.
    pub(crate) fn is_bootstrap_peer(&self, id: NodeId) -> bool {
        self.bootstraps && self.membership().is_voter(id)
    }

    /// Returns the incarnation of the disk of node `id` after the node has lost `lost` disks.
    #[must_use]
    pub fn incarnation(id: NodeId, lost: u16) -> Incarnation {
        Incarnation(u128::from(lost) << 64 | u128::from(id.0))
    }

    /// Returns the first membership of the cluster. It names the incarnations of its members if
    /// disks can be lost; if the cluster bootstraps, the bootstrap peers add them.
    #[must_use]
    pub fn membership(&self) -> Membership {
        let node = |number: u8| NodeId(u64::from(number));
        let members = if self.bootstraps { self.voters } else { self.voters + self.learners };
        let plain = Membership::new((1..=self.voters).map(node))
            .with_learners((self.voters + 1..=members).map(node));
        let names = self.faults.has(Fault::Wipe) && !self.bootstraps;
        let name = |id| if names { Settings::incarnation(id, 0) } else { Incarnation::default() };
        let priority = |id: NodeId| self.priorities.get(id.0 as usize - 1).copied();
        (1..=members).map(node).fold(plain, |membership, id| {
            let member = Member::new(id);
            let priority = priority(id).unwrap_or(member.priority);
            membership.with_member(Member { priority, incarnation: name(id), ..member })
        })
    }

    /// Returns the largest durations and rates of operations that no fault affects.
    pub(crate) fn costs(&self) -> Costs {
        Costs {
            message: self.latency.max,
            flush: self.flush.max,
            batch: self.batch_time.max,
            snapshot_bytes_per_second: self.snapshot_bytes_per_second,
            part_bytes: self.storage.snapshots.chunk_bytes as u64,
        }
    }

    /// Whether the protocol guarantees liveness although nodes outside the live majority are only
    /// partly disconnected.
    #[must_use]
    pub fn tolerates_one_way_cuts(&self) -> bool {
        prevents_disruptive_servers(&self.config)
    }
}

impl fmt::Display for Settings {
    /// Prints one line with the settings that differ from run to run.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Config { pre_vote, check_quorum, stickiness, casting_vote, .. } = self.config;
        write!(f, "nodes {}", self.voters)?;
        if self.learners > 0 {
            write!(f, " learners {}", self.learners)?;
        }
        if self.spares > 0 {
            write!(f, " spares {}", self.spares)?;
        }
        if self.bootstraps {
            f.write_str(" bootstrap")?;
        }
        if !self.priorities.is_empty() {
            write!(f, " priorities {:?}", self.priorities)?;
        }
        if let Some(Suspension { after, voters_min, .. }) = self.config.suspension {
            write!(f, " suspension after {after:?} down to {voters_min}")?;
        }
        if let Some(Survivor { after }) = self.config.survivor {
            write!(f, " survivor after {after:?}")?;
        }
        if let Some(Lease { drift_ppm, read_leases }) = self.config.lease {
            let suffix = if read_leases { " read-leases" } else { "" };
            write!(f, " lease {drift_ppm}ppm{suffix}")?;
            if self.clocks.drift_ppm_max > drift_ppm || self.clocks.stop_while_paused {
                f.write_str(", exceeded by clocks")?;
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
        if self.has_lasting_faults {
            f.write_str(" lasting-faults")?;
        }
        if self.hostile_clients > 0 {
            write!(f, " hostile-clients {}", self.hostile_clients)?;
        }
        if let Some(each) = self.machine_checkpoint_every {
            write!(f, " machine checkpoint every {each}")?;
        }
        f.write_str(" faults")?;
        self.faults.iter().try_for_each(|fault| write!(f, " {fault}"))
    }
}
