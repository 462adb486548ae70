//! The bounds of a node's configuration, and the election bounds of the stabilization phase.

use std::time::Duration;

use quorate::raft::Config;
use quorate::replica::ReplicaConfig;

use crate::check::costs::{Costs, PART_TIMEOUTS_MAX, Volume};

/// The bounds that hold for every node of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// The maximum number of entries in one message, from `Config::message_entries_max`.
    pub message_entries_max: usize,
    /// The maximum number of bytes of entries in one message, from `Config::message_bytes_max`.
    pub message_bytes_max: usize,
    /// The maximum number of unacknowledged appends to one peer, from
    /// `Config::inflight_messages_max`.
    pub inflight_messages_max: usize,
    /// The maximum number of bytes in a leader's log that are not applied or not on its disk, from
    /// `Config::unapplied_bytes_max`.
    pub unapplied_bytes_max: usize,
    /// The maximum number of bytes of durable entries in memory, from `Config::tail_bytes_max`.
    pub tail_bytes_max: usize,
    /// The maximum number of bytes of entries in one batch to apply, from
    /// `Config::apply_bytes_max`.
    pub apply_bytes_max: usize,
    /// The maximum number of pending reads of one node, from `Config::reads_max`.
    pub reads_max: usize,
    /// The maximum number of messages that wait for a node's disk, from
    /// `Config::outbox_messages_max`.
    pub outbox_messages_max: usize,
    /// The time between two heartbeats of a leader, from `Config::heartbeat_interval`.
    pub heartbeat_interval: Duration,
    /// The shortest election timeout, from `Config::election_timeout_min`.
    pub election_timeout_min: Duration,
    /// The maximum number of elections that core nodes may win in the stabilization phase.
    pub stabilization_elections_max: u64,
    /// The maximum number of elections that core nodes may win while the cluster is idle. Each of
    /// these elections may also change the term of every node once.
    pub idle_elections_max: u64,
    /// The longest durations of messages, flushes and batches in the absence of faults.
    pub costs: Costs,
    /// The configuration of every node, except for the node's id.
    pub config: Config,
    /// The same configuration, with the bounds of storage, snapshots and state comparison.
    pub replica: ReplicaConfig,
    /// The maximum error of a clock's rate, in parts per million.
    pub drift_ppm: u32,
    /// Whether the state machines keep durable state of their own.
    pub machine_is_durable: bool,
    /// The time for which a node's driver gathers proposals before it passes them to the node.
    pub gather: Duration,
}

/// Whether the options prevent removed and half-isolated nodes from starting elections without end
/// (thesis §4.2.3, §9.6).
pub(crate) fn prevents_disruptive_servers(config: &Config) -> bool {
    config.pre_vote && config.check_quorum && config.stickiness
}

impl Bounds {
    /// Derives the bounds of a cluster in which every node has the configuration `config`.
    ///
    /// The bounds of the stabilization phase assume that no node outside the core disturbs it. If
    /// the configuration does not prevent that, the simulator isolates the nodes outside the core.
    #[must_use]
    pub fn of(config: &Config, costs: Costs) -> Bounds {
        Bounds {
            message_entries_max: config.message_entries_max,
            message_bytes_max: config.message_bytes_max,
            inflight_messages_max: config.inflight_messages_max,
            unapplied_bytes_max: config.unapplied_bytes_max,
            tail_bytes_max: config.tail_bytes_max,
            apply_bytes_max: config.apply_bytes_max,
            reads_max: config.reads_max,
            outbox_messages_max: config.outbox_messages_max,
            heartbeat_interval: config.heartbeat_interval,
            election_timeout_min: config.election_timeout_min,
            stabilization_elections_max: 8,
            idle_elections_max: 0,
            costs,
            config: config.clone(),
            replica: ReplicaConfig::new(config.clone()),
            drift_ppm: 0,
            machine_is_durable: false,
            gather: Duration::ZERO,
        }
    }

    /// The longest time that the core takes to elect a leader, and then to send, write and apply
    /// `volume`. It bounds the answer to a request (L2), the catch-up of a core node (L5), the time
    /// without a leader after a leadership transfer (L10), and each step of a membership change
    /// (L11). Each check says from which time it counts.
    ///
    /// Each allowed election takes at most two timeouts: one until a node campaigns, and another
    /// one if that campaign fails. One round of messages is added to each timeout. A last survivor
    /// takes over only after the silence that counts as death.
    pub(super) fn recovery_time_max(&self, volume: Volume) -> Duration {
        let timeouts = u32::try_from(2 * self.stabilization_elections_max).unwrap_or(u32::MAX);
        let timeout = self.config.election_timeout_max + self.costs.round_trip();
        let repeats = match volume.snapshot_bytes {
            0 => Duration::ZERO,
            _ => self.replica.part_timeout * PART_TIMEOUTS_MAX,
        };
        let silence = self.config.survivor.map_or(Duration::ZERO, |survivor| survivor.after);
        timeout * timeouts + silence + repeats + self.costs.transfer_time(volume, &self.config)
    }
}
