//! A driver that keeps the contract to the letter, for one node whose peers are liars.
//!
//! Bytes decide what happens next: a lie, an honest answer, a flush, a restart. After every step
//! the node must still have kept its own word, whatever it was told.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use quorate::raft::{Action, Config, Consumer, Input, Raft, Refusal, Removal};
use quorate::types::{
    Acknowledge, AppendOutcome, Beat, Body, Entry, Founder, HardState, Incarnation, Index, Instant,
    Membership, Message, NodeId, ReadLevel, Readiness, SnapshotMeta, Tag, Term, Write, WriteId,
};

use crate::bytes::Bytes;
use crate::disk::Disk;
use crate::said::{Known, change, is_impossible, known_founder};

/// The most voters there are beside the node. A candidate's requests to them wait in any case.
const OTHERS_MAX: usize = 5;

/// What a user waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    Proposal,
    Read,
    Change,
    Transfer,
}

/// A read of the disk under way.
#[derive(Clone, Copy, Debug)]
struct Fetch {
    consumer: Consumer,
    first: Index,
    last: Index,
    bytes_max: usize,
}

/// One node and all around it.
pub(crate) struct Driver {
    config: Config,
    raft: Raft,
    now: Instant,
    disk: Disk,
    writes: VecDeque<Write>,
    submitted: WriteId,
    /// The last write that is durable.
    flushed: WriteId,
    /// The last entry with the state machine, if it is at work, and the last it has applied.
    at_work: Option<Index>,
    applied: Index,
    fetches: Vec<Fetch>,
    /// Snapshots that the node asked for since it started; any of them may be here by now.
    wanted: Vec<SnapshotMeta>,
    asked: BTreeMap<Tag, Asked>,
    tags: u64,
    /// What the node said and nobody has answered.
    said: VecDeque<Message>,
    round: u64,
    forwarded: (u64, u64),
    met_in: u64,
    starts: u64,
    /// What has been met: roles, refusals and actions, by name.
    met: BTreeSet<String>,
    /// Every input so far, for whoever wants to know how it came to a panic.
    inputs: Vec<(Instant, Input)>,
}

/// Drives a node through what the bytes say.
pub(crate) fn drive(bytes: &[u8]) -> Driver {
    let mut bytes = Bytes::new(bytes);
    let mut driver = Driver::new(&mut bytes);
    while !bytes.is_empty() {
        driver.go_on(&mut bytes);
    }
    driver.settle();
    driver
}

impl Driver {
    fn new(bytes: &mut Bytes<'_>) -> Driver {
        let (id, membership) = cluster(bytes);
        let mut config = config(id, bytes);
        config.founders = membership.is_nobody().then(|| Membership::new([1, 2, 3].map(NodeId)));
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
            at_work: None,
            fetches: Vec::new(),
            wanted: Vec::new(),
            asked: BTreeMap::new(),
            tags: 0,
            said: VecDeque::new(),
            round: 0,
            forwarded: (0, 0),
            met_in: 0,
            starts: 0,
            met: BTreeSet::new(),
            inputs: Vec::new(),
        }
    }

    /// What has been met: roles, refusals and actions, by name.
    pub(crate) fn met(&self) -> &BTreeSet<String> {
        &self.met
    }

    fn go_on(&mut self, bytes: &mut Bytes<'_>) {
        match bytes.below(32) {
            0..=8 => self.hear_a_lie(bytes),
            9..=16 => self.hear_an_answer(bytes),
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
                    let tag = self.tag(Asked::Change);
                    self.step(Input::ChangeMembership { tag, change: change(bytes) });
                }
                10 | 12.. => {
                    let tag = self.tag(Asked::Change);
                    self.step(Input::GiveUpChange { tag });
                }
                11 => {
                    let to = bytes.chance(128).then(|| NodeId(u64::from(bytes.below(6))));
                    let tag = self.tag(Asked::Transfer);
                    self.step(Input::Transfer { tag, to });
                }
                2 | 3 => self.take_snapshot(bytes),
                4 => self.step(Input::DiskFull(true)),
                5 => self.step(Input::DiskFull(false)),
                _ => self.receive_snapshot(bytes),
            },
            29 => {
                let tag = self.tag(Asked::Read);
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

    fn hear_a_lie(&mut self, bytes: &mut Bytes<'_>) {
        let (round, asked, boot) = (self.round, self.forwarded, self.met_in);
        let known = Known { raft: &self.raft, round, asked, boot };
        let message = known.message(bytes);
        let impossible = is_impossible(&message, self.config.id);
        let before = self.raft.status();
        let refused = self.screened();
        self.step(Input::Message(message));
        assert_eq!(self.screened() - refused, u64::from(impossible), "the screen at the door");
        if impossible {
            assert_eq!(self.raft.status(), before, "an impossible message changed the node");
        }
    }

    /// How many messages were refused because no node would say them.
    fn screened(&self) -> u64 {
        let refusals = self.raft.refusals();
        refusals.count(Refusal::Misaddressed) + refusals.count(Refusal::Malformed)
    }

    /// The disk that the node's membership names for `id`.
    fn named(&self, id: NodeId) -> Incarnation {
        self.raft.membership().member(id).map_or(Incarnation::default(), |it| it.incarnation)
    }

    /// A peer answers the oldest or the newest message it got, as an honest one would who likes
    /// all it hears.
    fn hear_an_answer(&mut self, bytes: &mut Bytes<'_>) {
        let message = if bytes.chance(64) { self.said.pop_back() } else { self.said.pop_front() };
        let Some(message) = message else { return };
        let matched = Index(self.raft.status().last.index.0.min(message_end(&message).0));
        let body = match message.body {
            Body::PreVote { next_term, .. } => Body::PreVoteReply { next_term, granted: true },
            Body::RequestVote { .. } => Body::RequestVoteReply { granted: true },
            Body::AppendEntries { .. } => {
                Body::AppendEntriesReply(AppendOutcome::Accepted { matched })
            }
            Body::Heartbeat(Beat { round, .. }) => {
                let (verified, durable, ready) = (matched, matched, Readiness::default());
                Body::HeartbeatReply { round, verified, matched, durable, ready }
            }
            Body::InstallSnapshot { .. } => Body::InstallSnapshotReply { matched },
            Body::ReadIndex { boot, ticket } => {
                Body::ReadIndexReply { boot, ticket, index: self.raft.status().committed }
            }
            Body::Meet { met } => {
                let known = |founder: &Founder| match founder.is_known() {
                    true => *founder,
                    false => known_founder(founder.id),
                };
                Body::Meet { met: met.iter().map(known).collect() }
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

    /// Some writes become durable; the node hears of the last one.
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
        if let Some(index) = self.at_work.take() {
            self.applied = index;
            self.step(Input::Applied(index));
        }
    }

    /// The machine has a snapshot of what it has applied, and the log before it is forgotten up to
    /// anywhere.
    fn take_snapshot(&mut self, bytes: &mut Bytes<'_>) {
        if self.applied == Index::ZERO || self.applied < self.disk.snapshot.last.index {
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

    /// A snapshot is here that the node asked for at some time since it started.
    fn receive_snapshot(&mut self, bytes: &mut Bytes<'_>) {
        if !self.wanted.is_empty() {
            let meta = bytes.one_of(&self.wanted);
            self.step(Input::SnapshotReceived { meta });
        }
    }

    /// The disk answers a fetch, perhaps with only a part of what was asked for.
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
        self.step(Input::Fetched { consumer, entries });
    }

    fn propose(&mut self, bytes: &mut Bytes<'_>) {
        let size = if bytes.chance(16) { 4_000 } else { usize::from(bytes.byte()) };
        let (tag, last) = (self.tag(Asked::Proposal), self.raft.status().last);
        let levels = [Acknowledge::Quorum, Acknowledge::AllLive, Acknowledge::LeaderOnly];
        let acknowledge = levels[size % levels.len()];
        self.step(Input::propose(tag, acknowledge, vec![1; size]));
        let status = self.raft.status();
        assert!(
            status.last == last || status.unapplied_bytes <= self.config.unapplied_bytes_max,
            "what is taken is within the bound on what is not applied"
        );
    }

    fn tag(&mut self, asked: Asked) -> Tag {
        self.tags += 1;
        self.asked.insert(Tag(self.tags), asked);
        Tag(self.tags)
    }

    /// The node crashes, keeps some of what was under way to its disk, and starts again.
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
            .expect("what was durable is enough to start from");
        (self.submitted, self.flushed) = (WriteId::ZERO, WriteId::ZERO);
        (self.at_work, self.applied) = (None, self.disk.snapshot.last.index);
        self.fetches.clear();
        self.wanted.clear();
        self.asked.clear();
        self.said.clear();
        self.inputs.clear();
    }

    /// The disk and the state machine do all they have been asked for.
    fn settle(&mut self) {
        let plain = &mut Bytes::new(&[]);
        // A node that has just started asks for nothing before its first step.
        self.step(Input::Timeout);
        let mut rounds = 0;
        while !self.writes.is_empty() || self.at_work.is_some() || !self.fetches.is_empty() {
            self.flush(1);
            self.work();
            self.fetch(plain);
            rounds += 1;
            assert!(rounds < 10_000, "a node of which nothing is asked comes to rest");
        }
        let status = self.raft.status();
        assert_eq!(status.durable, status.last.index, "all that was written is durable");
        assert_eq!(status.applied, status.committed, "all that is committed is applied");
        assert_eq!(self.applied, status.applied, "and the machine knows of it");
        assert_eq!(self.disk.snapshot.last.index, status.snapshot, "the disk has the snapshot");
        assert_eq!(self.disk.base(), status.base, "and starts where the log does");
        assert_eq!(status.outbox_messages, 0, "nothing waits for an idle disk");
        let held = status.hard_state();
        assert_eq!(held, self.disk.hard_state, "memory is what the disk has");
    }

    /// Gives the node an input and carries out what it wants, watching that it keeps its word.
    fn step(&mut self, input: Input) {
        self.inputs.push((self.now, input.clone()));
        let refused = self.refused();
        let mut actions = Vec::new();
        self.raft.step(self.now, input, &mut actions);
        self.raft.assert_invariants();
        let refusals = actions.iter().filter(|action| matches!(action, Action::Refused { .. }));
        assert_eq!(self.refused() - refused, refusals.count() as u64, "refusals are counted");
        actions.into_iter().for_each(|action| self.carry(action));
        let status = self.raft.status();
        let held_max = self.config.outbox_messages_max + OTHERS_MAX;
        assert!(status.outbox_messages <= held_max, "the outbox is bounded");
        assert!(status.reads_waiting <= self.config.reads_max, "reads are bounded");
        assert!(self.raft.deadline() > Instant::ZERO, "there is always something to wait for");
    }

    fn refused(&self) -> u64 {
        Refusal::ALL.iter().map(|reason| self.raft.refusals().count(*reason)).sum()
    }

    fn carry(&mut self, action: Action) {
        self.meet(&action);
        match action {
            Action::Send(message) => self.send(message),
            Action::Persist(write) => {
                assert_eq!(write.id, self.submitted.next(), "writes are numbered in order");
                self.submitted = write.id;
                self.writes.push_back(write);
            }
            Action::Apply(entries) => self.apply(&entries),
            Action::Restore(meta) => {
                assert_eq!(self.at_work, None, "one batch at a time");
                assert_eq!(self.disk.snapshot, meta, "what is restored is installed");
                assert!(meta.last.index > self.applied, "a machine only advances");
                self.at_work = Some(meta.last.index);
            }
            Action::ReceiveSnapshot { meta, .. } => self.wanted.push(meta),
            Action::Fetch { consumer, first, last, bytes_max } => {
                assert!(first <= last && self.disk.at(last).is_some(), "what is fetched is there");
                let twice = self.fetches.iter().any(|fetch| fetch.consumer == consumer);
                assert!(!twice, "one fetch a consumer");
                self.fetches.push(Fetch { consumer, first, last, bytes_max });
            }
            Action::Committed { tag, id } => {
                assert_eq!(self.asked.remove(&tag), Some(Asked::Proposal), "one outcome");
                assert!(id.index <= self.raft.status().committed, "only what is committed");
            }
            Action::Changed { tag, id } => {
                assert_eq!(self.asked.remove(&tag), Some(Asked::Change), "one outcome");
                assert!(id.index <= self.raft.status().committed, "only what is committed");
            }
            Action::Resigned { tag } => {
                assert_eq!(self.asked.remove(&tag), Some(Asked::Transfer), "one outcome");
            }
            Action::Unknown { tag, .. } => {
                let asked = self.asked.remove(&tag);
                let appended = matches!(asked, Some(Asked::Proposal | Asked::Change));
                assert!(appended, "one outcome");
            }
            Action::MembershipChanged(membership) => {
                assert_eq!(membership, *self.raft.membership(), "it is the one in force");
            }
            Action::Rejected { tag, .. } => {
                assert!(self.asked.remove(&tag).is_some(), "one outcome");
            }
            Action::ReadReady { tag, index, .. } => {
                assert_eq!(self.asked.remove(&tag), Some(Asked::Read), "one outcome");
                assert!(index <= self.applied, "only what is applied is read");
            }
            _ => {}
        }
    }

    fn meet(&mut self, action: &Action) {
        let name = match action {
            Action::RoleChanged { role, .. } => role.to_string(),
            Action::Refused { reason, .. } => reason.to_string(),
            Action::Rejected { reason, .. } => reason.to_string(),
            Action::Fetch { consumer: Consumer::Apply, .. } => "fetch to apply".to_owned(),
            Action::Fetch { .. } => "fetch for a peer".to_owned(),
            Action::Committed { .. } => "committed".to_owned(),
            Action::Changed { .. } => "changed".to_owned(),
            Action::Stranger { .. } => "stranger".to_owned(),
            Action::Resigned { .. } => "resigned".to_owned(),
            Action::MembershipChanged(membership) if membership.is_staged() => "staged".to_owned(),
            Action::MembershipChanged(membership) if membership.is_joint() => "joint".to_owned(),
            Action::Unknown { .. } => "unknown".to_owned(),
            Action::ReadReady { .. } => "read".to_owned(),
            Action::Restore(_) => "restore".to_owned(),
            Action::ReceiveSnapshot { .. } => "snapshot wanted".to_owned(),
            Action::Send(Message { body: Body::InstallSnapshot { .. }, .. }) => {
                "snapshot offered".to_owned()
            }
            _ => return,
        };
        self.met.insert(name);
    }

    /// What leaves the node is true after a crash, too.
    fn send(&mut self, message: Message) {
        let HardState { term, vote, .. } = self.disk.hard_state;
        assert_eq!(message.from, self.config.id, "a node speaks for itself");
        assert_ne!(message.to, self.config.id, "a node does not speak to itself");
        assert!(message.term <= term, "the term is durable");
        match &message.body {
            Body::RequestVoteReply { granted: true } => {
                assert_eq!((term, vote), (message.term, Some(message.to)), "the vote is durable");
            }
            Body::RequestVote { .. } => {
                assert_eq!((term, vote), (message.term, Some(message.from)), "so is its own");
            }
            Body::AppendEntriesReply(AppendOutcome::Accepted { matched })
            | Body::InstallSnapshotReply { matched }
            | Body::HeartbeatReply { matched, .. } => {
                assert!(*matched <= self.disk.last(), "what is acknowledged is durable");
            }
            Body::AppendEntries { entries, .. } => {
                assert!(entries.len() <= self.config.message_entries_max, "messages are bounded");
                let bytes: usize = entries.iter().map(Entry::bytes).sum();
                let bounded = bytes <= self.config.message_bytes_max || entries.len() == 1;
                assert!(bounded, "messages are bounded");
            }
            Body::Heartbeat(Beat { round, .. }) => self.round = *round,
            Body::ReadIndex { boot, ticket } => self.forwarded = (*boot, *ticket),
            Body::Meet { met } => {
                let own = met.iter().find(|founder| founder.id == message.from);
                self.met_in = own.map_or(0, |founder| founder.boot);
            }
            _ => {}
        }
        self.said.push_back(message);
        self.said.truncate(64);
    }

    fn apply(&mut self, entries: &[Entry]) {
        assert_eq!(self.at_work, None, "one batch at a time");
        let expected = (self.applied.0 + 1..).map(Index).take(entries.len());
        assert!(entries.iter().map(|entry| entry.id.index).eq(expected), "in order, once, no gap");
        let durable = entries.iter().all(|entry| self.disk.at(entry.id.index) == Some(entry));
        assert!(durable, "what is applied is durable");
        let last = entries.last().expect("a batch is not empty").id.index;
        assert!(last <= self.raft.status().committed, "what is applied is committed");
        self.at_work = Some(last);
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

/// The last index the message speaks of.
fn message_end(message: &Message) -> Index {
    match &message.body {
        Body::AppendEntries { prev, entries, .. } => {
            entries.last().map_or(prev.index, |entry| entry.id.index)
        }
        Body::Heartbeat(Beat { committed, .. }) => *committed,
        Body::InstallSnapshot { meta } => meta.last.index,
        _ => Index::ZERO,
    }
}

fn cluster(bytes: &mut Bytes<'_>) -> (NodeId, Membership) {
    let ids = |ids: &[u64]| ids.iter().copied().map(NodeId).collect::<Vec<_>>();
    let simple = |voters: &[u64]| Membership::new(ids(voters));
    let (id, membership) = match bytes.below(8) {
        0 | 1 => (1, simple(&[1, 2, 3])),
        // The three are still to found it.
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
    let removal = Removal { after, voters_min: 1 + usize::from(switches >> 6), pause: after };
    config.removal = (switches & 32 != 0).then_some(removal);
    if switches & 8 == 0 {
        return config;
    }
    // Bounds so small that everything meets them.
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
