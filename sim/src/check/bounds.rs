//! What no node may exceed: the bounds of its configuration, and what an idle cluster may say.

use std::time::Duration;

use quorate::raft::Config;

/// The bounds that hold for every node of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// `Config::message_entries_max`.
    pub message_entries_max: usize,
    /// `Config::message_bytes_max`.
    pub message_bytes_max: usize,
    /// `Config::inflight_messages_max`.
    pub inflight_messages_max: usize,
    /// `Config::uncommitted_bytes_max`.
    pub uncommitted_bytes_max: usize,
    /// `Config::tail_bytes_max`.
    pub tail_bytes_max: usize,
    /// `Config::apply_bytes_max`.
    pub apply_bytes_max: usize,
    /// `Config::reads_max`.
    pub reads_max: usize,
    /// `Config::outbox_messages_max`.
    pub outbox_messages_max: usize,
    /// `Config::heartbeat_interval`.
    pub heartbeat_interval: Duration,
    /// `Config::election_timeout_min`.
    pub election_timeout_min: Duration,
    /// The most elections won by core nodes after the storm is over, unless nodes outside the
    /// core may disrupt it for ever.
    pub calm_elections_max: Option<u64>,
    /// The most elections won, and terms begun, by core nodes while nothing is asked of the
    /// cluster, unless nodes outside the core may disrupt it for ever.
    pub idle_elections_max: Option<u64>,
}

impl Bounds {
    /// The bounds of a cluster in which every node is configured as `config`.
    ///
    /// Pre-vote and stickiness together keep nodes outside the core from disrupting it; without
    /// either, nothing is promised about the number of elections.
    #[must_use]
    pub fn of(config: &Config) -> Bounds {
        let steady = config.pre_vote && config.stickiness;
        Bounds {
            message_entries_max: config.message_entries_max,
            message_bytes_max: config.message_bytes_max,
            inflight_messages_max: config.inflight_messages_max,
            uncommitted_bytes_max: config.uncommitted_bytes_max,
            tail_bytes_max: config.tail_bytes_max,
            apply_bytes_max: config.apply_bytes_max,
            reads_max: config.reads_max,
            outbox_messages_max: config.outbox_messages_max,
            heartbeat_interval: config.heartbeat_interval,
            election_timeout_min: config.election_timeout_min,
            calm_elections_max: steady.then_some(8),
            idle_elections_max: steady.then_some(0),
        }
    }
}
