//! What one exploration is of: which nodes, how they are set up, and how much may happen.

use std::time::Duration;

use quorate::raft::Config;
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
    /// What a user may ask a leader for, as often as the bounds allow.
    pub changes: Vec<Change>,
    /// How much may happen.
    pub bounds: Bounds,
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
    /// Timeouts of nodes that do not lead.
    pub timeouts: u8,
    /// Heartbeats of leaders, beside those that come with an election; if none, those are lost
    /// too.
    pub heartbeats: Option<u8>,
    /// How often a node's patience runs out before it is told of the time.
    pub lapses: u8,
    /// Crashes, each with a restart.
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

impl Scope {
    pub(crate) fn config(&self, id: NodeId) -> Config {
        let mut config = Config::new(id);
        config.heartbeat_interval = HEARTBEAT;
        config.election_timeout_min = PATIENCE;
        config.election_timeout_max = PATIENCE + PATIENCE / 4;
        config.pre_vote = self.pre_vote;
        config.check_quorum = self.sticky;
        config.stickiness = self.sticky;
        config
    }

    /// Every scope.
    #[must_use]
    pub fn all() -> Vec<Scope> {
        let ids = |ids: &[u64]| Membership::new(ids.iter().copied().map(NodeId));
        let three = Scope {
            name: "election",
            about: "three nodes, two campaigns, one command",
            nodes: 3,
            membership: ids(&[1, 2, 3]),
            start: Start::First,
            pre_vote: false,
            sticky: false,
            slow_disks: false,
            changes: Vec::new(),
            bounds: Bounds { term: 2, timeouts: 2, flight: 12, ..Bounds::default() },
        };
        let mut propose = three.clone();
        propose.name = "propose";
        propose.bounds.proposals = 1;
        let mut crash = three.clone();
        crash.name = "crash";
        crash.bounds.crashes = 1;
        crash.slow_disks = true;
        let mut remove = three.clone();
        remove.name = "remove";
        remove.start = Start::Led;
        remove.changes = vec![Change::new().remove(NodeId(3))];
        remove.bounds =
            Bounds { term: 2, timeouts: 1, changes: 1, flight: 12, ..Bounds::default() };
        let mut two = three.clone();
        two.name = "two";
        two.nodes = 2;
        two.membership = ids(&[1, 2]).with_casting(NodeId(1));
        two.start = Start::Cold;
        two.slow_disks = true;
        two.bounds = Bounds {
            term: 2,
            timeouts: 2,
            heartbeats: Some(1),
            crashes: 1,
            proposals: 1,
            flight: 12,
            ..Bounds::default()
        };
        vec![three, propose, crash, remove, two]
    }

    /// The scope of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Scope> {
        Scope::all().into_iter().find(|scope| scope.name == name)
    }
}
