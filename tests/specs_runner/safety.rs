//! Safety properties that every script must satisfy, independent of its output, so that no update
//! of the expected output can accept a violation.

use std::collections::BTreeMap;

use quorate::log::Log;
use quorate::raft::{RoleName, Status};
use quorate::types::{AppendOutcome, Body, EntryId, Index, Message, NodeId, Term};

use super::disk::Image;

/// The history that the safety properties need.
#[derive(Clone, Debug, Default)]
pub(crate) struct SafetyChecks {
    leaders: BTreeMap<Term, NodeId>,
    chosen: BTreeMap<Index, EntryId>,
    /// The entries acknowledged to users, each by the leader of its term.
    acknowledged: Vec<EntryId>,
}

impl SafetyChecks {
    /// Checks that a term has at most one leader (Raft §5.2), and that a leader has all entries
    /// acknowledged in earlier terms (Raft §5.4.3).
    pub(crate) fn on_status(&mut self, status: &Status, log: &Log) -> Result<(), String> {
        if status.role != RoleName::Leader {
            return Ok(());
        }
        let Status { id, term, .. } = *status;
        let first = *self.leaders.entry(term).or_insert(id);
        if first != id {
            return Err(format!("two leaders in {term}: {first} and {id}"));
        }
        let known = |entry: EntryId| entry.index < log.base().index || log.has(entry);
        let mut earlier = self.acknowledged.iter().filter(|entry| entry.term < term);
        match earlier.find(|entry| !known(**entry)) {
            Some(entry) => Err(format!("{id} leads {term} without the acknowledged {entry}")),
            None => Ok(()),
        }
    }

    /// Records that a leader acknowledged the entry to its user.
    pub(crate) fn on_acknowledged(&mut self, entry: EntryId) {
        self.acknowledged.push(entry);
    }

    /// The number of acknowledged entries.
    pub(crate) fn acknowledged(&self) -> usize {
        self.acknowledged.len()
    }

    /// Checks that no two nodes apply different entries at one index (Raft §5.4.3). A snapshot
    /// counts as its last entry.
    pub(crate) fn on_apply(
        &mut self,
        node: NodeId,
        ids: impl IntoIterator<Item = EntryId>,
    ) -> Result<(), String> {
        for id in ids {
            let first = *self.chosen.entry(id.index).or_insert(id);
            if first != id {
                return Err(format!("{node} applies {id}, but {first} was applied before"));
            }
        }
        Ok(())
    }

    /// Checks that the state that the message reveals is durable in `image`.
    pub(crate) fn on_send(message: &Message, image: &Image) -> Result<(), String> {
        let state = image.hard_state;
        let votes = |candidate| state.term == message.term && state.vote == Some(candidate);
        let (kept, what) = match message.body {
            _ if state.term > message.term => return Ok(()),
            Body::RequestVote { .. } => {
                (votes(message.from), "asks for votes before its own is durable")
            }
            Body::RequestVoteReply { granted: true, .. } => {
                (votes(message.to), "grants a vote that is not durable")
            }
            Body::AppendEntriesReply(AppendOutcome::Accepted { matched })
            | Body::InstallSnapshotReply { matched }
            | Body::HeartbeatReply { matched, .. } => {
                (matched <= image.last().index, "acknowledges an entry that is not durable")
            }
            _ => return Ok(()),
        };
        if kept { Ok(()) } else { Err(format!("{} {what}: {message}", message.from)) }
    }
}
