//! The messages that a follower takes from its leader (S59): every entry that it acknowledges or
//! commits was in one of them, or in a snapshot.

use quorate::raft::{RoleName, Status};
use quorate::types::{AppendOutcome, Body, EntryId, Index, Message, NodeId, Term};

use crate::check::finding::{CheckResult, S59};
use crate::check::known::Known;
use crate::check::nodes::Slot;
use crate::check::rule::Rule;

/// For each node, the indices that messages of its leader and snapshots cover.
#[derive(Clone, Debug)]
pub(super) struct ReceivedEntries {
    received: Vec<Received>,
}

/// The entries and the commit index that a node has received from the leader of a term since its
/// start.
#[derive(Clone, Copy, Debug, Default)]
struct Received {
    term: Term,
    /// The last index at which the leader's log is known to equal the node's: the end of entries
    /// that followed an entry of the node's log, or of a snapshot that the leader offered.
    covered: Index,
    /// The highest commit index of the leader.
    committed: Index,
    /// The end of the latest snapshot that any node has offered to this one, in any term, even
    /// before the start. Its entries are committed.
    offered: Index,
}

impl Rule for ReceivedEntries {
    fn new(known: &Known) -> ReceivedEntries {
        ReceivedEntries { received: vec![Received::default(); known.model.nodes.len()] }
    }

    fn started(&mut self, known: &Known, status: &Status) -> CheckResult {
        let received = &mut self.received[known.model.slot(status.id).0];
        *received = Received { offered: received.offered, ..Received::default() };
        Ok(())
    }

    fn delivered(&mut self, known: &Known, node: NodeId, message: &Message) -> CheckResult {
        let slot = known.model.slot(node);
        let own = known.model.node(slot).reported().map_or(Term::ZERO, |status| status.term);
        let received = &mut self.received[slot.0];
        if message.to != node {
            return Ok(());
        }
        if let Body::RequestEntriesReply { snapshot: Some(meta), .. } = &message.body {
            received.offered = received.offered.max(meta.last.index);
        }
        if message.term < own {
            return Ok(());
        }
        let (covered, committed) = match &message.body {
            Body::AppendEntries { prev, entries, committed } => {
                let last = entries.last().map_or(*prev, |entry| entry.id);
                let covered = if may_have(known, slot, *prev) { last.index } else { Index::ZERO };
                (covered, *committed)
            }
            Body::Heartbeat(heartbeat) => (Index::ZERO, heartbeat.committed),
            Body::InstallSnapshot { meta } => {
                received.offered = received.offered.max(meta.last.index);
                (meta.last.index, meta.last.index)
            }
            _ => return Ok(()),
        };
        // A recorded term that is later than this one is that of a message that the node ignored.
        if received.term != message.term {
            *received =
                Received { term: message.term, offered: received.offered, ..Received::default() };
        }
        received.covered = received.covered.max(covered);
        received.committed = received.committed.max(committed);
        Ok(())
    }

    /// Checks the commit index of a follower: it is at most the leader's, and within the part of
    /// the logs that is known to be equal (Raft §5.3), or it is that of a snapshot.
    fn status_changed(&mut self, known: &Known, status: &Status) -> CheckResult {
        let Some(before) = known.before.filter(|before| before.committed < status.committed) else {
            return Ok(());
        };
        let leads = [before.role, status.role].contains(&RoleName::Leader);
        if leads || !known.shows_messages {
            return Ok(());
        }
        let slot = known.model.slot(status.id);
        let Received { committed, offered, .. } = self.in_term(slot, status.term);
        let verified = self.known_equal(known, slot, status.term);
        let may_commit = committed.min(verified).max(offered).max(status.snapshot);
        let (id, term, is) = (status.id, status.term, status.committed);
        if is <= may_commit.max(before.committed) {
            return Ok(());
        }
        S59.violated(format!(
            "{id} commits index {is} in term {term}, but its log is known to equal the leader's \
             only up to index {verified}, and the commit index that the leader has named is \
             {committed}"
        ))
    }

    fn acknowledged(
        &mut self,
        known: &Known,
        id: NodeId,
        term: Term,
        matched: Index,
    ) -> CheckResult {
        self.check(known, id, term, matched)
    }

    /// Checks the indices that a node reports without an acknowledgement.
    fn sent(&mut self, known: &Known, message: &Message) -> CheckResult {
        match message.body {
            Body::HeartbeatReply { verified, .. }
            | Body::AppendEntriesReply(
                AppendOutcome::NoSpace { verified } | AppendOutcome::Stored { verified },
            ) => self.check(known, message.from, message.term, verified),
            _ => Ok(()),
        }
    }
}

impl ReceivedEntries {
    /// Returns the entries that the node has received in this term.
    fn in_term(&self, slot: Slot, term: Term) -> Received {
        let received = self.received[slot.0];
        if received.term == term {
            return received;
        }
        Received { offered: received.offered, ..Received::default() }
    }

    /// The last index at which the node may know its log to be equal to that of the leader of this
    /// term. The entries of snapshots are committed, so that every leader has them.
    fn known_equal(&self, known: &Known, slot: Slot, term: Term) -> Index {
        let Received { covered, offered, .. } = self.in_term(slot, term);
        let own = known.model.node(slot).status.map_or(Index::ZERO, |status| status.snapshot);
        covered.max(offered).max(own)
    }

    fn check(&self, known: &Known, id: NodeId, term: Term, reported: Index) -> CheckResult {
        let slot = known.model.slot(id);
        let is_obsolete = self.received[slot.0].term > term;
        let verified = self.known_equal(known, slot, term);
        if !known.shows_messages || is_obsolete || reported <= verified {
            return Ok(());
        }
        S59.violated(format!(
            "{id} reports in term {term} that its log equals the leader's up to index {reported}, \
             but the messages of that term that it took, and snapshots, show that only up to index \
             {verified}"
        ))
    }
}

/// Whether the entry may be in the node's log, so that entries after it are accepted. A node does
/// not know the entries before the base of its log. If its driver lags, the checks may not have
/// seen all of the log.
fn may_have(known: &Known, slot: Slot, prev: EntryId) -> bool {
    let node = known.model.node(slot);
    let Some(status) = node.reported() else { return true };
    let is_shown = status.last == node.memory.log.last_id();
    prev.index >= status.base && (!is_shown || node.memory.log.id_at(prev.index) == Some(prev))
}
