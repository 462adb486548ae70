//! The algorithm: one door in, one door out.
//!
//! [`Raft::step`] takes one [`Input`] and says what is to be done as [`Action`]s. Only this file
//! changes a node's role; a role's handlers return the transition they want.

mod action;
mod catch_up;
mod changing;
mod common;
mod config;
mod disks;
mod drift;
mod election;
mod follower;
mod founding;
mod handover;
mod input;
mod invariants;
mod jitter;
mod leader;
mod lease;
mod lending;
mod loan;
mod meeting;
mod normal;
mod outbox;
mod proposals;
mod reads;
mod refusals;
mod replication;
mod screen;
mod snapshots;
mod start;
mod survival;
mod telling;
mod trace;
mod transition;
mod unapplied;
mod upkeep;

pub use action::{Action, Refusal};
pub use config::{Config, ConfigError, Lease, Removal, Survivor};
pub use input::{Consumer, Input};
pub use refusals::Refusals;
pub use start::StartError;

pub use crate::types::{PeerStatus, RejectReason, RoleName, Status};

use alloc::boxed::Box;
use alloc::vec::Vec;

use crate::log::Log;
use crate::raft::common::Common;
use crate::raft::election::{Candidate, PreCandidate};
use crate::raft::follower::Follower;
use crate::raft::leader::Leader;
use crate::raft::transition::Transition;
use crate::types::{
    Body, Entry, EntryId, Freshness, Incarnation, Index, Instant, Membership, Message, NodeId,
    ReadLevel, Restored, SnapshotMeta, Tag, Term, WriteId,
};

/// One node of the cluster, without clock, network or disk.
///
/// The contract: (1) one input at a time; `now` is sampled after the input arrived and never goes
/// back; (2) carry out every action, keeping the order of [`Action::Persist`] among themselves and
/// of [`Action::Apply`] and [`Action::Restore`] among themselves; (3) call by [`Raft::deadline`];
/// (4) report what finished; (5) after a crash, [`Raft::new`] with exactly what was durable. A
/// driver that breaks it meets a panic that names the rule; nothing a peer, a user or a disk says
/// ever does.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Raft {
    common: Common,
    role: Role,
}

/// What the node does now, each role with data of its own.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Role {
    Follower(Follower),
    PreCandidate(PreCandidate),
    Candidate(Candidate),
    Leader(Box<Leader>),
}

impl Raft {
    /// Starts a node as a follower that waits for a leader.
    ///
    /// `restored` is exactly what was durable. `seed` feeds everything the node draws by chance
    /// and must differ from every other start of the node: an answer to an earlier start could
    /// otherwise be taken for one to this.
    ///
    /// # Errors
    /// [`StartError::Config`] as [`Config::check`] says; [`StartError::Restored`] if the parts of
    /// `restored` contradict one another.
    pub fn new(
        config: Config,
        restored: Restored,
        seed: u64,
        now: Instant,
    ) -> Result<Raft, StartError> {
        config.check().map_err(StartError::Config)?;
        let mut log = Log::new(&restored).map_err(StartError::Restored)?;
        log.evict(config.tail_bytes_max);
        if restored.hard_state.term > Term::MAX {
            return Err(StartError::Restored("the term is beyond the highest"));
        }
        if restored.hard_state.term < log.last().term {
            return Err(StartError::Restored("the term is before the log's last"));
        }
        let snapshot = restored.snapshot;
        let memberships = restored.memberships.iter().map(|(_, membership)| membership);
        if memberships.chain([&snapshot.membership]).any(|listed| listed.flaw().is_some()) {
            return Err(StartError::Restored("a membership is none that a node may have"));
        }
        let incarnation = restored.incarnation;
        let founds = config.founders.is_some() && log.membership().is_nobody();
        if founds && incarnation == Incarnation::default() {
            return Err(StartError::Restored("the disk of a founder has an incarnation"));
        }
        let state = restored.hard_state;
        let mut common = Common::new(config, state, snapshot, log, incarnation, seed, now);
        let role = Role::Follower(Follower::new(None, &mut common));
        Ok(Raft { common, role })
    }

    /// Takes one input and appends to `actions` what is to be done.
    ///
    /// # Panics
    /// If the driver breaks the contract; the message names the rule.
    pub fn step(&mut self, now: Instant, input: Input, actions: &mut Vec<Action>) {
        assert!(now >= self.common.now, "contract: now never goes back");
        let paused = self.common.told(now);
        self.common.is_new = false;
        core::mem::swap(actions, &mut self.common.actions);
        if paused && matches!(self.role, Role::Leader(_)) {
            self.enter(Transition::Follow { term: self.common.term(), leader: None });
        }
        let transition = self.receive(input);
        self.enter(transition);
        if let Role::Leader(leader) = &mut self.role {
            let verdict = leader.advance(&mut self.common);
            self.enter(verdict);
        }
        self.common.finish_step();
        core::mem::swap(actions, &mut self.common.actions);
        if cfg!(debug_assertions) {
            self.assert_invariants();
        }
    }

    /// When the node wants [`Input::Timeout`] at the latest: at once after a start that found
    /// something to apply.
    #[must_use]
    pub fn deadline(&self) -> Instant {
        if self.common.is_new && self.common.log.committed() > self.common.log.applied() {
            return self.common.now;
        }
        let told = self.common.survival.deadline(self.common.now);
        told.min(self.role_deadline())
    }

    fn role_deadline(&self) -> Instant {
        match &self.role {
            Role::Follower(follower) => {
                let founding = self.common.founding.as_ref();
                follower.deadline.min(founding.map_or(Instant::NEVER, |founding| founding.due))
            }
            Role::PreCandidate(candidate) => candidate.deadline,
            Role::Candidate(candidate) => candidate.deadline,
            Role::Leader(leader) => leader.deadline(),
        }
    }

    /// Up to where this leader takes the peer's disk to equal its own log; `None` unless it leads
    /// and the peer is a member.
    #[must_use]
    pub fn matched(&self, peer: NodeId) -> Option<Index> {
        let Role::Leader(leader) = &self.role else { return None };
        let peer = leader.peers.iter().find(|(id, _)| *id == peer);
        peer.map(|(_, progress)| progress.matched())
    }

    /// Whether this node leads and a proposal at `index` waits until every live voter has it.
    #[must_use]
    pub fn waits_for_all_live(&self, index: Index) -> bool {
        matches!(&self.role, Role::Leader(leader) if leader.proposals.waits_for_all_live(index))
    }

    /// The membership in force: the last in the log, committed or not (Raft §6).
    #[must_use]
    pub fn membership(&self) -> &Membership {
        self.common.log.membership()
    }

    /// How many messages were refused since the start, by reason.
    #[must_use]
    pub fn refusals(&self) -> &Refusals {
        &self.common.refusals
    }

    /// The node's log.
    #[must_use]
    pub fn log(&self) -> &Log {
        &self.common.log
    }

    fn leader(&self) -> Option<NodeId> {
        match &self.role {
            Role::Follower(follower) => follower.leader,
            Role::PreCandidate(_) | Role::Candidate(_) => None,
            Role::Leader(_) => Some(self.common.id()),
        }
    }

    fn receive(&mut self, input: Input) -> Transition {
        match input {
            Input::Message(message) => self.on_message(message),
            Input::Timeout => self.on_timeout(),
            Input::Persisted(write) => self.on_persisted(write),
            Input::Applied(index) => self.on_applied(index),
            Input::Fetched { consumer, entries } => self.on_fetched(consumer, entries),
            Input::Propose(proposals) => proposals.into_iter().fold(Transition::Stay, |_, next| {
                self.lead(next.tag, |leader, common| leader.on_propose(common, next))
            }),
            Input::Read { tag, level, conflict } => self.on_read(tag, level, conflict),
            Input::ChangeMembership { tag, change } => self.lead(tag, |leader, common| {
                leader.on_change(common, tag, &change);
            }),
            Input::GiveUpChange { tag } => {
                self.lead(tag, |leader, common| leader.on_give_up(common, tag))
            }
            Input::Transfer { tag, to } => {
                self.lead(tag, |leader, common| leader.on_transfer(common, tag, to))
            }
            Input::SnapshotTaken { meta, base } => {
                snapshots::on_taken(&mut self.common, meta, base);
                Transition::Stay
            }
            Input::SnapshotReceived { meta } => self.on_snapshot_received(meta),
            Input::DiskFull(full) => {
                self.common.disk_full = full;
                Transition::Stay
            }
            Input::Campaign => self.on_campaign(),
            Input::Quarantine(quarantined) => self.on_quarantine(quarantined),
            Input::Rebuild { meta } => {
                snapshots::rebuild(&mut self.common, meta);
                Transition::Stay
            }
            Input::Append => {
                if let Role::Leader(leader) = &mut self.role {
                    leader.on_append(&mut self.common);
                }
                Transition::Stay
            }
        }
    }

    fn on_timeout(&mut self) -> Transition {
        let common = &mut self.common;
        common.advance_founding();
        match &mut self.role {
            Role::Follower(follower) => follower.on_timeout(common),
            Role::PreCandidate(candidate) => candidate.on_timeout(common),
            Role::Candidate(candidate) => candidate.on_timeout(common),
            Role::Leader(leader) => leader.on_timeout(common),
        }
    }

    fn on_persisted(&mut self, write: WriteId) -> Transition {
        let common = &mut self.common;
        common.log.persisted(common.outbox.persisted(write, common.now));
        while let Some(message) = common.outbox.release() {
            common.actions.push(Action::Send(message));
        }
        match &mut self.role {
            Role::Candidate(candidate) => candidate.on_persisted(common),
            _ => Transition::Stay,
        }
    }

    fn on_applied(&mut self, index: Index) -> Transition {
        let Common { log, reads, actions, .. } = &mut self.common;
        assert!(index <= log.applying(), "contract: only what was handed over is applied");
        assert!(index >= log.applied(), "contract: what is applied stays applied");
        log.apply(index);
        while let Some(read) = reads.pop_through(index) {
            actions.push(read.ready());
        }
        Transition::Stay
    }

    fn on_fetched(&mut self, consumer: Consumer, entries: Vec<Entry>) -> Transition {
        if !self.common.fetched(consumer, &entries) {
            return Transition::Stay;
        }
        match (consumer, &mut self.role) {
            (Consumer::Apply, _) => self.common.apply_fetched(entries),
            (Consumer::Peer(peer), Role::Leader(leader)) => {
                leader.on_fetched(&mut self.common, peer, entries);
            }
            (Consumer::Peer(_), _) => {}
        }
        Transition::Stay
    }

    /// Does what only a leader does, or rejects `tag`.
    fn lead(&mut self, tag: Tag, what: impl FnOnce(&mut Leader, &mut Common)) -> Transition {
        if let Role::Leader(leader) = &mut self.role {
            what(leader, &mut self.common);
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
                let index = common.log.applied();
                common.confirm_read(tag, index, Freshness::Unknown);
            }
            Role::Follower(follower) => follower.on_read(common, tag, level, conflict),
            Role::Leader(leader) => leader.on_read(common, tag, level),
            Role::PreCandidate(_) | Role::Candidate(_) => {
                if common.reads.len() >= common.config.reads_max {
                    common.reject(tag, RejectReason::Busy);
                } else if !common.read_if_fresh(tag, level) {
                    common.reject(tag, RejectReason::NoLeader);
                }
            }
        }
        Transition::Stay
    }

    /// Who stands for election without what a snapshot holds cannot win: what is committed is with
    /// a majority. A leader has it all (Raft §5.4.3).
    fn on_snapshot_received(&mut self, meta: SnapshotMeta) -> Transition {
        let common = &mut self.common;
        match &mut self.role {
            Role::Follower(follower) => follower.on_snapshot_received(common, meta),
            Role::PreCandidate(_) | Role::Candidate(_) => {
                if snapshots::install(common, meta) {
                    return Transition::Follow { term: common.term(), leader: None };
                }
            }
            Role::Leader(_) => {}
        }
        Transition::Stay
    }

    fn on_campaign(&self) -> Transition {
        let leads = matches!(self.role, Role::Leader(_));
        if leads || !self.common.may_campaign() { Transition::Stay } else { Transition::Prepare }
    }

    /// Whoever leads, or would, follows from now on.
    fn on_quarantine(&mut self, quarantined: bool) -> Transition {
        let common = &mut self.common;
        common.quarantined = quarantined;
        if !quarantined {
            return Transition::Stay;
        }
        common.give_up_reads(RejectReason::Unverified);
        match &mut self.role {
            Role::Follower(follower) => {
                follower.give_back();
                follower.reject_reads(common, RejectReason::Unverified);
                Transition::Stay
            }
            Role::PreCandidate(_) | Role::Candidate(_) | Role::Leader(_) => {
                Transition::Follow { term: common.term(), leader: None }
            }
        }
    }

    fn on_message(&mut self, message: Message) -> Transition {
        let name = message.body.name();
        if let Some(reason) = screen::refusal(self.common.id(), &message) {
            self.common.refuse(message.from, name, reason);
            return Transition::Stay;
        }
        if self.common.log.membership().is_member(message.from) {
            self.common.survival.hear(message.from, self.common.now);
        }
        if self.common.settles_who_counts(&message, matches!(self.role, Role::Leader(_))) {
            return Transition::Stay;
        }
        match &message.body {
            // These say nothing about the sender's term being ours, too early or too late.
            Body::PreVote { next_term, last } => {
                let fresh = self.leader_is_fresh();
                let common = &mut self.common;
                election::on_pre_vote(common, message.from, *next_term, *last, fresh);
                return Transition::Stay;
            }
            Body::RequestVote { transfer: false, .. }
                if message.term > self.common.term()
                    && (self.leader_is_fresh() || self.common.is_promised()) =>
            {
                let is_sticky = self.leader_is_fresh();
                let reason = if is_sticky { Refusal::LeaderFresh } else { Refusal::Promised };
                self.common.refuse(message.from, name, reason);
                return Transition::Stay;
            }
            Body::PreVoteReply { .. } => {}
            _ if message.term < self.common.term() => {
                self.common.refuse(message.from, name, Refusal::StaleTerm);
                self.common.answer_stale(&message);
                return Transition::Stay;
            }
            _ => {}
        }
        let news = message.term > self.common.term();
        self.meet_term(&message);
        // An answer that comes with a later term ends what it answers.
        if news && message.body.is_reply() { Transition::Stay } else { self.dispatch(message) }
    }

    /// Raft §5.1: a later term makes anyone a follower; so does the leader of this term those who
    /// stand in it.
    fn meet_term(&mut self, message: &Message) {
        let from_leader = matches!(
            message.body,
            Body::AppendEntries { .. } | Body::Heartbeat { .. } | Body::InstallSnapshot { .. }
        );
        let stands = matches!(self.role, Role::PreCandidate(_) | Role::Candidate(_));
        let term = message.term;
        if term > self.common.term() || (from_leader && stands && term == self.common.term()) {
            let leader = from_leader.then_some(message.from);
            self.enter(Transition::Follow { term, leader });
        }
    }

    fn dispatch(&mut self, message: Message) -> Transition {
        let (common, from, name) = (&mut self.common, message.from, message.body.name());
        if let Role::Leader(leader) = &mut self.role
            && !leader.recognizes(common, &message)
        {
            return Transition::Stay;
        }
        match (&mut self.role, message.body) {
            (_, Body::Stranger) => common.on_stranger(from),
            (role, Body::RequestVote { last, transfer }) => {
                let granted = election::on_request_vote(common, from, last, transfer);
                role.let_win(common, granted, last);
            }
            (Role::PreCandidate(candidate), Body::PreVoteReply { next_term, granted }) => {
                return candidate.on_reply(common, from, next_term, granted);
            }
            (Role::Candidate(candidate), Body::RequestVoteReply { granted }) => {
                return candidate.on_reply(common, from, granted);
            }
            (Role::Follower(follower), Body::AppendEntries { prev, entries, committed }) => {
                follower.on_append_entries(common, from, prev, entries, committed);
            }
            (Role::Follower(follower), Body::Heartbeat(beat)) => {
                follower.on_heartbeat(common, from, &beat);
            }
            (Role::Follower(follower), Body::TimeoutNow) => {
                return follower.on_timeout_now(common, from);
            }
            (Role::Follower(follower), Body::Counted) => follower.on_counted(common, from),
            (Role::Candidate(candidate), Body::Vouch) => {
                if common.log.membership().is_voter(from) {
                    return candidate.on_vouch(common);
                }
                common.refuse(from, name, Refusal::NotVoter);
            }
            (Role::Follower(follower), Body::InstallSnapshot { meta }) => {
                follower.on_install_snapshot(common, from, meta);
            }
            (Role::Follower(follower), Body::ReadIndexReply { boot, ticket, index }) => {
                follower.on_read_index_reply(common, from, boot, ticket, index);
            }
            (Role::Leader(leader), Body::AppendEntriesReply(outcome)) => {
                leader.on_append_entries_reply(common, from, outcome);
            }
            (
                Role::Leader(leader),
                Body::HeartbeatReply { round, verified, matched, ready, .. },
            ) => {
                leader.on_heartbeat_reply(common, from, round, verified, matched, ready);
            }
            (Role::Leader(leader), Body::InstallSnapshotReply { matched }) => {
                leader.on_install_snapshot_reply(common, from, matched);
            }
            (Role::Leader(leader), Body::ReadIndex { boot, ticket }) => {
                leader.on_read_index(common, from, boot, ticket);
            }
            (
                Role::Leader(_),
                Body::AppendEntries { .. } | Body::Heartbeat { .. } | Body::InstallSnapshot { .. },
            ) => {
                common.refuse(from, name, Refusal::SecondLeader);
            }
            _ => common.refuse(from, name, Refusal::WrongRole),
        }
        Transition::Stay
    }

    /// Whether a leader is so fresh that nobody else should be elected (thesis §4.2.3).
    fn leader_is_fresh(&self) -> bool {
        self.common.config.stickiness
            && match &self.role {
                Role::Follower(follower) => follower.leader_is_fresh(&self.common),
                Role::PreCandidate(_) | Role::Candidate(_) => false,
                Role::Leader(_) => true,
            }
    }

    fn enter(&mut self, transition: Transition) {
        match transition {
            Transition::Stay => {}
            Transition::Follow { term, leader } => self.become_follower(term, leader),
            Transition::Prepare if self.common.config.pre_vote => self.become_pre_candidate(),
            Transition::Prepare | Transition::Stand => self.become_candidate(false),
            Transition::StandAtOnce => self.become_candidate(true),
            Transition::Lead => self.become_leader(),
        }
    }

    fn become_follower(&mut self, term: Term, leader: Option<NodeId>) {
        assert!(term >= self.common.term(), "nobody goes back to an earlier term");
        let common = &mut self.common;
        let follower = match &mut self.role {
            Role::Follower(before) => before.again(leader, common.now),
            Role::PreCandidate(_) | Role::Candidate(_) => Follower::new(leader, common),
            Role::Leader(resigning) => {
                resigning.resign(common);
                Follower::new(leader, common)
            }
        };
        self.role = Role::Follower(follower);
        if term > common.term() {
            common.enter_term(term);
        }
        common.announce(RoleName::Follower, leader);
    }

    fn become_pre_candidate(&mut self) {
        self.leave_follower();
        if !matches!(self.role, Role::PreCandidate(_)) {
            self.common.announce(RoleName::PreCandidate, None);
        }
        let candidate = PreCandidate::new(&mut self.common);
        let verdict = candidate.verdict(&self.common);
        self.role = Role::PreCandidate(candidate);
        self.enter(verdict);
    }

    fn become_candidate(&mut self, transfer: bool) {
        self.leave_follower();
        self.common.enter_term(self.common.term().next());
        self.common.announce(RoleName::Candidate, None);
        self.role = Role::Candidate(Candidate::new(&mut self.common, transfer));
    }

    fn become_leader(&mut self) {
        assert!(matches!(self.role, Role::Candidate(_)), "only a candidate is elected");
        self.common.announce(RoleName::Leader, Some(self.common.id()));
        self.common.survival.count();
        self.role = Role::Leader(Box::new(Leader::new(&mut self.common)));
    }

    /// Who stands for election follows nobody: reads that wait for a leader's answer end.
    fn leave_follower(&mut self) {
        assert!(!matches!(self.role, Role::Leader(_)), "a leader does not stand");
        assert!(self.common.is_electable(), "only a voter stands");
        if let Role::Follower(follower) = &mut self.role {
            follower.leave_leader(&mut self.common);
        }
    }
}

impl Role {
    fn name(&self) -> RoleName {
        match self {
            Role::Follower(_) => RoleName::Follower,
            Role::PreCandidate(_) => RoleName::PreCandidate,
            Role::Candidate(_) => RoleName::Candidate,
            Role::Leader(_) => RoleName::Leader,
        }
    }

    /// Whoever was asked for its vote lets the other win, where it can. A candidate that cannot win
    /// would else stand against it in term after term.
    fn let_win(&mut self, common: &mut Common, granted: bool, last: EntryId) {
        match self {
            Role::Follower(follower) if granted => follower.deadline = common.election_deadline(),
            Role::Candidate(candidate) if last > common.log.last() => {
                candidate.deadline = common.election_deadline();
            }
            _ => {}
        }
    }
}
