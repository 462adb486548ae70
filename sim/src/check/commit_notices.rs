//! Commit notices (S73): in the stabilization phase, a leader sends a new commit index within
//! `commit_delay` to each peer that has its whole log.

use std::sync::Arc;

use quorate::raft::{RoleName, Status};
use quorate::types::{AppendOutcome, Body, Index, Instant, Message, NodeId, Term};

use crate::check::electorate::Electorate;
use crate::check::finding::{CheckResult, S73};
use crate::check::known::Known;
use crate::check::nodes::Slot;
use crate::check::rule::Rule;
use crate::values::time::SimTime;

/// For each node, the commit indices that it has sent to its peers as the leader.
#[derive(Clone, Debug)]
pub(super) struct CommitNotices {
    leaders: Vec<Leader>,
    /// The time from which the check applies: then the drivers have sent all messages in time.
    from: Option<SimTime>,
}

/// The peers of a leader in its term, with its present membership.
#[derive(Clone, Debug)]
struct Leader {
    term: Term,
    start: u64,
    electorate: Arc<Electorate>,
    /// The time of its last step, by its own clock.
    stepped: Instant,
    peers: Vec<Peer>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Peer {
    /// The index that the peer has acknowledged in its last reply to entries, or 0 if that reply
    /// was a rejection.
    acknowledged: Index,
    /// The highest commit index that the leader has sent.
    sent: Index,
    /// When the leader first had to send a later commit index.
    owed: Option<Instant>,
}

impl Rule for CommitNotices {
    fn new(known: &Known) -> CommitNotices {
        let none = |slot| Leader {
            term: Term::ZERO,
            start: 0,
            electorate: Arc::clone(known.model.electorate(slot)),
            stepped: Instant::ZERO,
            peers: vec![Peer::default(); known.model.nodes.len()],
        };
        CommitNotices { leaders: known.model.slots().map(none).collect(), from: None }
    }

    fn stabilized(&mut self, known: &Known) -> CheckResult {
        self.from = Some(known.now.after(known.bounds.config.election_timeout_max));
        Ok(())
    }

    fn wiped(&mut self, known: &Known, node: NodeId) -> CheckResult {
        self.forget(known.model.slot(node));
        Ok(())
    }

    fn rolled_back(&mut self, known: &Known, node: NodeId) -> CheckResult {
        self.forget(known.model.slot(node));
        Ok(())
    }

    fn delivered(&mut self, known: &Known, id: NodeId, message: &Message) -> CheckResult {
        let (slot, from) = (known.model.slot(id), known.model.slot(message.from));
        let is_rejected = known.next_message.is_none_or(|message| message.may_be_rejected);
        let leads = known.model.node(slot).leads(message.term);
        if !leads || message.to != id || is_rejected {
            return Ok(());
        }
        let peer = &mut self.leaders[slot.0].peers[from.0];
        match message.body {
            Body::AppendEntriesReply(AppendOutcome::Accepted { matched }) => {
                peer.acknowledged = matched;
            }
            Body::AppendEntriesReply(_) | Body::InstallSnapshotReply { .. } => {
                peer.acknowledged = Index::ZERO;
            }
            Body::HeartbeatReply { ready, .. } if ready.is_uncertain => {
                peer.acknowledged = Index::ZERO;
            }
            _ => {}
        }
        Ok(())
    }

    fn sent(&mut self, known: &Known, message: &Message) -> CheckResult {
        let [slot, to] = [message.from, message.to].map(|id| known.model.slot(id));
        let leader = &mut self.leaders[slot.0];
        let peer = &mut leader.peers[to.0];
        let committed = match &message.body {
            _ if leader.term != message.term => return Ok(()),
            Body::AppendEntries { committed, .. } => *committed,
            Body::Heartbeat(heartbeat) => heartbeat.committed,
            Body::InstallSnapshot { .. } => {
                (peer.acknowledged, peer.owed) = (Index::ZERO, None);
                return Ok(());
            }
            _ => return Ok(()),
        };
        if committed > peer.sent {
            (peer.sent, peer.owed) = (committed, None);
        }
        Ok(())
    }

    fn stepped(&mut self, known: &Known, status: &Status) -> CheckResult {
        let slot = known.model.slot(status.id);
        let leader = &mut self.leaders[slot.0];
        leader.renew(known, slot, status);
        let applies = self.from.is_some_and(|from| known.now >= from);
        let leads = status.role == RoleName::Leader && known.is_in_core(slot);
        if !applies || !leads || !known.shows_messages {
            leader.peers.iter_mut().for_each(|peer| peer.owed = None);
            return Ok(());
        }
        leader.check(known, status)?;
        leader.note(known, status);
        Ok(())
    }
}

impl CommitNotices {
    /// Forgets the acknowledgements of a node that lost a part of its disk.
    fn forget(&mut self, slot: Slot) {
        self.leaders.iter_mut().for_each(|leader| leader.peers[slot.0] = Peer::default());
    }
}

impl Leader {
    /// Forgets the peers of an earlier term, start or membership.
    fn renew(&mut self, known: &Known, slot: Slot, status: &Status) {
        let (start, electorate) = (known.model.node(slot).starts, known.model.electorate(slot));
        let is_same = (self.term, self.start) == (status.term, start);
        if !is_same || !Arc::ptr_eq(&self.electorate, electorate) {
            (self.term, self.start) = (status.term, start);
            self.electorate = Arc::clone(electorate);
            self.peers.fill(Peer::default());
        }
    }

    /// Checks that the steps up to the last one have sent every commit index that was due.
    fn check(&self, known: &Known, status: &Status) -> CheckResult {
        let delay = known.bounds.config.commit_delay;
        let is_due = |peer: &Peer| peer.owed.is_some_and(|at| self.stepped >= at.after(delay));
        let late = known.model.slots().zip(&self.peers).find(|(_, peer)| is_due(peer));
        let Some((slot, peer)) = late else { return Ok(()) };
        let (id, peer_id) = (status.id, known.model.node(slot).id);
        let waited = peer.owed.map(|at| self.stepped.since(at)).unwrap_or_default();
        S73.violated(format!(
            "{id} leads term {} and has committed index {}, but has sent {peer_id}, which has its \
             whole log, only commit index {} for {waited:?}; the commit delay is {delay:?}",
            status.term, status.committed, peer.sent
        ))
    }

    /// Notes the peers that lack the commit index after this step. Messages that wait for a write
    /// may carry it.
    fn note(&mut self, known: &Known, status: &Status) {
        let is_blocked = status.outbox_messages > 0 || status.damaged_entries > 0;
        for (slot, peer) in known.model.slots().zip(&mut self.peers) {
            let is_member = self.electorate.membership.is_member(known.model.node(slot).id);
            let has_log = is_member && peer.acknowledged == status.last.index;
            let lacks = has_log && peer.sent < status.committed && known.is_in_core(slot);
            let owes = lacks && !is_blocked;
            peer.owed = owes.then(|| peer.owed.unwrap_or(known.own_time));
        }
        self.stepped = known.own_time;
    }
}
