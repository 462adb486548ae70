//! New entries: S86. A leader sends an entry at once to each peer that has all entries before it,
//! because nothing is in flight to such a peer (Raft §5.3).

use std::sync::Arc;

use quorate::raft::Status;
use quorate::types::{AppendOutcome, Body, Index, Message, NodeId};

use crate::check::electorate::Electorate;
use crate::check::finding::{CheckResult, S86};
use crate::check::known::Known;
use crate::check::leader_terms::LeaderTerms;
use crate::check::rule::Rule;

/// The number of later steps in which a leader may send to a peer before it sends an entry that is
/// due: a step that only concerns the disk or the state machine sends no entry.
const STEPS_MAX: u64 = 2;

/// For each node, the entries that it must send as a leader.
#[derive(Clone, Debug)]
pub(super) struct PromptEntries {
    leaders: LeaderTerms<Leader>,
}

#[derive(Clone, Debug)]
struct Leader {
    electorate: Arc<Electorate>,
    /// The number of steps that took a message or changed the status, and the end of the log after
    /// the last step.
    steps: u64,
    last: Index,
    peers: Vec<Peer>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Peer {
    matched: Index,
    /// The first entry that is due, and the step that appended it.
    due: Option<(Index, u64)>,
    /// Whether the peer had no space or was uncertain in this term.
    is_irregular: bool,
}

impl Rule for PromptEntries {
    fn new(known: &Known) -> PromptEntries {
        let none = |slot| Leader {
            electorate: Arc::clone(known.model.electorate(slot)),
            steps: 0,
            last: Index::ZERO,
            peers: vec![Peer::default(); known.model.nodes.len()],
        };
        PromptEntries { leaders: LeaderTerms::new(known, none) }
    }

    fn stepped(&mut self, known: &Known, status: &Status) -> CheckResult {
        let slot = known.model.slot(status.id);
        let is_same = self.leaders.step(known, status).is_some();
        let leader = self.leaders.data(slot);
        let electorate = known.model.electorate(slot);
        if !is_same || !Arc::ptr_eq(&leader.electorate, electorate) {
            // A node that was not a member for a time may have another disk.
            let keeps = |peer: &Peer| Peer { is_irregular: peer.is_irregular, ..Peer::default() };
            let kept = |peer: &Peer| if is_same { keeps(peer) } else { Peer::default() };
            leader.peers.iter_mut().for_each(|peer| *peer = kept(peer));
            leader.electorate = Arc::clone(electorate);
        }
        leader.steps += u64::from(known.changes_status || known.message.is_some());
        let before = std::mem::replace(&mut leader.last, status.last.index);
        if status.damaged_entries > 0 || known.is_fault_input {
            leader.peers.iter_mut().for_each(|peer| peer.due = None);
        } else if is_same && status.last.index > before && before > Index::ZERO {
            for peer in leader.peers.iter_mut().filter(|peer| peer.matched == before) {
                let due = (before.next(), leader.steps);
                peer.due = peer.due.or(Some(due)).filter(|_| !peer.is_irregular);
            }
        }
        Ok(())
    }

    fn peer_matched(&mut self, known: &Known, id: NodeId, peer: NodeId, to: Index) -> CheckResult {
        let (slot, peer) = (known.model.slot(id), known.model.slot(peer));
        self.leaders.data(slot).peers[peer.0].matched = to;
        Ok(())
    }

    /// Notes replies after which a leader sends less to the peer.
    fn delivered(&mut self, known: &Known, id: NodeId, message: &Message) -> CheckResult {
        let is_irregular = match message.body {
            Body::AppendEntriesReply(outcome) => {
                matches!(outcome, AppendOutcome::NoSpace { .. } | AppendOutcome::Stored { .. })
            }
            Body::HeartbeatReply { ready, .. } => ready.is_uncertain,
            _ => return Ok(()),
        };
        let (slot, from) = (known.model.slot(id), known.model.slot(message.from));
        let peer = &mut self.leaders.data(slot).peers[from.0];
        peer.is_irregular |= is_irregular;
        peer.due = peer.due.filter(|_| !peer.is_irregular);
        Ok(())
    }

    /// Checks, when the leader sends a heartbeat, that it has sent the peer the entry that is due.
    fn sent(&mut self, known: &Known, message: &Message) -> CheckResult {
        let (slot, to) = (known.model.slot(message.from), known.model.slot(message.to));
        let Some((leader, _)) = self.leaders.leading(slot, message.term) else { return Ok(()) };
        let steps = leader.steps;
        let peer = &mut leader.peers[to.0];
        match message.body {
            Body::AppendEntries { .. } | Body::InstallSnapshot { .. } => {
                peer.due = None;
                Ok(())
            }
            Body::Heartbeat(_) => {
                let is_shown = known.shows_messages && known.is_prompt(slot);
                let late = peer.due.filter(|(_, at)| is_shown && steps > at + STEPS_MAX);
                let Some((index, at)) = late else { return Ok(()) };
                let Message { from, to, term, .. } = message;
                S86.violated(format!(
                    "{from} leads term {term} and has not sent the entry at index {index} to {to}, \
                     which has all entries before it, although it has taken {} steps since",
                    steps - at
                ))
            }
            _ => Ok(()),
        }
    }
}
