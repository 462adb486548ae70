//! Random runs of small clusters that take, offer, lose and install snapshots, with full disks,
//! crashes and message loss. All nodes apply the same entries, and by the end every node has
//! applied all of them.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use quorate::raft::{Action, Config, Consumer, Input, Raft, RejectReason};
use quorate::types::{
    Acknowledge, Body, Command, Entry, EntryId, HardState, Index, Instant, Membership, Message,
    NodeId, Restored, SnapshotMeta, Tag, Term, Write,
};

/// A deterministic random number generator.
struct Random(u64);

impl Random {
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
            (self.snapshot, self.base) = ((**meta).clone(), meta.last);
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
    working_on: Option<EntryId>,
    applied: EntryId,
    offers: Vec<SnapshotMeta>,
    fetches: VecDeque<(Consumer, Index, Index)>,
    starts: u64,
}

/// The numbers of events that the runs must contain.
#[derive(Default, Debug)]
struct Counts {
    restores: u64,
    offers: u64,
    compactions: u64,
    rejected_for_space: u64,
}

struct Cluster {
    nodes: Vec<Node>,
    in_flight: Vec<Message>,
    chosen: BTreeMap<Index, EntryId>,
    tags: u64,
    counts: Counts,
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
                working_on: None,
                applied: EntryId::ZERO,
                offers: Vec::new(),
                fetches: VecDeque::new(),
                starts: 0,
            }
        };
        let nodes = (1..=size).map(node).collect();
        let (in_flight, chosen) = (Vec::new(), BTreeMap::new());
        Cluster { nodes, in_flight, chosen, tags: 0, counts: Counts::default() }
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
                    self.counts.offers += u64::from(offers);
                    self.in_flight.push(message);
                }
                Action::Persist(write) => node.writes.push_back(write),
                Action::Apply(entries) => {
                    assert_eq!(node.working_on, None, "one batch at a time");
                    assert_eq!(
                        entries[0].id.index,
                        node.applied.index.next(),
                        "indices have no gap"
                    );
                    for Entry { id, .. } in &entries {
                        assert_eq!(
                            self.chosen.entry(id.index).or_insert(*id),
                            id,
                            "one entry is committed at each index"
                        );
                    }
                    node.working_on = entries.last().map(|entry| entry.id);
                }
                Action::Restore(meta) => {
                    assert_eq!(node.working_on, None, "one batch at a time");
                    assert_eq!(self.chosen.get(&meta.last.index), Some(&meta.last));
                    node.working_on = Some(meta.last);
                    self.counts.restores += 1;
                }
                Action::ReceiveSnapshot { meta, .. } => {
                    node.offers.retain(|other| *other != meta);
                    node.offers.push(meta);
                }
                Action::Fetch { consumer, first, last, .. } => {
                    node.fetches.push_back((consumer, first, last));
                }
                Action::Rejected { reason: RejectReason::DiskFull, .. } => {
                    self.counts.rejected_for_space += 1;
                }
                _ => {}
            }
        }
    }

    fn deliver(&mut self, place: usize) {
        let message = self.in_flight.swap_remove(place);
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
        if let Some(last) = self.nodes[at].working_on.take() {
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
        self.give(at, Input::Fetched { consumer, entries: entries.into() });
    }

    fn take_snapshot(&mut self, at: usize, trailing: u64) {
        let node = &mut self.nodes[at];
        let is_durable = node.applied.index <= node.raft.log().durable();
        if node.applied.index <= node.disk.snapshot.last.index || !is_durable {
            return;
        }
        let meta = SnapshotMeta::empty(node.applied, node.raft.membership().clone());
        let base = Index(meta.last.index.0.saturating_sub(trailing));
        self.give(at, Input::SnapshotTaken { meta: meta.clone(), base });
        let Node { raft, disk, .. } = &mut self.nodes[at];
        if raft.log().snapshot() == meta.last {
            (disk.snapshot, disk.base) = (meta, raft.log().base());
            disk.log.retain(|entry| entry.id.index > disk.base.index);
            self.counts.compactions += 1;
        }
    }

    fn receive(&mut self, at: usize, which: usize) {
        let offers = &self.nodes[at].offers;
        if let Some(meta) = offers.get(which % offers.len().max(1)).cloned() {
            self.give(at, Input::SnapshotReceived { meta });
        }
    }

    fn propose(&mut self, at: usize) {
        self.tags += 1;
        let command = Command::from(vec![7; 10 + self.tags as usize % 40]);
        self.give(at, Input::propose(Tag(self.tags), Acknowledge::Quorum, command));
    }

    /// Crashes a node: `kept` of its pending writes are durable, and `parts` parts of the next one.
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
            .expect("the durable state is valid");
        (node.working_on, node.applied) = (None, node.disk.snapshot.last);
        node.offers.clear();
        node.fetches.clear();
    }

    fn random_step(&mut self, random: &mut Random) {
        let at = random.below(self.nodes.len());
        match random.below(100) {
            0..40 if !self.in_flight.is_empty() => self.deliver(random.below(self.in_flight.len())),
            40..46 if !self.in_flight.is_empty() => {
                self.in_flight.swap_remove(random.below(self.in_flight.len()));
            }
            46..48 if !self.in_flight.is_empty() => {
                let again = self.in_flight[random.below(self.in_flight.len())].clone();
                self.in_flight.push(again);
            }
            48..56 => self.pass(at, Duration::from_millis(random.below(40) as u64)),
            56..70 => self.flush(at),
            70..78 => self.work(at),
            78..84 => self.fetch(at),
            84..89 => self.propose(at),
            89..92 => self.take_snapshot(at, random.below(4) as u64),
            92..96 => self.receive(at, random.below(8)),
            96 => self.give(at, Input::DiskFull(true)),
            97 | 98 => self.give(at, Input::DiskFull(false)),
            99 if random.below(3) == 0 => self.crash(at, random.below(3), random.below(5)),
            _ => {}
        }
        // Messages beyond the bound are lost, because senders repeat them.
        self.in_flight.truncate(200);
    }

    /// Runs one round of the stabilization phase: all nodes execute their work, and time passes.
    fn stabilize(&mut self) {
        for at in 0..self.nodes.len() {
            self.give(at, Input::DiskFull(false));
            self.pass(at, Duration::from_millis(10));
            let last = self.nodes[at].offers.len().saturating_sub(1);
            self.receive(at, last);
            for _ in 0..4 {
                self.flush(at);
                self.work(at);
                self.fetch(at);
            }
        }
        let in_flight = std::mem::take(&mut self.in_flight);
        for message in in_flight {
            self.in_flight.push(message);
            self.deliver(self.in_flight.len() - 1);
        }
    }

    fn is_converged(&self) -> bool {
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
fn all_nodes_apply_the_same_entries_and_converge() {
    let mut counts = Counts::default();
    for seed in 0..2_000 {
        let mut random = Random(seed);
        let mut cluster = Cluster::new(if seed % 4 == 0 { 5 } else { 3 });
        for _ in 0..4_000 {
            cluster.random_step(&mut random);
        }
        let rounds = (0..2_000).take_while(|_| {
            cluster.stabilize();
            !cluster.is_converged()
        });
        let rounds = rounds.count();
        assert!(rounds < 2_000, "seed {seed} does not converge");
        for node in &cluster.nodes {
            assert_eq!(cluster.chosen.get(&node.applied.index), Some(&node.applied));
        }
        let Counts { restores, offers, compactions, rejected_for_space } = cluster.counts;
        counts.restores += restores;
        counts.offers += offers;
        counts.compactions += compactions;
        counts.rejected_for_space += rejected_for_space;
    }
    println!("{counts:?}");
    assert!(counts.restores > 1_000 && counts.compactions > 10_000, "{counts:?}");
    assert!(counts.offers > 1_000 && counts.rejected_for_space > 1_000, "{counts:?}");
}
