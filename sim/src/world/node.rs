//! One node of the world: its process, if it runs, its disk and its clock.

use std::collections::VecDeque;
use std::time::Duration;

use quorate::raft::{Action, Consumer, Raft, RoleName, Status};
use quorate::types::{Entry, Index, NodeId, Tag, WriteId};

use crate::chain;
use crate::coverage::Spot;
use crate::time::SimTime;
use crate::witness::Witness;
use crate::world::clock::Clock;
use crate::world::disk::Disk;
use crate::world::queue::Event;

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
    pub(crate) disk: Disk,
    pub(crate) clock: Clock,
    /// While the process stands still: what it will get when it goes on.
    pub(crate) held: Option<Vec<Event>>,
    /// Counts its pauses.
    pub(crate) pause: u16,
    /// How much longer a flush takes because of faults.
    pub(crate) flush_delay: Duration,
    /// How much longer a batch takes because of faults.
    pub(crate) work_delay: Duration,
    /// When it crashed last.
    pub(crate) down_since: SimTime,
}

/// A node's process: all that a crash loses.
#[derive(Clone, Debug)]
pub(crate) struct Running {
    pub(crate) raft: Raft,
    /// As of the last step.
    pub(crate) status: Status,
    pub(crate) machine: Machine,
    /// The batch that the state machine works on.
    pub(crate) batch: Option<Vec<Entry>>,
    /// The entries that reads of the disk will give, by slot.
    pub(crate) fetches: Vec<Option<(Consumer, Vec<Entry>)>>,
    /// The actions that a lagging driver has still to carry out.
    pub(crate) backlog: VecDeque<Action>,
    /// The earliest time at which the node is going to be woken.
    pub(crate) wake_at: SimTime,
    /// The last write the node heard is durable.
    pub(crate) reported: WriteId,
    /// The proposals and reads that the node has not answered.
    pub(crate) unanswered: Vec<Tag>,
    /// The last index of the log when the node began to lead.
    pub(crate) led_from: Index,
    pub(crate) counts: Counts,
}

/// How many choices of each kind a process has met.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts {
    pub(crate) steps: u32,
    pub(crate) flushes: u32,
    pub(crate) works: u32,
    pub(crate) carried: u32,
}

/// The state machine: a hash chain over all it has applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Machine {
    pub(crate) applied: Index,
    pub(crate) state: u64,
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
    pub(crate) fn new(place: Place, clock: Clock) -> Node {
        Node {
            place,
            incarnation: 1,
            running: None,
            disk: Disk::default(),
            clock,
            held: None,
            pause: 0,
            flush_delay: Duration::ZERO,
            work_delay: Duration::ZERO,
            down_since: SimTime::default(),
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
    pub(crate) fn new(raft: Raft) -> Running {
        let status = raft.status();
        Running {
            raft,
            status,
            machine: Machine::default(),
            batch: None,
            fetches: Vec::new(),
            backlog: VecDeque::new(),
            wake_at: SimTime(u64::MAX),
            reported: WriteId::ZERO,
            unanswered: Vec::new(),
            led_from: Index::ZERO,
            counts: Counts::default(),
        }
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
        // Looking at every step would cost more than the step.
        if self.counts.steps.is_multiple_of(64) {
            let peers = self.raft.peers();
            witness.windows(peers.iter().map(|peer| peer.inflight_entries));
        }
    }

    /// Puts entries that were read into a free slot.
    pub(crate) fn keep_fetched(&mut self, consumer: Consumer, entries: Vec<Entry>) -> u16 {
        let free = self.fetches.iter().position(Option::is_none);
        let slot = free.unwrap_or_else(|| {
            self.fetches.push(None);
            self.fetches.len() - 1
        });
        self.fetches[slot] = Some((consumer, entries));
        slot as u16
    }

    /// The node has answered a proposal or a read.
    ///
    /// # Panics
    /// If it was not waiting for an answer: the core breaks its promise of exactly one outcome.
    pub(crate) fn answered(&mut self, tag: Tag) {
        let place = self.unanswered.iter().position(|waiting| *waiting == tag);
        let Some(place) = place else { panic!("{tag} has more than one outcome") };
        self.unanswered.swap_remove(place);
    }
}

impl Machine {
    /// Applies entries in order.
    pub(crate) fn apply(&mut self, entries: &[Entry]) {
        for entry in entries {
            self.state = chain::extend(self.state, entry);
            self.applied = entry.id.index;
        }
    }
}

impl Default for Machine {
    fn default() -> Machine {
        Machine { applied: Index::ZERO, state: chain::EMPTY }
    }
}
