//! What one exploration is of: which nodes, how they are set up, and how much may happen.

use std::time::Duration;

use quorate::raft::{Config, Lease, Survivor};
use quorate::types::{Change, Membership, NodeId};

/// One exploration.
#[derive(Clone, Debug)]
pub struct Scope {
    /// Its name on the command line.
    pub name: &'static str,
    /// What it is to show, in one line.
    pub about: &'static str,
    /// How many nodes there are, from n1 on.
    pub nodes: u64,
    /// The membership that every disk begins with.
    pub membership: Membership,
    /// Where the exploration begins.
    pub start: Start,
    /// Ask before raising the term.
    pub pre_vote: bool,
    /// Check-quorum and stickiness.
    pub sticky: bool,
    /// Flushes take their time: each is an event of its own, and a crash can come before it.
    pub slow_disks: bool,
    /// What leaders do with leases. Where there are any all clocks run alike, and anybody may
    /// campaign at any time: nothing but promises stands against it.
    pub leases: Leases,
    /// The last survivor goes on. All clocks run alike, and before any goes on, what was sent to
    /// nodes that are up has arrived, and whoever is due has been told. Who crashes stays down
    /// until it starts again.
    pub survives: bool,
    /// What a user may ask a leader for, as often as the bounds allow.
    pub changes: Vec<Change>,
    /// How much may happen.
    pub bounds: Bounds,
    /// How much may happen where there are only seconds for it.
    pub short: Bounds,
}

/// What leaders do with leases.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leases {
    /// There are none.
    None,
    /// They answer reads by them.
    Held,
    /// They lend them too.
    Lent,
}

impl Leases {
    pub(crate) fn any(self) -> bool {
        self != Leases::None
    }
}

/// Where an exploration begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// Nobody leads, and anyone may campaign.
    Cold,
    /// Nobody leads, and n1 is the first to campaign: where all nodes are alike, some node is.
    First,
    /// n1 leads, and all know all it has said.
    Led,
}

/// How much may happen in all, on every path by itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bounds {
    /// The highest term.
    pub term: u64,
    /// Timeouts of nodes that do not lead; with survivors, where nobody has a choice of those,
    /// starts of nodes that were down.
    pub timeouts: u8,
    /// Heartbeats of leaders, beside those that come with an election and those that are due where
    /// all clocks run alike; if none, those are lost too.
    pub heartbeats: Option<u8>,
    /// How often a node's patience runs out before it is told of the time; with leases, how often
    /// half a patience passes for all; with survivors, how often a third of the silence that means
    /// death does.
    pub lapses: u8,
    /// Crashes, each with a restart, but with survivors.
    pub crashes: u8,
    /// Messages delivered once more than they were sent.
    pub repeats: u8,
    /// Commands proposed.
    pub proposals: u8,
    /// Changes of the membership asked for.
    pub changes: u8,
    /// Transfers of the leadership asked for.
    pub transfers: u8,
    /// Messages on their way at once: what is sent beyond is lost.
    pub flight: usize,
}

/// How long a node waits for an election at the least. Heartbeats are nothing beside it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(4);
/// How long between two heartbeats.
pub(crate) const HEARTBEAT: Duration = Duration::from_micros(1);
/// Where survivors go on, the clocks make steps of a third of the silence that means death: longer
/// than any patience, and too short for a pause.
pub(crate) const STEP: Duration = Duration::from_secs(7);
/// After so many steps the silent are dead.
pub(crate) const STEPS_TO_DEATH: u32 = 3;

impl Scope {
    pub(crate) fn config(&self, id: NodeId) -> Config {
        let mut config = Config::new(id);
        config.heartbeat_interval = HEARTBEAT;
        config.election_timeout_min = PATIENCE;
        config.election_timeout_max = PATIENCE + PATIENCE / 4;
        config.pre_vote = self.pre_vote;
        config.check_quorum = self.sticky;
        config.stickiness = self.sticky;
        config.lease = match self.leases {
            Leases::None => None,
            Leases::Held => Some(Lease { drift_ppm: 0, replicas: false }),
            Leases::Lent => Some(Lease { drift_ppm: 0, replicas: true }),
        };
        config.survivor = self.survives.then_some(Survivor { after: STEP * STEPS_TO_DEATH });
        config
    }

    /// The same, with no more happening than there are seconds for.
    #[must_use]
    pub fn shortened(self) -> Scope {
        Scope { bounds: self.short, ..self }
    }
}
