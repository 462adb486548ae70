//! The statements of messages about their senders (S71): a leader sends only entries of its log and
//! a commit index that it has, a candidate names the end of its log, and a voter its commit index
//! (Raft §5.2, §5.3).

use quorate::raft::{RoleName, Status};
use quorate::types::{Body, EntryId, Index, Message};

use crate::check::finding::{CheckResult, S71};
use crate::check::known::Known;
use crate::check::model::Node;
use crate::check::nodes::Slot;
use crate::check::rule::Rule;

/// Checks each message when a node sends it.
#[derive(Clone, Debug)]
pub(super) struct SentState;

impl Rule for SentState {
    fn new(_: &Known) -> SentState {
        SentState
    }

    fn sent(&mut self, known: &Known, message: &Message) -> CheckResult {
        let slot = known.model.slot(message.from);
        let node = known.model.node(slot);
        let Some(status) = node.status.filter(|it| known.shows_messages && it.term == message.term)
        else {
            return Ok(());
        };
        let has_role = |role| status.role == role;
        match &message.body {
            Body::AppendEntries { prev, entries, committed } if node.leads(message.term) => {
                check_entry(node, message, *prev)?;
                let last = entries.last().map_or(*prev, |entry| entry.id);
                check_entry(node, message, last)?;
                check_committed(&status, message, *committed)
            }
            Body::Heartbeat(heartbeat) if node.leads(message.term) => {
                check_committed(&status, message, heartbeat.committed)
            }
            Body::ReadIndexReply { index, .. } => check_committed(&status, message, *index),
            Body::PreVoteReply { committed, .. } | Body::RequestVoteReply { committed, .. } => {
                check_committed(&status, message, *committed)?;
                check_named_by_voter(known, slot, &status, message, *committed)
            }
            Body::RequestVote { last, .. } if has_role(RoleName::Candidate) => {
                check_log_end(node, message, *last)
            }
            Body::PreVote { last, .. }
                if has_role(RoleName::PreCandidate) && known.is_prompt(slot) =>
            {
                check_log_end(node, message, *last)
            }
            _ => Ok(()),
        }
    }
}

/// Checks that the leader's log has the entry.
fn check_entry(node: &Node, message: &Message, sent: EntryId) -> CheckResult {
    if node.memory.log.id_at(sent.index) == Some(sent) {
        return Ok(());
    }
    let Message { from, to, term, .. } = message;
    S71.violated(format!(
        "{from} leads term {term} and sends {to} a message with entry {sent}, which is not in its \
         log"
    ))
}

/// Checks that the node has the commit index that it names.
fn check_committed(status: &Status, message: &Message, named: Index) -> CheckResult {
    if named <= status.committed {
        return Ok(());
    }
    let (Message { from, to, term, body, .. }, committed) = (message, status.committed);
    S71.violated(format!(
        "{from} sends {to} its {} with commit index {named} in term {term}, but has committed only \
         index {committed}",
        body.name()
    ))
}

/// Checks that a voter names its latest commit index, so that a candidate that lacks a committed
/// entry steps down. A leader may commit more in the step in which it replies.
fn check_named_by_voter(
    known: &Known,
    slot: Slot,
    status: &Status,
    message: &Message,
    named: Index,
) -> CheckResult {
    let before = known.status_before(status).filter(|before| before.id == status.id);
    let has_led = before.is_none_or(|before| before.role == RoleName::Leader);
    // The reply to a request of an earlier term names no commit index, because the candidate
    // ignores the reply.
    let is_stale = named == Index::ZERO
        && matches!(message.body, Body::RequestVoteReply { granted: false, .. });
    if named == status.committed || is_stale || has_led || !known.is_prompt(slot) {
        return Ok(());
    }
    let (Message { from, to, term, body, .. }, committed) = (message, status.committed);
    S71.violated(format!(
        "{from} sends {to} its {} with commit index {named} in term {term}, but has committed \
         index {committed}",
        body.name()
    ))
}

/// Checks that the log of a candidate ends as its request says.
fn check_log_end(node: &Node, message: &Message, named: EntryId) -> CheckResult {
    let last = node.memory.log.last_id();
    if named == last {
        return Ok(());
    }
    let Message { from, to, term, body, .. } = message;
    S71.violated(format!(
        "{from} sends {to} its {} in term {term} with a log that ends with {named}, but its log \
         ends with {last}",
        body.name()
    ))
}
