//! The first check of every message, without the node's state: it rejects messages for another node
//! and malformed ones, so that no handler gets one.

use core::time::Duration;

use crate::raft::api::action::MessageRejectReason;
use crate::types::{
    AppendOutcome, Body, Entry, EntryId, Heartbeat, Index, Membership, Message, NodeId, Payload,
    Readiness, SnapshotMeta, Term,
};

/// Returns why the message is invalid for node `to`, or `None` if it is valid.
#[inline]
pub(crate) fn reject_reason(to: NodeId, message: &Message) -> Option<MessageRejectReason> {
    if message.to != to || message.from == to {
        Some(MessageRejectReason::Misaddressed)
    } else if !is_well_formed(message) {
        Some(MessageRejectReason::Malformed)
    } else {
        None
    }
}

#[inline]
fn is_well_formed(message: &Message) -> bool {
    let term = message.term;
    if term > Term::MAX {
        return false;
    }
    // Only pre-votes and their replies, bootstrap messages, and replies to requests for damaged
    // entries are sent before the first election. In term 0, the last of these have no entries.
    if term == Term::ZERO && !message.body.is_sent_before_first_term() {
        return false;
    }
    match &message.body {
        Body::PreVote { next_term, last } => {
            *next_term == term.next() && last.term <= *next_term && last.index <= Index::MAX
        }
        Body::PreVoteReply { next_term, committed, .. } => {
            *next_term > Term::ZERO && *next_term <= Term::MAX && *committed <= Index::MAX
        }
        Body::RequestVoteReply { committed, .. } => *committed <= Index::MAX,
        Body::RequestVote { last, .. } => last.term <= term && last.index <= Index::MAX,
        Body::AppendEntries { prev, entries, committed } => {
            is_valid_entry_id(*prev, term)
                && *committed <= Index::MAX
                && (entries.is_empty() || is_valid_sequence(*prev, entries, term))
        }
        Body::AppendEntriesReply(AppendOutcome::Rejected { prev, hint }) => {
            *prev <= Index::MAX && is_valid_entry_id(*hint, term)
        }
        Body::ReadIndexReply { index, .. } => *index <= Index::MAX,
        Body::HeartbeatReply { verified, matched, durable, ready, .. } => {
            let may_acknowledge = !ready.is_uncertain || *matched == Index::ZERO;
            may_acknowledge && matched <= verified && matched <= durable && *durable <= Index::MAX
        }
        Body::LogEnd { last, .. } => *last <= Index::MAX,
        Body::InstallSnapshot { meta } => is_valid_snapshot(meta, term),
        Body::RequestEntries { first, last } => {
            first.index > Index::ZERO
                && is_valid_entry_id(*first, term)
                && (first.index..=Index::MAX).contains(last)
        }
        Body::RequestEntriesReply { entries, snapshot } => {
            let before = |entry: &Entry| EntryId::new(entry.id.term, entry.id.index.previous());
            entries.first().map(before).is_none_or(|prev| is_valid_sequence(prev, entries, term))
                && snapshot.as_ref().is_none_or(|meta| is_valid_snapshot(meta, term))
        }
        Body::Heartbeat(heartbeat) => is_valid_heartbeat(heartbeat),
        Body::BootstrapProbe { seen } => seen.is_sorted_by(|one, next| one.id < next.id),
        Body::Bootstrapped { membership, .. } => is_valid_membership(membership),
        Body::AppendEntriesReply(
            AppendOutcome::Accepted { .. }
            | AppendOutcome::NoSpace { .. }
            | AppendOutcome::Stored { .. },
        )
        | Body::InstallSnapshotReply { .. }
        | Body::TimeoutNow
        | Body::TakeoverAllowed
        | Body::LogIsComplete
        | Body::UnknownIncarnation
        | Body::ReadIndex { .. }
        | Body::RequestLogEnd { .. }
        | Body::LogRolledBack => true,
    }
}

/// Returns the reply to a message of an earlier term, if it gets one. The reply carries the current
/// term (Raft §5.1), so that an outdated leader steps down and an outdated candidate catches up.
pub(crate) fn stale_reply(body: &Body) -> Option<Body> {
    match body {
        // The candidate ignores the commit index in a reply of a later term.
        Body::RequestVote { .. } => {
            Some(Body::RequestVoteReply { granted: false, committed: Index::ZERO })
        }
        Body::AppendEntries { prev, .. } => {
            let outcome = AppendOutcome::Rejected { prev: prev.index, hint: EntryId::ZERO };
            Some(Body::AppendEntriesReply(outcome))
        }
        // Round 0 confirms nothing: by the time of the reply, the sender may lead this term, with
        // rounds of its own.
        Body::Heartbeat(_) => Some(Body::HeartbeatReply {
            round: 0,
            verified: Index::ZERO,
            matched: Index::ZERO,
            durable: Index::ZERO,
            ready: Readiness::default(),
        }),
        Body::InstallSnapshot { .. } => Some(Body::InstallSnapshotReply { matched: Index::ZERO }),
        Body::PreVote { .. }
        | Body::PreVoteReply { .. }
        | Body::RequestVoteReply { .. }
        | Body::AppendEntriesReply(_)
        | Body::HeartbeatReply { .. }
        | Body::ReadIndex { .. }
        | Body::ReadIndexReply { .. }
        | Body::InstallSnapshotReply { .. }
        | Body::TimeoutNow
        | Body::BootstrapProbe { .. }
        | Body::Bootstrapped { .. }
        | Body::UnknownIncarnation
        | Body::TakeoverAllowed
        | Body::LogIsComplete
        | Body::RequestEntries { .. }
        | Body::RequestEntriesReply { .. }
        | Body::RequestLogEnd { .. }
        | Body::LogEnd { .. }
        | Body::LogRolledBack => None,
    }
}

/// The longest vote lease that a leader may request.
const VOTE_LEASE_MAX: Duration = Duration::from_secs(3600);

fn is_valid_heartbeat(heartbeat: &Heartbeat) -> bool {
    heartbeat.round > 0
        && heartbeat.committed <= Index::MAX
        && heartbeat.confirmed < heartbeat.round
        && heartbeat.echo < heartbeat.round
        && heartbeat.vote_lease <= VOTE_LEASE_MAX
        && heartbeat.read_lease <= heartbeat.vote_lease
}

/// Whether a node in `term` can have the entry `id`; the zero id is the position before the first
/// entry.
#[inline]
fn is_valid_entry_id(id: EntryId, term: Term) -> bool {
    id.term <= term
        && id.index <= Index::MAX
        && (id.index == Index::ZERO) == (id.term == Term::ZERO)
}

/// The last index at which a snapshot may end: half of all indices remain for the log.
const SNAPSHOT_MAX: Index = Index(Index::MAX.0 / 2);

/// Whether a node in `term` can have the snapshot and a log after it.
pub(crate) fn is_valid_snapshot(meta: &SnapshotMeta, term: Term) -> bool {
    let SnapshotMeta { last, .. } = meta;
    let is_in_range = last.index > Index::ZERO && last.index <= SNAPSHOT_MAX;
    is_in_range && is_valid_entry_id(*last, term) && is_valid_membership(&meta.membership)
}

/// Whether a log may contain this membership: it has a voter and breaks no rule or bound.
fn is_valid_membership(membership: &Membership) -> bool {
    !membership.incoming().is_empty() && membership.violation().is_none()
}

/// Whether `entries` can follow `prev` in the log of a leader of `term`.
#[inline]
fn is_valid_sequence(prev: EntryId, entries: &[Entry], term: Term) -> bool {
    // Terms and indices ascend, so the bounds of the first and the last entry hold for all.
    let (Some(first), Some(last)) = (entries.first(), entries.last()) else { return true };
    if !is_valid_entry_id(first.id, term) || !is_valid_entry_id(last.id, term) {
        return false;
    }
    let mut before = prev;
    for entry in entries {
        let in_order = entry.id.index == before.index.next() && entry.id.term >= before.term;
        let has_valid_payload = match &entry.payload {
            Payload::Membership(membership) => is_valid_membership(membership),
            Payload::Noop | Payload::Command(_) => true,
        };
        if !in_order || !has_valid_payload {
            return false;
        }
        before = entry.id;
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns a membership with voters 1 to `incoming` and 1 to `outgoing`, and learners from 1000
    /// on.
    fn membership(incoming: usize, outgoing: usize, learners: usize) -> Membership {
        let ids = |first: usize, count: usize| (first..first + count).map(|id| NodeId(id as u64));
        let joint = Membership::new(ids(1, incoming)).joint_with(ids(1, outgoing));
        joint.with_learners(ids(1000, learners))
    }

    #[test]
    fn a_membership_beyond_the_bounds_on_voters_and_members_is_invalid() {
        const VOTERS: usize = Membership::VOTERS_MAX;
        for (counts, allowed) in [
            ((VOTERS, VOTERS, 132 - VOTERS), true),
            ((VOTERS, VOTERS, 133 - VOTERS), false),
            ((VOTERS + 1, 0, 0), false),
            ((1, VOTERS + 1, 0), false),
            ((0, 0, 1), false),
        ] {
            let membership = membership(counts.0, counts.1, counts.2);
            assert_eq!(is_valid_membership(&membership), allowed, "{counts:?}");
            let last = EntryId::new(Term(1), Index(1));
            let meta = SnapshotMeta::empty(last, membership);
            assert_eq!(is_valid_snapshot(&meta, Term(1)), allowed, "{counts:?}");
        }
    }
}
