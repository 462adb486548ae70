//! Check-quorum (S69): a leader leads as long as it hears from a quorum, and no longer (thesis
//! §6.2).

use std::sync::Arc;

use quorate::machine::Request;
use quorate::raft::{RoleName, Status};
use quorate::types::{Body, Instant, Message, MessageClass, NodeId, Payload, Term, Write};

use crate::check::electorate::{Decision, Electorate};
use crate::check::finding::{CheckResult, S69};
use crate::check::known::Known;
use crate::check::nodes::{Nodes, Slot};
use crate::check::rule::Rule;

/// For each node, when it last heard from its peers as a leader.
#[derive(Clone, Debug)]
pub(super) struct QuorumContact {
    leaders: Vec<Leader>,
    /// The sender of the message that the next step takes, and whether the leader counts it.
    heard: Option<(Slot, bool)>,
    /// Whether a node has written an entry that raises the version of the state machine. A leader
    /// whose build is too old for that version steps down.
    raises_version: bool,
}

/// The contacts of a leader in its term, by its own clock.
#[derive(Clone, Debug)]
struct Leader {
    term: Term,
    peers: Vec<Peer>,
    electorate: Arc<Electorate>,
    /// The time of its last step.
    now: Instant,
    /// When it last had no pending write, or a write became durable.
    disk_worked: Option<Instant>,
    has_flushed: bool,
    /// The last round that it sent.
    round: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Peer {
    /// The earliest and the latest time that the leader may regard as the last contact.
    earliest: Instant,
    latest: Instant,
    /// Whether the peer has reported that it is uncertain, or lost a disk: then the leader need not
    /// count it.
    is_doubtful: bool,
}

impl Rule for QuorumContact {
    fn new(known: &Known) -> QuorumContact {
        let none = |slot| Leader {
            term: Term::ZERO,
            peers: vec![Peer::default(); known.model.nodes.len()],
            electorate: Arc::clone(known.model.electorate(slot)),
            now: Instant::ZERO,
            disk_worked: None,
            has_flushed: false,
            round: 0,
        };
        let leaders = known.model.slots().map(none).collect();
        QuorumContact { leaders, heard: None, raises_version: false }
    }

    fn started(&mut self, known: &Known, status: &Status) -> CheckResult {
        let leader = &mut self.leaders[known.model.slot(status.id).0];
        (leader.term, leader.disk_worked) = (Term::ZERO, None);
        Ok(())
    }

    fn wiped(&mut self, known: &Known, node: NodeId) -> CheckResult {
        self.doubt(known, node);
        Ok(())
    }

    fn rolled_back(&mut self, known: &Known, node: NodeId) -> CheckResult {
        self.doubt(known, node);
        Ok(())
    }

    fn before_durable(&mut self, known: &Known, node: NodeId, _: &Write) -> CheckResult {
        self.leaders[known.model.slot(node).0].has_flushed = true;
        Ok(())
    }

    fn before_submitted(&mut self, _: &Known, _: NodeId, write: &Write) -> CheckResult {
        self.raises_version |= write.entries.iter().any(|entry| match &entry.payload {
            Payload::Command(command) => Request::raised_version(command).is_some(),
            Payload::Noop | Payload::Membership(_) => false,
        });
        Ok(())
    }

    fn delivered(&mut self, known: &Known, id: NodeId, message: &Message) -> CheckResult {
        let (slot, from) = (known.model.slot(id), known.model.slot(message.from));
        let is_rejected = known.next_message.is_none_or(|message| message.may_be_rejected);
        let is_reply = message.body.class() == MessageClass::LeaderReply;
        let is_current = known.model.node(slot).leads(message.term) && message.to == id;
        self.heard = is_current.then_some((from, is_reply && !is_rejected));
        if let Body::HeartbeatReply { ready, .. } = message.body
            && is_current
        {
            self.leaders[slot.0].peers[from.0].is_doubtful |= ready.is_uncertain;
        }
        Ok(())
    }

    fn stepped(&mut self, known: &Known, status: &Status) -> CheckResult {
        let (slot, now) = (known.model.slot(status.id), known.own_time);
        let heard = self.heard.take().filter(|_| known.message.is_some());
        let node = known.model.node(slot);
        let leader = &mut self.leaders[slot.0];
        leader.now = now;
        if std::mem::take(&mut leader.has_flushed) || node.has_no_pending_writes() {
            leader.disk_worked = Some(now);
        }
        let before = known.status_before(status);
        let led = before.is_some_and(|it| it.role == RoleName::Leader && it.term == status.term);
        if status.role == RoleName::Leader {
            leader.note(known, slot, status, heard);
            return Ok(());
        }
        if !led || !known.shows_messages || self.raises_version {
            return Ok(());
        }
        leader.check_step_down(known, slot, status)
    }

    /// Checks that a leader that begins a round by its timer has heard from a quorum. A
    /// round for a read begins only once the round before it is confirmed.
    fn sent(&mut self, known: &Known, message: &Message) -> CheckResult {
        let Body::Heartbeat(heartbeat) = &message.body else { return Ok(()) };
        let slot = known.model.slot(message.from);
        let leader = &mut self.leaders[slot.0];
        if leader.term != message.term || leader.round == heartbeat.round {
            return Ok(());
        }
        let last = std::mem::replace(&mut leader.round, heartbeat.round);
        let is_timer_round = heartbeat.confirmed > 0 && heartbeat.confirmed < last;
        let is_exempt = !known.bounds.config.check_quorum || known.model.last_survivor_enabled;
        if !is_timer_round || is_exempt || !known.shows_messages || !known.is_prompt(slot) {
            return Ok(());
        }
        let heard = leader.heard(known, slot, |peer| peer.latest);
        let decides = |by: &Arc<Electorate>| by.decision(heard) == Decision::Quorum;
        if decides(&leader.electorate) || decides(known.model.electorate(slot)) {
            return Ok(());
        }
        let (id, term) = (message.from, message.term);
        S69.violated(format!(
            "{id} leads term {term} and begins round {}, but has not heard from a quorum of {} \
             within the longest election timeout",
            heartbeat.round,
            known.model.electorate(slot).membership
        ))
    }
}

impl QuorumContact {
    /// Records that a node lost a part of its disk.
    fn doubt(&mut self, known: &Known, node: NodeId) {
        let slot = known.model.slot(node).0;
        self.leaders.iter_mut().for_each(|leader| leader.peers[slot].is_doubtful = true);
    }
}

impl Leader {
    /// Notes a step of the leader. A leader counts the addition of a peer as a contact with it.
    fn note(&mut self, known: &Known, slot: Slot, status: &Status, heard: Option<(Slot, bool)>) {
        let now = self.now;
        if self.term != status.term {
            let peer = Peer { earliest: now, latest: now, is_doubtful: false };
            (self.term, self.round) = (status.term, 0);
            self.peers.fill(peer);
        }
        let electorate = known.model.electorate(slot);
        let is_changed = !Arc::ptr_eq(&self.electorate, electorate);
        if is_changed {
            self.electorate = Arc::clone(electorate);
        }
        if is_changed || known.is_fault_input {
            self.peers.iter_mut().for_each(|peer| peer.latest = now);
        }
        if let Some((from, counts)) = heard {
            let peer = &mut self.peers[from.0];
            peer.latest = now;
            if counts {
                peer.earliest = now;
            }
        }
    }

    /// The nodes from which the leader has heard within the longest election timeout.
    fn heard(&self, known: &Known, own: Slot, at: impl Fn(&Peer) -> Instant) -> Nodes {
        let timeout = known.bounds.config.election_timeout_max;
        let is_heard =
            |slot: &Slot| *slot == own || self.now < at(&self.peers[slot.0]).after(timeout);
        known.model.slots().filter(is_heard).collect()
    }

    /// Checks that a leader that steps down in its term has a reason: no quorum, a disk that is
    /// stuck or damaged, a lost vote, or a state machine that may be wrong.
    fn check_step_down(&self, known: &Known, slot: Slot, status: &Status) -> CheckResult {
        let timeout = known.bounds.config.election_timeout_max;
        let is_stuck = self.disk_worked.is_none_or(|at| self.now >= at.after(timeout));
        let electorate = known.model.electorate(slot);
        let has_reason = is_stuck
            || status.damaged_entries > 0
            || !electorate.is_voter(slot)
            || known.taint.fault_count() > 0
            || known.model.last_survivor_enabled
            || known.is_fault_input;
        if self.term != status.term || has_reason || !Arc::ptr_eq(&self.electorate, electorate) {
            return Ok(());
        }
        let counts = |slot: &Slot| !self.peers[slot.0].is_doubtful;
        let counted: Nodes = known.model.slots().filter(counts).collect();
        let heard = self.heard(known, slot, |peer| peer.earliest).intersection(counted);
        if known.bounds.config.check_quorum && electorate.decision(heard) != Decision::Quorum {
            return Ok(());
        }
        let (id, term, membership) = (status.id, status.term, &electorate.membership);
        S69.violated(format!(
            "{id} steps down as the leader of term {term}, although it has heard from a quorum of \
             {membership} within the longest election timeout, and can write and lead"
        ))
    }
}
