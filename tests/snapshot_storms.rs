//! Small clusters that take, offer, lose and install snapshots all the time, on disks that fill up,
//! under crashes and a bad network: what is applied agrees everywhere, and in the end all of it is.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use quorate::raft::{Action, Config, Consumer, Input, Raft, RejectReason};
use quorate::types::{
    Acknowledge, Body, Command, Entry, EntryId, HardState, Index, Instant, Membership, Message,
    NodeId, Restored, SnapshotMeta, Tag, Term, Write,
};

/// Numbers that are the same in every run.
struct Draw(u64);

impl Draw {
    fn below(&mut self, count: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % count
    }
}

#[derive(Clone)]
struct Disk {
    hard_state: HardState,
    committed: Index,
    snapshot: SnapshotMeta,
    base: EntryId,
    log: Vec<Entry>,
}

impl Disk {
    fn store(&mut self, write: &Write) {
        self.hard_state = write.hard_state.unwrap_or(self.hard_state);
        self.committed = write.committed;
        if let Some(meta) = &write.install {
            (self.snapshot, self.base) = (meta.clone(), meta.last);
            self.log.clear();
        }
        if let Some(first) = write.entries.first() {
            self.log.retain(|entry| entry.id.index < first.id.index);
            self.log.extend_from_slice(&write.entries);
        }
    }

    fn restored(&self) -> Restored {
        let base = SnapshotMeta::empty(self.base, Membership::default());
        let mut restored =
            Restored::with_log(self.hard_state, self.committed, base, self.log.clone());
        restored.snapshot = self.snapshot.clone();
        restored.applied = self.snapshot.last.index;
        restored.tail.drain(..self.log.len() / 2);
        restored
    }
}

struct Node {
    id: NodeId,
    raft: Raft,
    now: Instant,
    disk: Disk,
    writes: VecDeque<Write>,
    at_work: Option<EntryId>,
    applied: EntryId,
    wanted: Vec<SnapshotMeta>,
    fetches: VecDeque<(Consumer, Index, Index)>,
    starts: u64,
}

/// How often the things happened that the storm is about.
#[derive(Default, Debug)]
struct Seen {
    restores: u64,
    offers: u64,
    compactions: u64,
    refused_for_space: u64,
}

struct Cluster {
    nodes: Vec<Node>,
    flying: Vec<Message>,
    chosen: BTreeMap<Index, EntryId>,
    tags: u64,
    seen: Seen,
}

fn config(id: NodeId) -> Config {
    let mut config = Config::new(id);
    config.message_entries_max = 3;
    config.inflight_messages_max = 3;
    config.tail_bytes_max = 200;
    config
}

impl Cluster {
    fn new(size: u64) -> Cluster {
        let membership = Membership::new((1..=size).map(NodeId));
        let node = |id| {
            let Restored { hard_state, committed, snapshot, base, .. } =
                Restored::fresh(membership.clone());
            let disk = Disk { hard_state, committed, snapshot, base, log: Vec::new() };
            let (id, now) = (NodeId(id), Instant(1));
            Node {
                id,
                raft: Raft::new(config(id), disk.restored(), id.0, now).expect("a node"),
                now,
                disk,
                writes: VecDeque::new(),
                at_work: None,
                applied: EntryId::ZERO,
                wanted: Vec::new(),
                fetches: VecDeque::new(),
                starts: 0,
            }
        };
        let nodes = (1..=size).map(node).collect();
        let (flying, chosen) = (Vec::new(), BTreeMap::new());
        Cluster { nodes, flying, chosen, tags: 0, seen: Seen::default() }
    }

    fn give(&mut self, at: usize, input: Input) {
        let node = &mut self.nodes[at];
        let mut actions = Vec::new();
        node.raft.step(node.now, input, &mut actions);
        node.raft.assert_invariants();
        for action in actions {
            match action {
                Action::Send(message) => {
                    let offers = matches!(message.body, Body::InstallSnapshot { .. });
                    self.seen.offers += u64::from(offers);
                    self.flying.push(message);
                }
                Action::Persist(write) => node.writes.push_back(write),
                Action::Apply(entries) => {
                    assert_eq!(node.at_work, None, "one batch at a time");
                    assert_eq!(entries[0].id.index, node.applied.index.next(), "without a gap");
                    for Entry { id, .. } in &entries {
                        assert_eq!(self.chosen.entry(id.index).or_insert(*id), id, "one decision");
                    }
                    node.at_work = entries.last().map(|entry| entry.id);
                }
                Action::Restore(meta) => {
                    assert_eq!(node.at_work, None, "one batch at a time");
                    assert_eq!(self.chosen.get(&meta.last.index), Some(&meta.last));
                    node.at_work = Some(meta.last);
                    self.seen.restores += 1;
                }
                Action::ReceiveSnapshot { meta, .. } => {
                    node.wanted.retain(|other| *other != meta);
                    node.wanted.push(meta);
                }
                Action::Fetch { consumer, first, last, .. } => {
                    node.fetches.push_back((consumer, first, last));
                }
                Action::Rejected { reason: RejectReason::DiskFull, .. } => {
                    self.seen.refused_for_space += 1;
                }
                _ => {}
            }
        }
    }

    fn deliver(&mut self, place: usize) {
        let message = self.flying.swap_remove(place);
        let at = self.nodes.iter().position(|node| node.id == message.to).expect("a member");
        self.give(at, Input::Message(message));
    }

    fn pass(&mut self, at: usize, span: Duration) {
        self.nodes[at].now = self.nodes[at].now.after(span);
        self.give(at, Input::Timeout);
    }

    fn flush(&mut self, at: usize) {
        if let Some(write) = self.nodes[at].writes.pop_front() {
            self.nodes[at].disk.store(&write);
            self.give(at, Input::Persisted(write.id));
        }
    }

    fn work(&mut self, at: usize) {
        if let Some(last) = self.nodes[at].at_work.take() {
            self.nodes[at].applied = last;
            self.give(at, Input::Applied(last.index));
        }
    }

    fn fetch(&mut self, at: usize) {
        let node = &mut self.nodes[at];
        let Some((consumer, first, last)) = node.fetches.pop_front() else { return };
        let log = node.disk.log.iter();
        let entries: Vec<Entry> =
            log.filter(|entry| (first..=last).contains(&entry.id.index)).cloned().collect();
        let whole = entries.first().is_some_and(|entry| entry.id.index == first);
        let entries = if whole { entries } else { Vec::new() };
        self.give(at, Input::Fetched { consumer, entries });
    }

    fn take_snapshot(&mut self, at: usize, trailing: u64) {
        let node = &mut self.nodes[at];
        if node.applied.index <= node.disk.snapshot.last.index {
            return;
        }
        let meta = SnapshotMeta::empty(node.applied, node.raft.membership().clone());
        let base = Index(meta.last.index.0.saturating_sub(trailing));
        self.give(at, Input::SnapshotTaken { meta: meta.clone(), base });
        let Node { raft, disk, .. } = &mut self.nodes[at];
        if raft.log().snapshot() == meta.last {
            (disk.snapshot, disk.base) = (meta, raft.log().base());
            disk.log.retain(|entry| entry.id.index > disk.base.index);
            self.seen.compactions += 1;
        }
    }

    fn receive(&mut self, at: usize, which: usize) {
        let wanted = &self.nodes[at].wanted;
        if let Some(meta) = wanted.get(which % wanted.len().max(1)).cloned() {
            self.give(at, Input::SnapshotReceived { meta });
        }
    }

    fn propose(&mut self, at: usize) {
        self.tags += 1;
        let command = Command::from(vec![7; 10 + self.tags as usize % 40]);
        self.give(at, Input::propose(Tag(self.tags), Acknowledge::Quorum, command));
    }

    /// Of the writes under way `kept` are durable, and the parts of the next that `parts` allows.
    fn crash(&mut self, at: usize, kept: usize, parts: usize) {
        let node = &mut self.nodes[at];
        let mut writes = std::mem::take(&mut node.writes);
        writes.truncate(kept + 1);
        if let Some(torn) = writes.get_mut(kept) {
            torn.install = torn.install.take().filter(|_| parts > 1);
            torn.entries.truncate(parts.saturating_sub(2));
            torn.hard_state = torn.hard_state.filter(|_| parts > 0);
        }
        writes.iter().for_each(|write| node.disk.store(write));
        node.starts += 1;
        let seed = node.id.0 + 100 * node.starts;
        node.raft = Raft::new(config(node.id), node.disk.restored(), seed, node.now)
            .expect("what is durable is enough to start from");
        (node.at_work, node.applied) = (None, node.disk.snapshot.last);
        node.wanted.clear();
        node.fetches.clear();
    }

    fn happen(&mut self, draw: &mut Draw) {
        let at = draw.below(self.nodes.len());
        match draw.below(100) {
            0..40 if !self.flying.is_empty() => self.deliver(draw.below(self.flying.len())),
            40..46 if !self.flying.is_empty() => {
                self.flying.swap_remove(draw.below(self.flying.len()));
            }
            46..48 if !self.flying.is_empty() => {
                let again = self.flying[draw.below(self.flying.len())].clone();
                self.flying.push(again);
            }
            48..56 => self.pass(at, Duration::from_millis(draw.below(40) as u64)),
            56..70 => self.flush(at),
            70..78 => self.work(at),
            78..84 => self.fetch(at),
            84..89 => self.propose(at),
            89..92 => self.take_snapshot(at, draw.below(4) as u64),
            92..96 => self.receive(at, draw.below(8)),
            96 => self.give(at, Input::DiskFull(true)),
            97 | 98 => self.give(at, Input::DiskFull(false)),
            99 if draw.below(3) == 0 => self.crash(at, draw.below(3), draw.below(5)),
            _ => {}
        }
        // What is lost is lost: a node hears from the others again anyway.
        self.flying.truncate(200);
    }

    /// Everybody does all there is to do; time passes for all.
    fn calm(&mut self) {
        for at in 0..self.nodes.len() {
            self.give(at, Input::DiskFull(false));
            self.pass(at, Duration::from_millis(10));
            let last = self.nodes[at].wanted.len().saturating_sub(1);
            self.receive(at, last);
            for _ in 0..4 {
                self.flush(at);
                self.work(at);
                self.fetch(at);
            }
        }
        let flying = std::mem::take(&mut self.flying);
        for message in flying {
            self.flying.push(message);
            self.deliver(self.flying.len() - 1);
        }
    }

    fn agrees(&self) -> bool {
        let first = self.nodes[0].raft.status();
        let leads = self.nodes.iter().any(|node| node.raft.status().leader == Some(node.id));
        let done = |node: &Node| {
            let status = node.raft.status();
            status.last == first.last && status.applied == first.last.index
        };
        leads && first.last.term > Term::ZERO && self.nodes.iter().all(done)
    }
}

#[test]
fn what_is_applied_agrees_and_in_the_end_all_of_it_is() {
    let mut seen = Seen::default();
    for seed in 0..2_000 {
        let mut draw = Draw(seed);
        let mut cluster = Cluster::new(if seed % 4 == 0 { 5 } else { 3 });
        for _ in 0..4_000 {
            cluster.happen(&mut draw);
        }
        let rounds = (0..2_000).take_while(|_| {
            cluster.calm();
            !cluster.agrees()
        });
        let rounds = rounds.count();
        assert!(rounds < 2_000, "seed {seed} does not come to rest");
        for node in &cluster.nodes {
            assert_eq!(cluster.chosen.get(&node.applied.index), Some(&node.applied));
        }
        let Seen { restores, offers, compactions, refused_for_space } = cluster.seen;
        seen.restores += restores;
        seen.offers += offers;
        seen.compactions += compactions;
        seen.refused_for_space += refused_for_space;
    }
    println!("{seen:?}");
    assert!(seen.restores > 1_000 && seen.compactions > 10_000, "{seen:?}");
    assert!(seen.offers > 1_000 && seen.refused_for_space > 1_000, "{seen:?}");
}
