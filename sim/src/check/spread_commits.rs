//! The spread of commit indices (S72): a leader that has no entry to send to a peer sends it a new
//! commit index in a message of its own, once the commit delay has passed.

use quorate::raft::Status;
use quorate::types::{AppendOutcome, Body, Index, Instant, Message, NodeId};

use crate::check::finding::{CheckResult, S72};
use crate::check::known::Known;
use crate::check::leader_terms::LeaderTerms;
use crate::check::rule::Rule;

/// For each node, the commit indices that it sent as the leader of its term.
#[derive(Clone, Debug)]
pub(super) struct SpreadCommits {
    leaders: LeaderTerms<Leader>,
}

#[derive(Clone, Debug)]
struct Leader {
    /// The end of the log, the commit index, and the number of messages that waited for the disk,
    /// after the last step.
    last: Index,
    committed: Index,
    held: usize,
    /// Whether the last step certainly was one of the Raft core: a step that only concerns the disk
    /// or the state machine sends nothing.
    is_core_step: bool,
    /// The time of the last step of the core before that, by the leader's clock.
    before: Instant,
    peers: Vec<Peer>,
}

/// A peer of a leader: the commit index sent to it, and the index that it has acknowledged.
#[derive(Clone, Copy, Debug, Default)]
struct Peer {
    matched: Index,
    sent: Index,
    /// The time of the step after which the peer had the whole log and lacked a commit index, with
    /// that index.
    lacks: Option<(Instant, Index)>,
    /// Whether the peer had no space or was uncertain in this term.
    is_irregular: bool,
}

impl Rule for SpreadCommits {
    fn new(known: &Known) -> SpreadCommits {
        let none = |_| Leader {
            last: Index::ZERO,
            committed: Index::ZERO,
            held: 0,
            is_core_step: false,
            before: Instant::ZERO,
            peers: vec![Peer::default(); known.model.nodes.len()],
        };
        SpreadCommits { leaders: LeaderTerms::new(known, none) }
    }

    /// Notes which peers lacked a commit index after the messages of the previous step.
    fn stepped(&mut self, known: &Known, status: &Status) -> CheckResult {
        let slot = known.model.slot(status.id);
        let stepped = self.leaders.step(known, status);
        let leader = self.leaders.data(slot);
        if let Some(at) = stepped {
            let (last, committed) = (leader.last, leader.committed);
            let members = &known.model.electorate(slot).membership;
            for (other, peer) in known.model.slots().zip(&mut leader.peers) {
                // The leader may forget a node that is no longer a member.
                if !members.is_member(known.model.node(other).id) {
                    peer.lacks = None;
                    continue;
                }
                let is_idle = peer.matched == last && leader.held == 0;
                let lacks = is_idle && peer.sent < committed && !peer.is_irregular;
                peer.lacks = peer.lacks.or(Some((at, committed))).filter(|_| lacks);
            }
        } else {
            leader.peers.fill(Peer::default());
        }
        (leader.last, leader.committed) = (status.last.index, status.committed);
        leader.held = status.outbox_messages;
        if let Some(at) = stepped.filter(|_| leader.is_core_step) {
            leader.before = at;
        }
        leader.is_core_step = known.changes_status || known.message.is_some();
        Ok(())
    }

    fn peer_matched(&mut self, known: &Known, id: NodeId, peer: NodeId, to: Index) -> CheckResult {
        let (slot, peer) = (known.model.slot(id), known.model.slot(peer));
        self.leaders.data(slot).peers[peer.0].matched = to;
        Ok(())
    }

    /// Notes replies that make a leader probe the peer, from any node and in any term.
    fn delivered(&mut self, known: &Known, id: NodeId, message: &Message) -> CheckResult {
        let is_irregular = match message.body {
            Body::AppendEntriesReply(outcome) => {
                matches!(outcome, AppendOutcome::NoSpace { .. } | AppendOutcome::Stored { .. })
            }
            Body::HeartbeatReply { ready, .. } => ready.is_uncertain,
            _ => return Ok(()),
        };
        let (slot, from) = (known.model.slot(id), known.model.slot(message.from));
        self.leaders.data(slot).peers[from.0].is_irregular |= is_irregular;
        Ok(())
    }

    fn sent(&mut self, known: &Known, message: &Message) -> CheckResult {
        let committed = match &message.body {
            Body::AppendEntries { committed, .. } => *committed,
            Body::Heartbeat(heartbeat) => heartbeat.committed,
            _ => return Ok(()),
        };
        let (slot, to) = (known.model.slot(message.from), known.model.slot(message.to));
        let Some((leader, _)) = self.leaders.leading(slot, message.term) else { return Ok(()) };
        let delay = known.bounds.config.commit_delay;
        let before = leader.before;
        let peer = &mut leader.peers[to.0];
        peer.sent = peer.sent.max(committed);
        let is_shown = known.shows_messages && known.is_prompt(slot);
        let late = peer.lacks.take().filter(|(since, _)| is_shown && before >= since.after(delay));
        let Some((_, lacked)) = late else { return Ok(()) };
        let Message { from, to, term, .. } = message;
        S72.violated(format!(
            "{from} leads term {term} and has not sent commit index {lacked} to {to}, which has \
             its whole log, within the commit delay of {delay:?}"
        ))
    }
}
