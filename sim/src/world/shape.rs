//! What a node is like at a moment, with nearly everything left out: no names, no numbers of terms
//! and entries, only how it stands to the node that leads and to those that are furthest.

use quorate::raft::RoleName;
use quorate::storage::{FileAction, FileName};
use quorate::types::{Index, Term};

use crate::digest::mix;
use crate::witness::Witness;
use crate::world::World;
use crate::world::node::{Node, Place, Running};

/// How far the nodes are that are furthest, who leads in the highest term of all that do, and how
/// many lead.
#[derive(Clone, Copy, Default)]
struct Front {
    term: Term,
    last: Index,
    committed: Index,
    leader: Option<Place>,
    leaders: u64,
}

impl World {
    /// Shows what a node is like to a witness that wants to know.
    pub(super) fn show_shape(&self, place: Place, witness: &mut Witness) {
        if witness.wants_shapes() && self.calm.is_none() {
            let front = self.front();
            let leader = front.leader.and_then(|at| self.nodes[at.0 as usize].running.as_deref());
            let leads = leader.map_or(0, of_leader);
            let node = of_node(&self.nodes[place.0 as usize], front);
            witness.has_shape(self.now, place.id(), mix(node, leads * 3 + front.leaders.min(2)));
        }
    }

    /// What the nodes that run have come to.
    fn front(&self) -> Front {
        let mut front = Front::default();
        let mut led = Term::default();
        for node in &self.nodes {
            let Some(running) = node.running.as_deref() else { continue };
            let status = &running.status;
            front.term = front.term.max(status.term);
            front.last = front.last.max(status.last.index);
            front.committed = front.committed.max(status.committed);
            if status.role == RoleName::Leader {
                front.leaders += 1;
                if status.term >= led {
                    (led, front.leader) = (status.term, Some(node.place));
                }
            }
        }
        front
    }
}

/// What matters to all about the one that leads.
fn of_leader(running: &Running) -> u64 {
    let status = &running.status;
    // Each is a number below the one before it.
    let parts = [
        (2, 1),
        (2, u64::from(status.committed < status.last.index)),
        (2, u64::from(status.reads_waiting > 0)),
        (2, u64::from(running.node.raft().membership().is_joint())),
    ];
    parts.iter().fold(0, |code, (domain, value)| code * domain + value)
}

/// What one node is like beside those that are furthest.
fn of_node(node: &Node, front: Front) -> u64 {
    let Some(running) = node.running.as_deref() else {
        return if node.refuses { 1 } else { 0 };
    };
    let status = &running.status;
    let follows = match status.leader {
        None => 0,
        Some(leader) if leader == status.id => 1,
        Some(leader) if front.leader.is_some_and(|front| front.id() == leader) => 2,
        Some(_) => 3,
    };
    let parts = [
        (2, 1),
        (2, u64::from(node.held.is_some())),
        (2, u64::from(node.incarnation > 1)),
        (4, role(status.role)),
        (2, (front.term.0 - status.term.0).min(1)),
        (4, follows),
        (3, few(front.last.0 - status.last.index.0)),
        (3, few(front.committed.0 - status.committed.0)),
        (2, u64::from(status.durable < status.last.index)),
        (2, u64::from(status.applied < status.committed)),
        (2, u64::from(status.reads_waiting > 0)),
        (3, u64::from(status.snapshot.0 > 0) + u64::from(status.base < status.snapshot)),
        (2, u64::from(running.viewing.is_some())),
        (8, at_work(running, 0)),
        (8, at_work(running, 1)),
    ];
    parts.iter().fold(0, |code, (domain, value)| code * domain + value)
}

fn role(role: RoleName) -> u64 {
    RoleName::ALL.iter().position(|other| *other == role).unwrap_or_default() as u64
}

/// None, a few or many.
fn few(count: u64) -> u64 {
    match count {
        0 => 0,
        1..=8 => 1,
        _ => 2,
    }
}

/// What the disk does for a node in a lane.
fn at_work(running: &Running, lane: usize) -> u64 {
    match running.lanes[lane].front().map(|operation| &operation.action) {
        None => 0,
        Some(FileAction::Write { file: FileName::Superblock, .. }) => 1,
        Some(FileAction::Write { file: FileName::Segment(_), .. }) => 2,
        Some(FileAction::Write { .. }) => 3,
        Some(FileAction::Remove { .. } | FileAction::Rename { .. }) => 4,
        Some(FileAction::Create { .. }) => 5,
        Some(FileAction::Read { .. }) => 6,
        Some(_) => 7,
    }
}
