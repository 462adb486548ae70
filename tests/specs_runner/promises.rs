//! What must hold in every script whatever it prints, so that no expectation can be rewritten to
//! a trace that breaks it.

use std::collections::BTreeMap;

use quorate::log::Log;
use quorate::raft::{RoleName, Status};
use quorate::types::{AppendOutcome, Body, EntryId, Index, Message, NodeId, Term};

use super::disk::Image;

/// What was seen so far.
#[derive(Clone, Debug, Default)]
pub(crate) struct Promises {
    leaders: BTreeMap<Term, NodeId>,
    chosen: BTreeMap<Index, EntryId>,
    /// The entries that users were told of, each by the leader of its term.
    acknowledged: Vec<EntryId>,
}

impl Promises {
    /// Raft §5.2: at most one leader a term. Raft §5.4.3: it has what was acknowledged before.
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
            Some(entry) => Err(format!("{id} leads {term} without {entry}, acknowledged")),
            None => Ok(()),
        }
    }

    /// A leader tells its user that the entry is committed.
    pub(crate) fn on_acknowledged(&mut self, entry: EntryId) {
        self.acknowledged.push(entry);
    }

    /// How many entries users were told of.
    pub(crate) fn acknowledged(&self) -> usize {
        self.acknowledged.len()
    }

    /// Raft §5.4.3: no two nodes apply different entries at one index; a snapshot counts as its
    /// last entry.
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

    /// A promise leaves only once the disk remembers it; `image` is what is durable.
    pub(crate) fn on_send(message: &Message, image: &Image) -> Result<(), String> {
        let state = image.hard_state;
        let votes = |candidate| state.term == message.term && state.vote == Some(candidate);
        let (kept, what) = match message.body {
            _ if state.term > message.term => return Ok(()),
            Body::RequestVote { .. } => {
                (votes(message.from), "asks for votes before its own is durable")
            }
            Body::RequestVoteReply { granted: true } => {
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
