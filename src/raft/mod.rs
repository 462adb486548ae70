//! The Raft algorithm of one node, without a clock, a network or a disk.
//!
//! [`Raft::step`] takes one [`Input`] and appends the [`Action`]s that the driver carries out. Only
//! this file changes a node's role; a role's handlers return the transition they want.
//!
//! TLA+: `docs/tla/quorate_trace.tla`, AdoptTerm and GiveUp; `docs/tla/quorate.tla`, WaitsForVote.

mod api;
mod bootstrap;
mod clock_drift;
mod common;
#[cfg(feature = "std")]
mod deserialized;
mod election;
#[cfg(feature = "explore")]
mod explore;
mod follower;
mod health;
mod invariants;
mod journal;
mod leader;
mod members;
mod output;
mod reads;
mod repair;
mod role;
mod screen;
mod status;
mod transition;
mod uncertain;

pub use api::action::{Action, MessageRejectReason};
pub use api::config::{Config, ConfigError, Lease, Survivor, Suspension};
pub use api::input::{Consumer, Input};
pub use api::rejected_messages::RejectedMessages;
pub use api::start::StartError;

pub use crate::types::{PeerStatus, RejectReason, RoleCause, RoleName, Status};

use alloc::boxed::Box;
use alloc::vec::Vec;

use crate::log::Log;
use crate::progress::Progress;
use crate::raft::common::Common;
use crate::raft::election::{Candidate, PreCandidate};
use crate::raft::follower::Follower;
use crate::raft::journal::apply::apply_fetched;
use crate::raft::leader::Leader;
use crate::raft::role::Role;
use crate::raft::transition::Transition;
use crate::types::{
    Body, Entries, Freshness, Incarnation, Index, Instant, Membership, Message, MessageClass,
    NodeId, Proposal, ReadLevel, Restored, SnapshotMeta, Tag, Term, WriteId,
};

/// One node of a Raft cluster.
///
/// The driver's contract: (1) pass one input at a time, with a `now` that was sampled after the
/// input arrived and that never goes back; (2) carry out every action, with all
/// [`Action::Persist`]s in order, and all [`Action::Apply`]s and [`Action::Restore`]s in order;
/// (3) call [`Raft::step`] by [`Raft::deadline`]; (4) report finished actions; (5) after a crash,
/// call [`Raft::new`] with exactly the durable state. Only a broken contract causes a panic.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "std", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "std", serde(from = "deserialized::RaftFields"))]
pub struct Raft {
    common: Common,
    role: Role,
}

impl Raft {
    /// Starts a node as a follower that knows no leader.
    ///
    /// `restored` is exactly the durable state. `seed` feeds the election jitter and identifies
    /// this start: with the same seed as an earlier start, the node would accept late replies to
    /// requests of that start.
    ///
    /// # Errors
    /// A [`StartError`] if [`Config::check`] fails, a bootstrap peer of a new node has an invalid
    /// address or the casting vote, or `restored` is invalid.
    pub fn new(
        config: Config,
        restored: Restored,
        seed: u64,
        now: Instant,
    ) -> Result<Raft, StartError> {
        config.check_start(&restored).map_err(StartError::Config)?;
        let mut log = Log::new(&restored).map_err(StartError::Restored)?;
        log.evict(config.tail_bytes_max);
        let (term, peers) = (restored.hard_state.term, &config.bootstrap_peers);
        let memberships = restored.memberships.iter().map(|(_, membership)| membership);
        let snapshot = &restored.snapshot.membership;
        let is_invalid = memberships.chain([snapshot]).any(|listed| listed.violation().is_some());
        let bootstraps = peers.is_some() && log.membership().is_empty();
        let is_unknown = restored.incarnation == Incarnation::default();
        let contradictions = [
            (term > Term::MAX, "the term exceeds the maximum"),
            (term < log.last().term, "the term is lower than the last entry's term"),
            (is_invalid, "a membership is invalid"),
            (bootstraps && is_unknown, "a bootstrapping node has no incarnation"),
        ];
        if let Some((_, found)) = contradictions.iter().find(|(is_found, _)| *is_found) {
            return Err(StartError::Restored(found));
        }
        let mut common = Common::new(config, restored, log, seed, now);
        let role = Role::Follower(Follower::new(None, Index::ZERO, &mut common));
        Ok(Raft { common, role })
    }

    /// Takes one input and appends the resulting actions to `actions`.
    ///
    /// # Panics
    /// If the driver breaks the contract; the message names the rule.
    pub fn step(&mut self, now: Instant, input: Input, actions: &mut Vec<Action>) {
        let paused = self.common.advance_clock(now);
        let is_timeout = matches!(input, Input::Timeout) && now < Instant::NEVER;
        self.common.apply.begin_step();
        self.common.output.swap(actions);
        if paused && matches!(self.role, Role::Candidate(_) | Role::Leader(_)) {
            self.enter(Transition::step_down(self.common.term(), RoleCause::Paused));
        }
        let transition = self.receive(input);
        self.enter(transition);
        if let Role::Leader(leader) = &mut self.role {
            let transition = leader.advance(&mut self.common);
            self.enter(transition);
        }
        if repair::is_needed(&mut self.common) {
            let leader = self.leader();
            repair::advance(&mut self.common, leader);
        }
        if let Role::Follower(follower) = &self.role {
            uncertain::advance(&mut self.common, follower.verified());
        }
        self.common.finish_step();
        self.common.output.swap(actions);
        if cfg!(debug_assertions) {
            assert!(!is_timeout || self.deadline() > now, "a timeout sets a later deadline");
            self.assert_invariants();
        }
    }

    /// The time by which the driver must pass [`Input::Timeout`]. After a start that found
    /// committed entries to apply, the timeout is due at once.
    #[must_use]
    pub fn deadline(&self) -> Instant {
        if self.common.apply.is_due(self.common.log()) {
            return self.common.now();
        }
        let survival_deadline = self.common.survival.deadline(self.common.now());
        let repair_deadline = self.common.health.repair.deadline(self.common.log());
        survival_deadline.min(repair_deadline.max(self.common.now())).min(self.role_deadline())
    }

    fn role_deadline(&self) -> Instant {
        match &self.role {
            Role::Follower(follower) => follower.deadline().min(self.common.members.deadline()),
            Role::PreCandidate(candidate) => candidate.deadline(),
            Role::Candidate(candidate) => candidate.deadline(),
            Role::Leader(leader) => leader.deadline(),
        }
    }

    /// The last index up to which the peer's disk is known to match this leader's log; `None`
    /// unless this node leads and replicates to the peer.
    #[must_use]
    pub fn matched(&self, peer: NodeId) -> Option<Index> {
        let Role::Leader(leader) = &self.role else { return None };
        leader.peers().get(peer).map(Progress::matched)
    }

    /// Returns true if this node leads and the proposal at `index` waits for every live voter.
    #[must_use]
    pub fn waits_for_all_live(&self, index: Index) -> bool {
        matches!(&self.role, Role::Leader(leader) if leader.waits_for_all_live(index))
    }

    /// The active membership: the last one in the log, committed or not (Raft §6).
    #[must_use]
    pub fn membership(&self) -> &Membership {
        self.common.log().membership()
    }

    /// The number of messages rejected since the start, by reason.
    #[must_use]
    pub fn rejected_messages(&self) -> &RejectedMessages {
        self.common.output.rejected_messages()
    }

    #[inline]
    fn leader(&self) -> Option<NodeId> {
        match &self.role {
            Role::Follower(follower) => follower.leader(),
            Role::PreCandidate(_) | Role::Candidate(_) => None,
            Role::Leader(_) => Some(self.common.id()),
        }
    }

    #[inline]
    fn receive(&mut self, input: Input) -> Transition {
        match input {
            Input::Message(mut message) => self.on_message(&mut message),
            Input::Timeout => self.on_timeout(),
            Input::Persisted(write) => self.on_persisted(write),
            Input::Applied(index) => {
                let Common { journal, reads, output, .. } = &mut self.common;
                journal.mark_applied(index);
                reads.answer_through(index, output);
                Transition::Stay
            }
            Input::Fetched { consumer, entries } => self.on_fetched(consumer, entries),
            Input::Damaged(entries) => {
                repair::on_damaged(&mut self.common, &entries);
                Transition::Stay
            }
            Input::Repaired(ids) => {
                repair::on_repaired(&mut self.common, &ids);
                Transition::Stay
            }
            Input::Propose(proposals) => self.on_propose(proposals),
            Input::Read { tag, level, conflict } => self.on_read(tag, level, conflict),
            Input::ChangeMembership { tag, change } => {
                self.if_leader(tag, |leader, common| leader.on_change(common, tag, &change))
            }
            Input::CancelMembershipChange { tag } => {
                self.if_leader(tag, |leader, common| leader.on_cancel_change(common, tag))
            }
            Input::TransferLeadership { tag, to } => {
                self.if_leader(tag, |leader, common| leader.on_transfer(common, tag, to))
            }
            Input::SnapshotTaken { meta, base } => {
                journal::snapshots::on_taken(&mut self.common, meta, base);
                Transition::Stay
            }
            Input::SnapshotReceived { meta } => self.on_snapshot_received(meta),
            Input::DiskFull(full) => {
                self.common.health.disk_full = full;
                Transition::Stay
            }
            Input::Campaign => self.on_campaign(),
            Input::Quarantine(quarantined) => self.on_quarantine(quarantined),
            Input::Rebuild { meta } => {
                journal::snapshots::rebuild(&mut self.common, meta);
                Transition::Stay
            }
            Input::AppendNoop => {
                if let Role::Leader(leader) = &mut self.role {
                    leader.on_append_noop(&mut self.common);
                }
                Transition::Stay
            }
        }
    }

    fn on_propose(&mut self, proposals: Vec<Proposal>) -> Transition {
        match &mut self.role {
            Role::Leader(leader) => leader.on_propose(&mut self.common, proposals),
            Role::Follower(_) | Role::PreCandidate(_) | Role::Candidate(_) => {
                let reason = RejectReason::NotLeader { leader: self.leader() };
                for proposal in proposals {
                    self.common.reject(proposal.tag, reason);
                }
            }
        }
        Transition::Stay
    }

    fn on_timeout(&mut self) -> Transition {
        let common = &mut self.common;
        bootstrap::messages::advance_bootstrap(common);
        common.reject_overdue_reads();
        match &mut self.role {
            Role::Follower(follower) => follower.on_timeout(common),
            Role::PreCandidate(candidate) => candidate.on_timeout(common),
            Role::Candidate(candidate) => candidate.on_timeout(common),
            Role::Leader(leader) => leader.on_timeout(common),
        }
    }

    fn on_persisted(&mut self, write: WriteId) -> Transition {
        let common = &mut self.common;
        common.on_persisted(write);
        match &mut self.role {
            Role::Candidate(candidate) => candidate.on_persisted(common),
            _ => Transition::Stay,
        }
    }

    fn on_fetched(&mut self, consumer: Consumer, entries: Entries) -> Transition {
        let Common { apply, journal, health, output, .. } = &mut self.common;
        if !apply.finish_fetch(consumer, &entries, journal.log()) {
            return Transition::Stay;
        }
        match (consumer, &mut self.role) {
            (Consumer::Apply, _) if health.quarantined => {}
            (Consumer::Apply, _) => apply_fetched(entries, journal, output),
            (Consumer::Peer(peer), Role::Leader(leader)) => {
                leader.on_fetched(&mut self.common, peer, entries);
            }
            (Consumer::Peer(_), _) => {}
            (Consumer::Repair { peer, first }, _) => {
                repair::serving::on_fetched(&mut self.common, peer, first, entries);
            }
        }
        Transition::Stay
    }

    /// Calls `handle` if this node leads, and rejects the request `tag` otherwise.
    fn if_leader(&mut self, tag: Tag, handle: impl FnOnce(&mut Leader, &mut Common)) -> Transition {
        if let Role::Leader(leader) = &mut self.role {
            handle(leader, &mut self.common);
        } else {
            let leader = self.leader();
            self.common.reject(tag, RejectReason::NotLeader { leader });
        }
        Transition::Stay
    }

    fn on_read(&mut self, tag: Tag, level: ReadLevel, conflict: Index) -> Transition {
        let common = &mut self.common;
        match &mut self.role {
            _ if level == ReadLevel::Local => {
                let index = common.log().applied();
                common.confirm_read(tag, index, Freshness::Unknown);
            }
            Role::Follower(follower) => follower.on_read(common, tag, level, conflict),
            Role::Leader(leader) => leader.on_read(common, tag, level),
            Role::PreCandidate(_) | Role::Candidate(_) => {
                if common.reads.len() >= common.config().reads_max {
                    common.reject(tag, RejectReason::Busy);
                } else if !common.confirm_if_fresh(tag, level, false) {
                    common.reject(tag, RejectReason::NoLeader);
                }
            }
        }
        Transition::Stay
    }

    /// Installs a received snapshot. A candidate that lacks the snapshot's entries steps down: they
    /// are committed, so it cannot win. A leader has all of them (Raft §5.4.3).
    fn on_snapshot_received(&mut self, meta: SnapshotMeta) -> Transition {
        let common = &mut self.common;
        let contradicts =
            meta.last.index <= self.role.verified(common) && !common.log().has(meta.last);
        let is_diverged = contradicts || journal::snapshots::is_of_diverged_log(common, &meta);
        if is_diverged || repair::adopt_snapshot(common, &meta) {
            return Transition::Stay;
        }
        match &mut self.role {
            Role::Follower(follower) => follower.on_snapshot_received(common, meta),
            Role::PreCandidate(_) | Role::Candidate(_) => {
                if journal::snapshots::install(common, meta) {
                    return Transition::step_down(common.term(), RoleCause::SnapshotInstalled);
                }
            }
            Role::Leader(_) => {}
        }
        Transition::Stay
    }

    fn on_campaign(&self) -> Transition {
        let leads = matches!(self.role, Role::Leader(_));
        match !leads && self.common.may_campaign() {
            true => Transition::StartPreVote(RoleCause::CampaignRequested),
            false => Transition::Stay,
        }
    }

    /// Enters or leaves quarantine. A leader or a candidate in quarantine becomes a follower.
    fn on_quarantine(&mut self, quarantined: bool) -> Transition {
        let common = &mut self.common;
        common.health.quarantined = quarantined;
        if !quarantined {
            return Transition::Stay;
        }
        common.reads.reject_after(Index::ZERO, RejectReason::Unverified, &mut common.output);
        match &mut self.role {
            Role::Follower(follower) => {
                follower.drop_read_lease();
                follower.reject_forwarded_reads(common, RejectReason::Unverified);
                Transition::Stay
            }
            Role::PreCandidate(_) | Role::Candidate(_) | Role::Leader(_) => {
                Transition::step_down(common.term(), RoleCause::Quarantined)
            }
        }
    }

    #[inline(never)]
    fn on_message(&mut self, message: &mut Message) -> Transition {
        let kind = message.body.kind();
        if let Some(reason) = screen::reject_reason(self.common.id(), message) {
            self.common.reject_message(message.from, kind.name(), reason);
            return Transition::Stay;
        }
        self.common.record_contact(message);
        if bootstrap::messages::handle_bootstrap_or_reject(
            &mut self.common,
            message,
            matches!(self.role, Role::Leader(_)),
        ) {
            return Transition::Stay;
        }
        match message.body {
            Body::RequestEntries { .. } | Body::RequestEntriesReply { .. } => {
                self.handle_repair(message);
                return Transition::Stay;
            }
            Body::PreVote { next_term, last } => {
                let withheld = self.withheld_reason();
                election::on_pre_vote(&mut self.common, message.from, next_term, last, withheld);
                return Transition::Stay;
            }
            Body::RequestVote { transfer: false, .. } if message.term > self.common.term() => {
                if let Some(reason) = self.withheld_reason() {
                    self.common.reject_message(message.from, kind.name(), reason);
                    return Transition::Stay;
                }
            }
            _ => {}
        }
        let is_pre_vote_reply = matches!(message.body, Body::PreVoteReply { .. });
        if message.term < self.common.term() && !is_pre_vote_reply {
            self.common.reject_message(message.from, kind.name(), MessageRejectReason::StaleTerm);
            if let Some(reply) = screen::stale_reply(&message.body) {
                self.common.send(message.from, reply);
            }
            return Transition::Stay;
        }
        let is_later = message.term > self.common.term();
        self.adopt_term(message);
        // A reply of a later term is obsolete: its sender has left the term of the request.
        if is_later && message.body.is_reply() { Transition::Stay } else { self.dispatch(message) }
    }

    /// Handles a message about damaged entries, whatever its term.
    fn handle_repair(&mut self, message: &mut Message) {
        let leader = self.leader();
        let (common, from) = (&mut self.common, message.from);
        match message.body {
            Body::RequestEntries { first, last } => {
                repair::serving::on_request(common, from, first, last);
            }
            Body::RequestEntriesReply { ref mut entries, ref mut snapshot } => {
                let (entries, snapshot) = (core::mem::take(entries), snapshot.take());
                repair::on_reply(common, from, leader, entries, snapshot.map(|meta| *meta));
            }
            _ => panic!("only messages about damaged entries are handled here"),
        }
    }

    /// Returns why this node currently grants no vote in a later term, or `None` if it may.
    fn withheld_reason(&self) -> Option<MessageRejectReason> {
        self.common.ballot.withheld_reason(self.hears_leader(), self.common.now())
    }

    /// Becomes a follower in the message's term if that is later (Raft §5.1). A (pre-)candidate
    /// also follows a leader of its own term.
    #[inline]
    fn adopt_term(&mut self, message: &Message) {
        let from_leader = message.body.class() == MessageClass::LeaderRequest;
        let campaigns = matches!(self.role, Role::PreCandidate(_) | Role::Candidate(_));
        let term = message.term;
        if term > self.common.term() || (from_leader && campaigns && term == self.common.term()) {
            let leader = from_leader.then_some(message.from);
            let from = message.from;
            let cause = match leader {
                Some(_) => RoleCause::LeaderFound { from },
                None => RoleCause::LaterTerm { from },
            };
            self.enter(Transition::Follow { term, leader, cause });
        }
    }

    /// Panics if the node should have rejected the message before its dispatch. The sender of a
    /// pre-vote reply may be in an earlier term.
    #[inline]
    fn assert_may_dispatch(&self, message: &Message) {
        assert!(message.to == self.common.id(), "a message for another node is rejected");
        let is_current = message.term == self.common.term();
        let is_pre_vote = matches!(message.body, Body::PreVoteReply { .. });
        assert!(is_current || is_pre_vote, "a message of another term is not handled");
    }

    #[inline]
    fn dispatch(&mut self, message: &mut Message) -> Transition {
        self.assert_may_dispatch(message);
        let (common, from, kind) = (&mut self.common, message.from, message.body.kind());
        if let Role::Leader(leader) = &mut self.role
            && !leader.accepts_disk_of(common, message)
        {
            return Transition::Stay;
        }
        if let Some(transition) = self.role.handle(common, from, &mut message.body) {
            return transition;
        }
        let is_leader_request = kind.class() == MessageClass::LeaderRequest;
        let is_second = matches!(self.role, Role::Leader(_)) && is_leader_request;
        let wrong_role = MessageRejectReason::WrongRole;
        let reason = if is_second { MessageRejectReason::SecondLeader } else { wrong_role };
        self.common.reject_message(from, kind.name(), reason);
        Transition::Stay
    }

    /// Whether `Config::stickiness` forbids a vote for another node: this node leads, or has heard
    /// from a leader recently (thesis §4.2.3).
    fn hears_leader(&self) -> bool {
        self.common.config().stickiness
            && match &self.role {
                Role::Follower(follower) => follower.hears_leader(&self.common),
                Role::PreCandidate(_) | Role::Candidate(_) => false,
                Role::Leader(_) => true,
            }
    }

    #[inline]
    fn enter(&mut self, transition: Transition) {
        if !matches!(transition, Transition::Stay) {
            self.change_role(transition);
        }
    }

    fn change_role(&mut self, transition: Transition) {
        match transition {
            Transition::Stay => {}
            Transition::Follow { term, leader, cause } => self.become_follower(term, leader, cause),
            Transition::StartPreVote(cause) if self.common.config().pre_vote => {
                self.become_pre_candidate(cause);
            }
            Transition::StartPreVote(cause) | Transition::StartElection(cause) => {
                self.become_candidate(false, cause);
            }
            Transition::StartTransferElection { from } => {
                self.become_candidate(true, RoleCause::LeadershipTransfer { from });
            }
            Transition::BecomeLeader => self.become_leader(),
        }
    }

    fn become_follower(&mut self, term: Term, leader: Option<NodeId>, cause: RoleCause) {
        assert!(leader != Some(self.common.id()), "no node follows itself");
        assert!(term >= self.common.term(), "a node never returns to an earlier term");
        let common = &mut self.common;
        let verified = if term > common.term() { Index::ZERO } else { self.role.verified(common) };
        if let Role::Follower(follower) = &mut self.role {
            follower.follow(leader, verified, common.now());
        } else {
            if let Role::Leader(resigning) = &mut self.role {
                resigning.resign(common);
            }
            self.role = Role::Follower(Follower::new(leader, verified, common));
        }
        if term > common.term() {
            common.ballot.enter_term(term, &mut common.journal);
        }
        common.report_role(RoleName::Follower, leader, cause);
    }

    fn become_pre_candidate(&mut self, cause: RoleCause) {
        self.stop_following();
        if !matches!(self.role, Role::PreCandidate(_)) {
            self.common.report_role(RoleName::PreCandidate, None, cause);
        }
        let candidate = PreCandidate::new(self.role.verified(&self.common), &mut self.common);
        let transition = candidate.transition(&self.common);
        self.role = Role::PreCandidate(candidate);
        self.enter(transition);
    }

    fn become_candidate(&mut self, transfer: bool, cause: RoleCause) {
        self.stop_following();
        let common = &mut self.common;
        common.ballot.enter_term(common.term().next(), &mut common.journal);
        common.report_role(RoleName::Candidate, None, cause);
        self.role = Role::Candidate(Candidate::new(common, transfer));
    }

    fn become_leader(&mut self) {
        let own = self.common.id();
        assert!(self.common.ballot.vote() == Some(own), "a leader voted for itself");
        assert!(matches!(self.role, Role::Candidate(_)), "only a candidate is elected");
        self.common.report_role(RoleName::Leader, Some(own), RoleCause::VotesGranted);
        self.common.allow_own_takeover();
        self.role = Role::Leader(Box::new(Leader::new(&mut self.common)));
    }

    /// Ends the follower role before a campaign: rejects the reads that wait for the leader.
    fn stop_following(&mut self) {
        assert!(!matches!(self.role, Role::Leader(_)), "a leader does not campaign");
        assert!(self.common.is_electable(), "only an electable node campaigns");
        if let Role::Follower(follower) = &mut self.role {
            follower.on_leader_lost(&mut self.common);
        }
    }
}
