//! The process of a node: everything that a crash loses.

use std::collections::BTreeMap;
use std::time::Duration;

use quorate::machine::Digest;
use quorate::raft;
use quorate::raft::{RoleName, Status};
use quorate::replica::{Node as ReplicaNode, Note, Replica, Worker};
use quorate::types::{Body, Comparisons, Index, Instant, Membership, NodeId, Tag, Term};

use crate::machine::SimMachine;
use crate::observe::coverage::Spot;
use crate::observe::{MachineView, Observation};
use crate::observer::Observer;
use crate::values::time::SimTime;
use crate::world::cluster::clock::Clock;
use crate::world::cluster::queues::{DriverQueue, Lanes, OpenRequests, PendingWrites, WorkQueue};

/// The process of a node.
#[derive(Clone, Debug)]
pub(crate) struct Running {
    pub(crate) node: ReplicaNode,
    pub(crate) worker: Worker<SimMachine>,
    /// The status after the last step.
    pub(crate) status: Status,
    /// The time of the last step by the node's own clock.
    pub(super) stepped_at: Instant,
    pub(super) lanes: Lanes,
    pub(super) writes: PendingWrites,
    pub(super) work: WorkQueue,
    pub(crate) driver: DriverQueue,
    pub(crate) requests: OpenRequests,
    pub(crate) leadership: Leadership,
    /// Whether the last step changed the last membership in the log.
    pub(crate) membership_changed: bool,
    pub(crate) counts: ChoiceCounts,
}

/// The numbers of steps, disk operations, works and delayed outputs so far in a process, which are
/// parts of the keys of its random choices.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ChoiceCounts {
    pub(crate) steps: u32,
    pub(super) operations: u32,
    pub(super) works: u32,
    pub(super) carried: u32,
}

impl Running {
    pub(super) fn new(replica: Replica<SimMachine>) -> Running {
        let Replica { node, worker } = replica;
        let status = node.status();
        Running {
            node,
            worker,
            status,
            stepped_at: Instant::ZERO,
            lanes: Lanes::default(),
            writes: PendingWrites::new(status.last.index),
            work: WorkQueue::default(),
            driver: DriverQueue::default(),
            requests: OpenRequests::default(),
            leadership: Leadership::default(),
            membership_changed: false,
            counts: ChoiceCounts::default(),
        }
    }

    /// Returns the state in which the worker answered a query.
    pub(crate) fn take_answered_in(&mut self, tag: Tag) -> Option<Digest> {
        self.work.answered_in.remove(&tag).flatten()
    }

    /// Returns the time of the next wake-up by `clock`, if it is earlier than every scheduled one.
    /// A scheduled wake-up that comes before the deadline schedules the next one.
    pub(super) fn earlier_wake(&mut self, clock: &Clock, now: SimTime) -> Option<SimTime> {
        let deadline = self.node.deadline();
        if deadline == Instant::NEVER {
            return None;
        }
        let at = clock.when(deadline, now);
        self.driver.wake_earlier(at).then_some(at)
    }

    /// Ends the scheduled wake-up. Returns whether the deadline has come by the node's own time, or
    /// `None` if another wake-up is the scheduled one.
    pub(super) fn wakes(&mut self, now: SimTime, own: Instant) -> Option<bool> {
        self.driver.take_wake(now).then(|| self.node.deadline() <= own)
    }

    /// Shows the state machine to the checks.
    pub(crate) fn show_machine(&self, now: SimTime, observer: &mut Observer) {
        if !observer.has_checks() {
            return;
        }
        let machine = self.worker.machine();
        let digest = machine.digest().expect("a state in memory can be read");
        let (applied, results) = (machine.applied(), machine.results());
        let view = MachineView { applied, digest, results, machine: machine.user().machine() };
        observer.observe(now, Observation::MachineInspected { node: self.status.id, view });
    }

    /// Marks the comparisons of hash chains that the process has made so far.
    pub(crate) fn note_comparisons(&self, observer: &mut Observer) {
        let Comparisons { chains, chains_unavailable, .. } = self.node.comparisons();
        observer.reach_if(chains > 0, Spot::ChainCompared);
        observer.reach_if(chains_unavailable > 0, Spot::ChainUnavailable);
    }

    /// Records the end of a new leader's log, and marks the kinds of the last step's commits and,
    /// from time to time, full windows.
    pub(super) fn note_lead(&mut self, before: &Status, observer: &mut Observer) {
        let status = &self.status;
        if status.role != RoleName::Leader {
            return;
        }
        if before.role != RoleName::Leader {
            self.leadership.last_before_leading = before.last.index;
        }
        if before.committed < self.leadership.last_before_leading
            && self.leadership.last_before_leading < status.committed
        {
            observer.reach(Spot::CommitInherited);
        }
        let voters = self.node.raft().membership().incoming();
        if before.committed < status.committed && voters.can_split() && voters.len() > 1 {
            let has = |id: NodeId| {
                let matched = if id == status.id {
                    Some(status.durable)
                } else {
                    self.node.raft().matched(id)
                };
                matched.is_some_and(|matched| matched >= status.committed)
            };
            let holders = voters.iter().filter(|id| has(**id)).count();
            observer.reach_if(2 * holders == voters.len(), Spot::CommitByCasting);
        }
        // Checking the windows at every step would cost more than the step.
        if self.counts.steps.is_multiple_of(64) {
            let peers = self.node.peers();
            observer.inflight_windows(peers.iter().map(|peer| peer.inflight_entries));
        }
    }
}

/// The peers that a leader has heard, the end of its log when it won, and whether the node may take
/// over.
#[derive(Clone, Debug, Default)]
pub(crate) struct Leadership {
    /// For each peer, this leader's term and the time of its own clock when the peer last replied.
    heard: BTreeMap<NodeId, (Term, Instant)>,
    /// The last index of the log when the node became leader.
    pub(crate) last_before_leading: Index,
    /// Whether the node has led since its start, or its leader has allowed it to take over: it may
    /// become the last survivor.
    pub(crate) may_take_over: bool,
}

impl Leadership {
    /// Records a reply of a peer at the leader's own time.
    pub(super) fn hear(&mut self, peer: NodeId, term: Term, own: Instant) {
        self.heard.insert(peer, (term, own));
    }

    /// Returns the peers that the leader of `term` has heard within `timeout` by its own time.
    pub(crate) fn live(
        &self,
        term: Term,
        own: Instant,
        timeout: Duration,
    ) -> impl Iterator<Item = NodeId> {
        let is_recent =
            move |(in_term, at): (Term, Instant)| in_term == term && own < at.after(timeout);
        self.heard.iter().filter(move |(_, heard)| is_recent(**heard)).map(|(peer, _)| *peer)
    }

    /// Records whether the node may take over: a leader may, and so may a voter that its leader
    /// allowed to.
    pub(super) fn note_takeover(
        &mut self,
        status: &Status,
        notes: &[Note],
        membership: &Membership,
    ) {
        let allowed = |note: &Note| {
            matches!(note, Note::RaftInput(raft::Input::Message(message))
                if message.body == Body::TakeoverAllowed && status.leader == Some(message.from))
        };
        // A permission that may have been sent before a restart or a pause of the node is rejected.
        let rejected = |note: &Note| {
            matches!(note, Note::RaftAction(raft::Action::MessageRejected { message, .. })
                if *message == Body::TakeoverAllowed.name())
        };
        let is_allowed = notes.iter().any(allowed) && !notes.iter().any(rejected);
        self.may_take_over |= status.role == RoleName::Leader || is_allowed;
        self.may_take_over &= membership.incoming().contains(&status.id);
    }
}
