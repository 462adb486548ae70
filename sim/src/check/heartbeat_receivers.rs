//! The receivers of heartbeats: S85. Each round of a leader goes to every other member, and for
//! twice the longest election timeout to a removed one, so that it learns of its removal
//! (`ChangeInProgress::update_peers`).

use std::sync::Arc;

use quorate::raft::Status;
use quorate::types::{Body, Instant, Message};

use crate::check::electorate::Electorate;
use crate::check::finding::{CheckResult, S85};
use crate::check::known::Known;
use crate::check::leader_terms::LeaderTerms;
use crate::check::nodes::Nodes;
use crate::check::rule::Rule;

/// The maximum number of rounds in a row that a peer may miss: a lagging driver sends late, and a
/// step that sends heartbeats may also change the membership.
const MISSED_MAX: u32 = 4;

/// For each leader, its last round.
#[derive(Clone, Debug)]
pub(super) struct HeartbeatReceivers {
    leaders: LeaderTerms<Leader>,
}

#[derive(Clone, Debug)]
struct Leader {
    electorate: Arc<Electorate>,
    /// Whether the leader may hold messages back, because its term or vote is not durable.
    may_hold: bool,
    /// The number of the last round, and the nodes to which it was sent.
    round: u64,
    sent: Nodes,
    peers: Vec<Peer>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Peer {
    /// Until this time the leader sends heartbeats to the node: forever to a member.
    until: Option<Instant>,
    /// The number of rounds in a row that the node has missed.
    missed: u32,
}

impl Rule for HeartbeatReceivers {
    fn new(known: &Known) -> HeartbeatReceivers {
        let none = |slot| Leader {
            electorate: Arc::clone(known.model.electorate(slot)),
            may_hold: true,
            round: 0,
            sent: Nodes::default(),
            peers: vec![Peer::default(); known.model.nodes.len()],
        };
        HeartbeatReceivers { leaders: LeaderTerms::new(known, none) }
    }

    fn stepped(&mut self, known: &Known, status: &Status) -> CheckResult {
        let slot = known.model.slot(status.id);
        let is_same = self.leaders.step(known, status).is_some();
        let leader = self.leaders.data(slot);
        let hard_state = known.model.node(slot).disk.hard_state;
        leader.may_hold = status.outbox_messages > 0 || hard_state != status.hard_state();
        let electorate = known.model.electorate(slot);
        if !is_same {
            leader.round = 0;
            leader.peers.fill(Peer::default());
        } else if Arc::ptr_eq(&leader.electorate, electorate) {
            return Ok(());
        }
        leader.electorate = Arc::clone(electorate);
        let departs = known.own_time.after(known.bounds.config.election_timeout_max * 2);
        for (other, peer) in known.model.slots().zip(&mut leader.peers) {
            let is_member = electorate.membership.is_member(known.model.node(other).id);
            let is_peer = other != slot && is_member;
            peer.until = match peer.until {
                _ if is_peer => Some(Instant::NEVER),
                Some(Instant::NEVER) => Some(departs),
                until => until,
            };
        }
        Ok(())
    }

    /// Counts the nodes that missed the previous round.
    fn sent(&mut self, known: &Known, message: &Message) -> CheckResult {
        let Body::Heartbeat(heartbeat) = &message.body else { return Ok(()) };
        let [slot, to] = [message.from, message.to].map(|id| known.model.slot(id));
        let Some((leader, now)) = self.leaders.leading(slot, message.term) else { return Ok(()) };
        leader.peers[to.0].missed = 0;
        if heartbeat.round <= leader.round {
            leader.sent.insert(to);
            return Ok(());
        }
        let before = std::mem::replace(&mut leader.round, heartbeat.round);
        let sent = std::mem::take(&mut leader.sent);
        leader.sent.insert(to);
        if before == 0 || leader.may_hold || !known.is_prompt(slot) || !known.shows_messages {
            return Ok(());
        }
        for (other, peer) in known.model.slots().zip(&mut leader.peers) {
            let is_due = peer.until.is_some_and(|until| now < until) && other != to;
            peer.missed = if is_due && !sent.contains(other) { peer.missed + 1 } else { 0 };
            if peer.missed > MISSED_MAX {
                let (id, term, missed) = (message.from, message.term, known.model.node(other).id);
                return S85.violated(format!(
                    "{id} leads term {term} and has sent the last {MISSED_MAX} rounds to other \
                     nodes, but not to {missed}, which is a member or was just removed"
                ));
            }
        }
        Ok(())
    }
}
