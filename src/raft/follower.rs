//! A follower: takes entries from the leader, and loses its patience when none is heard of.

use alloc::vec::Vec;

use crate::log::Fit;
use crate::raft::action::{Action, Refusal};
use crate::raft::common::Common;
use crate::raft::loan::Borrowing;
use crate::raft::reads::ForwardedReads;
use crate::raft::transition::Transition;
use crate::types::{
    AppendOutcome, Beat, Body, Entry, EntryId, Freshness, Index, Instant, NodeId, ReadLevel,
    RejectReason, RoleName, Tag,
};

/// What only a follower has.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Follower {
    pub(crate) leader: Option<NodeId>,
    /// When the leader was last heard from; only means something while one is known.
    contact: Instant,
    pub(crate) deadline: Instant,
    /// Up to here the log is known to equal this leader's: what was accepted from it in this
    /// term, and nothing before.
    pub(crate) verified: Index,
    pub(crate) reads: ForwardedReads,
    pub(crate) borrowing: Borrowing,
}

impl Follower {
    /// A follower of `leader`, or one that waits for a leader to appear.
    pub(crate) fn new(leader: Option<NodeId>, common: &mut Common) -> Follower {
        Follower {
            leader,
            contact: common.now,
            deadline: common.election_deadline(),
            verified: Index::ZERO,
            reads: ForwardedReads::default(),
            borrowing: Borrowing::default(),
        }
    }

    /// The same follower in another term or under another leader. Its reads wait on, and so does
    /// its patience: only a leader, or a vote it gives, renews that.
    pub(crate) fn again(&mut self, leader: Option<NodeId>, now: Instant) -> Follower {
        // Whoever was asked before will not answer any more: the next leader is asked at once.
        self.reads.answered();
        Follower {
            leader,
            contact: now,
            deadline: self.deadline,
            verified: Index::ZERO,
            reads: core::mem::take(&mut self.reads),
            borrowing: Borrowing::default(),
        }
    }

    /// As if whoever was heard of last had been heard of at `now`.
    pub(crate) fn forget_contact(&mut self, now: Instant) {
        self.contact = now;
    }

    /// Every instant a follower knows.
    pub(crate) fn instants(&mut self) -> impl Iterator<Item = &mut Instant> {
        let own = [&mut self.contact, &mut self.deadline].into_iter();
        own.chain(self.reads.instants()).chain(self.borrowing.instants())
    }

    /// Whether a leader was heard from so lately that nobody else should be elected
    /// (thesis §4.2.3).
    pub(crate) fn leader_is_fresh(&self, common: &Common) -> bool {
        let fresh_until = self.contact.after(common.config.election_timeout_min);
        self.leader.is_some() && common.now < fresh_until
    }

    /// Takes a message of the current term's leader, or refuses it if it is not that leader's.
    pub(crate) fn hear(
        &mut self,
        common: &mut Common,
        from: NodeId,
        message: &'static str,
    ) -> bool {
        if self.leader.is_some_and(|leader| leader != from) {
            common.refuse(from, message, Refusal::SecondLeader);
            return false;
        }
        if self.leader.is_none() {
            self.leader = Some(from);
            common.announce(RoleName::Follower, self.leader);
        }
        self.contact = common.now;
        self.deadline = common.election_deadline();
        common.renew_promise();
        common.survival.follow(common.now);
        true
    }

    /// Raft §5.3, receiver's rules 2 to 5.
    pub(crate) fn on_append_entries(
        &mut self,
        common: &mut Common,
        from: NodeId,
        prev: EntryId,
        entries: Vec<Entry>,
        committed: Index,
    ) {
        if !self.hear(common, from, "AppendEntries") {
            return;
        }
        if prev.index < common.log.base().index {
            // The snapshot is committed, so the leader has all it covers (Raft §5.4.3).
            let snapshot = common.log.snapshot().index;
            self.verified = self.verified.max(snapshot);
            return accept(common, from, snapshot);
        }
        if !common.log.has(prev) {
            common.refuse(from, "AppendEntries", Refusal::PrevMismatch);
            let hint = common.log.back_to(prev.index, prev.term);
            let outcome = AppendOutcome::Rejected { prev: prev.index, hint };
            return common.send(from, Body::AppendEntriesReply(outcome));
        }
        let matched = entries.last().map_or(prev.index, |entry| entry.id.index);
        match common.log.fit(&entries) {
            Fit::Known => {}
            Fit::From(index) if index > self.verified && common.disk_full => {
                return self.decline(common, from, index.previous(), committed);
            }
            Fit::From(index) if index > self.verified => take(common, entries, index),
            Fit::From(_) | Fit::AgainstCommitted => {
                if common.survival.is_on() {
                    common.actions.push(Action::Forked { from });
                }
                return common.refuse(from, "AppendEntries", Refusal::ConflictsWithCommitted);
            }
        }
        self.verified = self.verified.max(matched);
        self.learn_committed(common, committed);
        accept(common, from, matched);
    }

    /// The disk has no space for the entries after `known`, up to which the logs are equal.
    fn decline(&mut self, common: &mut Common, from: NodeId, known: Index, committed: Index) {
        self.verified = self.verified.max(known);
        self.learn_committed(common, committed);
        common.refuse(from, "AppendEntries", Refusal::DiskFull);
        let outcome = AppendOutcome::NoSpace { verified: self.verified };
        common.send(from, Body::AppendEntriesReply(outcome));
    }

    pub(crate) fn on_heartbeat(&mut self, common: &mut Common, from: NodeId, beat: &Beat) {
        common.promise_for(beat.promise);
        if !self.hear(common, from, "Heartbeat") {
            return;
        }
        self.learn_committed(common, beat.committed);
        let is_new = common.answered.is_new(common.term(), beat.round);
        if common.is_of_this_life() {
            self.borrowing.heard(beat, is_new, &mut common.fresh, common.now);
        }
        let (verified, base) = (self.verified, common.log.base().index);
        let matched = verified.min(common.log.durable());
        // A snapshot takes the place of all that the disk has once it is durable itself.
        let durable = common.log.durable().max(base);
        let (round, ready) = (beat.round, common.readiness());
        common.send(from, Body::HeartbeatReply { round, verified, matched, durable, ready });
        self.give_up_reads(common);
        self.ask_for_reads(common);
    }

    /// The leader commits nothing any more that this node's disk lacks: it may go on alone.
    pub(crate) fn on_counted(&self, common: &mut Common, from: NodeId) {
        let voters = common.log.membership().incoming();
        if self.leader == Some(from) && voters.contains(&common.id()) && common.survival.is_on() {
            common.survival.count();
        } else {
            common.refuse(from, "Counted", Refusal::WrongRole);
        }
    }

    /// What the leader committed is committed here as far as the logs are known to be equal, and
    /// no further: a tail of another leader's may follow.
    fn learn_committed(&self, common: &mut Common, committed: Index) {
        common.log.commit(committed.min(self.verified));
    }

    /// Answers the read by itself if it may, or forwards it to the leader, or rejects it if none is
    /// known. With a loan, what may conflict with the read is in the log as far as that is known to
    /// be the leader's, or not complete (docs/READS.md).
    pub(crate) fn on_read(
        &mut self,
        common: &mut Common,
        tag: Tag,
        level: ReadLevel,
        conflict: Index,
    ) {
        if self.reads.len() + common.reads.len() >= common.config.reads_max {
            common.reject(tag, RejectReason::Busy);
        } else if level == ReadLevel::Replica && self.borrowing.holds(common.now) {
            common.confirm_read(tag, conflict.min(self.verified), Freshness::Linearizable);
        } else if !common.read_if_fresh(tag, level) {
            self.forward_read(common, tag);
        }
    }

    fn forward_read(&mut self, common: &mut Common, tag: Tag) {
        if self.leader.is_none() {
            return common.reject(tag, RejectReason::NoLeader);
        }
        self.reads.push(common.reads.next_ticket(), tag, common.now);
        self.ask_for_reads(common);
    }

    /// Asks the leader for an index, for every read that waits for one, unless it was asked just
    /// now: reads that come meanwhile are asked for together when it answers.
    fn ask_for_reads(&mut self, common: &mut Common) {
        let patience = common.config.heartbeat_interval;
        if let Some(leader) = self.leader
            && let Some(ticket) = self.reads.ask(common.now, patience)
        {
            common.send(leader, Body::ReadIndex { boot: common.reads.boot, ticket });
        }
    }

    pub(crate) fn on_read_index_reply(
        &mut self,
        common: &mut Common,
        from: NodeId,
        boot: u64,
        ticket: u64,
        index: Index,
    ) {
        let mut covered = false;
        while boot == common.reads.boot
            && let Some(tag) = self.reads.pop_through(ticket)
        {
            covered = true;
            common.confirm_read(tag, index, Freshness::Linearizable);
        }
        if !covered {
            return common.refuse(from, "ReadIndexReply", Refusal::StaleReply);
        }
        self.reads.answered();
        self.ask_for_reads(common);
    }

    /// The leader wants this node to lead (thesis §3.10).
    pub(crate) fn on_timeout_now(&mut self, common: &mut Common, from: NodeId) -> Transition {
        if self.leader != Some(from) || !common.may_succeed() {
            common.refuse(from, "TimeoutNow", Refusal::WrongRole);
            return Transition::Stay;
        }
        Transition::StandAtOnce
    }

    /// The leader was not heard of in time.
    pub(crate) fn on_timeout(&mut self, common: &mut Common) -> Transition {
        if common.now < self.deadline {
            return Transition::Stay;
        }
        if common.may_campaign() {
            return Transition::Prepare;
        }
        self.deadline = common.election_deadline();
        self.leave_leader(common);
        if self.leader.take().is_some() {
            common.announce(RoleName::Follower, None);
        }
        Transition::Stay
    }

    /// Gives up reads that waited for the leader's answer longer than for the leader itself: it is
    /// heard here, but does not hear.
    fn give_up_reads(&mut self, common: &mut Common) {
        let patience = common.config.election_timeout_max;
        while let Some(tag) = self.reads.pop_older(common.now, patience) {
            common.reject(tag, RejectReason::NoLeader);
        }
    }

    /// The node answers no reads by itself any more: what the leader lent it is void.
    pub(crate) fn give_back(&mut self) {
        self.borrowing = Borrowing::default();
    }

    /// Ends every read that waits for the leader's answer.
    pub(crate) fn reject_reads(&mut self, common: &mut Common, reason: RejectReason) {
        while let Some(tag) = self.reads.pop_through(u64::MAX) {
            common.reject(tag, reason);
        }
    }

    /// The node no longer counts on a leader: nobody will answer the reads that wait for one, or
    /// bring the commit index to those that wait for that.
    pub(crate) fn leave_leader(&mut self, common: &mut Common) {
        self.reject_reads(common, RejectReason::NoLeader);
        common.reject_reads_after(common.log.committed());
    }
}

/// Takes the entries from `first` on, in place of whatever the log has there.
fn take(common: &mut Common, entries: Vec<Entry>, first: Index) {
    if first <= common.log.last().index {
        common.truncate(first.previous());
    }
    for entry in entries.into_iter().filter(|entry| entry.id.index >= first) {
        common.append_entry(entry);
    }
    common.reject_reads_after(common.log.last().index);
}

fn accept(common: &mut Common, from: NodeId, matched: Index) {
    common.send(from, Body::AppendEntriesReply(AppendOutcome::Accepted { matched }));
}
