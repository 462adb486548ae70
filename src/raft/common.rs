//! The state that a node has in every role. Each part is a type with a file of its own; this file
//! has the methods that need several of them.

use crate::log::Log;
use crate::raft::api::action::{Action, MessageRejectReason};
use crate::raft::api::config::{Config, Lease};
use crate::raft::api::input::Consumer;
use crate::raft::bootstrap::Bootstrap;
use crate::raft::election::ballot::Ballot;
use crate::raft::election::timing::Timing;
use crate::raft::health::Health;
use crate::raft::journal::Journal;
use crate::raft::journal::apply::Apply;
use crate::raft::leader::transfer_backoff::TransferBackoff;
use crate::raft::members::Members;
use crate::raft::members::survival::Survival;
use crate::raft::output::Output;
use crate::raft::reads::{ConfirmedRead, Reads};
use crate::raft::screen;
use crate::types::{
    Body, BootstrapPeer, Entry, EntryId, Freshness, Index, Instant, Message, NodeId, Payload,
    ReadLevel, Readiness, RejectReason, Restored, RoleCause, RoleName, Tag, Term, WriteId,
};

/// The state that a node has in every role. Its parts are visible in all of `src/raft/`, because a
/// handler often needs two of them at once. Most of them keep their own fields private.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "std", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct Common {
    config: Config,
    /// The time of the current step.
    now: Instant,
    pub(crate) ballot: Ballot,
    pub(crate) journal: Journal,
    pub(crate) apply: Apply,
    pub(crate) reads: Reads,
    pub(crate) members: Members,
    /// The last contacts with the other nodes, and whether this node may take over
    /// (`Config::survivor`).
    pub(crate) survival: Survival,
    pub(crate) timing: Timing,
    pub(crate) transfer_backoff: TransferBackoff,
    pub(crate) health: Health,
    pub(crate) output: Output,
}

impl Common {
    /// Returns the state of a node that starts with `log` and the other parts of `restored`.
    pub(crate) fn new(
        config: Config,
        restored: Restored,
        log: Log,
        seed: u64,
        now: Instant,
    ) -> Common {
        let (hard_state, incarnation) = (restored.hard_state, restored.incarnation);
        let mut timing = Timing::new(seed, now);
        let reads = Reads::new(timing.draw_start_id());
        let active = log.membership().clone();
        let own = BootstrapPeer { id: config.id, incarnation, start_id: reads.start_id() };
        // A node that has an entry does not bootstrap: it gets the membership from its leader.
        let has_no_log = active.is_empty() && log.last() == EntryId::ZERO;
        let bootstrap_peers = config.bootstrap_peers.as_ref().filter(|_| has_no_log);
        let listens_until = now.after(config.bootstrap_wait());
        let bootstrap = bootstrap_peers.map(|peers| Bootstrap::new(peers, own, now, listens_until));
        let drift_ppm = config.lease.map_or(Lease::DRIFT_PPM_MAX, |lease| lease.drift_ppm);
        let member = log.membership_at(log.committed()).and_then(|known| known.member(config.id));
        let is_named = member.is_some_and(|member| member.incarnation == incarnation);
        let mut ballot = Ballot::new(hard_state, is_named, drift_ppm, now);
        if config.bootstrap_peers.is_some() && !has_no_log {
            ballot.vote_without_membership();
        }
        Common {
            now,
            ballot,
            journal: Journal::new(log, restored.snapshot),
            apply: Apply::new(restored.machine.version_max),
            reads,
            members: Members::new(incarnation, active, bootstrap),
            survival: Survival::new(config.survivor.map(|survivor| survivor.after), now),
            timing,
            transfer_backoff: TransferBackoff::default(),
            health: Health::default(),
            output: Output::default(),
            config,
        }
    }

    /// Advances the clock to `now`. Returns true if the node was paused for so long that other
    /// nodes may have taken over without it (`Config::survivor`).
    #[inline]
    pub(crate) fn advance_clock(&mut self, now: Instant) -> bool {
        assert!(now >= self.now, "contract: now never goes back");
        // A leader steps at least once per heartbeat interval. After a gap of the longest election
        // timeout between two steps, messages of voters may be unread, so the leader suspends no
        // voter for silence yet.
        if let Some(rules) = self.config.suspension
            && now >= self.now.after(self.config.election_timeout_max)
        {
            self.timing.delay_suspension(now.after(rules.after));
            assert!(!self.timing.may_suspend(now), "no voter is suspended right after a gap");
        }
        let paused = self.survival.advance_clock(self.now, now);
        self.now = now;
        paused
    }

    pub(crate) fn config(&self) -> &Config {
        &self.config
    }

    /// The time of the current step.
    pub(crate) fn now(&self) -> Instant {
        self.now
    }

    pub(crate) fn id(&self) -> NodeId {
        self.config.id
    }

    pub(crate) fn term(&self) -> Term {
        self.ballot.term()
    }

    pub(crate) fn log(&self) -> &Log {
        self.journal.log()
    }

    /// Whether the node may campaign now.
    pub(crate) fn may_campaign(&self) -> bool {
        self.may_accept_transfer() && !self.ballot.withholds_vote(self.now)
    }

    /// Whether the node may campaign at its leader's request, even during a vote lease. Its log
    /// must have every entry that is known to be committed.
    pub(crate) fn may_accept_transfer(&self) -> bool {
        self.is_electable() && self.may_lead() && !self.lacks_committed()
    }

    /// Whether the log ends before an entry that is known to be committed.
    pub(crate) fn lacks_committed(&self) -> bool {
        self.log().last().index < self.known_committed()
    }

    pub(crate) fn is_electable(&self) -> bool {
        self.ballot.is_electable(self.id(), self.members.incarnation(), self.log())
    }

    /// The highest commit index that the node knows, which may be after the end of its log.
    pub(crate) fn known_committed(&self) -> Index {
        self.ballot.known_committed(self.log())
    }

    /// Whether the node is fit to lead: its disk completes writes, its state machine is not in
    /// quarantine, and its log is certain and has no damage that keeps a leader from committing
    /// entries or counting votes. An unfit leader could not commit entries, or could answer reads
    /// with a wrong state.
    fn may_lead(&self) -> bool {
        let is_healthy = !self.disk_is_stuck() && !self.health.quarantined;
        is_healthy && !self.ballot.is_uncertain() && !self.has_open_damage()
    }

    /// Whether an entry after the commit index is damaged, or the content of a membership entry is
    /// unknown (docs/REPAIR.md). As the leader, this node could neither commit nor send the damaged
    /// entry, and without the membership it could not count votes.
    fn has_open_damage(&self) -> bool {
        let log = self.log();
        log.first_damaged_after(log.committed()).is_some() || log.has_unknown_membership()
    }

    /// Whether a heartbeat with the commit index `committed` may give the node a read lease, or
    /// show how fresh the node's state is.
    pub(crate) fn may_count_round(&self, committed: Index) -> bool {
        let may_count = self.ballot.may_count_round(committed);
        let became_certain = self.health.log_end.became_certain_in(self.term());
        assert!(
            !may_count || !became_certain,
            "a node counts no round of the term in which it became certain"
        );
        may_count
    }

    /// Returns the node's report about itself, which every heartbeat reply carries.
    pub(crate) fn readiness(&self) -> Readiness {
        let read_leases = self.config.lease.is_some_and(|lease| lease.read_leases);
        let is_uncertain = self.ballot.is_uncertain();
        let may_count = self.may_count_round(self.log().committed());
        let wants_read_lease = read_leases && may_count && !self.health.quarantined;
        let version_max = self.apply.version_max();
        Readiness { wants_read_lease, is_uncertain, version_max, may_lead: self.may_lead() }
    }

    /// Whether the disk has been at work on one write for the longest election timeout.
    pub(crate) fn disk_is_stuck(&self) -> bool {
        let since = self.journal.outbox().oldest_write_since();
        let stuck_after = self.config.election_timeout_max;
        since.is_some_and(|since| self.now >= since.after(stuck_after))
    }

    /// The fault of this node's disk that keeps the node from campaigning.
    pub(crate) fn disk_fault(&self) -> RoleCause {
        if self.disk_is_stuck() { RoleCause::DiskStuck } else { RoleCause::LogDamaged }
    }

    /// Returns the fault of this node's disk that keeps the node from leading, or `None`: a write
    /// is stuck, or an entry after the commit index has been damaged for the longest election
    /// timeout.
    pub(crate) fn disk_obstacle(&self) -> Option<RoleCause> {
        let span = self.config.election_timeout_max;
        if self.disk_is_stuck() {
            Some(RoleCause::DiskStuck)
        } else if self.health.repair.has_blocked_for(span, self.now) {
            Some(RoleCause::LogDamaged)
        } else {
            None
        }
    }

    /// Whether this node, with its present disk, is an incoming voter of the active membership.
    pub(crate) fn is_incoming_voter(&self) -> bool {
        self.members.is_incoming_voter(self.id(), self.log().membership())
    }

    /// Allows this node, which was just elected and has every committed entry, to take over later
    /// as the last survivor, if it is an incoming voter (docs/SURVIVOR.md).
    pub(crate) fn allow_own_takeover(&mut self) {
        if self.is_incoming_voter() {
            self.survival.allow_takeover();
        }
    }

    /// With `Config::survivor`, records that this node has heard from a member. A message from a
    /// disk that the membership does not accept is no contact: acknowledgements of that disk do not
    /// count either, so the member is as good as dead.
    #[inline]
    pub(crate) fn record_contact(&mut self, message: &Message) {
        if !self.survival.is_on() {
            return;
        }
        let member = self.log().membership().member(message.from);
        if member.is_some_and(|member| member.accepts_incarnation(message.incarnation)) {
            self.survival.record_contact(message.from, self.now);
        }
    }

    /// Draws an election timeout and returns its end.
    #[inline]
    pub(crate) fn election_deadline(&mut self) -> Instant {
        let membership = self.journal.log().membership();
        self.timing.election_deadline(&self.config, membership, self.now)
    }

    /// Sends `body` to `to` as soon as the state that it reveals is durable.
    pub(crate) fn send(&mut self, to: NodeId, body: Body) {
        let (from, incarnation, term) = (self.id(), self.members.incarnation(), self.term());
        assert!(to != from, "no node sends a message to itself");
        let gate = self.journal.outbox().gate(&body);
        let kind = body.kind();
        let message = Message { from, incarnation, to, term, body };
        // The reply to a pre-vote repeats the requested term, which may be beyond the maximum.
        let repeats_term = matches!(message.body, Body::PreVoteReply { .. });
        let is_valid = || screen::reject_reason(to, &message).is_none();
        debug_assert!(repeats_term || is_valid(), "{} is valid", kind.name());
        if self.journal.outbox().has_persisted(gate) {
            assert_may_leave(&message.body, self.log(), self.ballot.is_uncertain());
            self.output.push(Action::Send(message));
        } else if !self.journal.outbox_mut().hold(gate, message, self.config.outbox_messages_max) {
            self.reject_message(from, kind.name(), MessageRejectReason::OutboxFull);
        }
    }

    /// Marks every write up to `write` as durable, and sends the messages that waited for it.
    #[inline]
    pub(crate) fn on_persisted(&mut self, write: WriteId) {
        self.journal.persisted(write, self.now);
        if self.journal.outbox().held() == 0 {
            return;
        }
        let Common { journal, ballot, output, .. } = self;
        let (log, outbox) = journal.log_and_outbox();
        outbox.release(|mut message| {
            if log.damaged_entries() > 0 {
                // Damage may have been found while the message waited (docs/REPAIR.md, R4).
                message.body.acknowledge_at_most(log.last_before_damage());
            }
            assert_may_leave(&message.body, log, ballot.is_uncertain());
            output.push(Action::Send(message));
        });
    }

    /// Sends `body` to every other voter.
    pub(crate) fn send_to_voters(&mut self, body: &Body) {
        let membership = self.log().membership().clone();
        for voter in membership.voters() {
            if voter != self.id() {
                self.send(voter, body.clone());
            }
        }
    }

    #[cold]
    pub(crate) fn reject_message(
        &mut self,
        from: NodeId,
        message: &'static str,
        reason: MessageRejectReason,
    ) {
        self.output.reject_message(from, message, reason);
    }

    pub(crate) fn reject(&mut self, tag: Tag, reason: RejectReason) {
        self.output.push(Action::Rejected { tag, reason });
    }

    /// Reports that the proposal at `index`, of this leader's term, is committed.
    pub(crate) fn report_committed(&mut self, tag: Tag, index: Index) {
        assert!(index <= self.log().committed(), "a reported proposal is committed");
        let is_own = self.log().term_at(index).is_none_or(|term| term == self.term());
        assert!(is_own, "a leader answers the proposals of its own term");
        let id = EntryId::new(self.term(), index);
        self.output.push(Action::Committed { tag, id });
    }

    pub(crate) fn report_role(&mut self, role: RoleName, leader: Option<NodeId>, cause: RoleCause) {
        let leads = leader == Some(self.id());
        assert!(leads == (role == RoleName::Leader), "a leader is its own leader");
        self.output.push(Action::RoleChanged { role, term: self.term(), leader, cause });
    }

    /// Appends an entry with `payload` in the current term.
    #[inline]
    pub(crate) fn append(&mut self, payload: Payload) -> EntryId {
        let id = EntryId::new(self.term(), self.log().last().index.next());
        self.journal.append(Entry { id, payload });
        id
    }

    /// Requests entries from the disk, unless a fetch for this consumer is pending.
    pub(crate) fn fetch(&mut self, consumer: Consumer, first: Index, last: Index) {
        self.apply.fetch(consumer, first, last, &self.config, &mut self.output);
    }

    /// Answers the read `tag` once `index` is applied, with the given freshness.
    pub(crate) fn confirm_read(&mut self, tag: Tag, index: Index, freshness: Freshness) {
        let (applied, since) = (self.log().applied(), self.now);
        let read = ConfirmedRead { tag, index, freshness, since };
        self.reads.confirm(read, applied, &mut self.output);
    }

    /// Answers the read and returns true if the node's own state is fresh enough for the read's
    /// level. An uncertain node asks its leader instead. Without a known leader, the node answers
    /// only if every entry that the answer depends on is known to be committed, because it may
    /// never receive entries that it lacks.
    pub(crate) fn confirm_if_fresh(
        &mut self,
        tag: Tag,
        level: ReadLevel,
        has_leader: bool,
    ) -> bool {
        if self.ballot.is_uncertain() {
            return false;
        }
        let Some(fresh) = self.reads.fresh_enough(level, self.now) else { return false };
        if !has_leader && fresh.index > self.log().committed() {
            return false;
        }
        self.confirm_read(tag, fresh.index, fresh.at(self.now));
        true
    }

    /// Rejects the reads that wait for an index after `last`, because that index may never be
    /// applied.
    pub(crate) fn reject_reads_after(&mut self, last: Index) {
        self.reads.reject_after(last, RejectReason::NoLeader, &mut self.output);
    }

    /// Rejects the reads that have waited longer than the longest election timeout for an entry
    /// that this node lacks: one after the end of its log, or one that is not before a damaged
    /// entry. The node may never get it: its disk may be full, and no member may have the content.
    #[inline]
    pub(crate) fn reject_overdue_reads(&mut self) {
        // Most steps of most nodes have no read that waits, and need not search the log for damage.
        if self.reads.len() == 0 {
            return;
        }
        let log = self.journal.log();
        let damaged = log.first_damaged_after(log.applied());
        let last = damaged.map_or(log.last().index, Index::previous);
        let wait_max = self.config.election_timeout_max;
        self.reads.reject_overdue(last, wait_max, self.now, &mut self.output);
    }

    /// Reports the active membership if it changed.
    #[inline]
    fn report_membership(&mut self) {
        let membership = self.journal.log().membership();
        if membership.ptr_eq(self.members.reported()) {
            return;
        }
        if membership != self.members.reported() {
            // Whichever node leads next, the pause after this change applies to it, too.
            if let Some(rules) = self.config.suspension
                && !membership.suspended().eq(self.members.reported().suspended())
            {
                self.timing.delay_suspension(self.now.after(rules.pause));
            }
            self.output.push(Action::ActiveMembershipChanged(membership.clone()));
        }
        if !self.members.is_incoming_voter(self.config.id, membership) {
            self.survival.forbid_takeover();
        }
        self.survival.retain_members(membership);
        self.members.set_reported(membership.clone());
    }

    /// Ends a step: submits its write, reports the membership and passes committed entries to the
    /// state machine.
    #[inline]
    pub(crate) fn finish_step(&mut self) {
        if self.journal.outbox().has_write() {
            let write = self.journal.submit(self.now);
            self.output.push(Action::Persist(write));
        }
        let outbox = self.journal.outbox();
        let is_mute = !outbox.has_persisted(outbox.hard_state_write());
        self.survival.record_mute(is_mute, self.now);
        self.report_membership();
        let Common { apply, journal, health, config, output, .. } = self;
        apply.advance(journal, health.quarantined, config, output);
        journal.evict(config.tail_bytes_max);
    }

    /// Panics if a read waits for an index that this node does not know to be committed. Followers
    /// do not call it, because their reads may wait for what only their leader knows to be
    /// committed.
    pub(crate) fn assert_reads_are_committed(&self) {
        let last = self.reads.last_index();
        let committed = self.log().committed();
        assert!(last.is_none_or(|last| last <= committed), "no read waits for a lost leader");
    }

    /// Panics if a part of the state contradicts itself or another part.
    pub(crate) fn assert_invariants(&self) {
        self.journal.assert_invariants();
        self.ballot.assert_invariants(self.log());
        self.apply.assert_invariants();
        self.health.repair.assert_invariants(self.log());
        self.reads.assert_invariants(self.log().applied(), self.now);
        self.members.assert_invariants(self.log().membership());
        self.survival.assert_invariants(self.log().membership(), self.now);
        let may_take_over = self.survival.may_take_over();
        assert!(!may_take_over || self.is_incoming_voter(), "only a voter takes over");
        assert!(!may_take_over || !self.ballot.is_uncertain(), "no uncertain node takes over");
        self.output.assert_invariants();
    }
}

/// Panics if a message that leaves acknowledges an entry that a crash could undo, or if an
/// uncertain node acknowledges an entry or grants its vote.
#[inline]
fn assert_may_leave(body: &Body, log: &Log, is_uncertain: bool) {
    let acknowledged = body.acknowledged();
    // While a snapshot is being installed, the durable index may be before an index that the node
    // has already acknowledged. The snapshot covers that index.
    let is_durable = acknowledged <= log.durable().max(log.base().index);
    assert!(is_durable, "an acknowledged entry is durable");
    let is_vote = matches!(body, Body::RequestVoteReply { granted: true, .. });
    let counts = is_vote || acknowledged > Index::ZERO;
    assert!(!is_uncertain || !counts, "an uncertain node neither acknowledges nor votes");
}

#[cfg(feature = "explore")]
impl Common {
    /// Resets the parts that the normal form leaves out: counts, the jitter of election timeouts,
    /// and the times of actions that this node never takes. Renumbers the writes, and returns the
    /// previous number of the last durable one.
    pub(crate) fn normalize(&mut self) -> WriteId {
        let (own, now) = (self.id(), self.now);
        let membership = self.journal.log().membership();
        let priority = membership.priority(own);
        if membership.ids().all(|id| membership.priority(id) == priority) {
            self.transfer_backoff = TransferBackoff::default();
        }
        self.timing.normalize(self.config.suspension.is_some(), now);
        self.output = Output::default();
        if !self.ballot.withholds_vote(now) {
            *self.ballot.instant() = now;
        }
        self.ballot.normalize(self.journal.log());
        if self.config.lease.is_none() {
            self.reads.forget_rounds();
        }
        let outbox = self.journal.outbox_mut();
        if outbox.oldest_write_since().is_none() {
            *outbox.instant() = now;
        }
        outbox.renumber()
    }

    /// Maps every instant in the state that all roles share.
    pub(crate) fn map_instants(&mut self, mut each: impl FnMut(&mut Instant)) {
        each(&mut self.now);
        each(self.ballot.instant());
        self.reads.instants().for_each(&mut each);
        each(self.timing.instant());
        each(self.transfer_backoff.instant());
        self.survival.instants().for_each(&mut each);
        each(self.journal.outbox_mut().instant());
        self.health.repair.instants().for_each(&mut each);
        self.health.log_end.instant().into_iter().for_each(&mut each);
        if let Some(bootstrap) = self.members.bootstrap_mut() {
            bootstrap.instants().into_iter().for_each(&mut each);
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;
    use crate::types::{HardState, Incarnation, Member, Membership, SnapshotMeta};

    /// Whether node 1, which starts in term 1 on the disk 7, counts rounds of term 2. The first
    /// membership names the disk `first`, and the second one, in the only entry, the disk `second`.
    fn counts_rounds(first: u128, second: u128, committed: u64) -> bool {
        let own = NodeId(1);
        let naming = |incarnation| {
            let member = Member { incarnation: Incarnation(incarnation), ..Member::new(own) };
            Membership::new([1, 2, 3].map(NodeId)).with_member(member)
        };
        let id = EntryId::new(Term(1), Index(1));
        let entry = Entry { id, payload: Payload::Membership(naming(second)) };
        let snapshot = SnapshotMeta::empty(EntryId::ZERO, naming(first));
        let state = HardState::new(Term(1), None);
        let restored = Restored {
            incarnation: Incarnation(7),
            ..Restored::with_log(state, Index(committed), snapshot, Vec::from([entry]))
        };
        let log = Log::new(&restored).expect("the log is consistent");
        let mut common = Common::new(Config::new(own), restored, log, 1, Instant::ZERO);
        common.ballot.enter_term(Term(2), &mut common.journal);
        common.may_count_round(Index(9))
    }

    #[test]
    fn a_node_counts_rounds_at_once_only_if_a_committed_membership_names_its_disk() {
        assert!(counts_rounds(7, 7, 0));
        assert!(counts_rounds(7, 0, 0), "the last committed membership names it");
        assert!(counts_rounds(6, 7, 1));
        assert!(!counts_rounds(6, 7, 0), "a leader of an earlier term may have appended the entry");
        assert!(!counts_rounds(0, 0, 1), "the disk may have replaced another one");
        assert!(!counts_rounds(6, 6, 1));
    }
}
