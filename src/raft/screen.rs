//! The screen at the door: what no node of this protocol would say to this one is dropped here,
//! so that no handler has to expect it.

use core::time::Duration;

use crate::raft::action::Refusal;
use crate::types::{
    AppendOutcome, Beat, Body, Entry, EntryId, Index, Membership, Message, NodeId, Payload,
    SnapshotMeta, Term,
};

/// Why the message is none that this protocol's nodes would say to node `to`, if it is not.
pub(crate) fn refusal(to: NodeId, message: &Message) -> Option<Refusal> {
    if message.to != to || message.from == to {
        Some(Refusal::Misaddressed)
    } else if !is_well_formed(message) {
        Some(Refusal::Malformed)
    } else {
        None
    }
}

fn is_well_formed(message: &Message) -> bool {
    let term = message.term;
    if term > Term::MAX {
        return false;
    }
    // Only pre-votes and their answers are spoken before the first election.
    let spoken_in_term_zero = matches!(
        message.body,
        Body::PreVote { .. } | Body::PreVoteReply { .. } | Body::Meet { .. } | Body::Founded { .. }
    );
    if term == Term::ZERO && !spoken_in_term_zero {
        return false;
    }
    match &message.body {
        Body::PreVote { next_term, last } => {
            *next_term == term.next() && last.term <= *next_term && last.index <= Index::MAX
        }
        Body::PreVoteReply { next_term, .. } => *next_term > Term::ZERO && *next_term <= Term::MAX,
        Body::RequestVote { last, .. } => last.term <= term && last.index <= Index::MAX,
        Body::AppendEntries { prev, entries, committed } => {
            is_id(*prev, term) && *committed <= Index::MAX && is_sequence(*prev, entries, term)
        }
        Body::AppendEntriesReply(AppendOutcome::Rejected { prev, hint }) => {
            *prev <= Index::MAX && is_id(*hint, term)
        }
        Body::ReadIndexReply { index, .. } => *index <= Index::MAX,
        Body::HeartbeatReply { verified, matched, durable, .. } => {
            matched <= verified && matched <= durable && *durable <= Index::MAX
        }
        Body::InstallSnapshot { meta } => is_snapshot(meta, term),
        Body::Heartbeat(beat) => is_beat(beat),
        Body::Meet { met } => met.is_sorted_by(|one, next| one.id < next.id),
        Body::Founded { membership, .. } => is_membership(membership),
        Body::RequestVoteReply { .. }
        | Body::AppendEntriesReply(
            AppendOutcome::Accepted { .. } | AppendOutcome::NoSpace { .. },
        )
        | Body::InstallSnapshotReply { .. }
        | Body::TimeoutNow
        | Body::Counted
        | Body::Vouch
        | Body::Stranger
        | Body::ReadIndex { .. } => true,
    }
}

/// The longest span that a leader may ask for.
const SPAN_MAX: Duration = Duration::from_secs(3600);

fn is_beat(beat: &Beat) -> bool {
    beat.round > 0
        && beat.committed <= Index::MAX
        && beat.confirmed < beat.round
        && beat.echo < beat.round
        && beat.promise <= SPAN_MAX
        && beat.loan <= beat.promise
}

/// Whether a node in `term` can have the entry `id`, or none if `id` is zero.
fn is_id(id: EntryId, term: Term) -> bool {
    id.term <= term
        && id.index <= Index::MAX
        && (id.index == Index::ZERO) == (id.term == Term::ZERO)
}

/// The last index at which a snapshot may end: a log without end can follow it.
const SNAPSHOT_MAX: Index = Index(Index::MAX.0 / 2);

/// Whether a node in `term` can have the snapshot, and a log after it.
pub(crate) fn is_snapshot(meta: &SnapshotMeta, term: Term) -> bool {
    let SnapshotMeta { last, .. } = meta;
    let somewhere = last.index > Index::ZERO && last.index <= SNAPSHOT_MAX;
    somewhere && is_id(*last, term) && is_membership(&meta.membership)
}

/// Whether a node may have this membership in its log: somebody votes, and nothing contradicts.
fn is_membership(membership: &Membership) -> bool {
    !membership.incoming().is_empty() && membership.flaw().is_none()
}

/// Whether `entries` can follow `prev` in the log of a leader of `term`.
fn is_sequence(prev: EntryId, entries: &[Entry], term: Term) -> bool {
    let mut before = prev;
    for entry in entries {
        let in_order = entry.id.index == before.index.next() && entry.id.term >= before.term;
        let counts = match &entry.payload {
            Payload::Membership(membership) => is_membership(membership),
            Payload::Noop | Payload::Command(_) => true,
        };
        if !in_order || !counts || !is_id(entry.id, term) {
            return false;
        }
        before = entry.id;
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Memberships of voters in two halves and of learners.
    fn membership(incoming: usize, outgoing: usize, learners: usize) -> Membership {
        let ids = |first: usize, count: usize| (first..first + count).map(|id| NodeId(id as u64));
        let joint = Membership::new(ids(1, incoming)).joint_with(ids(1, outgoing));
        joint.with_learners(ids(1000, learners))
    }

    #[test]
    fn a_membership_has_as_many_voters_and_members_as_it_may() {
        const VOTERS: usize = Membership::VOTERS_MAX;
        for (counts, allowed) in [
            ((VOTERS, VOTERS, 132 - VOTERS), true),
            ((VOTERS, VOTERS, 133 - VOTERS), false),
            ((VOTERS + 1, 0, 0), false),
            ((1, VOTERS + 1, 0), false),
            ((0, 0, 1), false),
        ] {
            let membership = membership(counts.0, counts.1, counts.2);
            assert_eq!(is_membership(&membership), allowed, "{counts:?}");
            let last = EntryId::new(Term(1), Index(1));
            let meta = SnapshotMeta::empty(last, membership);
            assert_eq!(is_snapshot(&meta, Term(1)), allowed, "{counts:?}");
        }
    }
}
