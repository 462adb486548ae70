//! What must hold in every script whatever it prints, so that no expectation can be rewritten to
//! a trace that breaks it.

use std::collections::BTreeMap;

use quorate::raft::{RoleName, Status};
use quorate::types::{AppendOutcome, Body, EntryId, Index, Message, NodeId, Term};

use super::disk::Image;

/// What was seen so far.
#[derive(Clone, Debug, Default)]
pub(crate) struct Promises {
    leaders: BTreeMap<Term, NodeId>,
    chosen: BTreeMap<Index, EntryId>,
}

impl Promises {
    /// Raft §5.2: at most one leader a term.
    pub(crate) fn on_status(&mut self, status: &Status) -> Result<(), String> {
        if status.role != RoleName::Leader {
            return Ok(());
        }
        let first = *self.leaders.entry(status.term).or_insert(status.id);
        if first == status.id {
            return Ok(());
        }
        Err(format!("two leaders in {}: {first} and {}", status.term, status.id))
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
