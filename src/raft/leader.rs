//! The leader role: appends proposals, replicates entries, commits them, and confirms its
//! leadership for reads.

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::time::Duration;

use crate::progress::Progress;
use crate::quorum;
use crate::raft::action::{Action, MessageRejectReason};
use crate::raft::catch_up::ChangeInProgress;
use crate::raft::common::Common;
use crate::raft::leader_lease::LeaderLease;
use crate::raft::proposals::{PendingProposal, Proposals};
use crate::raft::reads::{LeaderRead, Reader};
use crate::raft::replication;
use crate::raft::transition::Transition;
use crate::raft::unapplied::Unapplied;
use crate::types::{
    Acknowledge, AppendOutcome, Body, Entry, EntryId, Freshness, Heartbeat, Index, Instant, NodeId,
    Payload, Proposal, ReadLevel, Readiness, RejectReason, Tag,
};

/// The state that only a leader has.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Leader {
    /// The replication progress of every other member, and of recently removed members, by
    /// ascending id.
    pub(crate) peers: Vec<(NodeId, Progress)>,
    pub(crate) change_in_progress: ChangeInProgress,
    pub(crate) transfer: Option<Transfer>,
    pub(crate) heartbeat_due: Instant,
    /// The latest time to send a new commit index in a message of its own; `None` if no peer needs
    /// that.
    commit_due: Option<Instant>,
    /// The number of the last heartbeat round sent.
    pub(crate) round: u64,
    pub(crate) leader_lease: LeaderLease,
    /// The index of the empty entry that began this leader's term.
    term_start: Index,
    pub(crate) proposals: Proposals,
    pub(crate) unapplied: Unapplied,
    /// This node's reads that came before an entry of this term was committed.
    early_reads: VecDeque<Tag>,
    /// Reads that wait for a heartbeat round, by ascending round.
    reads: VecDeque<LeaderRead>,
}

/// A leadership transfer under way. Proposals are rejected meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Transfer {
    /// The tag of the user's request; `None` if the leader began the transfer itself.
    pub(crate) tag: Option<Tag>,
    pub(crate) to: NodeId,
    /// When the transfer is aborted and this leader continues.
    pub(crate) deadline: Instant,
}

impl Leader {
    /// Starts to lead the current term: appends an empty entry, whose commit also commits the
    /// entries of earlier terms (Raft §8), and sends heartbeats at once.
    pub(crate) fn new(common: &mut Common) -> Leader {
        let last = common.log.last().index;
        let others = common.log.membership().ids().filter(|id| *id != common.id());
        let peers = others.map(|id| (id, Progress::new(last, common.now))).collect();
        let first = common.append(Payload::Noop).index;
        common.priority_transfer_backoff.begin(common.now, common.config.election_timeout_max);
        let mut leader = Leader {
            peers,
            change_in_progress: ChangeInProgress::default(),
            transfer: None,
            heartbeat_due: common.now,
            commit_due: None,
            round: 0,
            leader_lease: LeaderLease::default(),
            term_start: first,
            proposals: Proposals::default(),
            unapplied: Unapplied::of(&common.log),
            early_reads: VecDeque::new(),
            reads: VecDeque::new(),
        };
        leader.send_heartbeats(common);
        leader
    }

    /// Returns every instant in the leader's state.
    pub(crate) fn instants(&mut self) -> impl Iterator<Item = &mut Instant> {
        let contacts = self.peers.iter_mut().map(|(_, progress)| &mut progress.last_contact);
        let transfer = self.transfer.iter_mut().map(|transfer| &mut transfer.deadline);
        let lease = self.leader_lease.instants();
        let own = [&mut self.heartbeat_due].into_iter().chain(&mut self.commit_due).chain(lease);
        contacts.chain(own).chain(transfer).chain(self.change_in_progress.instants())
    }

    fn peer(&mut self, id: NodeId) -> Option<&mut Progress> {
        self.peers.iter_mut().find(|(peer, _)| *peer == id).map(|(_, progress)| progress)
    }

    /// Records that the sender of a message was heard from and returns its progress. Rejects the
    /// message of a node that is no peer.
    fn record_contact(
        &mut self,
        common: &mut Common,
        from: NodeId,
        message: &'static str,
    ) -> Option<&mut Progress> {
        match self.peer(from) {
            Some(progress) => {
                progress.last_contact = common.now;
                Some(progress)
            }
            None => {
                common.reject_message(from, message, MessageRejectReason::NotVoter);
                None
            }
        }
    }

    /// Returns the highest number that a quorum has reached: `own` is this node's, and `of` returns
    /// a peer's from its progress. With `Config::survivor`, every voter must have reached it.
    fn quorum_reached(&self, common: &Common, own: u64, of: impl Fn(&Progress) -> u64) -> u64 {
        let reached = |id: NodeId| {
            if id == common.id() {
                return own;
            }
            let peer = self.peers.iter().find(|(peer, _)| *peer == id);
            peer.map_or(0, |(_, progress)| of(progress))
        };
        let membership = common.log.membership();
        if common.survival.is_on() {
            return membership.voters().map(reached).min().unwrap_or(0);
        }
        quorum::reached(membership, reached)
    }

    /// Whether an entry of this term is committed. Until then, the commit index may be behind the
    /// one of earlier leaders (Raft §8).
    pub(crate) fn has_committed_in_term(&self, common: &Common) -> bool {
        common.log.committed() >= self.term_start
    }

    pub(crate) fn on_propose(
        &mut self,
        common: &mut Common,
        Proposal { tag, acknowledge, command }: Proposal,
    ) {
        let acknowledge = acknowledge.resolved(common.log.membership());
        let waits_for_all = acknowledge == Acknowledge::AllLive;
        if command.len() > common.config.command_bytes_max {
            return common.reject(tag, RejectReason::TooLarge);
        }
        let bytes = Entry::OVERHEAD_BYTES + command.len();
        if self.transfer.is_some() {
            return common.reject(tag, RejectReason::Transferring);
        }
        if common.disk_full {
            return common.reject(tag, RejectReason::DiskFull);
        }
        if !self.unapplied.has_room(bytes, common.config.unapplied_bytes_max) {
            return common.reject(tag, RejectReason::Busy);
        }
        if waits_for_all && self.proposals.all_live_count() >= common.config.all_live_max {
            return common.reject(tag, RejectReason::Busy);
        }
        let index = self.append(common, Payload::Command(command));
        match acknowledge {
            Acknowledge::LeaderOnly => {
                let id = EntryId::new(common.term(), index);
                common.actions.push(Action::MayBeLost { tag, id });
            }
            _ if waits_for_all => self.proposals.wait_for_all_live(PendingProposal { tag, index }),
            _ => self.proposals.wait_for_quorum(PendingProposal { tag, index }),
        }
    }

    /// Appends an empty entry, unless entries are rejected now or too many are not applied yet.
    pub(crate) fn on_append_noop(&mut self, common: &mut Common) {
        let room =
            self.unapplied.has_room(Entry::OVERHEAD_BYTES, common.config.unapplied_bytes_max);
        if room && !common.disk_full && self.transfer.is_none() {
            self.append(common, Payload::Noop);
        }
    }

    /// Appends an entry and counts its bytes as unapplied.
    pub(crate) fn append(&mut self, common: &mut Common, payload: Payload) -> Index {
        let bytes = Entry::OVERHEAD_BYTES + payload.bytes();
        let index = common.append(payload).index;
        self.unapplied.push(index, bytes);
        index
    }

    /// The last index up to which a quorum has the log on its disks.
    fn quorum_matched(&self, common: &Common) -> Index {
        let durable = common.log.durable().0;
        Index(self.quorum_reached(common, durable, |peer| peer.matched().0))
    }

    /// Commits the entries that a quorum has on its disks (Raft §5.3), if the last one is of this
    /// leader's term; earlier entries are then committed too (§5.4.2). Every holder of a read lease
    /// must have them as well, because its reads wait only for entries that its own log has.
    fn advance_commit(&mut self, common: &mut Common) {
        let index = self.quorum_matched(common);
        let index = self.read_lease_bound(common.now).map_or(index, |bound| bound.min(index));
        if index <= common.log.committed() || common.log.term_at(index) != Some(common.term()) {
            return;
        }
        let established = self.has_committed_in_term(common);
        common.log.commit(index);
        while let Some(proposal) = self.proposals.pop_committed(index) {
            common.report_committed(proposal.tag, proposal.index);
        }
        if !established {
            while let Some(tag) = self.early_reads.pop_front() {
                self.queue_read(common, Reader::Own(tag));
            }
        }
    }

    /// Answers the proposals that wait for every live voter, once they are committed and on the
    /// disk of every voter that is not suspected.
    fn answer_all_live(&mut self, common: &mut Common) {
        if self.proposals.all_live_count() == 0 {
            return;
        }
        let own = common.log.membership().is_voter(common.id());
        let mut reached = common.log.committed();
        if own {
            reached = reached.min(common.log.durable());
        }
        for (id, peer) in &self.peers {
            if common.log.membership().is_voter(*id) && !self.suspects(common, peer) {
                reached = reached.min(peer.matched());
            }
        }
        while let Some(proposal) = self.proposals.pop_all_live(reached) {
            common.report_committed(proposal.tag, proposal.index);
        }
    }

    /// Whether the peer was silent for the longest election timeout, so that it may be dead.
    pub(crate) fn suspects(&self, common: &Common, peer: &Progress) -> bool {
        common.now >= peer.last_contact.after(common.config.election_timeout_max)
    }

    /// Returns the last index that every holder of a read lease has, or `None` without a holder. A
    /// holder that is no peer any more counts as having nothing.
    fn read_lease_bound(&mut self, now: Instant) -> Option<Index> {
        if !self.leader_lease.has_read_leases(now) {
            return None;
        }
        self.leader_lease.matched_by_holders(|id| {
            let peer = self.peers.iter().find(|(peer, _)| *peer == id);
            peer.map_or(Index::ZERO, |(_, progress)| progress.matched())
        })
    }

    pub(crate) fn on_append_entries_reply(
        &mut self,
        common: &mut Common,
        from: NodeId,
        outcome: AppendOutcome,
    ) {
        let name = "AppendEntriesReply";
        let last = common.log.last().index;
        let (transferring, round) = (self.transfer.is_some(), self.round);
        let Some(progress) = self.record_contact(common, from, name) else { return };
        match outcome {
            AppendOutcome::Accepted { matched } if matched > last => {
                common.reject_message(from, name, MessageRejectReason::ImpossibleMatch);
            }
            AppendOutcome::Accepted { matched } => {
                let before = progress.matched();
                progress.accepted(matched);
                progress.record_matched_round(before, round);
                if transferring && matched > before {
                    self.advance_transfer(common);
                }
            }
            AppendOutcome::NoSpace { verified } if verified > last => {
                common.reject_message(from, name, MessageRejectReason::ImpossibleMatch);
            }
            AppendOutcome::NoSpace { verified } => progress.no_space(verified),
            AppendOutcome::Rejected { prev, hint } => {
                // The follower's entries up to `hint.index` have terms of at most `hint.term`, so
                // the logs match at most up to the last entry of this leader's log with a term of
                // at most `hint.term`.
                let agreed = common.log.find_conflict_by_term(hint.index, hint.term).index;
                let agreed = agreed.min(hint.index);
                if !progress.rejected(prev, agreed) {
                    common.reject_message(from, name, MessageRejectReason::StaleReply);
                }
            }
        }
    }

    pub(crate) fn on_install_snapshot_reply(
        &mut self,
        common: &mut Common,
        from: NodeId,
        matched: Index,
    ) {
        let name = "InstallSnapshotReply";
        let (last, current) = (common.log.last().index, self.round);
        let Some(progress) = self.record_contact(common, from, name) else { return };
        if matched > last {
            return common.reject_message(from, name, MessageRejectReason::ImpossibleMatch);
        }
        let before = progress.matched();
        progress.accepted(matched);
        progress.record_matched_round(before, current);
    }

    /// The latest time at which the leader needs [`Input::Timeout`](crate::raft::Input::Timeout).
    pub(crate) fn deadline(&self) -> Instant {
        self.commit_due.map_or(self.heartbeat_due, |due| due.min(self.heartbeat_due))
    }

    /// Sends every peer the entries and the commit index that it lacks.
    fn replicate(&mut self, common: &mut Common) {
        let due = self.commit_due.unwrap_or(common.now.after(common.config.commit_delay));
        let is_due = due <= common.now;
        for (id, progress) in &mut self.peers {
            replication::replicate_to(common, *id, progress, (self.round, is_due));
        }
        let needs_commit = |(_, peer): &(_, Progress)| replication::needs_commit(common, peer);
        self.commit_due = self.peers.iter().any(needs_commit).then_some(due);
    }

    /// Sends entries that came from the disk to the peer that lacks them.
    pub(crate) fn on_fetched(&mut self, common: &mut Common, peer: NodeId, entries: Vec<Entry>) {
        let round = self.round;
        if let Some(progress) = self.peer(peer) {
            replication::send_fetched(common, peer, progress, entries, round);
        }
    }

    /// Starts a heartbeat round. The replies of a quorum confirm that this node still leads.
    fn send_heartbeats(&mut self, common: &mut Common) {
        let confirmed = self.confirmed_round(common);
        let grantable = self.grantable_read_lease(common, confirmed);
        let quorum_matched = self.quorum_matched(common);
        self.round += 1;
        self.heartbeat_due = common.now.after(common.config.heartbeat_interval);
        let established = self.has_committed_in_term(common);
        if established {
            self.leader_lease.begin_round(self.round, common.now, confirmed);
        }
        let heartbeat = Heartbeat {
            round: self.round,
            committed: common.log.committed(),
            confirmed: if self.leader_lease.round_start(confirmed).is_some() {
                confirmed
            } else {
                0
            },
            echo: 0,
            vote_lease: self.lease(common).map_or(Duration::ZERO, |_| common.vote_lease_span()),
            read_lease: Duration::ZERO,
        };
        for (id, progress) in &mut self.peers {
            progress.committed_sent = heartbeat.committed;
            // A holder must have every committed entry, or its answers could be stale. A holder
            // that delays the commit index and does not advance gets no new lease, even if it
            // replies.
            let matched = progress.matched();
            let advances = matched >= quorum_matched || matched > progress.matched_at_grant;
            let granted = grantable.filter(|_| {
                progress.ready.wants_read_lease && advances && matched >= heartbeat.committed
            });
            if let Some((_, until)) = granted {
                progress.matched_at_grant = matched;
                self.leader_lease.grant_read_lease(*id, until);
            }
            let read_lease = granted.map_or(Duration::ZERO, |(length, _)| length);
            // Until an entry of this term is committed, the commit index may lack completed writes:
            // the round confirms no freshness.
            let echo = if established { progress.acked_round } else { 0 };
            let heartbeat = Heartbeat { echo, read_lease, ..heartbeat };
            common.send(*id, Body::Heartbeat(heartbeat));
        }
        if common.survival.is_on() {
            self.allow_takeover(common);
        }
    }

    /// Sends [`Body::TakeoverAllowed`] to each incoming voter that has every committed entry on its
    /// disk, and that was heard from so recently that no node counts it as dead before the message
    /// arrives. Every later commit waits for the incoming voters.
    fn allow_takeover(&self, common: &mut Common) {
        let membership = common.log.membership().clone();
        if common.log.membership_index() > common.log.committed() {
            return;
        }
        for (id, progress) in &self.peers {
            let may_take_over = membership.incoming().contains(id)
                && progress.matched() >= common.log.committed()
                && common.survival.is_fresh(*id, common.now);
            if may_take_over {
                common.send(*id, Body::TakeoverAllowed);
            }
        }
    }

    pub(crate) fn on_timeout(&mut self, common: &mut Common) -> Transition {
        if common.now < self.heartbeat_due {
            return Transition::Stay;
        }
        if common.config.check_quorum && !self.has_quorum_contact(common) {
            return Transition::Follow { term: common.term(), leader: None };
        }
        if common.disk_is_stuck() {
            self.yield_leadership(common);
            return Transition::Follow { term: common.term(), leader: None };
        }
        self.drop_departed_peers(common.now);
        self.expire_transfer(common);
        self.advance_transfer(common);
        self.maintain_membership(common);
        self.send_heartbeats(common);
        Transition::Stay
    }

    /// Whether a quorum was heard from within the longest election timeout (thesis §6.2).
    fn has_quorum_contact(&self, common: &Common) -> bool {
        if common.survival.is_on() {
            // A voter that is silent for too long is dead, and the leader continues without it.
            return true;
        }
        let contact =
            Instant(self.quorum_reached(common, common.now.0, |peer| peer.last_contact.0));
        common.now < contact.after(common.config.election_timeout_max)
    }

    pub(crate) fn on_heartbeat_reply(
        &mut self,
        common: &mut Common,
        from: NodeId,
        round: u64,
        verified: Index,
        matched: Index,
        ready: Readiness,
    ) {
        let name = "HeartbeatReply";
        let current = self.round;
        let impossible = round > current || verified > common.log.last().index;
        let Some(progress) = self.record_contact(common, from, name) else { return };
        if impossible {
            return common.reject_message(from, name, MessageRejectReason::ImpossibleMatch);
        }
        if round >= progress.acked_round {
            (progress.acked_round, progress.ready) = (round, ready);
        }
        let before = progress.matched();
        progress.heartbeat_replied(round, verified, matched);
        progress.record_matched_round(before, current);
    }

    pub(crate) fn reads_waiting(&self) -> usize {
        self.early_reads.len() + self.reads.len()
    }

    fn reads_are_full(&self, common: &Common) -> bool {
        self.reads_waiting() + common.reads.len() >= common.config.reads_max
    }

    pub(crate) fn on_read(&mut self, common: &mut Common, tag: Tag, level: ReadLevel) {
        if self.reads_are_full(common) {
            common.reject(tag, RejectReason::Busy);
        } else if let Some(freshness) = self.freshness(common, level) {
            common.confirm_read(tag, common.log.committed(), freshness);
        } else if self.has_committed_in_term(common) {
            self.queue_read(common, Reader::Own(tag));
        } else {
            self.early_reads.push_back(tag);
        }
    }

    pub(crate) fn on_read_index(
        &mut self,
        common: &mut Common,
        from: NodeId,
        start_id: u64,
        ticket: u64,
    ) {
        if self.record_contact(common, from, "ReadIndex").is_none() {
            return;
        }
        let reader = Reader::Peer { id: from, start_id, ticket };
        if self.reads.iter().any(|read| read.reader == reader) {
            return;
        }
        if self.reads_are_full(common) || !self.has_committed_in_term(common) {
            return common.reject_message(from, "ReadIndex", MessageRejectReason::ReadNotReady);
        }
        self.queue_read(common, reader);
    }

    /// Queues the read for the next heartbeat round, which begins after the read (thesis §6.4).
    fn queue_read(&mut self, common: &Common, reader: Reader) {
        let (index, round) = (common.log.committed(), self.round + 1);
        self.reads.push_back(LeaderRead { reader, index, round });
    }

    /// Ends a leader's step: commits, replicates and answers reads. A leader that has lost its vote
    /// in a completed change asks another node to campaign, and steps down.
    pub(crate) fn advance(&mut self, common: &mut Common) -> Transition {
        self.unapplied.applied(common.log.applied());
        self.advance_commit(common);
        if self.advance_membership(common) {
            // The new membership is active from its append on, and its quorum may have reached a
            // later index.
            self.advance_commit(common);
        }
        self.answer_all_live(common);
        self.replicate(common);
        self.advance_reads(common);
        if !self.has_lost_vote(common) {
            return Transition::Stay;
        }
        self.yield_leadership(common);
        Transition::Follow { term: common.term(), leader: None }
    }

    /// Answers the reads whose round is confirmed. Starts a new round for the others, unless a
    /// round is still unconfirmed.
    fn advance_reads(&mut self, common: &mut Common) {
        if self.reads.is_empty() {
            return;
        }
        if self.confirmed_round(common) == self.round {
            self.answer_reads(common);
            if !self.reads.is_empty() {
                self.send_heartbeats(common);
            }
        }
        self.answer_reads(common);
    }

    fn answer_reads(&mut self, common: &mut Common) {
        let confirmed = self.confirmed_round(common);
        while let Some(read) = self.reads.pop_front_if(|read| read.round <= confirmed) {
            match read.reader {
                Reader::Own(tag) => {
                    common.confirm_read(tag, read.index, Freshness::Linearizable);
                }
                Reader::Peer { id, start_id, ticket } => {
                    common.send(id, Body::ReadIndexReply { start_id, ticket, index: read.index });
                }
            }
        }
    }

    /// The last round that a quorum has answered.
    pub(crate) fn confirmed_round(&self, common: &Common) -> u64 {
        self.quorum_reached(common, self.round, |peer| peer.acked_round)
    }

    /// Ends the leadership and every pending request. A later leader may still commit the
    /// proposals.
    pub(crate) fn resign(&mut self, common: &mut Common) {
        self.abandon_change(common);
        self.finish_transfer(common);
        if let Some(until) = self.leader_lease.read_leases_end() {
            common.vote_withheld_until = common.vote_withheld_until.max(until);
        }
        while let Some(proposal) = self.proposals.pop() {
            let id = EntryId::new(common.term(), proposal.index);
            common.actions.push(Action::Unknown { tag: proposal.tag, id });
        }
        for tag in self.early_reads.drain(..) {
            common.reject(tag, RejectReason::NoLeader);
        }
        for read in self.reads.drain(..) {
            if let Reader::Own(tag) = read.reader {
                common.reject(tag, RejectReason::NoLeader);
            }
        }
    }

    pub(crate) fn assert_invariants(&self, common: &Common) {
        let last = common.log.last();
        for (_, progress) in &self.peers {
            progress.assert_invariants(last);
            let inflight = progress.inflight();
            let window = replication::window(common);
            assert!(inflight.messages() <= window.messages_max, "the window bounds messages");
            assert!(inflight.entries() <= window.entries_max, "the window bounds entries");
            let alone = inflight.entries() <= 1;
            assert!(alone || inflight.bytes() <= window.bytes_max, "the window bounds bytes");
        }
        self.unapplied.assert_invariants(&common.log);
        self.proposals.assert_invariants(last.index);
        assert!(
            self.reads.iter().is_sorted_by_key(|read| read.round),
            "reads wait in the order of their rounds"
        );
        assert!(last.term == common.term(), "a leader's log ends in its term");
    }
}
