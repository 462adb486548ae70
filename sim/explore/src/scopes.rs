//! The scopes: their descriptions and bounds.

use quorate::types::{Change, Membership, NodeId};

use crate::scope::{Bounds, Leases, Scope, Start};

/// Returns the scope with the name `name`.
#[must_use]
pub fn named(name: &str) -> Option<Scope> {
    all().into_iter().find(|scope| scope.name == name)
}

/// Returns all scopes in the order of their listing.
#[must_use]
pub fn all() -> Vec<Scope> {
    vec![
        election(),
        replication(),
        crashes(),
        stickiness(),
        transfer(),
        remove(),
        replace(),
        two(),
        four(),
        leader_lease(),
        new_leader(),
        read_lease(),
        survivor(),
        last(),
    ]
}

fn ids(ids: &[u64]) -> Membership {
    Membership::new(ids.iter().copied().map(NodeId))
}

const NOTHING: Bounds = Bounds {
    term: 0,
    timeouts: 0,
    heartbeats: None,
    time_steps: 0,
    crashes: 0,
    repeats: 0,
    proposals: 0,
    changes: 0,
    transfers: 0,
    in_flight: 12,
};

fn election() -> Scope {
    Scope {
        name: "election",
        description: "three nodes without a leader: an elected leader has all committed entries",
        nodes: 3,
        membership: ids(&[1, 2, 3]),
        start: Start::FirstCandidate,
        pre_vote: false,
        sticky: false,
        slow_disks: false,
        leases: Leases::None,
        last_survivor: false,
        changes: Vec::new(),
        bounds: Bounds { term: 3, timeouts: 3, ..NOTHING },
        short: Bounds { term: 2, timeouts: 2, ..NOTHING },
    }
}

/// Three nodes with a leader that all nodes know.
fn with_leader() -> Scope {
    Scope { start: Start::Leader, ..election() }
}

fn replication() -> Scope {
    Scope {
        name: "replication",
        description: "three nodes with a leader: committed commands survive a leader change",
        bounds: Bounds { term: 3, timeouts: 2, proposals: 1, repeats: 1, ..NOTHING },
        short: Bounds { term: 2, timeouts: 1, proposals: 1, ..NOTHING },
        ..with_leader()
    }
}

fn crashes() -> Scope {
    Scope {
        name: "crashes",
        description: "three nodes on slow disks: sent messages still hold after a crash",
        slow_disks: true,
        bounds: Bounds { term: 2, timeouts: 2, crashes: 2, ..NOTHING },
        short: Bounds { term: 2, timeouts: 2, crashes: 1, in_flight: 4, ..NOTHING },
        ..election()
    }
}

fn stickiness() -> Scope {
    Scope {
        name: "stickiness",
        description: "three nodes with pre-vote, check-quorum and stickiness, as time passes",
        pre_vote: true,
        sticky: true,
        bounds: Bounds { term: 2, timeouts: 3, time_steps: 1, heartbeats: Some(0), ..NOTHING },
        short: Bounds { term: 2, timeouts: 2, time_steps: 1, in_flight: 4, ..NOTHING },
        ..election()
    }
}

fn transfer() -> Scope {
    Scope {
        name: "transfer",
        description: "three nodes: leadership transfer during a proposal",
        bounds: Bounds { term: 3, timeouts: 1, transfers: 1, proposals: 1, ..NOTHING },
        short: Bounds { term: 2, transfers: 1, proposals: 1, ..NOTHING },
        ..with_leader()
    }
}

fn remove() -> Scope {
    let remove = |id| Change::new().remove(NodeId(id));
    Scope {
        name: "remove",
        description: "three nodes: removal of the leader or another voter, with leader changes",
        changes: vec![remove(3), remove(1)],
        bounds: Bounds { term: 3, timeouts: 2, changes: 1, ..NOTHING },
        short: Bounds { term: 2, timeouts: 1, changes: 1, in_flight: 5, ..NOTHING },
        ..with_leader()
    }
}

fn replace() -> Scope {
    Scope {
        name: "replace",
        description: "three nodes: a fourth replaces one, through the staged and joint phases",
        nodes: 4,
        changes: vec![Change::new().voter(NodeId(4)).remove(NodeId(3))],
        bounds: Bounds { term: 2, timeouts: 1, changes: 1, ..NOTHING },
        short: Bounds { term: 2, timeouts: 1, changes: 1, in_flight: 4, ..NOTHING },
        ..with_leader()
    }
}

fn two() -> Scope {
    Scope {
        name: "two",
        description: "two nodes with a casting vote, which moves to each new leader",
        nodes: 2,
        membership: ids(&[1, 2]).with_casting(NodeId(1)),
        start: Start::NoLeader,
        bounds: Bounds { term: 3, timeouts: 2, heartbeats: Some(2), proposals: 1, ..NOTHING },
        short: Bounds { term: 2, timeouts: 2, heartbeats: Some(1), in_flight: 4, ..NOTHING },
        ..election()
    }
}

fn four() -> Scope {
    Scope {
        name: "four",
        description: "four nodes with a casting vote at the leader: only its half makes progress",
        nodes: 4,
        membership: ids(&[1, 2, 3, 4]).with_casting(NodeId(1)),
        bounds: Bounds { term: 2, timeouts: 1, proposals: 1, ..NOTHING },
        short: Bounds { term: 2, timeouts: 1, in_flight: 5, ..NOTHING },
        ..with_leader()
    }
}

fn leader_lease() -> Scope {
    Scope {
        name: "leader-lease",
        description: "three nodes with a leader lease: its reads reflect all committed entries",
        leases: Leases::Leader,
        bounds: Bounds {
            term: 2,
            timeouts: 1,
            heartbeats: Some(2),
            time_steps: 3,
            crashes: 1,
            proposals: 1,
            transfers: 1,
            in_flight: 8,
            ..NOTHING
        },
        short: Bounds {
            term: 2,
            timeouts: 1,
            heartbeats: Some(1),
            time_steps: 2,
            in_flight: 7,
            ..NOTHING
        },
        ..with_leader()
    }
}

fn new_leader() -> Scope {
    Scope {
        name: "new-leader",
        description: "three nodes: a new leader has a lease only with all committed entries",
        bounds: Bounds {
            heartbeats: Some(1),
            time_steps: 2,
            transfers: 0,
            crashes: 0,
            ..leader_lease().bounds
        },
        short: Bounds { proposals: 1, heartbeats: Some(0), in_flight: 5, ..leader_lease().short },
        ..leader_lease()
    }
}

fn read_lease() -> Scope {
    Scope {
        name: "read-lease",
        description: "two nodes with a casting vote and a read lease: the follower answers reads",
        nodes: 2,
        membership: ids(&[1, 2]).with_casting(NodeId(1)),
        leases: Leases::LeaderAndRead,
        bounds: Bounds {
            term: 3,
            timeouts: 1,
            heartbeats: Some(6),
            time_steps: 3,
            crashes: 1,
            proposals: 1,
            transfers: 1,
            ..NOTHING
        },
        short: Bounds {
            term: 1,
            heartbeats: Some(3),
            time_steps: 2,
            proposals: 1,
            in_flight: 4,
            ..NOTHING
        },
        ..with_leader()
    }
}

fn survivor() -> Scope {
    Scope {
        name: "survivor",
        description: "three nodes die in turn: the last survivor has all committed entries",
        pre_vote: true,
        sticky: true,
        last_survivor: true,
        bounds: Bounds {
            term: 3,
            timeouts: 1,
            heartbeats: Some(1),
            time_steps: 7,
            crashes: 3,
            proposals: 1,
            transfers: 1,
            ..NOTHING
        },
        short: Bounds {
            term: 2,
            heartbeats: Some(2),
            time_steps: 3,
            crashes: 2,
            proposals: 1,
            ..NOTHING
        },
        ..with_leader()
    }
}

fn last() -> Scope {
    Scope {
        name: "last",
        description: "two nodes die and come back: a node that missed entries does not take over",
        nodes: 2,
        membership: ids(&[1, 2]),
        bounds: Bounds {
            term: 5,
            timeouts: 4,
            heartbeats: Some(2),
            time_steps: 12,
            crashes: 5,
            proposals: 1,
            transfers: 1,
            ..NOTHING
        },
        short: Bounds {
            term: 3,
            timeouts: 2,
            heartbeats: Some(0),
            time_steps: 7,
            crashes: 3,
            ..NOTHING
        },
        ..survivor()
    }
}
