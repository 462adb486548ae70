//! One node of the world: its process, if it runs, its disk and its clock.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use quorate::machine::Digest;
use quorate::raft::{RoleName, Status};
use quorate::replica::{Node as Decider, Output, Replica, Work, Worker};
use quorate::storage::{Completion, FileName, Operation};
use quorate::types::{Comparisons, Index, Instant, NodeId, Proposal, Tag, Term, Write};

use crate::coverage::Spot;
use crate::disk::SimDisk;
use crate::observe::{Look, Seen};
use crate::subject::{Kept, Subject};
use crate::time::SimTime;
use crate::witness::Witness;
use crate::world::clock::Clock;
use crate::world::queue::Event;
use crate::world::standing::Standing;

/// A node's place in the world's list: its id less one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place(pub(crate) u8);

/// One node.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) place: Place,
    /// Counts its starts, from 1; raised when it crashes, so that what was under way for the
    /// earlier start comes to nothing.
    pub(crate) incarnation: u16,
    /// Its process; none while the node is down.
    pub(crate) running: Option<Box<Running>>,
    pub(crate) disk: SimDisk,
    pub(crate) clock: Clock,
    /// While the process stands still: what it will get when it goes on.
    pub(crate) held: Option<Vec<Event>>,
    /// Counts its pauses.
    pub(crate) pause: u16,
    /// How much longer a flush takes because of faults.
    pub(crate) flush_delay: Duration,
    /// How much longer a batch takes because of faults.
    pub(crate) work_delay: Duration,
    /// What its state machine keeps through a restart by itself.
    pub(crate) kept: Option<Kept>,
    /// When it crashed last.
    pub(crate) down_since: SimTime,
    /// For how long it will be down once it has stopped in good order.
    pub(crate) stops_for: Duration,
    /// It has stopped in good order, and not started since.
    pub(crate) closed: bool,
    /// How many faults that stand leave the disk no room.
    pub(crate) fills: u8,
    /// Until when the disk does nothing.
    pub(crate) stalled_until: SimTime,
    /// Counts the faults that may have destroyed what the disk had durably.
    pub(crate) damages: u16,
    /// A fault may have destroyed what the disk had durably: the node may refuse to start.
    pub(crate) damaged: bool,
    /// Its directory is a node's.
    pub(crate) formatted: bool,
    /// How many disks it has lost.
    pub(crate) lost: u16,
    /// An older image of its disk, which is to take the disk's place.
    pub(crate) image: Option<SimDisk>,
    /// It has a membership, durably, or needs none to be counted on.
    pub(crate) founded: bool,
    /// The node has refused to start, and will again.
    pub(crate) refuses: bool,
    /// The last membership in its log, as of when it last ran.
    pub(crate) standing: Standing,
}

/// What a node is about to hear of its disk.
#[derive(Clone, Debug)]
pub(crate) struct Report {
    pub(crate) completion: Completion,
    /// What the disk has is unknown from then on.
    pub(crate) fatal: bool,
}

/// A node's process: all that a crash loses.
#[derive(Clone, Debug)]
pub(crate) struct Running {
    pub(crate) node: Decider,
    pub(crate) worker: Worker<Subject>,
    /// As of the last step.
    pub(crate) status: Status,
    /// Operations on their way to the disk, by lane; it works on the first of each.
    pub(crate) lanes: [VecDeque<Operation>; 2],
    /// Operations that are done, by lane, of which the node has not heard.
    pub(crate) reports: [VecDeque<Report>; 2],
    /// What the worker was asked for; it works on the first.
    pub(crate) work: VecDeque<Work>,
    /// The states in which the worker answered queries of which the node has not told.
    pub(crate) answered_in: BTreeMap<Tag, Option<Digest>>,
    /// The bytes of the worker's frozen view that were not read yet.
    pub(crate) view: VecDeque<u8>,
    /// What is wanted of the view.
    pub(crate) viewing: Option<Viewing>,
    /// The outputs that a lagging driver has still to carry out.
    pub(crate) backlog: VecDeque<Output>,
    /// The writes of which the node has not heard that they are durable.
    pub(crate) writes: VecDeque<Write>,
    /// The last entry the node has written, durably or not.
    pub(crate) last_written: Index,
    /// The files of which an operation has failed by a fault; none is the directory.
    pub(crate) failed: BTreeSet<Option<FileName>>,
    /// A write that replaces entries is on its way to the disk.
    pub(crate) cuts: bool,
    /// The earliest time at which the node is going to be woken.
    pub(crate) wake_at: SimTime,
    /// Proposals that are handed to the node together.
    pub(crate) gathered: Vec<Proposal>,
    /// The proposals and reads that the node has not answered.
    pub(crate) unanswered: Vec<Tag>,
    /// Proposals that are to be answered once every live voter has them.
    pub(crate) for_all_live: BTreeSet<Tag>,
    /// When by its own clock, and in which term, it last took an answer of each peer as a leader.
    pub(crate) heard: BTreeMap<NodeId, (Term, Instant)>,
    /// The last index of the log when the node began to lead.
    pub(crate) led_from: Index,
    /// Since it started its leader told it that it counts, or it led: it may be the last survivor.
    pub(crate) may_be_last: bool,
    /// Its last step changed which membership is the last in its log.
    pub(crate) membership_moved: bool,
    pub(crate) counts: Counts,
}

/// What a node wants of its worker's frozen view.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Viewing {
    /// That there is one.
    Freeze,
    /// So many of its next bytes.
    Read(usize),
}

/// How many choices of each kind a process has met.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts {
    pub(crate) steps: u32,
    pub(crate) operations: u32,
    pub(crate) works: u32,
    pub(crate) carried: u32,
}

impl Place {
    /// The place of node `id`, if the world has `nodes` nodes and it is one of them.
    pub(crate) fn of(id: NodeId, nodes: usize) -> Option<Place> {
        let place = id.0.checked_sub(1)?;
        ((place as usize) < nodes).then_some(Place(place as u8))
    }

    /// The id of the node in this place.
    pub(crate) fn id(self) -> NodeId {
        NodeId(u64::from(self.0) + 1)
    }
}

impl Node {
    pub(crate) fn new(place: Place, clock: Clock, standing: Standing) -> Node {
        Node {
            place,
            incarnation: 1,
            running: None,
            disk: SimDisk::default(),
            clock,
            held: None,
            pause: 0,
            flush_delay: Duration::ZERO,
            work_delay: Duration::ZERO,
            kept: None,
            down_since: SimTime::default(),
            stops_for: Duration::ZERO,
            closed: false,
            fills: 0,
            stalled_until: SimTime::default(),
            damages: 0,
            damaged: false,
            formatted: false,
            lost: 0,
            image: None,
            founded: !standing.membership.is_nobody(),
            refuses: false,
            standing,
        }
    }

    /// What the node does, if it runs.
    pub(crate) fn role(&self) -> Option<RoleName> {
        self.running.as_ref().map(|running| running.status.role)
    }

    /// The node's process, if it is the one of start `incarnation`.
    pub(crate) fn started_as(&mut self, incarnation: u16) -> Option<&mut Running> {
        if self.incarnation == incarnation { self.running.as_deref_mut() } else { None }
    }
}

impl Running {
    pub(crate) fn new(replica: Replica<Subject>) -> Running {
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
            viewing: None,
            backlog: VecDeque::new(),
            writes: VecDeque::new(),
            last_written: status.last.index,
            failed: BTreeSet::new(),
            cuts: false,
            wake_at: SimTime(u64::MAX),
            gathered: Vec::new(),
            unanswered: Vec::new(),
            for_all_live: BTreeSet::new(),
            heard: BTreeMap::new(),
            led_from: Index::ZERO,
            may_be_last: false,
            membership_moved: false,
            counts: Counts::default(),
        }
    }

    /// Shows the state machine to whoever checks.
    pub(crate) fn look(&self, now: SimTime, witness: &mut Witness) {
        if !witness.checks() {
            return;
        }
        let machine = self.worker.machine();
        let digest = machine.digest().expect("a state in memory can be read");
        let (applied, results) = (machine.applied(), machine.results());
        let look = Look { applied, digest, results, machine: machine.user().machine() };
        witness.see(now, Seen::Looked { node: self.status.id, look });
    }

    /// Notes what the process has compared so far.
    pub(crate) fn note_comparisons(&self, witness: &mut Witness) {
        let Comparisons { chains, chains_unavailable, .. } = self.node.comparisons();
        witness.reach_if(chains > 0, Spot::ChainCompared);
        witness.reach_if(chains_unavailable > 0, Spot::ChainUnavailable);
    }

    /// Notes what the last step changed for a leader.
    pub(crate) fn note_lead(&mut self, before: &Status, witness: &mut Witness) {
        let status = &self.status;
        if status.role != RoleName::Leader {
            return;
        }
        if before.role != RoleName::Leader {
            self.led_from = before.last.index;
        }
        if before.committed < self.led_from && self.led_from < status.committed {
            witness.reach(Spot::CommitInherited);
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
            witness.reach_if(2 * holders == voters.len(), Spot::CommitByCasting);
        }
        // Looking at every step would cost more than the step.
        if self.counts.steps.is_multiple_of(64) {
            let peers = self.node.peers();
            witness.windows(peers.iter().map(|peer| peer.inflight_entries));
        }
    }

    /// The node has answered a proposal or a read.
    ///
    /// # Panics
    /// If it was not waiting for an answer: it breaks its promise of exactly one outcome.
    pub(crate) fn answered(&mut self, tag: Tag, now: SimTime, witness: &mut Witness) {
        let place = self.unanswered.iter().position(|waiting| *waiting == tag);
        let Some(place) = place else { panic!("{tag} has more than one outcome") };
        self.unanswered.swap_remove(place);
        witness.see(now, Seen::Answered { tag });
    }
}
