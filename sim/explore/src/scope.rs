//! The scope of an exploration: its nodes, their configuration, and the bounds on events.

use std::time::Duration;

use quorate::raft::{Config, Lease, Survivor};
use quorate::types::{Change, Membership, NodeId};

/// The scope of one exploration.
#[derive(Clone, Debug)]
pub struct Scope {
    /// The name on the command line.
    pub name: &'static str,
    /// The property that the scope exercises, in one line.
    pub description: &'static str,
    /// The number of nodes, from n1 on.
    pub nodes: u64,
    /// The membership on every disk at the start.
    pub membership: Membership,
    /// The state in which the exploration begins.
    pub start: Start,
    /// Whether nodes use pre-vote.
    pub pre_vote: bool,
    /// Whether nodes use check-quorum and leader stickiness.
    pub sticky: bool,
    /// Whether a flush is an event of its own, so that a crash can come before it.
    pub slow_disks: bool,
    /// The leases of leaders. With leases all clocks run at the same rate, and any node may
    /// campaign at any time, so only vote leases prevent elections.
    pub leases: Leases,
    /// Whether the last survivor may take over. If so, all clocks run at the same rate. Before a
    /// node takes over, all messages to running nodes have arrived, and every due node has been
    /// stepped. A crashed node stays down until it starts again.
    pub last_survivor: bool,
    /// The membership changes that a user may request, as often as the bounds allow.
    pub changes: Vec<Change>,
    /// The bounds on events.
    pub bounds: Bounds,
    /// The bounds of a short exploration, which takes seconds.
    pub short: Bounds,
}

/// The leases that leaders use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leases {
    /// Leaders use no leases.
    None,
    /// Leaders answer reads by leader leases.
    Leader,
    /// Leaders also grant read leases to followers.
    LeaderAndRead,
}

impl Leases {
    pub(crate) fn any(self) -> bool {
        self != Leases::None
    }
}

/// The state in which an exploration begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// There is no leader, and any node may campaign.
    NoLeader,
    /// There is no leader, and n1 campaigns first, because the nodes are interchangeable.
    FirstCandidate,
    /// n1 leads, and all its messages have arrived.
    Leader,
}

/// Bounds on the events of every path.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bounds {
    /// The highest term that a node may reach.
    pub term: u64,
    /// Election timeouts of nodes that do not lead. With last survivors, for which the clock
    /// alone decides about timeouts, starts of nodes that were down.
    pub timeouts: u8,
    /// Heartbeats of leaders, beyond those after an election and, with last survivors, those that
    /// are due. `None` drops all heartbeats.
    pub heartbeats: Option<u8>,
    /// Advances of a node's clock by an election timeout without a step of the node. With leases,
    /// advances of all clocks by half an election timeout; with last survivors, by a third of the
    /// silence after which a node counts as dead.
    pub time_steps: u8,
    /// Crashes. Each includes a restart, except with last survivors.
    pub crashes: u8,
    /// Repeated deliveries of messages.
    pub repeats: u8,
    /// Proposed commands, over all leaders.
    pub proposals: u8,
    /// Membership changes that users request.
    pub changes: u8,
    /// Leadership transfers that users request.
    pub transfers: u8,
    /// The maximum number of messages in flight at once. Further messages are lost.
    pub in_flight: usize,
}

/// The minimum election timeout. Heartbeats take a negligible part of it.
pub(crate) const ELECTION_TIMEOUT: Duration = Duration::from_secs(4);
/// The interval between two heartbeats.
pub(crate) const HEARTBEAT: Duration = Duration::from_micros(1);
/// The step of all clocks with last survivors: a third of the silence after which a node counts as
/// dead. It is longer than any election timeout, and too short to count as a pause of the node.
pub(crate) const SURVIVOR_STEP: Duration = Duration::from_secs(7);
/// The number of steps after which a silent node counts as dead.
pub(crate) const STEPS_TO_DEATH: u32 = 3;

impl Scope {
    pub(crate) fn config(&self, id: NodeId) -> Config {
        let mut config = Config::new(id);
        config.heartbeat_interval = HEARTBEAT;
        config.election_timeout_min = ELECTION_TIMEOUT;
        config.election_timeout_max = ELECTION_TIMEOUT + ELECTION_TIMEOUT / 4;
        config.pre_vote = self.pre_vote;
        config.check_quorum = self.sticky;
        config.stickiness = self.sticky;
        config.lease = match self.leases {
            Leases::None => None,
            Leases::Leader => Some(Lease { drift_ppm: 0, read_leases: false }),
            Leases::LeaderAndRead => Some(Lease { drift_ppm: 0, read_leases: true }),
        };
        config.survivor =
            self.last_survivor.then_some(Survivor { after: SURVIVOR_STEP * STEPS_TO_DEATH });
        config
    }

    /// Returns the scope with its short bounds.
    #[must_use]
    pub fn shortened(self) -> Scope {
        Scope { bounds: self.short, ..self }
    }
}
