//! Vote leases (S55): a node that granted one enters no later term before the lease ends, neither
//! for a vote request nor to campaign. A node that granted read leases as a leader votes for no
//! other node before the last of them ends: the holders rely on a quorum of voters that withhold
//! their votes, and the quorum may include this node (`Leader::resign`).

use std::time::Duration;

use quorate::raft::{Lease, RoleName, Status};
use quorate::types::{Body, Incarnation, Instant, Message, MessageClass, NodeId, Term};

use crate::check::finding::{CheckResult, S55};
use crate::check::known::Known;
use crate::check::nodes::Slot;
use crate::check::rule::Rule;
use crate::values::time::SimTime;

/// For each node, its vote lease, and the messages that let it enter a later term in spite of the
/// lease.
#[derive(Clone, Debug)]
pub(super) struct VoteLeases {
    nodes: Vec<Node>,
    /// For each leader, the last term in which it requested vote leases, and their length.
    requested: Vec<(Term, Duration)>,
    /// For each node, the read leases that it granted as a leader since its start.
    granted: Vec<ReadLeases>,
    /// The sender of the reply that a leader takes in the next step, and the disk from which it
    /// came.
    heard: Option<(Slot, Incarnation)>,
    /// Whether the next step takes a vote request of a node that its leader asked to campaign.
    is_transfer: bool,
}

#[derive(Clone, Copy, Debug, Default)]
struct Node {
    /// Until this time the node withholds its vote.
    withheld_until: SimTime,
    /// The latest term of any message that was sent to the node, except for pre-votes, and for vote
    /// requests outside of transfers: the node rejects those while it withholds its vote.
    named: Term,
    /// The latest term of a leader that asked the node to campaign.
    asked: Term,
}

/// The read leases that a leader granted, by its own clock.
#[derive(Clone, Debug)]
struct ReadLeases {
    /// The earliest time at which the last of them may end.
    until: Instant,
    peers: Vec<Holder>,
}

/// A peer that may hold a read lease.
#[derive(Clone, Copy, Debug, Default)]
struct Holder {
    /// When the leader last received a reply of the peer. The time of a read lease that it grants
    /// later counts from this reply.
    heard: Instant,
    /// The disk that the peer replied from.
    disk: Option<Incarnation>,
    /// Whether the peer has replied from two disks: the leader rejects replies of one of them.
    is_doubtful: bool,
}

impl Rule for VoteLeases {
    fn new(known: &Known) -> VoteLeases {
        let nodes = known.model.nodes.len();
        let none = ReadLeases { until: Instant::ZERO, peers: vec![Holder::default(); nodes] };
        VoteLeases {
            nodes: vec![Node::default(); nodes],
            requested: vec![(Term::ZERO, Duration::ZERO); nodes],
            granted: vec![none; nodes],
            heard: None,
            is_transfer: false,
        }
    }

    fn started(&mut self, known: &Known, status: &Status) -> CheckResult {
        let granted = &mut self.granted[known.model.slot(status.id).0];
        granted.until = Instant::ZERO;
        granted.peers.fill(Holder::default());
        Ok(())
    }

    /// A new disk does not know the vote lease that the lost one had granted.
    fn wiped(&mut self, known: &Known, node: NodeId) -> CheckResult {
        self.nodes[known.model.slot(node).0].withheld_until = SimTime::default();
        Ok(())
    }

    /// An older copy of a disk does not know a vote lease that the node granted later.
    fn rolled_back(&mut self, known: &Known, node: NodeId) -> CheckResult {
        self.nodes[known.model.slot(node).0].withheld_until = SimTime::default();
        Ok(())
    }

    fn sent(&mut self, known: &Known, message: &Message) -> CheckResult {
        if known.bounds.config.lease.is_none() {
            return Ok(());
        }
        let [from, to] = [message.from, message.to].map(|id| known.model.slot(id));
        let (term, node) = (message.term, &mut self.nodes[to.0]);
        match &message.body {
            Body::PreVote { .. } | Body::RequestVote { transfer: false, .. } => return Ok(()),
            Body::TimeoutNow => node.asked = node.asked.max(term),
            _ => {}
        }
        node.named = node.named.max(term);
        match &message.body {
            Body::Heartbeat(heartbeat) if !heartbeat.vote_lease.is_zero() => {
                self.requested[from.0] = (term, heartbeat.vote_lease);
                if known.is_prompt(from) {
                    self.granted[from.0].grant(known, to, heartbeat.read_lease);
                }
            }
            Body::HeartbeatReply { round: 1.., .. } if known.is_prompt(from) => {
                self.note_lease(known, message);
            }
            _ => {}
        }
        Ok(())
    }

    fn delivered(&mut self, known: &Known, id: NodeId, message: &Message) -> CheckResult {
        let model = &known.model;
        let is_rejected = known.next_message.is_none_or(|message| message.may_be_rejected);
        let is_reply = message.body.class() == MessageClass::LeaderReply && message.to == id;
        let counts = is_reply && !is_rejected && model.of(id).leads(message.term);
        self.heard = counts.then(|| (model.slot(message.from), message.incarnation));
        self.is_transfer = matches!(message.body, Body::RequestVote { transfer: true, .. });
        Ok(())
    }

    fn stepped(&mut self, known: &Known, status: &Status) -> CheckResult {
        self.is_transfer = false;
        if let Some((from, disk)) = self.heard.take().filter(|_| known.message.is_some()) {
            let granted = &mut self.granted[known.model.slot(status.id).0];
            granted.peers[from.0].hear(disk, known.own_time);
        }
        Ok(())
    }

    /// Checks a step in which the node votes for another one, or enters a later term (thesis
    /// §6.4.1).
    fn status_changed(&mut self, known: &Known, status: &Status) -> CheckResult {
        self.check_vote(known, status)?;
        let Status { id, term, role, vote, .. } = *status;
        let enters = known.before.is_some_and(|before| before.term < term);
        let node = self.nodes[known.model.slot(id).0];
        if !enters || known.now >= node.withheld_until || term <= node.named {
            return Ok(());
        }
        let campaigns = role != RoleName::Follower && vote == Some(id);
        if campaigns && term <= node.asked.next() {
            return Ok(());
        }
        S55.violated(format!(
            "{id} enters term {term} {}, but its vote lease lasts until {} s at least",
            if campaigns { "to campaign" } else { "for a vote request" },
            node.withheld_until
        ))
    }
}

impl VoteLeases {
    /// Checks that a node votes for another one only after all read leases that it granted as a
    /// leader have ended. In a transfer it may vote earlier: the leader that asked for the election
    /// was elected without its vote.
    fn check_vote(&self, known: &Known, status: &Status) -> CheckResult {
        let (id, term) = (status.id, status.term);
        let until = self.granted[known.model.slot(id).0].until;
        let before = known.before.map(|before| (before.term, before.vote));
        let is_new = before.is_some_and(|before| before != (term, status.vote));
        let is_exempt = self.is_transfer || known.is_fault_input || known.exceeds_clock_bound();
        let other = status.vote.filter(|vote| *vote != id && is_new && !is_exempt);
        let Some(other) = other.filter(|_| known.own_time < until) else { return Ok(()) };
        S55.violated(format!(
            "{id} votes for {other} in term {term}, but a read lease that it granted as a leader \
             lasts for another {:?} at least",
            until.since(known.own_time)
        ))
    }

    /// Records that the node which replies to a heartbeat has renewed its vote lease. Its clock may
    /// be too fast by the bound of the leases.
    fn note_lease(&mut self, known: &Known, message: &Message) {
        let (term, span) = self.requested[known.model.slot(message.to).0];
        let Some(Lease { drift_ppm, .. }) = known.bounds.config.lease else { return };
        if term != message.term || known.exceeds_clock_bound() {
            return;
        }
        // The lease is recorded one microsecond shorter, because each clock rounds its readings.
        let on_fast_clock = span * 1_000_000 / (1_000_000 + drift_ppm);
        let shortened = on_fast_clock.saturating_sub(Duration::from_micros(1));
        let node = &mut self.nodes[known.model.slot(message.from).0];
        node.withheld_until = node.withheld_until.max(known.now.after(shortened));
    }
}

impl ReadLeases {
    /// Records that the peer gets a read lease of this length by its own clock, or none if it is
    /// zero. The clock of the peer may be too slow, and that of the leader too fast, by the bound
    /// of the leases. The lease is recorded one microsecond shorter, because each clock rounds its
    /// readings.
    fn grant(&mut self, known: &Known, to: Slot, length: Duration) {
        let Holder { heard, is_doubtful, .. } = self.peers[to.0];
        let Some(Lease { drift_ppm, .. }) = known.bounds.config.lease else { return };
        if !length.is_zero() && heard > Instant::ZERO && !is_doubtful {
            let stretched = length * (1_000_000 + drift_ppm) / (1_000_000 - drift_ppm);
            let until = heard.after(stretched.saturating_sub(Duration::from_micros(1)));
            self.until = self.until.max(until);
        }
    }
}

impl Holder {
    /// Records that the leader has received a reply of the peer.
    fn hear(&mut self, disk: Incarnation, now: Instant) {
        let before = self.disk.replace(disk);
        self.is_doubtful |= before.is_some_and(|before| before != disk);
        self.heard = now;
    }
}
