//! The abstract state of a node for the guided search: it has no ids, terms or indices, and is
//! relative to the leader and to the most advanced nodes.

use quorate::raft::RoleName;
use quorate::storage::{FileAction, FileName};
use quorate::types::{Index, Term};

use crate::values::digest::mix;
use crate::world::cluster::Cluster;
use crate::world::cluster::node::{Life, Node};
use crate::world::cluster::running::Running;
use crate::world::place::Place;
use crate::world::run::Run;

/// The largest term, last index and commit index of the running nodes, the leader with the highest
/// term, and the number of leaders.
#[derive(Clone, Copy, Default)]
struct ClusterMaxima {
    term: Term,
    last: Index,
    committed: Index,
    leader: Option<Place>,
    leaders: u64,
}

impl Cluster {
    /// Shows the abstract state of a node to an observer that records it.
    pub(crate) fn show_abstract_state(&self, place: Place, run: &mut Run) {
        if !run.observer.records_abstract_states() {
            return;
        }
        let maxima = self.maxima();
        let leader = maxima.leader.and_then(|at| self[at].running());
        let leads = leader.map_or(0, leader_state);
        let node = node_state(&self[place], maxima);
        let state = mix(node, leads * 3 + maxima.leaders.min(2));
        run.observer.abstract_state_seen(run.scheduler.now(), place.id(), state);
    }

    /// Returns the maxima over the running nodes.
    fn maxima(&self) -> ClusterMaxima {
        let mut maxima = ClusterMaxima::default();
        let mut led = Term::default();
        for node in &self.nodes {
            let Some(running) = node.running() else { continue };
            let status = &running.status;
            maxima.term = maxima.term.max(status.term);
            maxima.last = maxima.last.max(status.last.index);
            maxima.committed = maxima.committed.max(status.committed);
            if status.role == RoleName::Leader {
                maxima.leaders += 1;
                if status.term >= led {
                    (led, maxima.leader) = (status.term, Some(node.place));
                }
            }
        }
        maxima
    }
}

/// Encodes the state of the leader.
fn leader_state(running: &Running) -> u64 {
    let status = &running.status;
    // Each value is below its domain size.
    let parts = [
        (2, 1),
        (2, u64::from(status.committed < status.last.index)),
        (2, u64::from(status.reads_waiting > 0)),
        (2, u64::from(running.node.raft().membership().is_joint())),
    ];
    parts.iter().fold(0, |code, (domain, value)| code * domain + value)
}

/// Encodes the state of a node, relative to the maxima.
fn node_state(node: &Node, maxima: ClusterMaxima) -> u64 {
    let running = match &node.life {
        Life::Down(_) => return 0,
        Life::StartRefused(_) => return 1,
        Life::Running(running) | Life::Paused(running, _) => running,
    };
    let status = &running.status;
    let follows = match status.leader {
        None => 0,
        Some(leader) if leader == status.id => 1,
        Some(leader) if maxima.leader.is_some_and(|top| top.id() == leader) => 2,
        Some(_) => 3,
    };
    let [log, bulk] = running.lanes.current_actions();
    let parts = [
        (2, 1),
        (2, u64::from(node.is_paused())),
        (2, u64::from(node.start_number > 1)),
        (4, role(status.role)),
        (2, (maxima.term.0 - status.term.0).min(1)),
        (4, follows),
        (3, size_class(maxima.last.0 - status.last.index.0)),
        (3, size_class(maxima.committed.0 - status.committed.0)),
        (2, u64::from(status.durable < status.last.index)),
        (2, u64::from(status.applied < status.committed)),
        (2, u64::from(status.reads_waiting > 0)),
        (3, u64::from(status.snapshot.0 > 0) + u64::from(status.base < status.snapshot)),
        (2, u64::from(!running.work.view_requests.is_empty())),
        (8, disk_activity(log)),
        (8, disk_activity(bulk)),
    ];
    parts.iter().fold(0, |code, (domain, value)| code * domain + value)
}

fn role(role: RoleName) -> u64 {
    RoleName::ALL.iter().position(|other| *other == role).unwrap_or_default() as u64
}

/// Returns 0 for none, 1 for a few, 2 for many.
fn size_class(count: u64) -> u64 {
    match count {
        0 => 0,
        1..=8 => 1,
        _ => 2,
    }
}

/// Encodes the current disk operation of a lane.
fn disk_activity(action: Option<&FileAction>) -> u64 {
    match action {
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
