//! Read leases and staleness bounds of a follower: for how long it may answer reads from its own
//! state, and how fresh that state is.
//!
//! Instants of two nodes are never compared. A follower relates the leader's clock to its own only
//! through its replies: a heartbeat round that echoes a reply began after that reply was sent.

use alloc::collections::VecDeque;
use core::time::Duration;

use crate::types::{Freshness, Heartbeat, Index, Instant, Term};

/// The follower's replies to its leader's heartbeats, and the read lease that they support.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "std", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct ReadLease {
    /// The latest replies, by ascending round.
    replies: VecDeque<SentReply>,
    /// Until this instant the node may answer reads from its own state.
    until: Instant,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "std", derive(serde::Serialize, serde::Deserialize))]
struct SentReply {
    round: u64,
    /// When the reply was sent.
    sent_at: Instant,
    /// The freshness bound once the round is confirmed: an instant before the round began, and the
    /// commit index in its heartbeat. `None` if no such instant is known.
    bound: Option<FreshnessBound>,
}

/// The highest round that the node answered in a term, across role changes. A delayed or duplicated
/// heartbeat makes a node answer a round again, and an echo does not say which reply it means, so
/// only the first reply to a round counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "std", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct AnsweredRound {
    term: Term,
    round: u64,
}

/// A bound on staleness: a node that has applied everything up to `index` has every write that was
/// complete at `since`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "std", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct FreshnessBound {
    /// An instant of this node's clock.
    pub(crate) since: Instant,
    pub(crate) index: Index,
}

impl ReadLease {
    /// The maximum number of replies recorded.
    const REPLIES_MAX: usize = 16;

    /// Handles a heartbeat: extends the read lease if the heartbeat grants one, and records the
    /// reply if it `is_new`, as [`AnsweredRound::record_if_new`] returned for the round. Returns
    /// the freshness bound that the heartbeat confirms.
    pub(crate) fn on_heartbeat(
        &mut self,
        heartbeat: &Heartbeat,
        is_new: bool,
        now: Instant,
    ) -> Option<FreshnessBound> {
        assert!(heartbeat.echo < heartbeat.round, "an echoed reply is to an earlier round");
        assert!(heartbeat.confirmed < heartbeat.round, "a confirmed round is an earlier one");
        let echoed = self.replies.iter().find(|reply| reply.round == heartbeat.echo);
        let echoed_at = echoed.map(|reply| reply.sent_at);
        if let Some(sent_at) = echoed_at.filter(|_| !heartbeat.read_lease.is_zero()) {
            self.until = self.until.max(sent_at.after(heartbeat.read_lease));
        }
        let confirmed = self.replies.iter().rfind(|reply| reply.round <= heartbeat.confirmed);
        let bound = confirmed.and_then(|reply| reply.bound);
        if !is_new {
            return bound;
        }
        if self.replies.len() == ReadLease::REPLIES_MAX {
            self.replies.pop_front();
        }
        let ascends = self.replies.back().is_none_or(|last| last.round < heartbeat.round);
        assert!(ascends, "rounds ascend");
        assert!(echoed_at.is_none_or(|sent_at| sent_at <= now), "a reply was sent before its echo");
        let next = echoed_at.map(|since| FreshnessBound { since, index: heartbeat.committed });
        self.replies.push_back(SentReply { round: heartbeat.round, sent_at: now, bound: next });
        bound
    }

    /// Whether the node may answer a read at `now` from its own state.
    pub(crate) fn is_valid(&self, now: Instant) -> bool {
        now < self.until
    }

    /// The time after `now` until the read lease ends.
    pub(crate) fn remaining(&self, now: Instant) -> Duration {
        self.until.since(now)
    }
}

impl AnsweredRound {
    /// Records the round and returns true, unless this round or a later one of the term was
    /// answered.
    pub(crate) fn record_if_new(&mut self, term: Term, round: u64) -> bool {
        let is_new = (self.term, self.round) < (term, round);
        if is_new {
            *self = AnsweredRound { term, round };
        }
        is_new
    }
}

impl FreshnessBound {
    /// Returns the largest age of the state at `now`.
    pub(crate) fn at(&self, now: Instant) -> Freshness {
        assert!(self.since <= now, "the state is as of an earlier instant");
        Freshness::Within(now.since(self.since))
    }
}

#[cfg(feature = "explore")]
impl ReadLease {
    /// Returns every instant in the read lease's state.
    pub(crate) fn instants(&mut self) -> impl Iterator<Item = &mut Instant> {
        let replies = self.replies.iter_mut().flat_map(|reply| {
            [Some(&mut reply.sent_at), reply.bound.as_mut().map(|fresh| &mut fresh.since)]
        });
        replies.flatten().chain([&mut self.until])
    }

    /// Drops the recorded replies. Without read leases, they only matter to bounded reads.
    pub(crate) fn forget_replies(&mut self) {
        self.replies.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heartbeat(round: u64, confirmed: u64, echo: u64, lease_nanos: u64) -> Heartbeat {
        let read_lease = Duration::from_nanos(lease_nanos);
        Heartbeat {
            round,
            committed: Index(round),
            confirmed,
            echo,
            read_lease,
            ..Heartbeat::default()
        }
    }

    #[test]
    fn a_read_lease_counts_from_the_echoed_reply() {
        let mut lease = ReadLease::default();
        lease.on_heartbeat(&heartbeat(1, 0, 0, 100), true, Instant(10));
        assert!(!lease.is_valid(Instant(11)), "no reply was echoed");
        lease.on_heartbeat(&heartbeat(2, 0, 1, 100), true, Instant(50));
        assert!(lease.is_valid(Instant(109)));
        assert_eq!(lease.remaining(Instant(109)), Duration::from_nanos(1));
        assert!(!lease.is_valid(Instant(110)));
        assert_eq!(lease.remaining(Instant(120)), Duration::ZERO);
        lease.on_heartbeat(&heartbeat(9, 0, 7, 900), true, Instant(60));
        assert!(!lease.is_valid(Instant(110)), "no such reply was sent");
    }

    #[test]
    fn a_confirmed_round_is_as_fresh_as_the_reply_before_it() {
        let mut lease = ReadLease::default();
        lease.on_heartbeat(&heartbeat(1, 0, 0, 0), true, Instant(10));
        let fresh = lease.on_heartbeat(&heartbeat(2, 1, 1, 0), true, Instant(20));
        assert_eq!(fresh, None, "round 1 may have begun at any time");
        let fresh = lease.on_heartbeat(&heartbeat(3, 2, 2, 0), true, Instant(30));
        assert_eq!(fresh, Some(FreshnessBound { since: Instant(10), index: Index(2) }));
    }

    #[test]
    fn the_first_reply_to_a_round_counts_after_a_role_change() {
        let (mut answered, mut fresh) = (AnsweredRound::default(), None);
        let mut heard = |lease: &mut ReadLease, term, heartbeat: &Heartbeat, now| {
            let is_new = answered.record_if_new(Term(term), heartbeat.round);
            fresh = fresh.or(lease.on_heartbeat(heartbeat, is_new, Instant(now)));
        };
        let mut lease = ReadLease::default();
        heard(&mut lease, 1, &heartbeat(5, 0, 0, 0), 10);
        // The node was a pre-candidate meanwhile and dropped its earlier replies.
        let mut lease = ReadLease::default();
        heard(&mut lease, 1, &heartbeat(5, 0, 0, 0), 50);
        heard(&mut lease, 1, &heartbeat(6, 0, 5, 100), 60);
        assert!(!lease.is_valid(Instant(60)), "the lease counts from 10 on, or not at all");
        heard(&mut lease, 1, &heartbeat(7, 6, 6, 100), 70);
        assert!(lease.is_valid(Instant(159)) && !lease.is_valid(Instant(160)));
        let mut lease = ReadLease::default();
        heard(&mut lease, 2, &heartbeat(1, 0, 0, 0), 80);
        heard(&mut lease, 2, &heartbeat(2, 0, 1, 100), 90);
        assert!(lease.is_valid(Instant(179)), "another term has rounds of its own");
        assert_eq!(fresh, None, "the reply before round 6 is unknown");
    }
}
