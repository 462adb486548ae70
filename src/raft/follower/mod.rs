//! The follower role: appends the leader's entries, forwards reads, and campaigns after the
//! election timeout.
//!
//! TLA+: `docs/tla/quorate.tla`, TakeEntries, LearnCommit, TakeHeartbeat and TakeOver.

mod forwarded_reads;

use core::time::Duration;

use crate::log::AppendCheck;
use crate::raft::api::action::{Action, MessageRejectReason};
use crate::raft::common::Common;
use crate::raft::follower::forwarded_reads::ForwardedReads;
use crate::raft::journal::snapshots;
use crate::raft::reads::read_lease::ReadLease;
use crate::raft::transition::Transition;
use crate::raft::uncertain;
use crate::types::{
    AppendOutcome, Body, Entries, EntryId, Freshness, Heartbeat, Index, Instant, NodeId, ReadLevel,
    RejectReason, RoleCause, RoleName, SnapshotMeta, Tag,
};

/// The state that only a follower has.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "std", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct Follower {
    leader: Option<NodeId>,
    /// When the leader was last heard from; meaningless while no leader is known.
    last_contact: Instant,
    deadline: Instant,
    /// The last index up to which the log is known to match this leader's, durable or not: it
    /// counts only entries that the node accepted from this leader in this term, and those that a
    /// snapshot covers. Without `Config::survivor`, the index survives a pre-candidacy of the node:
    /// the leader still counts what the node acknowledged before, and a read lease relies on that.
    verified: Index,
    reads: ForwardedReads,
    read_lease: ReadLease,
}

impl Follower {
    /// Creates a follower of `leader`, or a follower that knows no leader, with a new election
    /// timeout. The log is known to match that of the term's leader through `verified`.
    pub(crate) fn new(leader: Option<NodeId>, verified: Index, common: &mut Common) -> Follower {
        assert!(verified <= common.log().last().index, "verified entries exist");
        Follower {
            leader,
            last_contact: common.now(),
            deadline: common.election_deadline(),
            verified,
            reads: ForwardedReads::default(),
            read_lease: ReadLease::default(),
        }
    }

    /// Makes the node follow another leader, or enter a later term. The waiting reads stay, and so
    /// does the election deadline, which only a leader's message or a granted vote postpones.
    /// `verified` is as in [`Follower::new`].
    pub(crate) fn follow(&mut self, leader: Option<NodeId>, verified: Index, now: Instant) {
        // The previous leader will not reply, so the node may ask the next one at once.
        self.reads.clear_request();
        (self.leader, self.last_contact, self.verified) = (leader, now, verified);
        self.read_lease = ReadLease::default();
    }

    pub(crate) fn leader(&self) -> Option<NodeId> {
        self.leader
    }

    /// The last index up to which the log is known to match that of the current term's leader.
    pub(crate) fn verified(&self) -> Index {
        self.verified
    }

    /// The end of the election timeout.
    pub(crate) fn deadline(&self) -> Instant {
        self.deadline
    }

    /// The number of reads that wait for the leader's reply.
    pub(crate) fn reads_waiting(&self) -> usize {
        self.reads.len()
    }

    /// The time after `now` until the read lease ends.
    pub(crate) fn lease_remaining(&self, now: Instant) -> Duration {
        self.read_lease.remaining(now)
    }

    /// Whether the node may answer a read at `now` from its own state.
    pub(crate) fn has_read_lease(&self, now: Instant) -> bool {
        self.read_lease.is_valid(now)
    }

    /// Restarts the election timeout, because this node granted its vote. Reads get no additional
    /// time: those that have waited too long are rejected.
    pub(crate) fn defer_own_election(&mut self, common: &mut Common) {
        self.deadline = common.election_deadline();
        self.reject_overdue_reads(common);
    }

    /// Whether the node has heard from a leader so recently that no other node should be elected
    /// (thesis §4.2.3).
    pub(crate) fn hears_leader(&self, common: &Common) -> bool {
        let fresh_until = self.last_contact.after(common.config().election_timeout_min);
        self.leader.is_some() && common.now() < fresh_until
    }

    /// Accepts `from` as the leader of the current term and restarts the election timeout. Records
    /// the commit index that its message names. Rejects the message and returns false if the term
    /// has another leader.
    #[inline]
    pub(crate) fn accept_leader(
        &mut self,
        common: &mut Common,
        from: NodeId,
        committed: Index,
        message: &'static str,
    ) -> bool {
        assert!(from != common.id(), "no node follows itself");
        if self.leader.is_some_and(|leader| leader != from) {
            common.reject_message(from, message, MessageRejectReason::SecondLeader);
            return false;
        }
        if self.leader.is_none() {
            self.leader = Some(from);
            common.report_role(RoleName::Follower, self.leader, RoleCause::LeaderFound { from });
        }
        self.last_contact = common.now();
        self.deadline = common.election_deadline();
        common.ballot.renew_vote_lease(common.now());
        common.ballot.record_named_committed(committed);
        common.survival.restart_silence(common.now());
        assert!(self.leader == Some(from), "a term has one leader");
        true
    }

    /// Appends the leader's entries (Raft §5.3, rules 2 to 5 of the AppendEntries receiver).
    #[inline]
    pub(crate) fn on_append_entries(
        &mut self,
        common: &mut Common,
        from: NodeId,
        prev: EntryId,
        entries: Entries,
        committed: Index,
    ) {
        assert!(from != common.id(), "no node receives its own message");
        let first = entries.first().map(|entry| entry.id.index);
        assert!(first.is_none_or(|first| first == prev.index.next()), "entries follow `prev`");
        assert!(prev.term <= common.term(), "no leader has entries of a later term");
        if !self.accept_leader(common, from, committed, "AppendEntries") {
            return;
        }
        let check = common.log().check_append(&entries);
        // Different entries are committed at one index only if two groups of survivors have each
        // continued without the other (docs/SURVIVOR.md).
        let is_diverged = common.survival.is_on() && common.log().contradicts(prev);
        if is_diverged || check == AppendCheck::ConflictsWithCommitted {
            return reject_diverged(common, from, "AppendEntries");
        }
        if prev.index < common.log().base().index {
            // The snapshot is committed, so the leader has every entry that it covers (Raft
            // §5.4.3).
            let snapshot = common.log().snapshot().index;
            self.verified = self.verified.max(snapshot);
            return send_accepted(common, from, snapshot);
        }
        if !common.log().has(prev) {
            common.reject_message(from, "AppendEntries", MessageRejectReason::PrevMismatch);
            let hint = common.log().find_conflict_by_term(prev.index, prev.term);
            let outcome = AppendOutcome::Rejected { prev: prev.index, hint };
            return common.send(from, Body::AppendEntriesReply(outcome));
        }
        let matched = entries.last().map_or(prev.index, |entry| entry.id.index);
        // An empty append whose `prev` was acknowledged before only spreads the commit index: the
        // leader would learn nothing from a reply (docs/COST.md).
        let was_acknowledged = self.verified > Index::ZERO && matched <= self.verified;
        let is_answered = !entries.is_empty() || !was_acknowledged;
        match check {
            AppendCheck::AllPresent => {}
            AppendCheck::MissingFrom(index) if index > self.verified && common.health.disk_full => {
                return self.reject_no_space(common, from, index.previous(), committed);
            }
            AppendCheck::MissingFrom(index) if index > self.verified => {
                append_from(common, entries, index)
            }
            AppendCheck::MissingFrom(_) | AppendCheck::ConflictsWithCommitted => {
                return reject_diverged(common, from, "AppendEntries");
            }
        }
        self.verified = self.verified.max(matched);
        self.learn_committed(common, committed);
        if is_answered {
            send_accepted(common, from, matched);
        }
        assert!(self.verified <= common.log().last().index, "verified entries exist");
    }

    /// Rejects the entries after `known`, up to which the logs match, because the disk is full.
    fn reject_no_space(
        &mut self,
        common: &mut Common,
        from: NodeId,
        known: Index,
        committed: Index,
    ) {
        self.verified = self.verified.max(known);
        self.learn_committed(common, committed);
        common.reject_message(from, "AppendEntries", MessageRejectReason::DiskFull);
        let outcome = AppendOutcome::NoSpace { verified: self.verified };
        common.send(from, Body::AppendEntriesReply(outcome));
    }

    pub(crate) fn on_heartbeat(
        &mut self,
        common: &mut Common,
        from: NodeId,
        heartbeat: &Heartbeat,
    ) {
        assert!(heartbeat.round > 0, "rounds are counted from 1");
        assert!(
            heartbeat.read_lease <= heartbeat.vote_lease,
            "no read lease outlives the leader lease"
        );
        // A leader that has asked another node to campaign requests no vote lease. With leases, its
        // heartbeats do not shorten the stored one, because the next leader requests it again.
        let requests = !heartbeat.vote_lease.is_zero() || common.config().lease.is_none();
        if requests && self.leader.is_none_or(|leader| leader == from) {
            let (span, now) = (heartbeat.vote_lease, common.now());
            common.ballot.request_vote_lease(span, now, &mut common.journal);
        }
        if !self.accept_leader(common, from, heartbeat.committed, "Heartbeat") {
            return;
        }
        self.learn_committed(common, heartbeat.committed);
        let is_new = common.reads.answer_round(common.term(), heartbeat.round);
        common.survival.on_heartbeat(common.term(), heartbeat, is_new);
        // The leader grants the lease because this node has acknowledged every committed entry. The
        // acknowledgement may have come from a disk that the node has lost since, so the node
        // accepts the lease only if its log has these entries.
        let has_all = self.verified >= heartbeat.committed;
        let read_lease = if has_all { heartbeat.read_lease } else { Duration::ZERO };
        let heartbeat = &Heartbeat { read_lease, ..*heartbeat };
        if common.may_count_round(heartbeat.committed)
            && let Some(bound) = self.read_lease.on_heartbeat(heartbeat, is_new, common.now())
        {
            common.reads.learn_freshness(bound);
        }
        // `verified` may be in memory only; the leader counts `matched`, which is on the disk too.
        let (verified, base) = (self.verified, common.log().base().index);
        let matched = verified.min(common.log().intact());
        // While an install is pending, the log counts fewer entries as durable. The base is at or
        // after every index that this node acknowledged in this term, so the leader does not take
        // the disk for a rolled-back one.
        let durable = common.log().durable().max(base);
        assert!(matched <= durable, "entries that match on the disk are durable");
        let (round, ready) = (heartbeat.round, common.readiness());
        let matched = if ready.is_uncertain { Index::ZERO } else { matched };
        common.send(from, Body::HeartbeatReply { round, verified, matched, durable, ready });
        self.reject_overdue_reads(common);
        self.request_read_index(common);
        uncertain::request(common, from);
    }

    /// Makes this node uncertain, because its leader found that this node's disk was rolled back.
    pub(crate) fn on_log_rolled_back(&mut self, common: &mut Common, from: NodeId) {
        if self.leader != Some(from) {
            return common.reject_message(from, "LogRolledBack", MessageRejectReason::WrongRole);
        }
        self.drop_read_lease();
        uncertain::on_rolled_back(common, from);
    }

    /// Records the index through which this node's log must match the leader's before the node is
    /// certain.
    pub(crate) fn on_log_end(&self, common: &mut Common, from: NodeId, start_id: u64, last: Index) {
        if self.leader != Some(from) {
            return common.reject_message(from, "LogEnd", MessageRejectReason::WrongRole);
        }
        uncertain::on_log_end(common, from, start_id, last);
    }

    /// Allows this node to take over as the last survivor: from now on the leader commits no entry
    /// that this node's disk lacks. The message may have been sent long ago to a disk that the node
    /// has lost, so the membership must accept the present disk. It may also have arrived during a
    /// pause of the node, so the leader must have echoed a reply that the node sent afterwards.
    pub(crate) fn on_takeover_allowed(&self, common: &mut Common, from: NodeId) {
        let may_count = common.is_incoming_voter() && !common.ballot.is_uncertain();
        if self.leader == Some(from) && may_count && common.survival.may_accept_permission() {
            common.survival.allow_takeover();
        } else {
            common.reject_message(from, "TakeoverAllowed", MessageRejectReason::WrongRole);
        }
    }

    /// Advances the commit index to the leader's, but not beyond the part of the log that is known
    /// to match the leader's, because later entries may come from another leader.
    #[inline]
    fn learn_committed(&self, common: &mut Common, committed: Index) {
        assert!(self.leader.is_some(), "a commit index comes from a leader");
        common.journal.commit(committed.min(self.verified));
    }

    /// Answers the read from the node's own state if its level allows that, forwards it to the
    /// leader otherwise, or rejects it if no leader is known. Under a read lease, no entry is
    /// committed before this node has acknowledged it to the leader, so the read need not wait for
    /// entries after the verified part of the log (docs/READS.md).
    pub(crate) fn on_read(
        &mut self,
        common: &mut Common,
        tag: Tag,
        level: ReadLevel,
        conflict: Index,
    ) {
        if self.reads.len() + common.reads.len() >= common.config().reads_max {
            common.reject(tag, RejectReason::Busy);
        } else if level == ReadLevel::Replica && self.has_read_lease(common.now()) {
            common.confirm_read(tag, conflict.min(self.verified), Freshness::Linearizable);
        } else if !common.confirm_if_fresh(tag, level, self.leader.is_some()) {
            self.forward_read(common, tag);
        }
    }

    fn forward_read(&mut self, common: &mut Common, tag: Tag) {
        if self.leader.is_none() {
            return common.reject(tag, RejectReason::NoLeader);
        }
        self.reads.push(common.reads.next_ticket(), tag, common.now());
        self.request_read_index(common);
    }

    /// Requests a read index from the leader for all waiting reads, unless a recent request is
    /// still unanswered: reads that arrive meanwhile share the next request.
    fn request_read_index(&mut self, common: &mut Common) {
        let retry_after = common.config().heartbeat_interval;
        if let Some(leader) = self.leader
            && let Some(ticket) = self.reads.next_request(common.now(), retry_after)
        {
            common.send(leader, Body::ReadIndex { start_id: common.reads.start_id(), ticket });
        }
    }

    pub(crate) fn on_read_index_reply(
        &mut self,
        common: &mut Common,
        from: NodeId,
        start_id: u64,
        ticket: u64,
        index: Index,
    ) {
        assert!(from != common.id(), "no node receives its own message");
        let mut covered = false;
        let is_of_this_start = start_id == common.reads.start_id();
        if is_of_this_start {
            common.ballot.record_read_index(index);
        }
        while is_of_this_start && let Some(tag) = self.reads.pop_through(ticket) {
            covered = true;
            common.confirm_read(tag, index, Freshness::Linearizable);
        }
        if !covered {
            return common.reject_message(from, "ReadIndexReply", MessageRejectReason::StaleReply);
        }
        self.reads.clear_request();
        self.request_read_index(common);
    }

    /// Handles the leader's offer of a snapshot: acknowledges it if this node has everything that
    /// it covers, rejects it if it contradicts the log, and requests the snapshot otherwise.
    pub(crate) fn on_install_snapshot(
        &mut self,
        common: &mut Common,
        from: NodeId,
        meta: &SnapshotMeta,
    ) {
        assert!(meta.last.index > Index::ZERO, "a snapshot covers entries");
        assert!(meta.last.term <= common.term(), "no leader has entries of a later term");
        if !self.accept_leader(common, from, meta.last.index, "InstallSnapshot") {
            return;
        }
        if snapshots::is_of_diverged_log(common, meta) {
            return reject_diverged(common, from, "InstallSnapshot");
        }
        let known = common.log().committed().max(self.verified);
        if common.log().has(meta.last) {
            self.acknowledge_snapshot(common, meta.last);
        } else if meta.last.index >= common.log().base().index && meta.last.index <= known {
            reject_diverged(common, from, "InstallSnapshot");
        } else if meta.last.index <= known {
            self.acknowledge_snapshot(common, meta.last);
        } else {
            snapshots::receive(common, from, meta.clone());
        }
    }

    /// Installs a received snapshot; the leader that offered it may have lost its leadership since.
    pub(crate) fn on_snapshot_received(&mut self, common: &mut Common, meta: SnapshotMeta) {
        let last = meta.last;
        assert!(last.index > self.verified || common.log().has(last), "verified entries stay");
        snapshots::install(common, meta);
        if common.log().has(last) || last.index < common.log().base().index {
            self.acknowledge_snapshot(common, last);
        }
    }

    /// Marks the log up to `last` as verified and committed, because the log or its snapshot has
    /// that entry. Acknowledges the entry to the leader as soon as it is durable. The
    /// acknowledgement covers no damaged entry and none after one (docs/REPAIR.md, R4).
    fn acknowledge_snapshot(&mut self, common: &mut Common, last: EntryId) {
        assert!(last.index <= common.log().last().index, "the acknowledged entry exists");
        self.verified = self.verified.max(last.index);
        common.journal.commit(last.index);
        // An uncertain node reports it with its next heartbeat reply instead.
        if let Some(leader) = self.leader
            && !common.ballot.is_uncertain()
        {
            let matched = last.index.min(common.log().last_before_damage());
            common.send(leader, Body::InstallSnapshotReply { matched });
        }
    }

    /// Starts an election because the leader transfers its leadership to this node (thesis §3.10).
    pub(crate) fn on_timeout_now(&mut self, common: &mut Common, from: NodeId) -> Transition {
        if self.leader != Some(from) || !common.may_accept_transfer() {
            common.reject_message(from, "TimeoutNow", MessageRejectReason::WrongRole);
            return Transition::Stay;
        }
        Transition::StartTransferElection { from }
    }

    /// Starts a campaign after the election timeout, or only forgets the leader if the node may not
    /// campaign.
    pub(crate) fn on_timeout(&mut self, common: &mut Common) -> Transition {
        if common.now() < self.deadline {
            return Transition::Stay;
        }
        if common.may_campaign() {
            return Transition::StartPreVote(RoleCause::ElectionTimeout);
        }
        common.survival.restart_silence(common.now());
        self.deadline = common.election_deadline();
        self.on_leader_lost(common);
        if self.leader.take().is_some() {
            common.report_role(RoleName::Follower, None, RoleCause::ElectionTimeout);
        }
        Transition::Stay
    }

    /// Rejects the reads that have waited for the leader's reply, or for entries that this node
    /// lacks, longer than the longest election timeout. They could otherwise wait forever: if the
    /// leader's messages arrive here but this node's messages do not reach the leader, or if there
    /// is no leader and this node's votes for failing candidates restart its election timeout.
    fn reject_overdue_reads(&mut self, common: &mut Common) {
        common.reject_overdue_reads();
        let wait_max = common.config().election_timeout_max;
        while let Some(tag) = self.reads.pop_older(common.now(), wait_max) {
            common.reject(tag, RejectReason::NoLeader);
        }
    }

    /// Drops the read lease: the node answers no more reads under it.
    pub(crate) fn drop_read_lease(&mut self) {
        self.read_lease = ReadLease::default();
    }

    /// Rejects every read that waits for the leader's reply.
    pub(crate) fn reject_forwarded_reads(&mut self, common: &mut Common, reason: RejectReason) {
        while let Some(tag) = self.reads.pop_through(u64::MAX) {
            common.reject(tag, reason);
        }
    }

    /// Rejects the reads that depend on the lost leader: those that wait for its reply, and those
    /// that wait for an index that this node does not know to be committed.
    pub(crate) fn on_leader_lost(&mut self, common: &mut Common) {
        self.reject_forwarded_reads(common, RejectReason::NoLeader);
        common.reject_reads_after(common.log().committed());
    }

    /// Panics if the follower's state contradicts the node's.
    pub(crate) fn assert_invariants(&self, common: &Common) {
        assert!(self.verified <= common.log().last().index, "verified entries exist");
        assert!(self.leader != Some(common.id()), "no node follows itself");
        assert!(self.last_contact <= common.now(), "no leader was heard from in the future");
        let has_read_lease = self.read_lease.is_valid(common.now());
        assert!(!(has_read_lease && common.ballot.is_uncertain()), "no uncertain node has a lease");
    }
}

#[cfg(feature = "explore")]
impl Follower {
    /// Sets the time of the last contact to `now` if no leader is known.
    pub(crate) fn normalize(&mut self, now: Instant) {
        if self.leader.is_none() {
            self.last_contact = now;
        }
    }

    /// Drops the recorded replies. Without leases, they only matter to bounded reads.
    pub(crate) fn forget_rounds(&mut self) {
        self.read_lease.forget_replies();
    }

    /// Returns every instant in the follower's state.
    pub(crate) fn instants(&mut self) -> impl Iterator<Item = &mut Instant> {
        let own = [&mut self.last_contact, &mut self.deadline].into_iter();
        own.chain(self.reads.instants()).chain(self.read_lease.instants())
    }
}

/// Removes the log's entries from `first` on, if there are any, and appends the given entries from
/// `first` on.
#[inline]
fn append_from(common: &mut Common, mut entries: Entries, first: Index) {
    assert!(first > common.log().committed(), "no committed entry is replaced");
    assert!(!entries.is_empty(), "there are entries to append");
    let truncates = first <= common.log().last().index;
    if truncates {
        common.journal.truncate(first.previous());
    }
    if entries.first().is_some_and(|entry| entry.id.index < first) {
        let known = entries.iter().take_while(|entry| entry.id.index < first).count();
        entries.drop_first(known);
    }
    common.journal.append_all(entries);
    if truncates {
        common.reject_reads_after(common.log().last().index);
    }
}

/// Rejects a message of a leader whose log contradicts entries that this node knows to be
/// committed, or that this leader sent before. With `Config::survivor` two groups of nodes may each
/// have continued without the other.
fn reject_diverged(common: &mut Common, from: NodeId, message: &'static str) {
    if common.survival.is_on() {
        common.output.push(Action::DivergedLog { from });
    }
    common.reject_message(from, message, MessageRejectReason::ConflictsWithCommitted);
}

/// Acknowledges the log up to `matched`, but no damaged entry and none after one, because a
/// committed entry must be intact on a quorum (docs/REPAIR.md, R4). An uncertain node only reports
/// that it has the entries.
#[inline]
fn send_accepted(common: &mut Common, from: NodeId, matched: Index) {
    assert!(matched <= common.log().last().index, "an acknowledged entry exists");
    if common.ballot.is_uncertain() {
        let outcome = AppendOutcome::Stored { verified: matched };
        return common.send(from, Body::AppendEntriesReply(outcome));
    }
    let matched = matched.min(common.log().last_before_damage());
    common.send(from, Body::AppendEntriesReply(AppendOutcome::Accepted { matched }));
}
