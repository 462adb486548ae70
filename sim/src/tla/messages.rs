//! The lines of a message that a node takes.

use quorate::raft::{Action, MessageRejectReason, RoleName};
use quorate::types::{AppendOutcome, Body, Entry, EntryId, Index, Message, NodeId};

use crate::tla::line::{Line, truth};
use crate::tla::reads;
use crate::tla::step_lines::StepLines;

/// Adds the lines of a message, before those of the roles that the node takes because of it.
pub(super) fn on_message(lines: &mut StepLines<'_>, message: &Message) {
    let rejected = reject_reason(lines, message);
    let (from, term) = (message.from, message.term);
    let (role, is_current) = (lines.before.role, term == lines.before.term);
    match &message.body {
        Body::AppendEntries { prev, entries, committed } => {
            on_entries(lines, message, *prev, entries, *committed, rejected);
        }
        _ if rejected.is_some() => on_rejected(lines, message, rejected),
        Body::PreVote { next_term, last } => {
            lines.pass_time();
            let line = Line::new("PreVote", lines.node).with("t", next_term.0).with("f", from.0);
            lines.add(with_last(line, *last));
        }
        Body::PreVoteReply { next_term, granted: true, .. } => {
            let is_counted = lines.before.role == RoleName::PreCandidate
                && *next_term == lines.before.term.next();
            if is_counted {
                lines.add(Line::new("CountPreVote", lines.node).with("f", from.0));
            }
        }
        Body::RequestVote { last, transfer } => on_request_vote(lines, message, *last, *transfer),
        Body::RequestVoteReply { granted: true, .. }
            if is_current && role == RoleName::Candidate =>
        {
            lines.add(Line::new("CountVote", lines.node).with("f", from.0));
        }
        Body::Heartbeat(heartbeat) => {
            on_heartbeat(lines, message, heartbeat.round, heartbeat.committed);
        }
        Body::InstallSnapshot { meta } => {
            lines.hear();
            lines.add(Line::new("Contact", lines.node).with("t", term.0));
            let line = Line::new("HaveSnapshot", lines.node);
            lines.add(with_last(line, meta.last));
        }
        Body::AppendEntriesReply(AppendOutcome::Accepted { matched })
        | Body::InstallSnapshotReply { matched } => on_reply(lines, message, *matched, 0),
        Body::HeartbeatReply { round, matched, .. } => on_reply(lines, message, *matched, *round),
        Body::ReadIndex { start_id, ticket } if is_current && role == RoleName::Leader => {
            reads::begin_for_peer(lines, from, *start_id, *ticket);
        }
        _ => {}
    }
}

/// Adds the index and the term of an entry.
pub(super) fn with_last(line: Line, last: EntryId) -> Line {
    line.with("i", last.index.0).with("lt", last.term.0)
}

fn reject_reason(lines: &StepLines<'_>, message: &Message) -> Option<MessageRejectReason> {
    lines.step.actions.iter().find_map(|action| match action {
        Action::MessageRejected { from, message: name, reason }
            if *from == message.from && *name == message.body.kind().name() =>
        {
            Some(*reason)
        }
        _ => None,
    })
}

/// Adds the line of a contact with the leader for its snapshot offer, which the node rejects
/// because it conflicts with committed entries.
fn on_rejected(
    lines: &mut StepLines<'_>,
    message: &Message,
    rejected: Option<MessageRejectReason>,
) {
    let conflicts = rejected == Some(MessageRejectReason::ConflictsWithCommitted);
    if matches!(message.body, Body::InstallSnapshot { .. }) && conflicts {
        lines.hear();
        lines.add(Line::new("Contact", lines.node).with("t", message.term.0));
    }
}

/// Adds the lines of the leader's entries. If the node rejects them because its disk is full, the
/// line takes only the entries at the beginning that the node has already. Even if there are none,
/// the logs match up to the previous entry.
fn on_entries(
    lines: &mut StepLines<'_>,
    message: &Message,
    prev: EntryId,
    entries: &[Entry],
    committed: Index,
    rejected: Option<MessageRejectReason>,
) {
    let term = message.term;
    let log = lines.state.log;
    let is_below = prev.index < log.base().index;
    let taken = match rejected {
        None => Some(entries.len()),
        Some(MessageRejectReason::DiskFull) => {
            Some(entries.iter().take_while(|entry| log.has(entry.id)).count())
        }
        Some(MessageRejectReason::PrevMismatch | MessageRejectReason::ConflictsWithCommitted) => {
            None
        }
        // Of an earlier term, of another leader, or malformed.
        Some(_) => return,
    };
    lines.hear();
    let Some(taken) = taken.filter(|_| !is_below) else {
        lines.add(Line::new("Contact", lines.node).with("t", term.0));
        if is_below && log.snapshot().index > Index::ZERO {
            let snapshot = log.snapshot().index.0;
            lines.add(Line::new("Verify", lines.node).with("i", snapshot));
        }
        return;
    };
    let line = Line::new("Take", lines.node)
        .with("t", term.0)
        .with("p", prev.index.0)
        .with("pt", prev.term.0)
        .with("i", prev.index.0 + taken as u64)
        .with("e", lines.entries(&entries[..taken]))
        .with("c", committed.0);
    lines.add(line);
}

/// Adds the line of a vote request: the node grants its vote, or only enters the later term.
fn on_request_vote(lines: &mut StepLines<'_>, message: &Message, last: EntryId, transfer: bool) {
    let is_new = lines.before.vote != Some(message.from) || message.term > lines.before.term;
    if !is_new {
        return;
    }
    lines.pass_time();
    lines.forget();
    let line = Line::new("Vote", lines.node)
        .with("t", message.term.0)
        .with("f", message.from.0)
        .with("x", truth(transfer));
    lines.add(with_last(line, last));
}

fn on_heartbeat(lines: &mut StepLines<'_>, message: &Message, round: u64, committed: Index) {
    let (node, term) = (lines.node, message.term);
    lines.hear();
    let answered = lines.trace.known(node).answered.entry(term).or_default();
    if round <= *answered {
        return lines.add(Line::new("Contact", node).with("t", term.0));
    }
    *answered = round;
    lines.trace.round_max = lines.trace.round_max.max(round);
    let has_lease = !lines.after().vote_lease.is_zero();
    let line = Line::new("Heartbeat", node)
        .with("t", term.0)
        .with("k", round)
        .with("c", committed.0)
        .with("v", truth(has_lease));
    lines.add(line);
}

/// A reply counts if it has a later index or round than the ones before it.
fn on_reply(lines: &mut StepLines<'_>, message: &Message, matched: Index, round: u64) {
    if lines.before.role != RoleName::Leader || message.term != lines.before.term {
        return;
    }
    let from: NodeId = message.from;
    let known = lines.trace.known(lines.node).replies.entry(from).or_default();
    if matched <= known.0 && round <= known.1 {
        return;
    }
    *known = (known.0.max(matched), known.1.max(round));
    let line =
        Line::new("Reply", lines.node).with("f", from.0).with("i", matched.0).with("k", round);
    lines.add(line);
}
