//! What a node has in every role: its term and vote, its log, and the ways out.

use alloc::vec::Vec;
use core::time::Duration;

use crate::log::{Log, Slice};
use crate::raft::action::{Action, Refusal};
use crate::raft::config::{Config, Lease};
use crate::raft::drift::Drift;
use crate::raft::founding::Founding;
use crate::raft::input::Consumer;
use crate::raft::jitter::Jitter;
use crate::raft::lease::stretched;
use crate::raft::loan::{Answered, Fresh};
use crate::raft::outbox::{Outbox, Post};
use crate::raft::reads::{ConfirmedRead, ConfirmedReads};
use crate::raft::refusals::Refusals;
use crate::raft::survival::Survival;
use crate::types::{
    AppendOutcome, Body, Entry, EntryId, Founder, Freshness, HardState, Incarnation, Index,
    Instant, Membership, Message, NodeId, Payload, ReadLevel, Readiness, RejectReason, RoleName,
    SnapshotMeta, Tag, Term,
};

/// What a node has in every role.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Common {
    pub(crate) config: Config,
    /// The last snapshot, which the log has the end of.
    pub(crate) snapshot: SnapshotMeta,
    /// The disk has no space for more entries.
    pub(crate) disk_full: bool,
    /// The state machine is known to be wrong.
    pub(crate) quarantined: bool,
    pub(crate) now: Instant,
    /// No step was taken yet: what was committed before the start waits to be applied.
    pub(crate) is_new: bool,
    hard_state: HardState,
    /// Until then the node neither votes nor stands for election: a leader counts on that.
    pub(crate) promised_until: Instant,
    /// How fresh the state is, as far as leaders have said.
    pub(crate) fresh: Option<Fresh>,
    /// Which rounds were answered: what a leader echoes is the first answer, and not the last.
    pub(crate) answered: Answered,
    pub(crate) log: Log,
    pub(crate) outbox: Outbox,
    pub(crate) jitter: Jitter,
    pub(crate) reads: ConfirmedReads,
    pub(crate) refusals: Refusals,
    pub(crate) drift: Drift,
    /// Who is alive, if nodes go on without those that are not.
    pub(crate) survival: Survival,
    /// The node is to found the cluster, and has no membership yet.
    pub(crate) founding: Option<Founding>,
    /// The life of the disk.
    pub(crate) incarnation: Incarnation,
    /// The node was told since its start that the cluster does not count on its disk.
    pub(crate) strange: bool,
    /// The term in which the node started.
    started_in: Term,
    /// Until then this node, should it lead, neither suspends a voter nor readmits one.
    pub(crate) removal_not_before: Instant,
    /// Fetches under way: for whom, and which range.
    fetches: Vec<(Consumer, Index, Index)>,
    /// The membership that was reported last.
    reported: Membership,
    /// What the step under way wants done.
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
        let reported = log.membership().clone();
        let own = Founder { id: config.id, incarnation, boot: reads.boot };
        // Who has an entry follows a leader, and will hear of the membership from the log.
        let is_new = reported.is_nobody() && log.last() == EntryId::ZERO;
        let founders = config.founders.as_ref().filter(|_| is_new);
        let founding = founders.map(|founders| Founding::new(founders, own, now));
        let survival = Survival::new(config.survivor.map(|survivor| survivor.after), now);
        // What it promised counts from the last word of a leader, which is before the start.
        let drift_ppm = config.lease.map_or(Lease::DRIFT_PPM_MAX, |lease| lease.drift_ppm);
        let promised_until = now.after(stretched(hard_state.promise, drift_ppm));
        Common {
            config,
            snapshot,
            disk_full: false,
            quarantined: false,
            now,
            is_new: true,
            hard_state,
            promised_until,
            fresh: None,
            answered: Answered::default(),
            log,
            outbox: Outbox::default(),
            jitter,
            reads,
            refusals: Refusals::default(),
            drift: Drift::default(),
            survival,
            founding,
            incarnation,
            strange: false,
            started_in: hard_state.term,
            removal_not_before: now,
            fetches: Vec::new(),
            reported,
            actions: Vec::new(),
        }
    }

    /// The node is told of the time. Returns whether it stood still so long that others may have
    /// gone on without it.
    pub(crate) fn told(&mut self, now: Instant) -> bool {
        // Leaders are told in every heartbeat interval. One that stood still has yet to read what
        // others said meanwhile: nobody was silent.
        if let Some(removal) = self.config.removal
            && now >= self.now.after(self.config.election_timeout_max)
        {
            self.removal_not_before = self.removal_not_before.max(now.after(removal.after));
        }
        let paused = self.survival.told(self.now, now);
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

    /// Enters a later term, in which the node has voted for nobody (Raft §5.1).
    pub(crate) fn enter_term(&mut self, term: Term) {
        assert!(term > self.term(), "terms only rise");
        self.hard_state = HardState { term, vote: None, ..self.hard_state };
        self.outbox.write_hard_state(self.hard_state);
        self.outbox.forget_before(term);
    }

    /// Votes in the current term, once (Raft §5.2).
    pub(crate) fn vote_for(&mut self, candidate: NodeId) {
        assert!(self.vote().is_none_or(|vote| vote == candidate), "one vote a term");
        if self.vote().is_none() {
            self.hard_state.vote = Some(candidate);
            self.outbox.write_hard_state(self.hard_state);
        }
    }

    /// The longest it ever promised to vote for nobody else.
    pub(crate) fn promise(&self) -> Duration {
        self.hard_state.promise
    }

    /// For how long whoever answers this node's heartbeats votes for nobody else.
    pub(crate) fn lease_promise(&self) -> Duration {
        self.config.election_timeout_min
    }

    /// The node's leader, or the node itself as one, counts on it for `span` whenever it is heard.
    pub(crate) fn promise_for(&mut self, span: Duration) {
        if span > self.hard_state.promise {
            self.hard_state.promise = span;
            self.outbox.write_hard_state(self.hard_state);
        }
    }

    /// The leader is heard: the promise counts from now on.
    pub(crate) fn renew_promise(&mut self) {
        if !self.hard_state.promise.is_zero() {
            let until = self.now.after(self.hard_state.promise);
            self.promised_until = self.promised_until.max(until);
        }
    }

    /// Whether a leader counts on the node to vote for nobody else.
    pub(crate) fn is_promised(&self) -> bool {
        self.now < self.promised_until
    }

    /// Whether the node may stand for election now.
    pub(crate) fn may_campaign(&self) -> bool {
        self.may_succeed() && !self.is_promised()
    }

    /// Whether the node may stand for election if its leader asks it to.
    pub(crate) fn may_succeed(&self) -> bool {
        self.is_electable() && self.is_fit_to_lead()
    }

    /// Who cannot write could not lead, and whose state is wrong would tell users so.
    fn is_fit_to_lead(&self) -> bool {
        !self.disk_is_stuck() && !self.quarantined
    }

    /// Whether all that this node ever answered in its term, it answered since it started. In the
    /// term in which it started, a late echo may be of an answer that an earlier life gave.
    pub(crate) fn is_of_this_life(&self) -> bool {
        self.term() > self.started_in
    }

    /// What the node is ready for beside taking entries.
    pub(crate) fn readiness(&self) -> Readiness {
        let replicas = self.config.lease.is_some_and(|lease| lease.replicas);
        let borrows = replicas && !self.quarantined && self.is_of_this_life();
        Readiness { borrows, leads: self.is_fit_to_lead() }
    }

    /// Whether the disk has been at one write for longer than an election takes.
    pub(crate) fn disk_is_stuck(&self) -> bool {
        let since = self.outbox.under_way_since();
        let patience = self.config.election_timeout_max;
        since.is_some_and(|since| self.now >= since.after(patience))
    }

    /// Whether the node may ever stand for election: also without a vote, as long as the change
    /// that took it is not known to be committed. Only its log may have that change, and then
    /// nobody else can be elected (thesis §4.2.2). Where the vote is another disk's, it is not this
    /// one's to give.
    pub(crate) fn is_electable(&self) -> bool {
        let own = self.id();
        let committed = self.log.membership_at(self.log.committed());
        let votes = |membership: &Membership| {
            let member = membership.member(own);
            membership.is_voter(own) && member.is_some_and(|it| it.may_be(self.incarnation))
        };
        let may_vote = votes(self.log.membership()) || committed.is_some_and(votes);
        may_vote && self.term() < Term::MAX
    }

    /// When a node that starts to wait now loses its patience: the later, the more voters have a
    /// higher priority.
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

    /// Says `body` to `to` as soon as what it reveals is durable.
    pub(crate) fn send(&mut self, to: NodeId, body: Body) {
        let (from, incarnation, term) = (self.id(), self.incarnation, self.term());
        let message = Message { from, incarnation, to, term, body };
        let name = message.body.name();
        match self.outbox.post(message, self.config.outbox_messages_max) {
            Post::Leaves(message) => self.actions.push(Action::Send(message)),
            Post::Waits => {}
            Post::Full => self.refuse(self.id(), name, Refusal::OutboxFull),
        }
    }

    /// Says `body` to every other voter.
    pub(crate) fn send_to_voters(&mut self, body: &Body) {
        let membership = self.log.membership().clone();
        for voter in membership.voters() {
            if voter != self.id() {
                self.send(voter, body.clone());
            }
        }
    }

    /// Whether the sender may have the disk that the membership in force names: what another disk
    /// says counts for nothing.
    pub(crate) fn knows_disk(&self, message: &Message) -> bool {
        let member = self.log.membership().member(message.from);
        member.is_none_or(|member| member.may_be(message.incarnation))
    }

    pub(crate) fn refuse(&mut self, from: NodeId, message: &'static str, reason: Refusal) {
        self.refusals.add(reason);
        self.actions.push(Action::Refused { from, message, reason });
    }

    pub(crate) fn reject(&mut self, tag: Tag, reason: RejectReason) {
        self.actions.push(Action::Rejected { tag, reason });
    }

    /// What this leader was asked for in its term is in the log at `index`, as it was to be.
    pub(crate) fn committed(&mut self, tag: Tag, index: Index) {
        let id = EntryId::new(self.term(), index);
        self.actions.push(Action::Committed { tag, id });
    }

    pub(crate) fn announce(&mut self, role: RoleName, leader: Option<NodeId>) {
        self.actions.push(Action::RoleChanged { role, term: self.term(), leader });
    }

    /// Appends `payload` in the current term.
    pub(crate) fn append(&mut self, payload: Payload) -> EntryId {
        let id = EntryId::new(self.term(), self.log.last().index.next());
        self.append_entry(Entry { id, payload });
        id
    }

    /// Appends an entry, the leader's or this node's own.
    pub(crate) fn append_entry(&mut self, entry: Entry) {
        self.log.append(entry.clone());
        self.outbox.write_entry(entry);
    }

    /// Cuts every entry after `last`.
    pub(crate) fn truncate(&mut self, last: Index) {
        self.log.truncate(last);
        self.outbox.truncate(last);
    }

    /// Asks the disk for entries, unless it is asked for this consumer already.
    pub(crate) fn fetch(&mut self, consumer: Consumer, first: Index, last: Index) {
        if self.fetches.iter().any(|(asked, ..)| *asked == consumer) {
            return;
        }
        self.fetches.push((consumer, first, last));
        let bytes_max = match consumer {
            Consumer::Apply => self.config.apply_bytes_max,
            Consumer::Peer(_) => self.config.message_bytes_max,
        };
        self.actions.push(Action::Fetch { consumer, first, last, bytes_max });
    }

    /// Takes note of fetched entries, and tells whether the log still has them: it may have been
    /// cut or compacted since it asked.
    pub(crate) fn fetched(&mut self, consumer: Consumer, entries: &[Entry]) -> bool {
        let asked = self.fetches.iter().position(|(asked, ..)| *asked == consumer);
        let asked = asked.expect("contract: only what a fetch asked for is fetched");
        let (_, first, last) = self.fetches.swap_remove(asked);
        let expected = (first.0..=last.0).map(Index);
        assert!(
            entries.len() as u64 <= last.0 - first.0 + 1
                && entries.iter().map(|entry| entry.id.index).eq(expected.take(entries.len())),
            "contract: a fetch gives consecutive entries from the first one asked for"
        );
        let base = self.log.base().index;
        let kept = |entry: &Entry| entry.id.index > base && self.log.has(entry.id);
        !entries.is_empty() && entries.iter().all(kept)
    }

    /// Hands the next committed entries to the state machine, or has them fetched. An installed
    /// snapshot comes before them.
    pub(crate) fn advance_apply(&mut self) {
        if self.log.to_restore() {
            self.log.hand_over_snapshot();
            self.actions.push(Action::Restore(self.snapshot.clone()));
            return;
        }
        if self.quarantined {
            return;
        }
        let (entries_max, bytes_max) =
            (self.config.message_entries_max, self.config.apply_bytes_max);
        match self.log.to_apply(entries_max, bytes_max) {
            None => {}
            Some((_, Slice::Hot(entries))) => self.apply(entries),
            Some((first, Slice::Cold { last })) => self.fetch(Consumer::Apply, first, last),
        }
    }

    /// Hands fetched entries to the state machine, if they are the next ones.
    pub(crate) fn apply_fetched(&mut self, entries: Vec<Entry>) {
        let next = entries.first().is_some_and(|first| first.id.index == self.log.applied().next());
        if !self.quarantined && next && self.log.applying() == self.log.applied() {
            self.apply(entries);
        }
    }

    /// Hands `entries`, the next after those applied, to the state machine.
    pub(crate) fn apply(&mut self, entries: Vec<Entry>) {
        let last = entries.last().expect("a batch is not empty").id.index;
        self.log.hand_over(last);
        self.actions.push(Action::Apply(entries));
    }

    /// Tells the sender of a message of an earlier term which term it is now (Raft §5.1), so that a
    /// leader left behind steps down and a candidate left behind catches up.
    pub(crate) fn answer_stale(&mut self, message: &Message) {
        let body = match &message.body {
            Body::RequestVote { .. } => Body::RequestVoteReply { granted: false },
            Body::AppendEntries { prev, .. } => {
                let outcome = AppendOutcome::Rejected { prev: prev.index, hint: EntryId::ZERO };
                Body::AppendEntriesReply(outcome)
            }
            // Rounds of another term are none of the next leader's, who may be the same node.
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

    /// Ends every read that waits for the state machine.
    pub(crate) fn give_up_reads(&mut self, reason: RejectReason) {
        while let Some(tag) = self.reads.pop_after(Index::ZERO) {
            self.reject(tag, reason);
        }
    }

    /// The read `tag` may be answered once `index` is applied, and is then as fresh as said.
    pub(crate) fn confirm_read(&mut self, tag: Tag, index: Index, freshness: Freshness) {
        let read = ConfirmedRead { tag, index, freshness };
        if self.log.applied() >= index {
            self.actions.push(read.ready());
        } else {
            self.reads.wait(read);
        }
    }

    /// Confirms a read that the node's own state is fresh enough for.
    pub(crate) fn read_if_fresh(&mut self, tag: Tag, level: ReadLevel) -> bool {
        let ReadLevel::Bounded(staleness) = level else { return false };
        let enough = |fresh: &Fresh| self.now.since(fresh.since) <= staleness;
        let Some(fresh) = self.fresh.filter(enough) else { return false };
        self.confirm_read(tag, fresh.index, fresh.at(self.now));
        true
    }

    /// The log ends here now: what later entries would have brought may never come.
    pub(crate) fn reject_reads_after(&mut self, last: Index) {
        while let Some(tag) = self.reads.pop_after(last) {
            self.reject(tag, RejectReason::NoLeader);
        }
    }

    /// Says who counts from now on, if that is news.
    fn report_membership(&mut self) {
        let membership = self.log.membership();
        if membership.is_same(&self.reported) {
            return;
        }
        if *membership != self.reported {
            self.actions.push(Action::MembershipChanged(membership.clone()));
        }
        if !membership.incoming().contains(&self.config.id) {
            self.survival.discount();
        }
        self.survival.keep(membership);
        self.reported = membership.clone();
    }

    /// Ends a step: submits what it changed, lets go of what may leave, and applies what it
    /// committed.
    pub(crate) fn finish_step(&mut self) {
        // What the disk does not have yet may still be lost while a commit index is kept.
        let committed = self.log.committed().min(self.log.durable());
        if let Some(write) = self.outbox.take_write(committed, self.now) {
            self.actions.push(Action::Persist(write));
        }
        self.report_membership();
        self.advance_apply();
        self.log.evict(self.config.tail_bytes_max);
    }
}
