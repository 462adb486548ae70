//! The leader role: appends proposals, replicates entries, commits them, and confirms its
//! leadership for reads. The leader's parts own their data; this file brings them together.
//!
//! TLA+: `docs/tla/quorate.tla`, AppendEntry, AdvanceCommit and BeginRound.

mod catch_up;
mod change;
mod disk_lag;
mod disks;
#[cfg(feature = "explore")]
mod explore;
mod invariants;
mod lease;
mod log_ends;
mod maintenance;
mod peers;
pub(crate) mod proposals;
mod reads;
mod replication;
pub(crate) mod replies;
mod transfer;
pub(crate) mod transfer_backoff;
mod unapplied;

use alloc::vec::Vec;
use core::time::Duration;

use crate::progress::Progress;
use crate::raft::api::action::{Action, MessageRejectReason};
use crate::raft::common::Common;
use crate::raft::leader::change::ChangeInProgress;
use crate::raft::leader::lease::LeaderLease;
use crate::raft::leader::log_ends::LogEnds;
use crate::raft::leader::peers::Peers;
use crate::raft::leader::proposals::Proposals;
use crate::raft::leader::reads::{LeaderRead, LeaderReads, Reader};
use crate::raft::leader::transfer::Transfers;
use crate::raft::leader::unapplied::Unapplied;
use crate::raft::transition::Transition;
use crate::types::{
    Body, Change, Entries, Entry, EntryId, Heartbeat, Index, Instant, Membership, Message, NodeId,
    Payload, Proposal, ReadLevel, RejectReason, RoleCause, Tag,
};

/// The state that only a leader has.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "std", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct Leader {
    /// The index of the empty entry that began this leader's term.
    term_start: Index,
    peers: Peers,
    /// The time at which the timer begins the next heartbeat round. Rounds for reads do not
    /// postpone it: the leader does other periodic work at this time, which frequent reads could
    /// otherwise prevent.
    heartbeat_due: Instant,
    /// The latest time to send a new commit index in a message of its own; `None` if no peer needs
    /// that.
    commit_due: Option<Instant>,
    /// The number of the last heartbeat round sent.
    round: u64,
    lease: LeaderLease,
    change: ChangeInProgress,
    transfers: Transfers,
    proposals: Proposals,
    unapplied: Unapplied,
    reads: LeaderReads,
    log_ends: LogEnds,
}

impl Leader {
    /// Starts to lead the current term: appends an empty entry, whose commit also commits the
    /// entries of earlier terms (Raft §8), and sends heartbeats at once.
    pub(crate) fn new(common: &mut Common) -> Leader {
        let (own, now) = (common.id(), common.now());
        let last = common.log().last().index;
        let others = common.log().membership().ids().filter(|id| *id != own);
        let peers = Peers::new(others, last, now);
        assert!(common.ballot.vote() == Some(own), "a leader voted for itself");
        let term_start = common.append(Payload::Noop).index;
        let timeout = common.config().election_timeout_max;
        common.transfer_backoff.begin(now, timeout);
        let mut leader = Leader {
            term_start,
            peers,
            heartbeat_due: now.after(common.config().heartbeat_interval),
            commit_due: None,
            round: 0,
            lease: LeaderLease::default(),
            change: ChangeInProgress::default(),
            transfers: Transfers::default(),
            proposals: Proposals::default(),
            unapplied: Unapplied::of(common.log()),
            reads: LeaderReads::default(),
            log_ends: LogEnds::default(),
        };
        leader.send_heartbeats(common);
        leader.peers.timer_round_sent(leader.round);
        leader
    }

    pub(crate) fn peers(&self) -> &Peers {
        &self.peers
    }

    /// Whether the proposal at `index` waits for every live voter.
    pub(crate) fn waits_for_all_live(&self, index: Index) -> bool {
        self.proposals.waits_for_all_live(index)
    }

    /// The bytes of the entries that are not applied or not durable here, as far as they are known.
    pub(crate) fn unapplied_bytes(&self) -> usize {
        self.unapplied.bytes()
    }

    pub(crate) fn reads_waiting(&self) -> usize {
        self.reads.len()
    }

    /// How long this leader may answer reads of the levels `Lease` and `Replica` without a round.
    pub(crate) fn lease_remaining(&self, common: &Common) -> Duration {
        let lease = self.lease.active(common.config());
        let round = lease.map(|_| self.confirmed_round(common));
        let end = round.and_then(|round| self.lease.end_of(common.config(), round));
        end.map_or(Duration::ZERO, |end| end.since(common.now()))
    }

    /// The latest time for [`Input::Timeout`](crate::raft::Input::Timeout).
    pub(crate) fn deadline(&self) -> Instant {
        let due = self.heartbeat_due.min(self.transfers.hand_over_at());
        self.commit_due.map_or(due, |commit_due| commit_due.min(due))
    }

    /// Returns the highest number that a quorum has reached: `own` is this node's, and `of` returns
    /// the number of a peer. With `Config::survivor`, every voter must have reached it.
    #[inline]
    fn quorum_reached(&self, common: &Common, own: u64, of: impl Fn(&Progress) -> u64) -> u64 {
        let (id, membership) = (common.id(), common.log().membership());
        if common.survival.is_on() {
            return self.peers.all_reached(membership, id, own, of);
        }
        self.peers.quorum_reached(membership, id, own, of)
    }

    /// Whether an entry of this term is committed. Until then, the commit index may be behind that
    /// of earlier leaders (Raft §8).
    #[inline]
    fn has_committed_in_term(&self, common: &Common) -> bool {
        common.log().committed() >= self.term_start
    }

    pub(crate) fn on_propose(&mut self, common: &mut Common, requests: Vec<Proposal>) {
        let last = common.log().last().index;
        assert!(last >= self.term_start, "a proposal follows the first entry of the term");
        let (unapplied, transferring) = (&mut self.unapplied, self.transfers.is_active());
        proposals::accept(common, &mut self.proposals, unapplied, transferring, requests);
    }

    /// Appends an empty entry and returns its index, unless the leader currently rejects entries,
    /// or too many are unapplied.
    pub(crate) fn on_append_noop(&mut self, common: &mut Common) -> Option<Index> {
        let room =
            self.unapplied.has_room(Entry::OVERHEAD_BYTES, common.config().unapplied_bytes_max);
        if room && !common.health.disk_full && !self.transfers.is_active() {
            return Some(self.append(common, Payload::Noop));
        }
        None
    }

    /// Appends an entry for an uncertain peer that asks for the end of the log: the reply follows
    /// once a quorum has that entry.
    pub(crate) fn on_request_log_end(&mut self, common: &mut Common, from: NodeId, start_id: u64) {
        let name = "RequestLogEnd";
        if self.peers.record_contact(common, from, name).is_none()
            || self.log_ends.contains(from, start_id)
        {
            return;
        }
        match self.on_append_noop(common) {
            Some(entry) => self.log_ends.push(from, start_id, entry),
            None => common.reject_message(from, name, MessageRejectReason::LeaderNotReady),
        }
    }

    /// Appends an entry and counts its bytes as unapplied.
    fn append(&mut self, common: &mut Common, payload: Payload) -> Index {
        let bytes = Entry::OVERHEAD_BYTES + payload.bytes();
        let index = common.append(payload).index;
        self.unapplied.push(index, bytes);
        index
    }

    /// The last index up to which a quorum has the log on its disks, intact.
    #[inline]
    fn quorum_matched(&self, common: &Common) -> Index {
        let own = common.log().intact().0;
        Index(self.quorum_reached(common, own, |peer| peer.matched().0))
    }

    /// The last index up to which a quorum without any uncertain node has the log on its disks.
    /// With `Config::survivor`, that quorum is all voters that are not uncertain.
    fn certain_matched(&self, common: &Common) -> Index {
        let (id, membership) = (common.id(), common.log().membership());
        if common.survival.is_on() {
            return self.peers.all_certain_matched(membership, id, common.log().intact());
        }
        self.quorum_matched(common)
    }

    /// Commits the entries that a quorum has on its disks (Raft §5.3), if the last one is of this
    /// leader's term; earlier entries are then committed too (§5.4.2). Every holder of a read lease
    /// must have them as well, because its reads wait only for entries that its own log has.
    fn advance_commit(&mut self, common: &mut Common) {
        let bound = self.lease.bound(&self.peers, common.now());
        let index = self.quorum_matched(common);
        let index = bound.map_or(index, |bound| bound.min(index));
        if index <= common.log().committed() || common.log().term_at(index) != Some(common.term()) {
            return;
        }
        self.assert_quorum_has(common, index);
        common.journal.commit(index);
        assert!(index <= common.log().last().index, "only existing entries are committed");
        self.on_committed(common);
    }

    /// Answers the committed proposals; queues the early reads once the term has a committed entry.
    #[inline]
    fn on_committed(&mut self, common: &mut Common) {
        proposals::answer_committed(common, &mut self.proposals);
        if self.has_committed_in_term(common) {
            while let Some(tag) = self.reads.pop_early() {
                self.queue_read(common, Reader::Own(tag));
            }
        }
    }

    /// Whether the nodes that have an entry after the commit index may be a quorum: they are at
    /// least half as many as the incoming voters. This test only saves time, so it also counts
    /// nodes that are not voters.
    #[inline]
    fn may_commit(&self, common: &Common) -> bool {
        let (log, voters) = (common.log(), common.log().membership().incoming().len());
        if log.committed() == log.last().index {
            return false;
        }
        let has_own = usize::from(log.intact() > log.committed());
        let peers = self.peers.iter().filter(|(_, peer)| peer.matched() > log.committed());
        (peers.count() + has_own) * 2 >= voters
    }

    /// Sends entries that came from the disk to the peer that lacks them.
    pub(crate) fn on_fetched(&mut self, common: &mut Common, peer: NodeId, entries: Entries) {
        if let Some(progress) = self.peers.get_mut(peer) {
            replication::send_fetched(common, peer, progress, entries);
        }
    }

    /// Starts a heartbeat round. The replies of a quorum confirm that this node still leads.
    fn send_heartbeats(&mut self, common: &mut Common) {
        let confirmed = self.confirmed_round(common);
        let (now, transferring) = (common.now(), self.transfers.is_active());
        let grantable = self.lease.grantable(common.config(), confirmed, transferring, now);
        let quorum_matched = self.quorum_matched(common);
        self.round += 1;
        let established = self.has_committed_in_term(common);
        if established {
            self.lease.begin_round(self.round, now, confirmed);
        }
        let heartbeat = Heartbeat {
            round: self.round,
            committed: common.log().committed(),
            confirmed: if self.lease.round_start(confirmed).is_some() { confirmed } else { 0 },
            echo: 0,
            vote_lease: self.lease.vote_lease(common.config()),
            read_lease: Duration::ZERO,
        };
        assert!(confirmed < self.round, "a round is confirmed after it was sent");
        for (id, progress) in self.peers.iter_mut() {
            assert!(progress.acked_round() < self.round, "no peer answers a round in advance");
            progress.record_committed_sent(heartbeat.committed);
            // A holder must have every committed entry, or its answers could be stale. A peer that
            // delays the commit index without advancing, or was removed, gets no new lease.
            let (matched, heard) = (progress.matched(), progress.last_contact());
            let advances = matched >= quorum_matched || progress.advanced_since_grant();
            let is_member = common.log().membership().is_member(id);
            // The holder's read lease starts with the echoed reply, which arrived no later than
            // `heard`.
            let in_force = grantable.filter(|(_, span)| is_member && now < heard.after(*span));
            let granted = in_force.filter(|_| {
                progress.ready().wants_read_lease && advances && matched >= heartbeat.committed
            });
            if let Some((_, span)) = granted {
                progress.read_lease_granted();
                self.lease.grant_read_lease(id, heard.after(span));
            }
            let read_lease = granted.map_or(Duration::ZERO, |(length, _)| length);
            // Until an entry of this term is committed, the commit index may lack completed writes:
            // the round confirms no freshness.
            let echo = if established { progress.acked_round() } else { 0 };
            assert!(read_lease <= heartbeat.vote_lease, "no read lease outlives the lease");
            let heartbeat = Heartbeat { echo, read_lease, ..heartbeat };
            common.send(id, Body::Heartbeat(heartbeat));
        }
        if common.survival.is_on() {
            maintenance::allow_takeover(common, &self.peers);
        }
    }

    pub(crate) fn on_timeout(&mut self, common: &mut Common) -> Transition {
        if common.now() < self.heartbeat_due.min(self.transfers.hand_over_at()) {
            return Transition::Stay;
        }
        if common.config().check_quorum && !self.has_quorum_contact(common) {
            return Transition::step_down(common.term(), RoleCause::QuorumLost);
        }
        let obstacle = common.disk_obstacle();
        if let Some(cause) = obstacle
            && self.transfers.try_hand_over(common, &self.peers, &mut self.lease)
        {
            return Transition::step_down(common.term(), cause);
        }
        self.change.drop_departed(&mut self.peers, common.now());
        self.transfers.expire(common, obstacle.is_some() || change::has_lost_vote(common));
        self.transfers.advance(common, &self.peers, &mut self.lease);
        self.maintain_membership(common);
        self.send_heartbeats(common);
        self.peers.timer_round_sent(self.round);
        self.heartbeat_due = common.now().after(common.config().heartbeat_interval);
        Transition::Stay
    }

    /// Whether the leader has heard from a quorum within the longest election timeout (thesis
    /// §6.2).
    fn has_quorum_contact(&self, common: &Common) -> bool {
        if common.survival.is_on() {
            // A voter that is silent for too long is dead, and the leader continues without it.
            return true;
        }
        let contact =
            Instant(self.quorum_reached(common, common.now().0, |peer| peer.last_contact().0));
        common.now() < contact.after(common.config().election_timeout_max)
    }

    /// Calls `handle` with the progress of the peer that replied and the last heartbeat round sent.
    /// Rejects the reply of a node that is not a peer. If the peer's matched index or its ability
    /// to lead changes, also advances the transfer under way, which may have waited for that.
    #[inline]
    pub(crate) fn on_reply(
        &mut self,
        common: &mut Common,
        from: NodeId,
        name: &'static str,
        handle: impl FnOnce(&mut Common, &mut Progress, u64),
    ) {
        let Some(progress) = self.peers.record_contact(common, from, name) else { return };
        let before = (progress.matched(), progress.ready().may_lead);
        handle(common, progress, self.round);
        let is_recorded = progress.matched() <= before.0 || progress.matched_round() == self.round;
        debug_assert!(is_recorded, "the round is recorded in which the matched index rises");
        let is_same = before == (progress.matched(), progress.ready().may_lead);
        if !is_same && self.transfers.is_active() {
            self.transfers.advance(common, &self.peers, &mut self.lease);
        }
    }

    /// Whether the leader may handle the message, given the disk that it comes from; otherwise
    /// rejects it.
    #[inline]
    pub(crate) fn accepts_disk_of(&mut self, common: &mut Common, message: &Message) -> bool {
        if !message.body.requires_known_disk() {
            return true;
        }
        let Some(progress) = self.peers.get_mut(message.from) else { return true };
        if disks::reset_if_replaced(common, progress, message, self.round) {
            self.change.restart_catch_up(message.from);
        }
        disks::accepts_disk_of(common, progress, message, self.round)
    }

    fn reads_are_full(&self, common: &Common) -> bool {
        self.reads_waiting() + common.reads.len() >= common.config().reads_max
    }

    pub(crate) fn on_read(&mut self, common: &mut Common, tag: Tag, level: ReadLevel) {
        let (confirmed, now) = (self.confirmed_round(common), common.now());
        if self.reads_are_full(common) {
            common.reject(tag, RejectReason::Busy);
        } else if let Some(freshness) = self.lease.freshness(level, common.config(), confirmed, now)
        {
            common.confirm_read(tag, common.log().committed(), freshness);
        } else if self.has_committed_in_term(common) {
            self.queue_read(common, Reader::Own(tag));
        } else {
            self.reads.push_early(tag);
        }
    }

    pub(crate) fn on_read_index(
        &mut self,
        common: &mut Common,
        from: NodeId,
        start_id: u64,
        ticket: u64,
    ) {
        if self.peers.record_contact(common, from, "ReadIndex").is_none() {
            return;
        }
        let reader = Reader::Peer { id: from, start_id, ticket };
        if self.reads.contains(reader) {
            return;
        }
        if self.reads_are_full(common) || !self.has_committed_in_term(common) {
            return common.reject_message(from, "ReadIndex", MessageRejectReason::LeaderNotReady);
        }
        self.queue_read(common, reader);
    }

    /// Queues the read for the next heartbeat round, which begins after the read (thesis §6.4).
    fn queue_read(&mut self, common: &Common, reader: Reader) {
        assert!(self.has_committed_in_term(common), "the commit index is up to date");
        let (index, round) = (common.log().committed(), self.round + 1);
        self.reads.push(LeaderRead { reader, index, round });
    }

    /// Returns why this leader now takes no step of a membership change and begins no transfer by
    /// itself: a transfer is under way, no entry of this term is committed, or the disk is full.
    fn blocked_reason(&self, common: &Common) -> Option<RejectReason> {
        if self.transfers.is_active() {
            Some(RejectReason::Transferring)
        } else if !self.has_committed_in_term(common) {
            Some(RejectReason::Busy)
        } else if common.health.disk_full {
            Some(RejectReason::DiskFull)
        } else {
            None
        }
    }

    pub(crate) fn on_change(&mut self, common: &mut Common, tag: Tag, change: &Change) {
        let blocked = self.blocked_reason(common);
        if let Some(changed) = self.change.on_request(common, blocked, tag, change) {
            self.begin_change(common, changed);
        }
    }

    /// Cancels a membership change whose new voters are still catching up.
    pub(crate) fn on_cancel_change(&mut self, common: &mut Common, tag: Tag) {
        let blocked = self.blocked_reason(common);
        if let Some(cancelled) = self.change.on_cancel(common, blocked, tag) {
            self.append_membership(common, cancelled);
        }
    }

    pub(crate) fn on_transfer(&mut self, common: &mut Common, tag: Tag, to: Option<NodeId>) {
        self.transfers.on_request(common, &self.peers, &mut self.lease, tag, to);
    }

    fn begin_change(&mut self, common: &mut Common, changed: Membership) {
        assert!(common.log().membership().is_settled(), "one change at a time");
        let first = self.change.first_step(common, &self.peers, changed);
        self.append_membership(common, first);
    }

    /// Appends a membership, which is active from then on, committed or not.
    fn append_membership(&mut self, common: &mut Common, membership: Membership) {
        self.append(common, Payload::Membership(membership));
        self.change.update_peers(common, &mut self.peers);
    }

    /// Appends the next step of the change under way, once the previous one is committed. Returns
    /// whether it appended one.
    fn advance_membership(&mut self, common: &mut Common) -> bool {
        let blocked = self.blocked_reason(common);
        let next = self.change.next_step(common, &self.peers, blocked);
        let Some(next) = next else { return false };
        self.append_membership(common, next);
        true
    }

    /// Begins at most one automatic membership change or leadership transfer.
    fn maintain_membership(&mut self, common: &mut Common) {
        if let Some(survivors) = maintenance::surviving_membership(common, &mut self.change) {
            return self.append_membership(common, survivors);
        }
        let blocked = self.blocked_reason(common);
        let (now, timeout) = (common.now(), common.config().election_timeout_max);
        if change::reject_reason(common, blocked).is_none()
            && let Some(change) = maintenance::automatic_change(common, &self.peers, &self.change)
            && let Ok(changed) = common.log().membership().changed(&change)
        {
            maintenance::assert_enough_voters(common, &changed);
            self.begin_change(common, changed);
        } else if maintenance::may_transfer(common, blocked)
            && let is_slow = self.transfers.disk_is_slow(common)
            && let Some(to) = transfer::better_leader(common, &self.peers, is_slow)
            && common.transfer_backoff.attempt(now, timeout)
        {
            self.transfers.begin(common, &self.peers, &mut self.lease, None, to);
        }
    }

    /// Ends a leader's step: commits, replicates and answers reads. A leader that is no longer a
    /// voter asks another node to campaign and steps down, once no read lease is left.
    #[inline]
    pub(crate) fn advance(&mut self, common: &mut Common) -> Transition {
        self.unapplied.finished(common.log().finished());
        self.on_committed(common); // The adoption of a snapshot commits entries, too.
        if self.may_commit(common) {
            self.advance_commit(common);
        }
        self.transfers.compare_disks(common);
        if !self.change.is_idle(common.log().membership()) && self.advance_membership(common) {
            // The new membership is active at once, and its quorum may have reached a later index.
            self.advance_commit(common);
        }
        if self.proposals.all_live_count() > 0 {
            proposals::answer_all_live(common, &self.peers, &mut self.proposals);
        }
        let due = self.commit_due.take();
        if !replication::is_complete(common, &self.peers) {
            self.commit_due = replication::replicate(common, &mut self.peers, due);
        }
        if !self.log_ends.is_empty() {
            let reached = self.certain_matched(common);
            self.log_ends.answer(common, reached);
        }
        if self.reads.awaits_round() {
            self.advance_reads(common);
        }
        let lost_vote = self.has_committed_in_term(common) && change::has_lost_vote(common);
        if !lost_vote || !self.transfers.try_hand_over(common, &self.peers, &mut self.lease) {
            return Transition::Stay;
        }
        Transition::step_down(common.term(), RoleCause::VoteRemoved)
    }

    /// Answers the reads whose round is confirmed. Starts a new round for the others, unless a
    /// round is still unconfirmed.
    fn advance_reads(&mut self, common: &mut Common) {
        let confirmed = self.confirmed_round(common);
        reads::answer_reads(common, &mut self.reads, confirmed);
        if confirmed == self.round && self.reads.awaits_round() {
            self.send_heartbeats(common);
            let confirmed = self.confirmed_round(common);
            reads::answer_reads(common, &mut self.reads, confirmed);
        }
    }

    /// The last round that a quorum has answered.
    fn confirmed_round(&self, common: &Common) -> u64 {
        self.quorum_reached(common, self.round, |peer| peer.acked_round())
    }

    /// Panics if a read could wait forever: for the first commit of the term after that commit, or
    /// for a round that was never sent.
    pub(crate) fn assert_reads_wait(&self, common: &Common) {
        let is_queued = !self.reads.has_early() || !self.has_committed_in_term(common);
        assert!(is_queued, "an early read is queued at the first commit of the term");
        let has_round = !self.reads.awaits_round() || self.confirmed_round(common) < self.round;
        assert!(has_round, "the reads wait for a round that was sent");
    }

    /// Ends the leadership and every pending request. A later leader may still commit the
    /// proposals.
    pub(crate) fn resign(&mut self, common: &mut Common) {
        self.change.abandon(common);
        self.transfers.finish(common);
        if let Some(until) = self.lease.read_leases_end() {
            common.ballot.withhold_vote_until(until);
        }
        let is_withheld = self.lease.read_leases_end_by(common.ballot.withheld_until());
        assert!(is_withheld, "no read lease outlives the withheld vote that its holder relies on");
        while let Some(proposal) = self.proposals.pop() {
            let id = EntryId::new(common.term(), proposal.index);
            common.output.push(Action::Unknown { tag: proposal.tag, id });
        }
        while let Some(tag) = self.reads.pop_early() {
            common.reject(tag, RejectReason::NoLeader);
        }
        while let Some(read) = self.reads.pop_confirmed(u64::MAX) {
            if let Reader::Own(tag) = read.reader {
                common.reject(tag, RejectReason::NoLeader);
            }
        }
        assert!(self.reads.len() == 0, "no read is left");
        assert!(!self.transfers.is_active(), "no transfer is left");
    }
}
