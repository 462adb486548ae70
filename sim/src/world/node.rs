//! One node of the world: its process, its disk and its clock.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use quorate::machine::Digest;
use quorate::raft::{RoleName, Status};
use quorate::replica::{Node as Decider, Output, Replica, Work, Worker};
use quorate::storage::{Completion, FileName, Operation};
use quorate::types::{Comparisons, Index, Instant, NodeId, Proposal, Tag, Term, Write};

use crate::coverage::Spot;
use crate::disk::SimDisk;
use crate::observe::{MachineView, Observation};
use crate::observer::Observer;
use crate::sim_machine::{MachineCheckpoint, SimMachine};
use crate::time::SimTime;
use crate::world::clock::Clock;
use crate::world::logged_membership::LoggedMembership;
use crate::world::place::Place;
use crate::world::scheduler::queue::Event;

/// One node of the world.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) place: Place,
    /// The number of the current start, from 1. It increases when the node crashes, so that events
    /// of the earlier start are ignored.
    pub(crate) start_number: u16,
    /// The process; `None` while the node is down.
    pub(crate) running: Option<Box<Running>>,
    pub(crate) disk: SimDisk,
    pub(crate) clock: Clock,
    /// The events deferred while the process is paused; `None` if it is not paused.
    pub(crate) held: Option<Vec<Event>>,
    /// The number of pauses so far.
    pub(crate) pause: u16,
    /// The extra duration of a flush caused by faults.
    pub(crate) flush_delay: Duration,
    /// The extra duration of a batch caused by faults.
    pub(crate) work_delay: Duration,
    /// The state that the state machine has made durable by itself.
    pub(crate) machine_checkpoint: Option<MachineCheckpoint>,
    /// The time of the last crash.
    pub(crate) down_since: SimTime,
    /// The downtime after a requested shutdown.
    pub(crate) stop_downtime: Duration,
    /// Whether the node has shut down cleanly and not restarted since.
    pub(crate) stopped_cleanly: bool,
    /// The number of active faults that leave the disk no space.
    pub(crate) full_disk_faults: u8,
    /// The time until which the disk completes no call.
    pub(crate) stalled_until: SimTime,
    /// The number of faults so far that may have destroyed durable data.
    pub(crate) damage_faults: u16,
    /// Whether a fault may have destroyed durable data, so that the node may refuse to start.
    pub(crate) damaged: bool,
    /// Whether the node's directory is formatted.
    pub(crate) formatted: bool,
    /// The number of disks that the node has lost.
    pub(crate) disks_lost: u16,
    /// An older copy of the disk, which will replace it.
    pub(crate) rollback_image: Option<SimDisk>,
    /// Whether the node has stored a membership durably, or is not a bootstrap peer, so that the
    /// cluster can rely on it without one.
    pub(crate) bootstrapped: bool,
    /// Whether the node has refused to start, and will always do so.
    pub(crate) start_refused: bool,
    /// The last membership in the node's log, as of its last step.
    pub(crate) last_membership: LoggedMembership,
}

/// The completion of a disk operation, before the node is notified of it.
#[derive(Clone, Debug)]
pub(crate) struct CompletionReport {
    pub(crate) completion: Completion,
    /// Whether the state of the disk is unknown after this operation.
    pub(crate) fatal: bool,
}

/// The process of a node: everything that a crash loses.
#[derive(Clone, Debug)]
pub(crate) struct Running {
    pub(crate) node: Decider,
    pub(crate) worker: Worker<SimMachine>,
    /// The status after the last step.
    pub(crate) status: Status,
    /// The submitted disk operations, by lane; the disk executes the first one of each.
    pub(crate) lanes: [VecDeque<Operation>; 2],
    /// The finished disk operations, by lane, of which the node has not been notified.
    pub(crate) reports: [VecDeque<CompletionReport>; 2],
    /// The work submitted to the worker, which executes the first one.
    pub(crate) work: VecDeque<Work>,
    /// The states in which the worker answered queries, until the node outputs the answers.
    pub(crate) answered_in: BTreeMap<Tag, Option<Digest>>,
    /// The unread bytes of the worker's frozen view.
    pub(crate) view: VecDeque<u8>,
    /// The pending request for the view.
    pub(crate) view_request: Option<ViewRequest>,
    /// The outputs that a lagging driver has not executed yet.
    pub(crate) backlog: VecDeque<Output>,
    /// The writes that are not reported to the node as durable yet.
    pub(crate) writes: VecDeque<Write>,
    /// The last entry written, durable or not.
    pub(crate) last_written: Index,
    /// The files of which an operation has failed by a fault; `None` stands for the directory.
    pub(crate) failed: BTreeSet<Option<FileName>>,
    /// Whether a write that replaces entries is on its way to the disk.
    pub(crate) truncates: bool,
    /// The earliest scheduled wake-up of the node.
    pub(crate) wake_at: SimTime,
    /// The proposals that the driver gathers into one batch.
    pub(crate) gathered: Vec<Proposal>,
    /// The proposals and reads without an outcome.
    pub(crate) unanswered: Vec<Tag>,
    /// The proposals that are answered only once every live voter has them.
    pub(crate) for_all_live: BTreeSet<Tag>,
    /// For each peer, this leader's term and the time of its own clock when the peer last replied.
    pub(crate) heard: BTreeMap<NodeId, (Term, Instant)>,
    /// The last index of the log when the node became leader.
    pub(crate) last_before_leading: Index,
    /// Whether the node has led since its start, or its leader has allowed it to take over: it may
    /// become the last survivor.
    pub(crate) may_take_over: bool,
    /// Whether the last step changed the last membership in the log.
    pub(crate) membership_changed: bool,
    pub(crate) counts: ChoiceCounts,
}

/// A request of the node for its worker's frozen view.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ViewRequest {
    /// Freezes the state machine.
    Freeze,
    /// Reads this many bytes of the view.
    Read(usize),
}

/// The number of random choices of each kind so far in a process, from which each choice has a key.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ChoiceCounts {
    pub(crate) steps: u32,
    pub(crate) operations: u32,
    pub(crate) works: u32,
    pub(crate) carried: u32,
}

impl Node {
    pub(crate) fn new(place: Place, clock: Clock, last_membership: LoggedMembership) -> Node {
        Node {
            place,
            start_number: 1,
            running: None,
            disk: SimDisk::default(),
            clock,
            held: None,
            pause: 0,
            flush_delay: Duration::ZERO,
            work_delay: Duration::ZERO,
            machine_checkpoint: None,
            down_since: SimTime::default(),
            stop_downtime: Duration::ZERO,
            stopped_cleanly: false,
            full_disk_faults: 0,
            stalled_until: SimTime::default(),
            damage_faults: 0,
            damaged: false,
            formatted: false,
            disks_lost: 0,
            rollback_image: None,
            bootstrapped: !last_membership.membership.is_empty(),
            start_refused: false,
            last_membership,
        }
    }

    /// Returns the role of the node, if it is running.
    pub(crate) fn role(&self) -> Option<RoleName> {
        self.running.as_ref().map(|running| running.status.role)
    }

    /// Returns the process, if it belongs to this start.
    pub(crate) fn started_as(&mut self, start_number: u16) -> Option<&mut Running> {
        if self.start_number == start_number { self.running.as_deref_mut() } else { None }
    }
}

impl Running {
    pub(crate) fn new(replica: Replica<SimMachine>) -> Running {
        let Replica { node, worker } = replica;
        let status = node.status();
        Running {
            node,
            worker,
            status,
            lanes: Default::default(),
            reports: Default::default(),
            work: VecDeque::new(),
            answered_in: BTreeMap::new(),
            view: VecDeque::new(),
            view_request: None,
            backlog: VecDeque::new(),
            writes: VecDeque::new(),
            last_written: status.last.index,
            failed: BTreeSet::new(),
            truncates: false,
            wake_at: SimTime(u64::MAX),
            gathered: Vec::new(),
            unanswered: Vec::new(),
            for_all_live: BTreeSet::new(),
            heard: BTreeMap::new(),
            last_before_leading: Index::ZERO,
            may_take_over: false,
            membership_changed: false,
            counts: ChoiceCounts::default(),
        }
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

    /// Marks what the last step changed for a leader.
    pub(crate) fn note_lead(&mut self, before: &Status, observer: &mut Observer) {
        let status = &self.status;
        if status.role != RoleName::Leader {
            return;
        }
        if before.role != RoleName::Leader {
            self.last_before_leading = before.last.index;
        }
        if before.committed < self.last_before_leading
            && self.last_before_leading < status.committed
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

    /// Records that the node has answered a proposal or a read.
    ///
    /// # Panics
    /// If the request has no pending outcome, because each request has exactly one.
    pub(crate) fn answered(&mut self, tag: Tag, now: SimTime, observer: &mut Observer) {
        let place = self.unanswered.iter().position(|waiting| *waiting == tag);
        let Some(place) = place else { panic!("{tag} has more than one outcome") };
        self.unanswered.swap_remove(place);
        observer.observe(now, Observation::RequestAnswered { tag });
    }
}
