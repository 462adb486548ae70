//! A node whose disk a test controls: what waits for the node's own disk, and which snapshots
//! replace damaged ones or those being received.

use std::collections::VecDeque;
use std::io::{self, Read};
use std::ops::RangeInclusive;
use std::time::Duration;

use tempfile::TempDir;

use crate::machine::{FrozenView, StateMachine};
use crate::raft::Config;
use crate::replica::config::ReplicaConfig;
use crate::replica::input::{Input, WorkResult};
use crate::replica::open::Replica;
use crate::replica::output::{Output, Work};
use crate::storage::{
    ClusterId, Completion, Disk, DiskError, ErrorCause, FileAction, FileDisk, FileName, Identity,
    Operation,
};
use crate::types::{
    Body, Entry, EntryId, Incarnation, Index, Instant, Membership, Message, NodeId, Packet,
    Payload, Root, SnapshotMeta, SnapshotPart, SnapshotTransfer, SnapshotTransferBody, Term,
};

/// A state machine without content. It is durable if it knows what it has applied.
#[derive(Clone, Debug, Default)]
pub(in crate::replica) struct Empty {
    applied: Option<Index>,
}

impl Empty {
    pub(in crate::replica) fn with_applied(applied: Option<Index>) -> Empty {
        Empty { applied }
    }
}

impl StateMachine for Empty {
    fn apply(&mut self, _: Index, _: &[u8]) -> Vec<u8> {
        Vec::new()
    }

    fn query(&self, _: &[u8]) -> Vec<u8> {
        Vec::new()
    }

    fn snapshot(&self) -> Box<dyn Read + Send> {
        Box::new(io::empty())
    }

    fn restore(&mut self, _: &mut dyn Read) -> io::Result<()> {
        Ok(())
    }

    fn applied(&self) -> Option<Index> {
        self.applied
    }
}

/// n2 of three voters, with a disk that executes an operation only when the test says so.
struct Host {
    replica: Replica<Empty>,
    disk: FileDisk,
    waiting: VecDeque<Operation>,
    view: Option<FrozenView>,
    now: Instant,
    /// The snapshots that are reported as damaged.
    damage: Vec<FileName>,
    /// The snapshot from which the node last requested a part.
    requested: Option<Root>,
    /// Whether each read of the disk lacks a resource.
    is_exhausted: bool,
    /// For each report about a missing resource, whether it is missing.
    exhausted: Vec<bool>,
    is_closed: bool,
    directory: TempDir,
}

/// A disk on which every read lacks a resource.
struct ExhaustedDisk;

impl Disk for ExhaustedDisk {
    fn list(&mut self) -> Result<Vec<(FileName, u64)>, DiskError> {
        Err(DiskError::Exhausted("too many open files".to_owned()))
    }

    fn execute(&mut self, _: &FileAction) -> Result<Vec<u8>, DiskError> {
        Err(DiskError::Exhausted("too many open files".to_owned()))
    }
}

impl Host {
    fn start(applied: Option<Index>) -> Host {
        let (cluster, own) = (ClusterId(1), NodeId(2));
        let membership = Membership::new([1, 2, 3].map(NodeId));
        let directory = tempfile::tempdir().expect("a directory");
        let mut disk = FileDisk::open(directory.path()).expect("it opens");
        let config = ReplicaConfig { trailing_entries: 0, ..ReplicaConfig::new(Config::new(own)) };
        let identity = Identity { cluster, node: own, incarnation: Incarnation(1) };
        Replica::<Empty>::create(&mut disk, identity, &membership, &config).expect("it is empty");
        let machine = Empty { applied };
        let opened = Replica::open(&mut disk, cluster, machine, config, 0, Instant::ZERO);
        let replica = opened.expect("it is formatted");
        let (waiting, view, now) = (VecDeque::new(), None, Instant::ZERO);
        let (damage, requested) = (Vec::new(), None);
        let mut host = Host {
            replica,
            disk,
            waiting,
            view,
            now,
            damage,
            requested,
            is_exhausted: false,
            exhausted: Vec::new(),
            is_closed: false,
            directory,
        };
        let mut outputs = Vec::new();
        host.replica.node.start(&mut outputs);
        host.execute(outputs);
        host.run_disk();
        host
    }

    fn step(&mut self, input: Input) {
        let mut outputs = Vec::new();
        self.now = self.now.after(Duration::from_millis(1));
        self.replica.node.step(self.now, input, &mut outputs);
        self.execute(outputs);
    }

    /// Executes the outputs of a step, except for the operations of the disk.
    fn execute(&mut self, outputs: Vec<Output>) {
        for output in outputs {
            match output {
                Output::Disk(operation) => {
                    let durable = self.replica.node.raft().log().durable();
                    let (file, _) = operation.action.place();
                    let is_snapshot =
                        matches!(file, Some(FileName::Snapshot(_) | FileName::PartialSnapshot(_)));
                    assert!(!is_snapshot || durable >= Index(2), "a snapshot is ahead of the log");
                    self.waiting.push_back(operation);
                }
                Output::Work(work) => {
                    let done = self.replica.worker.execute(work, &mut self.disk);
                    self.step(Input::WorkDone(done));
                }
                Output::FreezeView => {
                    let view = self.replica.worker.freeze().expect("the state is caught up");
                    let last = view.last();
                    self.view = Some(view);
                    self.step(Input::ViewFrozen(last));
                }
                Output::ReadView { bytes } => {
                    let view = self.view.as_mut().expect("a view is frozen");
                    let mut read = Vec::new();
                    view.take(bytes as u64).read_to_end(&mut read).expect("it is in memory");
                    self.step(Input::ViewRead(read));
                }
                Output::DropView => self.view = None,
                Output::Exhausted(error) => self.exhausted.push(error.is_some()),
                Output::Closed => self.is_closed = true,
                Output::Send(Packet::SnapshotTransfer(transfer)) => {
                    self.requested = Some(transfer.root);
                }
                Output::KeptSnapshotDamaged(damage) => self.damage.extend(damage.file),
                _ => {}
            }
        }
    }

    /// Executes the operations of the disk, and those that follow from them.
    fn run_disk(&mut self) {
        while let Some(Operation { id, action, .. }) = self.waiting.pop_front() {
            let result = match &action {
                FileAction::Read { .. } if self.is_exhausted => ExhaustedDisk.execute(&action),
                _ => self.disk.execute(&action),
            };
            assert_ne!(result, Err(DiskError::Full), "the temporary directory has no space left");
            self.step(Input::Disk(Completion { id, result }));
        }
    }

    /// Receives entries of the leader n1, which has committed all of them.
    fn receive_committed(&mut self, indices: RangeInclusive<u64>) {
        let id = |index| EntryId::new(Term(1), Index(index));
        let entry = |index| Entry { id: id(index), payload: Payload::Noop };
        let prev = self.replica.node.raft().log().last();
        let committed = Index(*indices.end());
        let entries = indices.map(entry).collect();
        self.receive(Body::AppendEntries { prev, entries, committed });
    }

    /// Receives the leader's offer of a snapshot that ends at `last`.
    fn receive_offer(&mut self, last: u64) {
        let (last, root) = (EntryId::new(Term(1), Index(last)), Root([last as u8; 32]));
        let membership = Membership::new([1, 2, 3].map(NodeId));
        let meta = SnapshotMeta { bytes: 5, root, ..SnapshotMeta::empty(last, membership) };
        self.receive(Body::InstallSnapshot { meta });
        assert_eq!(self.requested, Some(root), "the node requests its parts");
    }

    /// Receives a message of the leader n1.
    fn receive(&mut self, body: Body) {
        let (from, to, term) = (NodeId(1), NodeId(2), Term(1));
        let message = Message { from, incarnation: Incarnation::default(), to, term, body };
        self.step(Input::Packet(Packet::Message(message)));
    }

    /// Takes a snapshot of two entries, and returns its root.
    fn taken_root(&mut self) -> Root {
        self.receive_committed(1..=2);
        self.step(Input::TakeSnapshot);
        self.run_disk();
        self.end_snapshot();
        self.replica.node.storage().snapshot().root
    }

    /// Ends the snapshot that is being taken; the rate limit has delayed its last piece.
    fn end_snapshot(&mut self) {
        self.step(Input::Timeout);
        self.run_disk();
    }

    /// Lets this many seconds pass.
    fn wait(&mut self, seconds: u32) {
        for _ in 0..seconds {
            self.now = self.now.after(Duration::from_secs(1));
            self.end_snapshot();
        }
    }

    /// Reads all durable data again.
    fn scrub(&mut self) {
        let passes = |host: &Host| host.replica.node.scrub_counts().1;
        let before = passes(self);
        for _ in 0..100 {
            if passes(self) > before {
                return;
            }
            self.now = self.now.after(ReplicaConfig::new(Config::new(NodeId(2))).scrub_period);
            self.step(Input::Timeout);
            self.run_disk();
        }
        panic!("a pass ends");
    }

    /// The durable index, and the applied index.
    fn indices(&self) -> (Index, Index) {
        let log = self.replica.node.raft().log();
        (log.durable(), log.applied())
    }

    /// Flips a bit of the snapshot that ends at `last`.
    fn damage(&self, last: u64) {
        let file = FileName::Snapshot(Index(last));
        let path = self.directory.path().join(file.to_string());
        let mut bytes = std::fs::read(&path).expect("the file is kept");
        bytes[20] ^= 1;
        std::fs::write(&path, bytes).expect("the file can be written");
    }

    /// The index through which the log is compacted.
    fn base(&self) -> Index {
        self.replica.node.raft().log().base().index
    }

    fn snapshot(&self) -> Index {
        self.replica.node.raft().log().snapshot().index
    }
}

#[test]
fn a_state_machine_in_memory_gets_committed_entries_before_the_disk_has_them() {
    let mut host = Host::start(None);
    host.receive_committed(1..=2);
    assert_eq!(host.indices(), (Index(0), Index(2)));
    host.run_disk();
    assert_eq!(host.indices(), (Index(2), Index(2)));
}

#[test]
fn a_durable_state_machine_waits_for_the_disk_from_its_first_entry_on() {
    let mut host = Host::start(Some(Index::ZERO));
    host.receive_committed(1..=2);
    assert_eq!(host.indices(), (Index(0), Index(0)));
    host.run_disk();
    assert_eq!(host.indices(), (Index(2), Index(2)));
}

#[test]
fn a_snapshot_is_written_once_the_log_is_durable_up_to_its_last_entry() {
    let mut host = Host::start(None);
    host.receive_committed(1..=2);
    host.step(Input::TakeSnapshot);
    assert_eq!(host.view.as_ref().map(|view| view.last().index), Some(Index(2)));
    host.run_disk();
    host.end_snapshot();
    assert_eq!(host.snapshot(), Index(2));
}

#[test]
fn the_log_after_the_last_snapshot_that_can_be_read_is_kept() {
    let mut host = Host::start(None);
    for last in [2, 4] {
        host.receive_committed(last - 1..=last);
        host.step(Input::TakeSnapshot);
        host.run_disk();
        host.end_snapshot();
    }
    assert_eq!((host.snapshot(), host.base()), (Index(4), Index(2)));
    host.receive_committed(5..=5);
    host.run_disk();
    host.damage(4);
    host.scrub();
    host.end_snapshot();
    assert_eq!(host.damage, [FileName::Snapshot(Index(4))]);
    assert_eq!((host.snapshot(), host.base()), (Index(5), Index(2)), "4 cannot be read");
}

#[test]
fn a_current_snapshot_that_a_scrub_finds_damaged_is_replaced_without_a_later_entry() {
    let mut host = Host::start(None);
    host.receive_committed(1..=2);
    host.step(Input::TakeSnapshot);
    host.run_disk();
    host.end_snapshot();
    host.scrub();
    assert_eq!(host.damage, []);
    let taken = |host: &Host| host.replica.node.snapshot_counts().taken;
    for number in 1..=3 {
        assert_eq!((host.snapshot(), taken(&host)), (Index(2), number));
        host.damage(2);
        host.scrub();
        host.end_snapshot();
        host.scrub();
        assert_eq!(host.damage.len() as u64, number, "it is reported once");
    }
    host.receive_committed(3..=3);
    host.run_disk();
    host.end_snapshot();
    assert_eq!(host.snapshot(), Index(2), "only a damaged one is replaced early");
}

#[test]
fn an_older_snapshot_that_a_scrub_finds_damaged_is_replaced_after_the_next_entry() {
    let mut host = Host::start(None);
    for last in [2, 4] {
        host.receive_committed(last - 1..=last);
        host.step(Input::TakeSnapshot);
        host.run_disk();
        host.end_snapshot();
    }
    host.damage(2);
    host.scrub();
    host.scrub();
    assert_eq!(host.damage, [FileName::Snapshot(Index(2))], "it is reported once");
    assert_eq!(host.snapshot(), Index(4), "no later state exists");
    host.receive_committed(5..=5);
    host.run_disk();
    host.end_snapshot();
    assert_eq!(host.snapshot(), Index(5));
    host.receive_committed(6..=6);
    host.run_disk();
    host.end_snapshot();
    assert_eq!(host.snapshot(), Index(5), "only a damaged one is replaced early");
}

#[test]
fn a_snapshot_of_this_node_replaces_an_earlier_one_that_is_being_received() {
    let mut host = Host::start(None);
    host.receive_committed(1..=2);
    host.run_disk();
    host.receive_offer(10);
    host.receive_committed(3..=12);
    host.run_disk();
    host.step(Input::TakeSnapshot);
    host.run_disk();
    host.end_snapshot();
    assert_eq!(host.snapshot(), Index(12));
}

#[test]
fn a_snapshot_is_taken_once_the_source_of_a_later_one_is_gone() {
    for receives_gone in [false, true] {
        let mut host = Host::start(None);
        host.receive_committed(1..=2);
        host.run_disk();
        host.receive_offer(10);
        host.step(Input::TakeSnapshot);
        host.run_disk();
        host.end_snapshot();
        assert_eq!(host.snapshot(), Index(0), "the offered snapshot may still arrive");
        if receives_gone {
            let root = host.requested.expect("a part was requested");
            let (from, to, body) = (NodeId(1), NodeId(2), SnapshotTransferBody::Gone);
            let gone = SnapshotTransfer { from, to, root, body };
            host.step(Input::Packet(Packet::SnapshotTransfer(gone)));
        }
        // A source that only falls silent is given up later.
        host.wait(if receives_gone { 2 } else { 16 });
        assert_eq!(host.snapshot(), Index(2), "{receives_gone}");
    }
}

#[test]
fn a_read_that_lacks_a_resource_is_repeated_and_reported_once() {
    let mut host = Host::start(None);
    let root = host.taken_root();
    host.is_exhausted = true;
    let body = SnapshotTransferBody::Request(SnapshotPart::Chunk(0));
    let request = SnapshotTransfer { from: NodeId(1), to: NodeId(2), root, body };
    host.step(Input::Packet(Packet::SnapshotTransfer(request)));
    host.run_disk();
    assert_eq!(host.exhausted, [true]);
    for _ in 0..3 {
        assert!(host.replica.node.deadline() <= host.now.after(Duration::from_secs(1)));
        host.wait(1);
    }
    assert_eq!(host.exhausted, [true], "it is reported once");
    host.is_exhausted = false;
    host.wait(1);
    assert_eq!(host.exhausted, [true, false]);
    assert_eq!(host.damage, [], "nothing is damaged");
}

#[test]
fn a_node_that_closes_waits_for_a_missing_resource() {
    let mut host = Host::start(None);
    host.receive_committed(1..=2);
    host.run_disk();
    host.is_exhausted = true;
    // The copies of the superblock with the clean shutdown are read back.
    host.step(Input::Close);
    host.run_disk();
    assert_eq!((&host.exhausted[..], host.is_closed), (&[true][..], false));
    host.wait(2);
    assert!(!host.is_closed);
    host.is_exhausted = false;
    host.wait(1);
    assert_eq!((&host.exhausted[..], host.is_closed), (&[true, false][..], true));
    assert_eq!(host.replica.node.deadline(), Instant::NEVER);
}

#[test]
fn a_restore_that_lacks_a_resource_is_not_called_damage() {
    let mut host = Host::start(None);
    host.taken_root();
    let meta = host.replica.node.storage().snapshot().clone();
    let done = host.replica.worker.execute(Work::Restore(meta), &mut ExhaustedDisk);
    let WorkResult::Failed(failure) = &done else { panic!("{done:?}") };
    assert_eq!(failure.cause, ErrorCause::Exhausted, "{failure}");
}
