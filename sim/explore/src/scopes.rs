//! The scopes that are explored: what each is about, and its bounds.

use quorate::types::{Change, Membership, NodeId};

use crate::scope::{Bounds, Leases, Scope, Start};

/// The scope of this name.
#[must_use]
pub fn named(name: &str) -> Option<Scope> {
    all().into_iter().find(|scope| scope.name == name)
}

/// Every scope.
#[must_use]
pub fn all() -> Vec<Scope> {
    vec![
        election(),
        replication(),
        crashes(),
        patience(),
        transfer(),
        remove(),
        replace(),
        two(),
        four(),
        lease(),
        heir(),
        loan(),
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
    lapses: 0,
    crashes: 0,
    repeats: 0,
    proposals: 0,
    changes: 0,
    transfers: 0,
    flight: 12,
};

fn election() -> Scope {
    Scope {
        name: "election",
        about: "three nodes, none of which leads: who is elected has what was committed",
        nodes: 3,
        membership: ids(&[1, 2, 3]),
        start: Start::First,
        pre_vote: false,
        sticky: false,
        slow_disks: false,
        leases: Leases::None,
        survives: false,
        changes: Vec::new(),
        bounds: Bounds { term: 3, timeouts: 3, ..NOTHING },
        short: Bounds { term: 2, timeouts: 2, ..NOTHING },
    }
}

/// One leads, whom all have heard.
fn led() -> Scope {
    Scope { start: Start::Led, ..election() }
}

fn replication() -> Scope {
    Scope {
        name: "replication",
        about: "three nodes, one leads: what it was given stays, whoever leads next",
        bounds: Bounds { term: 3, timeouts: 2, proposals: 1, repeats: 1, ..NOTHING },
        short: Bounds { term: 2, timeouts: 1, proposals: 1, ..NOTHING },
        ..led()
    }
}

fn crashes() -> Scope {
    Scope {
        name: "crashes",
        about: "three nodes on slow disks: what was said is still true after a crash",
        slow_disks: true,
        bounds: Bounds { term: 2, timeouts: 2, crashes: 2, ..NOTHING },
        short: Bounds { term: 2, timeouts: 2, crashes: 1, flight: 4, ..NOTHING },
        ..election()
    }
}

fn patience() -> Scope {
    Scope {
        name: "patience",
        about: "three nodes with pre-vote, check-quorum and stickiness, as time passes for each",
        pre_vote: true,
        sticky: true,
        bounds: Bounds { term: 2, timeouts: 3, lapses: 1, heartbeats: Some(0), ..NOTHING },
        short: Bounds { term: 2, timeouts: 2, lapses: 1, flight: 4, ..NOTHING },
        ..election()
    }
}

fn transfer() -> Scope {
    Scope {
        name: "transfer",
        about: "three nodes, one leads and hands over while it is given a command",
        bounds: Bounds { term: 3, timeouts: 1, transfers: 1, proposals: 1, ..NOTHING },
        short: Bounds { term: 2, transfers: 1, proposals: 1, ..NOTHING },
        ..led()
    }
}

fn remove() -> Scope {
    let remove = |id| Change::new().remove(NodeId(id));
    Scope {
        name: "remove",
        about: "three nodes become two, the leader or another leaves, whoever leads then",
        changes: vec![remove(3), remove(1)],
        bounds: Bounds { term: 3, timeouts: 2, changes: 1, ..NOTHING },
        short: Bounds { term: 2, timeouts: 1, changes: 1, flight: 5, ..NOTHING },
        ..led()
    }
}

fn replace() -> Scope {
    Scope {
        name: "replace",
        about: "three nodes, and a fourth takes the place of one: staged, joint, left",
        nodes: 4,
        changes: vec![Change::new().voter(NodeId(4)).remove(NodeId(3))],
        bounds: Bounds { term: 2, timeouts: 1, changes: 1, ..NOTHING },
        short: Bounds { term: 2, timeouts: 1, changes: 1, flight: 4, ..NOTHING },
        ..led()
    }
}

fn two() -> Scope {
    Scope {
        name: "two",
        about: "two nodes, one holds the casting vote, and whoever leads takes it over",
        nodes: 2,
        membership: ids(&[1, 2]).with_casting(NodeId(1)),
        start: Start::Cold,
        bounds: Bounds { term: 3, timeouts: 2, heartbeats: Some(2), proposals: 1, ..NOTHING },
        short: Bounds { term: 2, timeouts: 2, heartbeats: Some(1), flight: 4, ..NOTHING },
        ..election()
    }
}

fn four() -> Scope {
    Scope {
        name: "four",
        about: "four nodes, one leads and holds the casting vote: its half goes on, the other not",
        nodes: 4,
        membership: ids(&[1, 2, 3, 4]).with_casting(NodeId(1)),
        bounds: Bounds { term: 2, timeouts: 1, proposals: 1, ..NOTHING },
        short: Bounds { term: 2, timeouts: 1, flight: 5, ..NOTHING },
        ..led()
    }
}

fn lease() -> Scope {
    Scope {
        name: "lease",
        about: "three nodes and a lease: whoever answers a read by it has what was committed",
        leases: Leases::Held,
        bounds: Bounds {
            term: 2,
            timeouts: 1,
            heartbeats: Some(2),
            lapses: 3,
            crashes: 1,
            proposals: 1,
            transfers: 1,
            flight: 8,
            ..NOTHING
        },
        short: Bounds {
            term: 2,
            timeouts: 1,
            heartbeats: Some(1),
            lapses: 2,
            flight: 7,
            ..NOTHING
        },
        ..led()
    }
}

fn heir() -> Scope {
    Scope {
        name: "heir",
        about: "three nodes, the next leader holds a lease only once it knows what was committed",
        bounds: Bounds {
            heartbeats: Some(1),
            lapses: 2,
            transfers: 0,
            crashes: 0,
            ..lease().bounds
        },
        short: Bounds { proposals: 1, heartbeats: Some(0), flight: 5, ..lease().short },
        ..lease()
    }
}

fn loan() -> Scope {
    Scope {
        name: "loan",
        about: "two nodes, one with the casting vote lends its lease: the other answers reads too",
        nodes: 2,
        membership: ids(&[1, 2]).with_casting(NodeId(1)),
        leases: Leases::Lent,
        bounds: Bounds {
            term: 3,
            timeouts: 1,
            heartbeats: Some(6),
            lapses: 3,
            crashes: 1,
            proposals: 1,
            transfers: 1,
            ..NOTHING
        },
        short: Bounds {
            term: 1,
            heartbeats: Some(3),
            lapses: 2,
            proposals: 1,
            flight: 4,
            ..NOTHING
        },
        ..led()
    }
}

fn survivor() -> Scope {
    Scope {
        name: "survivor",
        about: "three nodes that die one after the other, and the last goes on with all there was",
        pre_vote: true,
        sticky: true,
        survives: true,
        bounds: Bounds {
            term: 3,
            timeouts: 1,
            heartbeats: Some(1),
            lapses: 7,
            crashes: 3,
            proposals: 1,
            transfers: 1,
            ..NOTHING
        },
        short: Bounds {
            term: 2,
            heartbeats: Some(1),
            lapses: 3,
            crashes: 2,
            proposals: 1,
            ..NOTHING
        },
        ..led()
    }
}

fn last() -> Scope {
    Scope {
        name: "last",
        about: "two nodes that die and come back: who was not there does not go on",
        nodes: 2,
        membership: ids(&[1, 2]),
        bounds: Bounds {
            term: 5,
            timeouts: 4,
            heartbeats: Some(2),
            lapses: 12,
            crashes: 5,
            proposals: 1,
            transfers: 1,
            ..NOTHING
        },
        short: Bounds {
            term: 3,
            timeouts: 2,
            heartbeats: Some(0),
            lapses: 7,
            crashes: 3,
            ..NOTHING
        },
        ..survivor()
    }
}
