//! Snapshots that fail or are abandoned, with a store on a disk.

use tempfile::TempDir;

use super::*;
use crate::raft::Config;
use crate::storage::{ClusterId, Completion, Disk, FileDisk, Identity};
use crate::types::{HardState, Incarnation, Membership, Payload, Restored, Term};

const CHUNK_BYTES: u32 = 512;

/// A store and the directory of its files.
struct Store {
    storage: Storage,
    disk: FileDisk,
    _directory: TempDir,
}

impl Store {
    fn open(node: NodeId, config: &ReplicaConfig) -> Store {
        let identity = Identity { cluster: ClusterId(1), node, incarnation: Incarnation(1) };
        let directory = tempfile::tempdir().expect("a directory");
        let mut disk = FileDisk::open(directory.path()).expect("it opens");
        let (members, config) = (Membership::new([1, 2].map(NodeId)), &config.storage);
        Storage::format(&mut disk, identity, &members, config).expect("it is empty");
        let opened = Storage::open(&mut disk, identity.cluster, node, config);
        Store { storage: opened.expect("it is formatted").0, disk, _directory: directory }
    }

    /// Calls the store and executes its operations. Returns the snapshot events.
    fn act(&mut self, act: impl FnOnce(&mut Storage, &mut Vec<Event>)) -> Vec<SnapshotEvent> {
        let (mut events, mut others) = (Vec::new(), Vec::new());
        act(&mut self.storage, &mut events);
        while !events.is_empty() {
            for event in std::mem::take(&mut events) {
                match event {
                    Event::Disk(operation) => {
                        let result = self.disk.execute(&operation.action);
                        let completion = Completion { id: operation.id, result };
                        self.storage.completed(completion, &mut events);
                    }
                    Event::Snapshot(event) => others.push(event),
                    other => panic!("{other:?}"),
                }
            }
        }
        others
    }

    /// Takes a snapshot with this number of chunks.
    fn take(&mut self, chunks: u32) -> SnapshotMeta {
        let last = EntryId::new(Term(1), Index(9));
        let members = Membership::new([1, 2].map(NodeId));
        self.act(|storage, events| assert!(storage.take_snapshot(last, members, events)));
        for _ in 0..chunks {
            let bytes = vec![7; CHUNK_BYTES as usize];
            self.act(|storage, events| storage.write_snapshot(bytes, events));
        }
        match &self.act(Storage::end_snapshot)[..] {
            [SnapshotEvent::Taken(meta)] => meta.clone(),
            other => panic!("{other:?}"),
        }
    }
}

fn config(manifest_bytes_max: u32) -> ReplicaConfig {
    let mut config = ReplicaConfig::new(Config::new(NodeId(2)));
    config.storage.snapshots.chunk_bytes = CHUNK_BYTES;
    config.storage.snapshots.manifest_bytes_max = manifest_bytes_max;
    config
}

#[test]
fn a_snapshot_above_the_limits_of_this_node_is_reported_and_tried_again_later() {
    let mut source = Store::open(NodeId(1), &config(1 << 20));
    let meta = source.take(200);
    let part = SnapshotPart::Manifest(0);
    let served = source.act(|storage, events| storage.serve_part(meta.root, part, events));
    let [SnapshotEvent::Part { bytes, .. }] = &served[..] else { panic!("{served:?}") };
    let config = config(4096);
    let mut store = Store::open(NodeId(2), &config);
    let mut snapshots = Snapshots::new(&config, Index::ZERO);
    let at = |seconds| Instant::ZERO.after(Duration::from_secs(seconds));
    // Offers the snapshot, and sends its first part. Returns what the node reports.
    let mut receive = |now: Instant, bytes: &Arc<[u8]>| {
        let body = SnapshotTransferBody::Bytes(part, Arc::clone(bytes));
        let (from, to) = (NodeId(1), NodeId(2));
        let transfer = SnapshotTransfer { from, to, root: meta.root, body };
        let events = store.act(|storage, events| {
            snapshots.on_offer(now, from, &meta, true, storage, events);
            snapshots.on_transfer(now, transfer, storage, events);
        });
        let progress = events.into_iter().find_map(|event| snapshots.on_event(now, event, 512));
        let reported = progress.map(|progress| match progress {
            SnapshotProgress::NotReceived(last, reason) => (last, reason),
            other => panic!("{other:?}"),
        });
        (reported, snapshots.receiver.root().is_some(), snapshots.counts)
    };
    let mut corrupt = bytes.to_vec();
    corrupt[24] ^= 1;
    let (reported, receives, counts) = receive(at(0), &corrupt.into());
    assert_eq!((reported, receives, counts.parts_corrupt), (None, true, 1));
    let manifest_bytes = 48 + meta.membership.encode().len() as u64 + 200 * 32;
    let reason = AbandonReason::TooLarge { manifest_bytes, manifest_bytes_max: 4096 };
    let (reported, receives, counts) = receive(at(0), bytes);
    assert_eq!((reported, receives), (Some((meta.last, reason)), false));
    assert_eq!((counts.receive_failed, counts.parts_corrupt), (1, 1));
    // The delay grows, and the same reason is not reported again.
    let failed = [0, 1, 2, 3, 6, 7].map(|second| receive(at(second), bytes));
    let counts = failed.each_ref().map(|(_, _, counts)| counts.receive_failed);
    assert_eq!(counts, [1, 2, 2, 3, 3, 4]);
    assert!(failed.iter().all(|(reported, receives, _)| reported.is_none() && !receives));
}

#[test]
fn a_failure_to_receive_is_reported_unless_the_attempt_before_failed_for_the_same_reason() {
    const STEPS: usize = 3;
    let too_large = AbandonReason::TooLarge { manifest_bytes: 9, manifest_bytes_max: 8 };
    let steps = [None, Some(AbandonReason::Full), Some(too_large)];
    let config = config(4096);
    // Each digit of a number selects a step: a received snapshot, or the reason for a failure.
    for number in 0..STEPS.pow(4) {
        let mut store = Store::open(NodeId(2), &config);
        let (mut snapshots, mut last_reason) = (Snapshots::new(&config, Index::ZERO), None);
        for step in 0..4_u32 {
            let failure = &steps[number / STEPS.pow(step) % STEPS];
            let now = Instant::ZERO.after(Duration::from_secs(10_000) * (step + 1));
            let last = EntryId::new(Term(1), Index(u64::from(step) + 1));
            let (root, members) = (Root([step as u8 + 1; 32]), Membership::new([1, 2].map(NodeId)));
            let meta = SnapshotMeta { root, ..SnapshotMeta::empty(last, members) };
            store.act(|storage, events| {
                snapshots.on_offer(now, NodeId(1), &meta, true, storage, events);
            });
            assert_eq!(snapshots.receiver.root(), Some(root), "step {step} of {number}");
            let event = match failure.clone() {
                None => SnapshotEvent::Received(meta),
                Some(reason) => SnapshotEvent::Abandoned { last, reason },
            };
            let reported = match snapshots.on_event(now, event, 512) {
                Some(SnapshotProgress::NotReceived(_, reason)) => Some(reason),
                None | Some(SnapshotProgress::Received(_)) => None,
                other => panic!("{other:?}"),
            };
            store.act(Storage::abandon_snapshot);
            let new = failure.as_ref().filter(|reason| last_reason != Some(*reason)).cloned();
            assert_eq!(reported, new, "step {step} of {number}");
            last_reason = failure.as_ref();
        }
    }
}

/// Begins to take a snapshot of the node's own state, up to the first bytes of its view.
fn begin(snapshots: &mut Snapshots, store: &mut Store, now: Instant) {
    let last = EntryId::new(Term(1), Index(9));
    snapshots.demand();
    assert!(snapshots.taker.start(false));
    snapshots.on_frozen(last);
    assert_eq!(snapshots.taker.write(last.index), Some(last));
    let members = Membership::new([1, 2].map(NodeId));
    let events = store.act(|storage, events| assert!(storage.take_snapshot(last, members, events)));
    assert_eq!(events, [SnapshotEvent::ReadyForChunk]);
    assert!(snapshots.on_event(now, SnapshotEvent::ReadyForChunk, 512).is_none());
    assert_eq!(snapshots.taker.view(now), Some(512));
}

#[test]
fn a_failure_to_take_is_reported_unless_the_attempt_before_failed_for_the_same_reason() {
    let config = config(4096);
    let mut store = Store::open(NodeId(2), &config);
    let mut snapshots = Snapshots::new(&config, Index::ZERO);
    let at = |seconds| Instant::ZERO.after(Duration::from_secs(seconds));
    let reason = |progress| match progress {
        Some(SnapshotProgress::NotTaken(reason)) => Some(reason),
        None => None,
        other => panic!("{other:?}"),
    };
    let unreadable = Some(AbandonReason::Unreadable);
    for (seconds, expected) in [(1, unreadable.clone()), (2, None), (3, unreadable)] {
        if seconds == 3 {
            let meta = SnapshotMeta::empty(EntryId::ZERO, Membership::default());
            snapshots.on_event(at(seconds), SnapshotEvent::Taken(meta), 512);
            snapshots.taker.set_last(Index::ZERO);
        }
        begin(&mut snapshots, &mut store, at(seconds));
        let mut progress = None;
        store.act(|storage, events| {
            progress = snapshots.on_view_failed(at(seconds), storage, events);
        });
        assert_eq!(reason(progress), expected);
    }
    begin(&mut snapshots, &mut store, at(4));
    let mut reported = Vec::new();
    for second in 5..200 {
        let bytes = vec![7; CHUNK_BYTES as usize];
        let events = store.act(|storage, events| {
            snapshots.on_viewed(at(second), bytes, storage, events);
        });
        for event in events {
            reported.extend(reason(snapshots.on_event(at(second), event, 512)));
        }
        if snapshots.taker.view(at(second + 1)).is_none() {
            break;
        }
    }
    let (manifest_bytes, manifest_bytes_max) = (4096 + 32, 4096);
    assert_eq!(reported, [AbandonReason::TooLarge { manifest_bytes, manifest_bytes_max }]);
    assert_eq!(snapshots.counts.take_failed, 4);
}

#[test]
fn a_snapshot_whose_parts_have_all_arrived_is_kept_when_its_sender_no_longer_has_it() {
    let config = config(4096);
    let (mut source, mut store) =
        (Store::open(NodeId(1), &config), Store::open(NodeId(2), &config));
    let meta = source.take(1);
    let mut served = |part| {
        let events = source.act(|storage, events| storage.serve_part(meta.root, part, events));
        let [SnapshotEvent::Part { bytes, .. }] = &events[..] else { panic!("{events:?}") };
        SnapshotTransferBody::Bytes(part, Arc::clone(bytes))
    };
    let manifest = served(SnapshotPart::Manifest(0));
    let chunk = served(SnapshotPart::Chunk(0));
    let mut snapshots = Snapshots::new(&config, Index::ZERO);
    let (now, from, to) = (Instant::ZERO, NodeId(1), NodeId(2));
    let mut transfer = |bodies: &[SnapshotTransferBody], store: &mut Store| {
        store.act(|storage, events| {
            snapshots.on_offer(now, from, &meta, true, storage, events);
            for body in bodies {
                let body = body.clone();
                let transfer = SnapshotTransfer { from, to, root: meta.root, body };
                snapshots.on_transfer(now, transfer, storage, events);
            }
        })
    };
    assert!(transfer(&[manifest], &mut store).is_empty());
    let received = transfer(&[chunk, SnapshotTransferBody::Gone], &mut store);
    assert_eq!(received, [SnapshotEvent::Received(meta.clone())]);
}

#[test]
fn a_receiver_does_not_wait_for_a_sender_that_no_longer_has_the_snapshot() {
    let config = config(4096);
    let (mut source, mut store) =
        (Store::open(NodeId(1), &config), Store::open(NodeId(2), &config));
    let meta = source.take(1);
    let later = SnapshotMeta {
        last: EntryId::new(Term(1), Index(12)),
        root: Root([3; 32]),
        ..meta.clone()
    };
    let mut snapshots = Snapshots::new(&config, Index::ZERO);
    let now = Instant::ZERO;
    let offer = |store: &mut Store, snapshots: &mut Snapshots, from, meta: &SnapshotMeta| {
        store.act(|storage, events| {
            snapshots.on_offer(now, NodeId(from), meta, true, storage, events);
        });
        snapshots.receiver.root()
    };
    let gone = |store: &mut Store, snapshots: &mut Snapshots, from| {
        let (from, to, body) = (NodeId(from), NodeId(2), SnapshotTransferBody::Gone);
        store.act(|storage, events| {
            let transfer = SnapshotTransfer { from, to, root: meta.root, body };
            snapshots.on_transfer(now, transfer, storage, events);
        });
        snapshots.receiver.root()
    };
    assert_eq!(offer(&mut store, &mut snapshots, 1, &meta), Some(meta.root));
    let root = offer(&mut store, &mut snapshots, 3, &later);
    assert_eq!(root, Some(meta.root), "parts may be under way");
    assert_eq!(gone(&mut store, &mut snapshots, 3), Some(meta.root), "it is not the sender");
    assert_eq!(gone(&mut store, &mut snapshots, 1), None);
    assert_eq!(offer(&mut store, &mut snapshots, 3, &later), Some(later.root), "at once");
}

#[test]
fn a_part_that_cannot_be_read_does_not_block_the_next() {
    let mut snapshots = Snapshots::new(&config(4096), Index::ZERO);
    let (now, root, part) = (Instant::ZERO, Root([3; 32]), SnapshotPart::Chunk(0));
    for by in [1, 3].map(NodeId) {
        snapshots.sender.enqueue(now, PartRequest { by, root, part });
    }
    let unreadable = SnapshotEvent::PartUnreadable { root, part };
    for by in [1, 3].map(NodeId) {
        assert_eq!(snapshots.sender.start(now), Some(PartRequest { by, root, part }));
        assert!(snapshots.on_event(now, unreadable.clone(), 512).is_none(), "the peer asks again");
    }
}

/// Returns a log that has these durable entries in memory.
fn log(entries: u64) -> Log {
    let entry = |index| Entry { id: EntryId::new(Term(1), Index(index)), payload: Payload::Noop };
    let snapshot = SnapshotMeta::empty(EntryId::ZERO, Membership::new([1, 2].map(NodeId)));
    let state = HardState::new(Term(1), None);
    let entries = (1..=entries).map(entry).collect();
    let restored = Restored::with_log(state, Index::ZERO, snapshot, entries);
    Log::new(&restored).expect("it is consistent")
}

#[test]
fn an_own_snapshot_that_replaces_a_received_one_is_not_replaced_by_the_next_offer() {
    let config = config(4096);
    let mut store = Store::open(NodeId(2), &config);
    let mut snapshots = Snapshots::new(&config, Index::ZERO);
    let (now, log, members) = (Instant::ZERO, log(9), Membership::new([1, 2].map(NodeId)));
    let meta = |index| {
        let last = EntryId::new(Term(1), Index(index));
        SnapshotMeta { root: Root([index as u8; 32]), ..SnapshotMeta::empty(last, members.clone()) }
    };
    snapshots.demand();
    assert!(snapshots.taker.start(false));
    snapshots.on_frozen(EntryId::new(Term(1), Index(9)));
    let offer = |snapshots: &mut Snapshots, store: &mut Store, meta: &SnapshotMeta| {
        store.act(|storage, events| {
            snapshots.on_offer(now, NodeId(1), meta, true, storage, events);
        });
        snapshots.receiver.last()
    };
    assert_eq!(offer(&mut snapshots, &mut store, &meta(9)), Some(meta(9).last));
    store.act(|storage, events| snapshots.write_frozen(now, &log, storage, events));
    assert!(snapshots.taker.is_writing(), "the own snapshot does not end earlier");
    assert_eq!(offer(&mut snapshots, &mut store, &meta(20)), None);
    assert!(snapshots.taker.is_writing(), "it is still written");
}

#[test]
fn an_installed_snapshot_takes_the_place_of_a_damaged_one() {
    let mut snapshots = Snapshots::new(&config(4096), Index::ZERO);
    let (log, members) = (log(1), Membership::new([1, 2].map(NodeId)));
    let entries: Vec<Entry> = log.in_memory_after(Index::ZERO).cloned().collect();
    for is_installed in [false, true] {
        snapshots.must_replace = true;
        if is_installed {
            let last = EntryId::new(Term(1), Index(9));
            snapshots.on_installed(&SnapshotMeta::empty(last, members.clone()));
        }
        snapshots.count(&entries);
        assert_eq!(snapshots.taker.start(false), !is_installed, "another one is taken");
        snapshots.taker.end();
    }
}
