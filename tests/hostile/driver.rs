//! A driver that keeps the contract, for one node with Byzantine peers. The input bytes decide each
//! step: a Byzantine message, an honest reply, a flush, a restart. After every step the node must
//! have kept its invariants.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use quorate::raft::{Action, Config, Consumer, Input, MessageRejectReason, Raft, Suspension};
use quorate::types::{
    Acknowledge, AppendOutcome, Body, BootstrapPeer, Entry, HardState, Heartbeat, Incarnation,
    Index, Instant, Membership, Message, NodeId, ReadLevel, Readiness, SnapshotMeta, Tag, Term,
    Write, WriteId,
};

use super::bytes::Bytes;
use super::disk::Disk;
use super::messages::{Known, change, is_impossible, known_bootstrap_peer, message_end};

/// The maximum number of other voters. A full outbox still keeps the vote requests to all of them.
const OTHERS_MAX: usize = 5;

/// A pending request of a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum PendingRequest {
    Proposal,
    Read,
    Change,
    Transfer,
}

/// A pending read of the disk.
#[derive(Clone, Copy, Debug)]
struct Fetch {
    consumer: Consumer,
    first: Index,
    last: Index,
    bytes_max: usize,
}

/// One node with its disk, state machine, users and peers.
pub(crate) struct Driver {
    config: Config,
    raft: Raft,
    now: Instant,
    disk: Disk,
    writes: VecDeque<Write>,
    submitted: WriteId,
    /// The last durable write.
    flushed: WriteId,
    /// The last entry that is being applied, if any.
    applying: Option<Index>,
    applied: Index,
    fetches: Vec<Fetch>,
    /// The snapshots that the node has requested since its start; each may have arrived.
    requested_snapshots: Vec<SnapshotMeta>,
    pending: BTreeMap<Tag, PendingRequest>,
    tags: u64,
    /// The node's messages without a reply.
    sent: VecDeque<Message>,
    round: u64,
    forwarded: (u64, u64),
    probe_start_id: u64,
    starts: u64,
    /// The covered roles, reject reasons and actions, by name.
    covered: BTreeSet<String>,
    /// Every input since the last start, which is printed on a panic.
    inputs: Vec<(Instant, Input)>,
}

/// Drives a node through the steps that the bytes encode.
pub(crate) fn drive(bytes: &[u8]) -> Driver {
    let mut bytes = Bytes::new(bytes);
    let mut driver = Driver::new(&mut bytes);
    while !bytes.is_empty() {
        driver.random_step(&mut bytes);
    }
    driver.settle();
    driver
}

impl Driver {
    fn new(bytes: &mut Bytes<'_>) -> Driver {
        let (id, membership) = cluster(bytes);
        let mut config = config(id, bytes);
        config.bootstrap_peers =
            membership.is_empty().then(|| Membership::new([1, 2, 3].map(NodeId)));
        let disk = Disk::first(membership, bytes);
        let now = Instant(1_000_000_000);
        let raft = Raft::new(config.clone(), disk.restored(usize::MAX), 0, now).expect("a node");
        Driver {
            applied: disk.snapshot.last.index,
            config,
            raft,
            now,
            disk,
            writes: VecDeque::new(),
            submitted: WriteId::ZERO,
            flushed: WriteId::ZERO,
            applying: None,
            fetches: Vec::new(),
            requested_snapshots: Vec::new(),
            pending: BTreeMap::new(),
            tags: 0,
            sent: VecDeque::new(),
            round: 0,
            forwarded: (0, 0),
            probe_start_id: 0,
            starts: 0,
            covered: BTreeSet::new(),
            inputs: Vec::new(),
        }
    }

    /// The covered roles, reject reasons and actions, by name.
    pub(crate) fn covered(&self) -> &BTreeSet<String> {
        &self.covered
    }

    fn random_step(&mut self, bytes: &mut Bytes<'_>) {
        match bytes.below(32) {
            0..=8 => self.receive_byzantine_message(bytes),
            9..=16 => self.receive_honest_reply(bytes),
            17 | 18 => {
                self.now = self.now.after(Duration::from_millis(bytes.byte().into()));
                self.step(Input::Timeout);
            }
            19 => {
                self.now = self.raft.deadline();
                self.step(Input::Timeout);
            }
            20..=23 => self.flush(1 + usize::from(bytes.below(4))),
            24 | 25 => self.work(),
            26 => self.fetch(bytes),
            27 => self.propose(bytes),
            28 => match bytes.below(16) {
                0 | 1 => self.propose(bytes),
                8 | 9 => {
                    let tag = self.tag(PendingRequest::Change);
                    self.step(Input::ChangeMembership { tag, change: change(bytes) });
                }
                10 | 12.. => {
                    let tag = self.tag(PendingRequest::Change);
                    self.step(Input::CancelMembershipChange { tag });
                }
                11 => {
                    let to = bytes.chance(128).then(|| NodeId(u64::from(bytes.below(6))));
                    let tag = self.tag(PendingRequest::Transfer);
                    self.step(Input::TransferLeadership { tag, to });
                }
                2 | 3 => self.take_snapshot(bytes),
                4 => self.step(Input::DiskFull(true)),
                5 => self.step(Input::DiskFull(false)),
                _ => self.receive_snapshot(bytes),
            },
            29 => {
                let tag = self.tag(PendingRequest::Read);
                let level = match bytes.below(6) {
                    0 => ReadLevel::Lease,
                    1 => ReadLevel::Replica,
                    2 => ReadLevel::Bounded(Duration::from_millis(bytes.byte().into())),
                    3 => ReadLevel::Local,
                    _ => ReadLevel::Linearizable,
                };
                let conflict = self.raft.status().last.index;
                self.step(Input::Read { tag, level, conflict });
            }
            30 => self.step(Input::Campaign),
            _ => self.restart(bytes),
        }
    }

    fn receive_byzantine_message(&mut self, bytes: &mut Bytes<'_>) {
        let (round, read_index, start_id) = (self.round, self.forwarded, self.probe_start_id);
        let known = Known { raft: &self.raft, round, read_index, start_id };
        let message = known.message(bytes);
        let impossible = is_impossible(&message, self.config.id);
        let before = self.raft.status();
        let rejected_count = self.malformed_count();
        self.step(Input::Message(message));
        let rejected = self.malformed_count() - rejected_count;
        assert_eq!(rejected, u64::from(impossible), "exactly the impossible messages are rejected");
        if impossible {
            assert_eq!(self.raft.status(), before, "an impossible message changed the node");
        }
    }

    /// Returns the number of messages that were rejected as misaddressed or malformed.
    fn malformed_count(&self) -> u64 {
        let rejections = self.raft.rejected_messages();
        rejections.count(MessageRejectReason::Misaddressed)
            + rejections.count(MessageRejectReason::Malformed)
    }

    /// Returns the incarnation that the node's membership names for `id`.
    fn named(&self, id: NodeId) -> Incarnation {
        self.raft.membership().member(id).map_or(Incarnation::default(), |it| it.incarnation)
    }

    /// Delivers an honest, positive reply to the oldest or the newest message of the node.
    fn receive_honest_reply(&mut self, bytes: &mut Bytes<'_>) {
        let message = if bytes.chance(64) { self.sent.pop_back() } else { self.sent.pop_front() };
        let Some(message) = message else { return };
        let matched = Index(self.raft.status().last.index.0.min(message_end(&message).0));
        let (granted, committed) = (true, self.raft.status().committed);
        let body = match message.body {
            Body::PreVote { next_term, .. } => Body::PreVoteReply { next_term, granted, committed },
            Body::RequestVote { .. } => Body::RequestVoteReply { granted, committed },
            Body::AppendEntries { .. } => {
                Body::AppendEntriesReply(AppendOutcome::Accepted { matched })
            }
            Body::Heartbeat(Heartbeat { round, .. }) => {
                let (verified, durable, ready) = (matched, matched, Readiness::default());
                Body::HeartbeatReply { round, verified, matched, durable, ready }
            }
            Body::InstallSnapshot { .. } => Body::InstallSnapshotReply { matched },
            Body::ReadIndex { start_id, ticket } => {
                Body::ReadIndexReply { start_id, ticket, index: committed }
            }
            Body::RequestLogEnd { start_id } => Body::LogEnd { start_id, last: committed },
            Body::BootstrapProbe { seen } => {
                let known = |peer: &BootstrapPeer| match peer.is_known() {
                    true => *peer,
                    false => known_bootstrap_peer(peer.id),
                };
                Body::BootstrapProbe { seen: seen.iter().map(known).collect() }
            }
            Body::TimeoutNow => {
                let last = self.raft.status().last;
                let (from, to, term) = (message.to, message.from, Term(message.term.0 + 1));
                let body = Body::RequestVote { last, transfer: true };
                let incarnation = self.named(from);
                let message = Message { from, incarnation, to, term, body };
                return self.step(Input::Message(message));
            }
            _ => return,
        };
        let (from, to, term) = (message.to, message.from, message.term);
        let incarnation = self.named(from);
        self.step(Input::Message(Message { from, incarnation, to, term, body }));
    }

    /// Makes some writes durable, and reports the last one.
    fn flush(&mut self, count: usize) {
        for _ in 0..count {
            let Some(write) = self.writes.pop_front() else { break };
            self.disk.store(&write);
            self.flushed = write.id;
        }
        if self.flushed > WriteId::ZERO {
            self.step(Input::Persisted(self.flushed));
        }
    }

    fn work(&mut self) {
        if let Some(index) = self.applying.take() {
            self.applied = index;
            self.step(Input::Applied(index));
        }
    }

    /// Reports a snapshot of an applied state, with a random base for the log compaction.
    fn take_snapshot(&mut self, bytes: &mut Bytes<'_>) {
        let durable = self.raft.log().durable();
        if !(self.disk.snapshot.last.index.max(Index(1))..=durable).contains(&self.applied) {
            return;
        }
        let Some(membership) = self.raft.log().membership_at(self.applied) else { return };
        let meta = SnapshotMeta::empty(self.disk.id_at(self.applied), membership.clone());
        let trailing = u64::from(bytes.below(6));
        let base = Index(self.applied.0.saturating_sub(trailing));
        self.step(Input::SnapshotTaken { meta: meta.clone(), base });
        if self.raft.status().snapshot == meta.last.index {
            self.disk.snapshot = meta;
            self.disk.compact(self.raft.log().base());
        }
    }

    /// Reports the receipt of a snapshot that the node has requested since its start.
    fn receive_snapshot(&mut self, bytes: &mut Bytes<'_>) {
        if !self.requested_snapshots.is_empty() {
            let meta = bytes.one_of(&self.requested_snapshots);
            self.step(Input::SnapshotReceived { meta });
        }
    }

    /// Completes a disk read, perhaps with only a part of the requested entries.
    fn fetch(&mut self, bytes: &mut Bytes<'_>) {
        if self.fetches.is_empty() {
            return;
        }
        let place = usize::from(bytes.byte()) % self.fetches.len();
        let Fetch { consumer, first, last, bytes_max } = self.fetches.swap_remove(place);
        let mut entries = self.disk.read(first, last);
        let given = entries.len() - usize::from(bytes.byte()) % entries.len().max(1);
        let mut total = 0;
        let fit = entries.iter().take_while(|entry| {
            total += entry.bytes();
            total <= bytes_max
        });
        entries.truncate(fit.count().max(1).min(given));
        self.step(Input::Fetched { consumer, entries: entries.into() });
    }

    fn propose(&mut self, bytes: &mut Bytes<'_>) {
        let size = if bytes.chance(16) { 4_000 } else { usize::from(bytes.byte()) };
        let (tag, last) = (self.tag(PendingRequest::Proposal), self.raft.status().last);
        let levels = [Acknowledge::Quorum, Acknowledge::AllLive, Acknowledge::LeaderOnly];
        let acknowledge = levels[size % levels.len()];
        self.step(Input::propose(tag, acknowledge, vec![1; size]));
        let status = self.raft.status();
        assert!(
            status.last == last || status.unapplied_bytes <= self.config.unapplied_bytes_max,
            "accepted proposals are within the bound on unapplied bytes"
        );
    }

    fn tag(&mut self, request: PendingRequest) -> Tag {
        self.tags += 1;
        self.pending.insert(Tag(self.tags), request);
        Tag(self.tags)
    }

    /// Crashes the node, with some of its pending writes durable, and restarts it.
    fn restart(&mut self, bytes: &mut Bytes<'_>) {
        let mut kept = usize::from(bytes.below(8));
        for mut write in std::mem::take(&mut self.writes) {
            write.hard_state = write.hard_state.filter(|_| kept > 0);
            kept = kept.saturating_sub(usize::from(write.hard_state.is_some()));
            write.install = write.install.filter(|_| kept > 0);
            kept = kept.saturating_sub(usize::from(write.install.is_some()));
            write.entries.truncate(kept);
            kept -= write.entries.len();
            let some = write.hard_state.is_some() || write.install.is_some();
            if some || !write.entries.is_empty() {
                self.disk.store(&write);
            }
        }
        let restored = self.disk.restored(bytes.byte().into());
        self.starts += 1;
        self.raft = Raft::new(self.config.clone(), restored, self.starts, self.now)
            .expect("the durable state is valid");
        (self.submitted, self.flushed) = (WriteId::ZERO, WriteId::ZERO);
        (self.applying, self.applied) = (None, self.disk.snapshot.last.index);
        self.fetches.clear();
        self.requested_snapshots.clear();
        self.pending.clear();
        self.sent.clear();
        self.inputs.clear();
    }

    /// Completes all pending work of the disk and the state machine.
    fn settle(&mut self) {
        let plain = &mut Bytes::new(&[]);
        // A node that has just started requests nothing before its first step.
        self.step(Input::Timeout);
        let mut rounds = 0;
        while !self.writes.is_empty() || self.applying.is_some() || !self.fetches.is_empty() {
            self.flush(1);
            self.work();
            self.fetch(plain);
            rounds += 1;
            assert!(rounds < 10_000, "a node without inputs becomes idle");
        }
        let status = self.raft.status();
        assert_eq!(status.durable, status.last.index, "every write is durable");
        assert_eq!(status.applied, status.committed, "every committed entry is applied");
        assert_eq!(self.applied, status.applied, "the state machine has applied the same");
        assert_eq!(self.disk.snapshot.last.index, status.snapshot, "the disk has the snapshot");
        assert_eq!(self.disk.base(), status.base, "the disk and the log have the same base");
        assert_eq!(status.outbox_messages, 0, "no message waits for an idle disk");
        let held = status.hard_state();
        assert_eq!(held, self.disk.hard_state, "memory equals the disk");
    }

    /// Passes an input to the node, executes its actions, and checks the invariants.
    fn step(&mut self, input: Input) {
        self.inputs.push((self.now, input.clone()));
        let rejected_count = self.rejected_count();
        let mut actions = Vec::new();
        self.raft.step(self.now, input, &mut actions);
        self.raft.assert_invariants();
        let rejections =
            actions.iter().filter(|action| matches!(action, Action::MessageRejected { .. }));
        assert_eq!(
            self.rejected_count() - rejected_count,
            rejections.count() as u64,
            "rejections are counted"
        );
        actions.into_iter().for_each(|action| self.carry(action));
        let status = self.raft.status();
        let held_max = self.config.outbox_messages_max + OTHERS_MAX;
        assert!(status.outbox_messages <= held_max, "the outbox is bounded");
        assert!(status.reads_waiting <= self.config.reads_max, "reads are bounded");
        assert!(self.raft.deadline() > Instant::ZERO, "there is always a deadline");
    }

    fn rejected_count(&self) -> u64 {
        MessageRejectReason::ALL
            .iter()
            .map(|reason| self.raft.rejected_messages().count(*reason))
            .sum()
    }

    fn carry(&mut self, action: Action) {
        self.record(&action);
        match action {
            Action::Send(message) => self.send(message),
            Action::Persist(write) => {
                assert_eq!(write.id, self.submitted.next(), "writes are numbered in order");
                self.submitted = write.id;
                self.writes.push_back(write);
            }
            Action::Apply(entries) => self.apply(&entries),
            Action::Restore(meta) => {
                assert_eq!(self.applying, None, "one batch at a time");
                assert_eq!(self.disk.snapshot, meta, "the restored snapshot is installed");
                assert!(meta.last.index > self.applied, "the state machine only advances");
                self.applying = Some(meta.last.index);
            }
            Action::ReceiveSnapshot { meta, .. } => self.requested_snapshots.push(meta),
            Action::Fetch { consumer, first, last, bytes_max } => {
                assert!(
                    first <= last && self.disk.at(last).is_some(),
                    "the fetched entries are on disk"
                );
                let twice = self.fetches.iter().any(|fetch| fetch.consumer == consumer);
                assert!(!twice, "one fetch for each consumer");
                self.fetches.push(Fetch { consumer, first, last, bytes_max });
            }
            Action::Committed { tag, id } => {
                assert_eq!(
                    self.pending.remove(&tag),
                    Some(PendingRequest::Proposal),
                    "one outcome"
                );
                assert!(id.index <= self.raft.status().committed, "the entry is committed");
            }
            Action::MembershipChangeCommitted { tag, id } => {
                assert_eq!(self.pending.remove(&tag), Some(PendingRequest::Change), "one outcome");
                assert!(id.index <= self.raft.status().committed, "the entry is committed");
            }
            Action::LeadershipTransferred { tag } => {
                assert_eq!(
                    self.pending.remove(&tag),
                    Some(PendingRequest::Transfer),
                    "one outcome"
                );
            }
            Action::Unknown { tag, .. } => {
                let request = self.pending.remove(&tag);
                let appended =
                    matches!(request, Some(PendingRequest::Proposal | PendingRequest::Change));
                assert!(appended, "one outcome");
            }
            Action::ActiveMembershipChanged(membership) => {
                assert_eq!(membership, *self.raft.membership(), "it is the active membership");
            }
            Action::Rejected { tag, .. } => {
                assert!(self.pending.remove(&tag).is_some(), "one outcome");
            }
            Action::ReadReady { tag, index, .. } => {
                assert_eq!(self.pending.remove(&tag), Some(PendingRequest::Read), "one outcome");
                assert!(index <= self.applied, "the read index is applied");
            }
            _ => {}
        }
    }

    fn record(&mut self, action: &Action) {
        let name = match action {
            Action::RoleChanged { role, .. } => role.to_string(),
            Action::MessageRejected { reason, .. } => reason.to_string(),
            Action::Rejected { reason, .. } => reason.to_string(),
            Action::Fetch { consumer: Consumer::Apply, .. } => "fetch to apply".to_owned(),
            Action::Fetch { .. } => "fetch for a peer".to_owned(),
            Action::Committed { .. } => "committed".to_owned(),
            Action::MembershipChangeCommitted { .. } => "membership change committed".to_owned(),
            Action::UnknownIncarnation { .. } => "unknown incarnation".to_owned(),
            Action::LeadershipTransferred { .. } => "leadership transferred".to_owned(),
            Action::ActiveMembershipChanged(membership) if membership.is_staged() => {
                "staged".to_owned()
            }
            Action::ActiveMembershipChanged(membership) if membership.is_joint() => {
                "joint".to_owned()
            }
            Action::Unknown { .. } => "unknown".to_owned(),
            Action::ReadReady { .. } => "read".to_owned(),
            Action::Restore(_) => "restore".to_owned(),
            Action::ReceiveSnapshot { .. } => "snapshot requested".to_owned(),
            Action::Send(Message { body: Body::InstallSnapshot { .. }, .. }) => {
                "snapshot offered".to_owned()
            }
            _ => return,
        };
        self.covered.insert(name);
    }

    /// Checks a sent message against the disk and the bounds, and keeps it for a reply.
    fn send(&mut self, message: Message) {
        let HardState { term, vote, .. } = self.disk.hard_state;
        assert_eq!(message.from, self.config.id, "the sender is the node");
        assert_ne!(message.to, self.config.id, "a node sends no message to itself");
        assert!(message.term <= term, "the term is durable");
        match &message.body {
            Body::RequestVoteReply { granted: true, .. } => {
                assert_eq!((term, vote), (message.term, Some(message.to)), "the vote is durable");
            }
            Body::RequestVote { .. } => {
                assert_eq!((term, vote), (message.term, Some(message.from)), "its vote is durable");
            }
            Body::AppendEntriesReply(AppendOutcome::Accepted { matched })
            | Body::InstallSnapshotReply { matched }
            | Body::HeartbeatReply { matched, .. } => {
                assert!(*matched <= self.disk.last(), "acknowledged entries are durable");
            }
            Body::AppendEntries { entries, .. } => {
                assert!(entries.len() <= self.config.message_entries_max, "messages are bounded");
                let bytes: usize = entries.iter().map(Entry::bytes).sum();
                let bounded = bytes <= self.config.message_bytes_max || entries.len() == 1;
                assert!(bounded, "messages are bounded");
            }
            Body::Heartbeat(Heartbeat { round, .. }) => self.round = *round,
            Body::ReadIndex { start_id, ticket } => self.forwarded = (*start_id, *ticket),
            Body::RequestLogEnd { start_id } => self.forwarded.0 = *start_id,
            Body::BootstrapProbe { seen } => {
                let own = seen.iter().find(|peer| peer.id == message.from);
                self.probe_start_id = own.map_or(0, |peer| peer.start_id);
            }
            _ => {}
        }
        self.sent.drain(..self.sent.len().saturating_sub(63));
        self.sent.push_back(message);
    }

    fn apply(&mut self, entries: &[Entry]) {
        assert_eq!(self.applying, None, "one batch at a time");
        let expected = (self.applied.0 + 1..).map(Index).take(entries.len());
        assert!(entries.iter().map(|entry| entry.id.index).eq(expected), "indices are consecutive");
        let may_apply = |entry: &Entry| self.disk.may_apply(entry, self.raft.log());
        assert!(entries.iter().all(may_apply), "applied entries are durable, or in the log");
        let last = entries.last().expect("a batch is not empty").id.index;
        assert!(last <= self.raft.status().committed, "applied entries are committed");
        self.applying = Some(last);
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{:?} since its last start from {:?}:", self.config, self.disk.snapshot);
            for (now, input) in &self.inputs {
                eprintln!("{now} {input:?}");
            }
        }
    }
}

fn cluster(bytes: &mut Bytes<'_>) -> (NodeId, Membership) {
    let ids = |ids: &[u64]| ids.iter().copied().map(NodeId).collect::<Vec<_>>();
    let simple = |voters: &[u64]| Membership::new(ids(voters));
    let (id, membership) = match bytes.below(8) {
        0 | 1 => (1, simple(&[1, 2, 3])),
        // A bootstrap peer of three that have not bootstrapped the cluster.
        2 => (1, Membership::default()),
        3 => (2, simple(&[1, 2, 3, 4, 5])),
        4 => (1, simple(&[1])),
        5 => (3, simple(&[3, 4, 5]).joint_with(ids(&[1, 2, 3]))),
        6 => (1, simple(&[3, 4]).joint_with(ids(&[1, 2]))),
        _ => (4, simple(&[1, 2, 3]).with_learners(ids(&[4, 5]))),
    };
    (NodeId(id), membership)
}

fn config(id: NodeId, bytes: &mut Bytes<'_>) -> Config {
    let mut config = Config::new(id);
    let switches = bytes.byte();
    config.pre_vote = switches & 1 == 0;
    config.check_quorum = switches & 2 == 0;
    config.stickiness = config.check_quorum && switches & 4 == 0;
    config.casting_vote = switches & 16 == 0;
    let after = config.election_timeout_max.saturating_mul(2);
    let suspension = Suspension { after, voters_min: 1 + usize::from(switches >> 6), pause: after };
    config.suspension = (switches & 32 != 0).then_some(suspension);
    if switches & 8 == 0 {
        return config;
    }
    // Small bounds, so that all of them are reached.
    config.command_bytes_max = 200;
    config.message_entries_max = 3;
    config.message_bytes_max = 300;
    config.inflight_messages_max = 2;
    config.inflight_entries_max = 4;
    config.inflight_bytes_max = 400;
    config.unapplied_bytes_max = 600;
    config.tail_bytes_max = 100;
    config.apply_bytes_max = 150;
    config.reads_max = 3;
    config.outbox_messages_max = 4;
    config
}
