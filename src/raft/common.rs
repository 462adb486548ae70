//! The state that a node has in every role: its term and vote, its log and its pending outputs.

use alloc::vec::Vec;
use core::time::Duration;

use crate::log::{Log, Slice};
use crate::raft::action::{Action, MessageRejectReason};
use crate::raft::bootstrap::Bootstrap;
use crate::raft::config::{Config, Lease};
use crate::raft::input::Consumer;
use crate::raft::jitter::Jitter;
use crate::raft::leader_lease::stretched;
use crate::raft::outbox::{Outbox, PostOutcome};
use crate::raft::read_lease::{AnsweredRound, FreshnessBound};
use crate::raft::reads::{ConfirmedRead, ConfirmedReads};
use crate::raft::rejected_messages::RejectedMessages;
use crate::raft::survival::Survival;
use crate::raft::transfer_backoff::PriorityTransferBackoff;
use crate::types::{
    AppendOutcome, Body, BootstrapPeer, Entry, EntryId, Freshness, HardState, Incarnation, Index,
    Instant, Membership, Message, NodeId, Payload, ReadLevel, Readiness, RejectReason, RoleName,
    SnapshotMeta, Tag, Term,
};

/// The state that a node has in every role.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Common {
    pub(crate) config: Config,
    /// The last snapshot; `log.snapshot()` is its last entry.
    pub(crate) snapshot: SnapshotMeta,
    /// The disk has no space for more entries.
    pub(crate) disk_full: bool,
    /// The state machine is known to have diverged (`Input::Quarantine`).
    pub(crate) quarantined: bool,
    pub(crate) now: Instant,
    /// No step was taken yet. Entries committed before the start may wait to be applied.
    pub(crate) is_starting: bool,
    hard_state: HardState,
    /// Until this instant the node withholds its vote and does not campaign, because a leader's
    /// lease relies on it.
    pub(crate) vote_withheld_until: Instant,
    /// The latest confirmed bound on the staleness of the state machine, from leaders' heartbeats.
    pub(crate) freshness_bound: Option<FreshnessBound>,
    /// The last heartbeat round that the node answered. Read leases count from the first reply to a
    /// round.
    pub(crate) answered_round: AnsweredRound,
    pub(crate) log: Log,
    pub(crate) outbox: Outbox,
    pub(crate) jitter: Jitter,
    pub(crate) reads: ConfirmedReads,
    pub(crate) rejected_messages: RejectedMessages,
    pub(crate) priority_transfer_backoff: PriorityTransferBackoff,
    /// The last contacts with the other nodes, and whether this node may take over
    /// (`Config::survivor`).
    pub(crate) survival: Survival,
    /// The bootstrap under way, while a bootstrap peer has no membership.
    pub(crate) bootstrap: Option<Bootstrap>,
    /// The incarnation of the node's disk.
    pub(crate) incarnation: Incarnation,
    /// [`Action::UnknownIncarnation`] was reported since the start.
    pub(crate) reported_unknown_incarnation: bool,
    /// The term in which the node started.
    started_in: Term,
    /// Until this instant the node, if it leads, neither suspends nor readmits a voter by
    /// `Config::suspension`.
    pub(crate) suspension_not_before: Instant,
    /// The pending fetches: consumer, first and last index.
    fetches: Vec<(Consumer, Index, Index)>,
    /// The membership that was reported last.
    reported_membership: Membership,
    /// The actions of the current step.
    pub(crate) actions: Vec<Action>,
}

impl Common {
    pub(crate) fn new(
        config: Config,
        hard_state: HardState,
        snapshot: SnapshotMeta,
        log: Log,
        incarnation: Incarnation,
        seed: u64,
        now: Instant,
    ) -> Common {
        let mut jitter = Jitter::new(seed);
        let reads = ConfirmedReads::new(jitter.next());
        let reported_membership = log.membership().clone();
        let own = BootstrapPeer { id: config.id, incarnation, start_id: reads.start_id };
        // A node that has an entry follows a leader, and learns the membership from its log.
        let has_no_log = reported_membership.is_empty() && log.last() == EntryId::ZERO;
        let bootstrap_peers = config.bootstrap_peers.as_ref().filter(|_| has_no_log);
        let bootstrap = bootstrap_peers.map(|peers| Bootstrap::new(peers, own, now));
        let survival = Survival::new(config.survivor.map(|survivor| survivor.after), now);
        // The vote lease counts from the last leader contact, which is before the start.
        let drift_ppm = config.lease.map_or(Lease::DRIFT_PPM_MAX, |lease| lease.drift_ppm);
        let vote_withheld_until = now.after(stretched(hard_state.vote_lease, drift_ppm));
        Common {
            config,
            snapshot,
            disk_full: false,
            quarantined: false,
            now,
            is_starting: true,
            hard_state,
            vote_withheld_until,
            freshness_bound: None,
            answered_round: AnsweredRound::default(),
            log,
            outbox: Outbox::default(),
            jitter,
            reads,
            rejected_messages: RejectedMessages::default(),
            priority_transfer_backoff: PriorityTransferBackoff::default(),
            survival,
            bootstrap,
            incarnation,
            reported_unknown_incarnation: false,
            started_in: hard_state.term,
            suspension_not_before: now,
            fetches: Vec::new(),
            reported_membership,
            actions: Vec::new(),
        }
    }

    /// Advances the clock to `now`. Returns true if the node was paused for so long that other
    /// nodes may have taken over without it (`Config::survivor`).
    pub(crate) fn advance_clock(&mut self, now: Instant) -> bool {
        // A leader steps at least once per heartbeat interval. After a gap of a whole election
        // timeout, messages that arrived meanwhile may be unread, so no voter is suspended for
        // silence yet.
        if let Some(rules) = self.config.suspension
            && now >= self.now.after(self.config.election_timeout_max)
        {
            self.suspension_not_before = self.suspension_not_before.max(now.after(rules.after));
        }
        let paused = self.survival.advance_clock(self.now, now);
        self.now = now;
        paused
    }

    pub(crate) fn id(&self) -> NodeId {
        self.config.id
    }

    pub(crate) fn term(&self) -> Term {
        self.hard_state.term
    }

    pub(crate) fn vote(&self) -> Option<NodeId> {
        self.hard_state.vote
    }

    /// Enters a later term, in which the node has not voted yet (Raft §5.1).
    pub(crate) fn enter_term(&mut self, term: Term) {
        assert!(term > self.term(), "a term only increases");
        self.hard_state = HardState { term, vote: None, ..self.hard_state };
        self.outbox.write_hard_state(self.hard_state);
        self.outbox.drop_before(term);
    }

    /// Votes in the current term, once (Raft §5.2).
    pub(crate) fn vote_for(&mut self, candidate: NodeId) {
        assert!(self.vote().is_none_or(|vote| vote == candidate), "at most one vote in a term");
        if self.vote().is_none() {
            self.hard_state.vote = Some(candidate);
            self.outbox.write_hard_state(self.hard_state);
        }
    }

    /// The length of the node's vote lease: the longest that a leader requested, or that the node
    /// needed as a candidate that may grant read leases. Zero until then.
    pub(crate) fn vote_lease(&self) -> Duration {
        self.hard_state.vote_lease
    }

    /// The vote lease that this node, as leader, requests from the nodes that answer heartbeats.
    pub(crate) fn vote_lease_span(&self) -> Duration {
        self.config.election_timeout_min
    }

    /// Lengthens the vote lease to `span`, if it was shorter. Leader contacts from now on start a
    /// lease of that length.
    pub(crate) fn extend_vote_lease(&mut self, span: Duration) {
        if span > self.hard_state.vote_lease {
            self.hard_state.vote_lease = span;
            self.outbox.write_hard_state(self.hard_state);
        }
    }

    /// Restarts the vote lease at a leader contact.
    pub(crate) fn renew_vote_lease(&mut self) {
        if !self.hard_state.vote_lease.is_zero() {
            let until = self.now.after(self.hard_state.vote_lease);
            self.vote_withheld_until = self.vote_withheld_until.max(until);
        }
    }

    /// Whether a leader relies on this node to give no vote now.
    pub(crate) fn withholds_vote(&self) -> bool {
        self.now < self.vote_withheld_until
    }

    /// Whether the node may campaign now.
    pub(crate) fn may_campaign(&self) -> bool {
        self.may_accept_transfer() && !self.withholds_vote()
    }

    /// Whether the node may campaign at its leader's request, even during a vote lease.
    pub(crate) fn may_accept_transfer(&self) -> bool {
        self.is_electable() && self.may_lead()
    }

    /// Whether the node is fit to lead: its disk takes writes, and its state machine is not known
    /// to have diverged. Otherwise it could not append entries, or would answer reads wrongly.
    fn may_lead(&self) -> bool {
        !self.disk_is_stuck() && !self.quarantined
    }

    /// Whether the node entered its current term after its start. If not, it may have answered a
    /// round of this term before the restart. If the leader echoes that reply, the node could count
    /// a read lease from a later reply of its own to the same round.
    pub(crate) fn entered_term_since_start(&self) -> bool {
        self.term() > self.started_in
    }

    /// Returns the node's report about itself, which every heartbeat reply carries.
    pub(crate) fn readiness(&self) -> Readiness {
        let read_leases = self.config.lease.is_some_and(|lease| lease.read_leases);
        let wants_read_lease = read_leases && !self.quarantined && self.entered_term_since_start();
        Readiness { wants_read_lease, may_lead: self.may_lead() }
    }

    /// Whether the disk has taken longer for one write than the longest election timeout.
    pub(crate) fn disk_is_stuck(&self) -> bool {
        let since = self.outbox.oldest_write_since();
        let stuck_after = self.config.election_timeout_max;
        since.is_some_and(|since| self.now >= since.after(stuck_after))
    }

    /// Whether the node may be elected: it is a voter, or the change that removed its vote is not
    /// known to be committed. In that case its log may be the only one with the change, so that no
    /// other node can win (thesis §4.2.2). The membership must accept the incarnation of its disk.
    pub(crate) fn is_electable(&self) -> bool {
        let own = self.id();
        let committed = self.log.membership_at(self.log.committed());
        let votes = |membership: &Membership| {
            let member = membership.member(own);
            membership.is_voter(own)
                && member.is_some_and(|it| it.accepts_incarnation(self.incarnation))
        };
        let may_vote = votes(self.log.membership()) || committed.is_some_and(votes);
        may_vote && self.term() < Term::MAX
    }

    /// Draws an election timeout and returns its end. Every voter of a higher priority makes the
    /// timeout longer.
    pub(crate) fn election_deadline(&mut self) -> Instant {
        let (min, max) = (self.config.election_timeout_min, self.config.election_timeout_max);
        let wait = self.jitter.between(min, max);
        let membership = self.log.membership();
        let own = membership.priority(self.id());
        let (mut voters, mut higher) = (0, 0);
        for voter in membership.voters() {
            voters += 1;
            higher += u32::from(membership.priority(voter) > own);
        }
        let handicap = (max - min).saturating_mul(higher) / voters.max(1);
        self.now.after(wait + handicap)
    }

    /// Sends `body` to `to` as soon as the state that it reveals is durable.
    pub(crate) fn send(&mut self, to: NodeId, body: Body) {
        let (from, incarnation, term) = (self.id(), self.incarnation, self.term());
        let message = Message { from, incarnation, to, term, body };
        let name = message.body.name();
        match self.outbox.post(message, self.config.outbox_messages_max) {
            PostOutcome::SendNow(message) => self.actions.push(Action::Send(message)),
            PostOutcome::Held => {}
            PostOutcome::OutboxFull => {
                self.reject_message(self.id(), name, MessageRejectReason::OutboxFull)
            }
        }
    }

    /// Sends `body` to every other voter.
    pub(crate) fn send_to_voters(&mut self, body: &Body) {
        let membership = self.log.membership().clone();
        for voter in membership.voters() {
            if voter != self.id() {
                self.send(voter, body.clone());
            }
        }
    }

    /// Whether the active membership accepts the sender's disk: it names that disk, names no disk
    /// of the sender, or does not contain the sender. Replies of another disk do not count.
    pub(crate) fn is_from_known_disk(&self, message: &Message) -> bool {
        let member = self.log.membership().member(message.from);
        member.is_none_or(|member| member.accepts_incarnation(message.incarnation))
    }

    pub(crate) fn reject_message(
        &mut self,
        from: NodeId,
        message: &'static str,
        reason: MessageRejectReason,
    ) {
        self.rejected_messages.add(reason);
        self.actions.push(Action::MessageRejected { from, message, reason });
    }

    pub(crate) fn reject(&mut self, tag: Tag, reason: RejectReason) {
        self.actions.push(Action::Rejected { tag, reason });
    }

    /// Reports that the proposal at `index`, of this leader's term, is committed.
    pub(crate) fn report_committed(&mut self, tag: Tag, index: Index) {
        let id = EntryId::new(self.term(), index);
        self.actions.push(Action::Committed { tag, id });
    }

    pub(crate) fn report_role(&mut self, role: RoleName, leader: Option<NodeId>) {
        self.actions.push(Action::RoleChanged { role, term: self.term(), leader });
    }

    /// Appends an entry with `payload` in the current term.
    pub(crate) fn append(&mut self, payload: Payload) -> EntryId {
        let id = EntryId::new(self.term(), self.log.last().index.next());
        self.append_entry(Entry { id, payload });
        id
    }

    /// Appends an entry, received from the leader or created here.
    pub(crate) fn append_entry(&mut self, entry: Entry) {
        self.log.append(entry.clone());
        self.outbox.write_entry(entry);
    }

    /// Truncates the log after `last`.
    pub(crate) fn truncate(&mut self, last: Index) {
        self.log.truncate(last);
        self.outbox.truncate(last);
    }

    /// Requests entries from the disk, unless a fetch for this consumer is pending.
    pub(crate) fn fetch(&mut self, consumer: Consumer, first: Index, last: Index) {
        if self.fetches.iter().any(|(other, ..)| *other == consumer) {
            return;
        }
        self.fetches.push((consumer, first, last));
        let bytes_max = match consumer {
            Consumer::Apply => self.config.apply_bytes_max,
            Consumer::Peer(_) => self.config.message_bytes_max,
        };
        self.actions.push(Action::Fetch { consumer, first, last, bytes_max });
    }

    /// Ends the consumer's pending fetch. Returns true if the log still has the entries: it may
    /// have been truncated or compacted since the request.
    pub(crate) fn finish_fetch(&mut self, consumer: Consumer, entries: &[Entry]) -> bool {
        let place = self.fetches.iter().position(|(other, ..)| *other == consumer);
        let place = place.expect("contract: only a requested fetch is answered");
        let (_, first, last) = self.fetches.swap_remove(place);
        let expected = (first.0..=last.0).map(Index);
        assert!(
            entries.len() as u64 <= last.0 - first.0 + 1
                && entries.iter().map(|entry| entry.id.index).eq(expected.take(entries.len())),
            "contract: a fetch returns consecutive entries from the first index requested"
        );
        let base = self.log.base().index;
        let kept = |entry: &Entry| entry.id.index > base && self.log.has(entry.id);
        !entries.is_empty() && entries.iter().all(kept)
    }

    /// Passes the next committed entries to the state machine, or fetches them from the disk. An
    /// installed snapshot is restored first.
    pub(crate) fn advance_apply(&mut self) {
        if self.log.may_restore() {
            self.log.begin_restore();
            self.actions.push(Action::Restore(self.snapshot.clone()));
            return;
        }
        if self.quarantined {
            return;
        }
        let (entries_max, bytes_max) =
            (self.config.message_entries_max, self.config.apply_bytes_max);
        match self.log.next_to_apply(entries_max, bytes_max) {
            None => {}
            Some((_, Slice::Hot(entries))) => self.apply(entries),
            Some((first, Slice::Cold { last })) => self.fetch(Consumer::Apply, first, last),
        }
    }

    /// Passes fetched entries to the state machine if they are the next to apply.
    pub(crate) fn apply_fetched(&mut self, entries: Vec<Entry>) {
        let next = entries.first().is_some_and(|first| first.id.index == self.log.applied().next());
        if !self.quarantined && next && self.log.applying() == self.log.applied() {
            self.apply(entries);
        }
    }

    /// Passes `entries`, which follow the last applied entry, to the state machine.
    pub(crate) fn apply(&mut self, entries: Vec<Entry>) {
        let last = entries.last().expect("a batch is not empty").id.index;
        self.log.begin_apply(last);
        self.actions.push(Action::Apply(entries));
    }

    /// Answers a message of an earlier term with the current term (Raft §5.1), so that an outdated
    /// leader steps down and an outdated candidate catches up.
    pub(crate) fn reply_to_stale_message(&mut self, message: &Message) {
        let body = match &message.body {
            Body::RequestVote { .. } => Body::RequestVoteReply { granted: false },
            Body::AppendEntries { prev, .. } => {
                let outcome = AppendOutcome::Rejected { prev: prev.index, hint: EntryId::ZERO };
                Body::AppendEntriesReply(outcome)
            }
            // Round 0 confirms nothing: by the time of the reply, the sender may lead this term,
            // with rounds of its own.
            Body::Heartbeat(_) => Body::HeartbeatReply {
                round: 0,
                verified: Index::ZERO,
                matched: Index::ZERO,
                durable: Index::ZERO,
                ready: Readiness::default(),
            },
            Body::InstallSnapshot { .. } => Body::InstallSnapshotReply { matched: Index::ZERO },
            _ => return,
        };
        self.send(message.from, body);
    }

    /// Rejects every read that waits for the state machine.
    pub(crate) fn reject_confirmed_reads(&mut self, reason: RejectReason) {
        while let Some(tag) = self.reads.pop_after(Index::ZERO) {
            self.reject(tag, reason);
        }
    }

    /// Answers the read `tag` once `index` is applied, with the given freshness.
    pub(crate) fn confirm_read(&mut self, tag: Tag, index: Index, freshness: Freshness) {
        let read = ConfirmedRead { tag, index, freshness };
        if self.log.applied() >= index {
            self.actions.push(read.ready());
        } else {
            self.reads.insert(read);
        }
    }

    /// Answers the read if the node's own state is fresh enough for its level; returns true if so.
    pub(crate) fn confirm_if_fresh(&mut self, tag: Tag, level: ReadLevel) -> bool {
        let ReadLevel::Bounded(staleness) = level else { return false };
        let enough = |fresh: &FreshnessBound| self.now.since(fresh.since) <= staleness;
        let Some(fresh) = self.freshness_bound.filter(enough) else { return false };
        self.confirm_read(tag, fresh.index, fresh.at(self.now));
        true
    }

    /// Rejects the reads that wait for an index after `last`, because that index may never be
    /// applied.
    pub(crate) fn reject_reads_after(&mut self, last: Index) {
        while let Some(tag) = self.reads.pop_after(last) {
            self.reject(tag, RejectReason::NoLeader);
        }
    }

    /// Reports the active membership if it changed.
    fn report_membership(&mut self) {
        let membership = self.log.membership();
        if membership.ptr_eq(&self.reported_membership) {
            return;
        }
        if *membership != self.reported_membership {
            self.actions.push(Action::ActiveMembershipChanged(membership.clone()));
        }
        if !membership.incoming().contains(&self.config.id) {
            self.survival.forbid_takeover();
        }
        self.survival.retain_members(membership);
        self.reported_membership = membership.clone();
    }

    /// Ends a step: submits its write, reports the membership and passes committed entries to the
    /// state machine.
    pub(crate) fn finish_step(&mut self) {
        // An entry that is not durable may still be lost, so the commit index that is stored with
        // the write does not exceed the durable index.
        let committed = self.log.committed().min(self.log.durable());
        if let Some(write) = self.outbox.take_write(committed, self.now) {
            self.actions.push(Action::Persist(write));
        }
        self.report_membership();
        self.advance_apply();
        self.log.evict(self.config.tail_bytes_max);
    }
}
