//! Vote leases: a node that granted one enters no later term for a vote request, nor to campaign,
//! before it ends (S55).

use std::time::Duration;

use quorate::raft::{Lease, RoleName, Status};
use quorate::types::{Body, Message, NodeId, Term};

use crate::check::finding::{CheckResult, S55};
use crate::check::known::Known;
use crate::check::rule::Rule;
use crate::values::time::SimTime;

/// For each node, its vote lease, and the messages that let it enter a later term in spite of that.
#[derive(Clone, Debug)]
pub(super) struct VoteLeases {
    nodes: Vec<Node>,
    /// For each leader, the last term in which it requested vote leases, and their length.
    requested: Vec<(Term, Duration)>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Node {
    /// Until this time the node withholds its vote.
    withheld_until: SimTime,
    /// The latest term of any message to the node, except for the vote requests that it rejects
    /// while it withholds its vote.
    named: Term,
    /// The latest term of a leader that asked the node to campaign.
    asked: Term,
}

impl Rule for VoteLeases {
    fn new(known: &Known) -> VoteLeases {
        let nodes = known.model.nodes.len();
        VoteLeases {
            nodes: vec![Node::default(); nodes],
            requested: vec![(Term::ZERO, Duration::ZERO); nodes],
        }
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
            }
            Body::HeartbeatReply { round: 1.., .. } if known.is_prompt(from) => {
                self.note_lease(known, message);
            }
            _ => {}
        }
        Ok(())
    }

    /// Checks a step in which the node enters a later term (thesis §6.4.1).
    fn status_changed(&mut self, known: &Known, status: &Status) -> CheckResult {
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
    /// Records that the node which replies to a heartbeat has renewed its vote lease. Its clock may
    /// be too fast by the bound of the leases.
    fn note_lease(&mut self, known: &Known, message: &Message) {
        let (term, span) = self.requested[known.model.slot(message.to).0];
        let Some(Lease { drift_ppm, .. }) = known.bounds.config.lease else { return };
        if term != message.term || known.exceeds_clock_bound() {
            return;
        }
        // A microsecond less, because each clock rounds its readings.
        let on_fast_clock = span * 1_000_000 / (1_000_000 + drift_ppm);
        let shortened = on_fast_clock.saturating_sub(Duration::from_micros(1));
        let node = &mut self.nodes[known.model.slot(message.from).0];
        node.withheld_until = node.withheld_until.max(known.now.after(shortened));
    }
}
