//! Opening a node's directory: log recovery, restoring the state machine, and starting consensus.

use crate::machine::{Machine, StateMachine};
use crate::quorum::is_quorum;
use crate::raft::{Raft, StartError};
use crate::replica::config::{ReplicaConfig, ReplicaConfigError};
use crate::replica::hash_chains::HashChains;
use crate::replica::node::{Node, NodeParts};
use crate::replica::read_conflicts::ReadConflicts;
use crate::replica::snapshots::Snapshots;
use crate::replica::validation::Validation;
use crate::replica::worker::{Worker, WorkerError};
use crate::storage::{
    self, ClusterId, Disk, Identity, Inspection, OpenedStorage, Storage, StorageConfig,
    StorageError,
};
use crate::types::text::texts;
use crate::types::{Index, Instant, MachineTraits, Membership};

/// A complete node: the consensus part and the worker with the state machine.
#[derive(Clone, Debug)]
pub struct Replica<M> {
    /// The consensus algorithm and its log store.
    pub node: Node,
    /// The client sessions and the user's state machine.
    pub worker: Worker<M>,
}

/// The error that prevents the start of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum OpenError {
    /// The configuration is invalid.
    Config(ReplicaConfigError),
    /// The directory cannot be formatted or opened.
    Storage(storage::OpenError),
    /// The snapshot cannot be read, or the state machine rejects it.
    Snapshot(StorageError),
    /// The state machine has applied entries beyond the end of the log: it belongs to another log,
    /// or the log lost its last entries.
    AppliedBeyondLog {
        /// The last index that the state machine has applied.
        applied: Index,
        /// The last index of the log.
        last: Index,
    },
    /// The restored state is inconsistent, or the directory is new and the address of a bootstrap
    /// peer is invalid.
    Start(StartError),
    /// The node is uncertain, and alone it is a quorum: no other node can give back the entries
    /// that it may have lost.
    SoleVoter,
}

impl<M: StateMachine> Replica<M> {
    /// Formats an empty directory for a node of a cluster whose first membership is `membership`.
    ///
    /// # Errors
    /// [`OpenError::Config`], or [`OpenError::Storage`] if the directory is not empty, or the disk
    /// is full or failed.
    pub fn create(
        disk: &mut dyn Disk,
        identity: Identity,
        membership: &Membership,
        config: &ReplicaConfig,
    ) -> Result<(), OpenError> {
        config.check().map_err(OpenError::Config)?;
        Storage::format(disk, identity, membership, &config.storage).map_err(OpenError::Storage)
    }

    /// Starts a node on its directory. `machine` is the user's state machine: either empty, or with
    /// a state that it made durable itself. `seed` seeds the node's random numbers and must differ
    /// between starts of the node. The call reads the disk and blocks until recovery is complete.
    ///
    /// # Errors
    /// An [`OpenError`]; one about the disk names the place. No entry, vote or snapshot is lost.
    pub fn open(
        disk: &mut dyn Disk,
        cluster: ClusterId,
        machine: M,
        config: ReplicaConfig,
        seed: u64,
        now: Instant,
    ) -> Result<Replica<M>, OpenError> {
        config.check().map_err(OpenError::Config)?;
        let id = config.raft.id;
        let opened = Storage::open_if(disk, cluster, id, &config.storage, &mut can_be_repaired);
        let (storage, opened) = opened.map_err(OpenError::Storage)?;
        check_certainty(&opened)?;
        let digest_interval = config.validate_states.then_some(config.validation_entries);
        let mut worker = Worker::new(cluster, Machine::new(machine), digest_interval);
        let mut version_required = None;
        if opened.snapshot_damage.is_some() {
            worker.discard_state();
        } else if opened.snapshot.last.index > Index::ZERO {
            match worker.restore(&opened.snapshot, disk) {
                Ok(()) => {}
                Err(WorkerError::TooOld(required)) => {
                    worker.discard_state();
                    version_required = Some(required);
                }
                Err(WorkerError::Failed(failure)) => return Err(OpenError::Snapshot(failure)),
            }
        }
        let (own, last) = (worker.machine().user().applied(), opened.last.index);
        if let Some(applied) = own.filter(|applied| *applied > last) {
            return Err(OpenError::AppliedBeyondLog { applied, last });
        }
        let applied = opened.snapshot.last.index;
        let is_restored = worker.machine().applied().index == applied;
        let has_none = opened.snapshot_damage.is_some() || version_required.is_some();
        assert!(is_restored || has_none, "the state is the snapshot's");
        assert_eq!(storage.identity(), opened.identity, "the store is that of the directory");
        assert_eq!(storage.last(), opened.last, "the store has the log that was recovered");
        let (lost_end, covered_loss) = (opened.lost_end.clone(), opened.covered_loss.clone());
        let snapshot_damage = opened.snapshot_damage.clone();
        let (is_durable, version_max) = (own.is_some(), worker.machine().version_max());
        let traits = MachineTraits { is_durable, version_max };
        let is_quarantined = storage.is_quarantined() && !is_sole_quorum(&opened);
        let restored = opened.restored(applied, traits);
        let hash_chains = HashChains::from_tail(&restored.tail);
        let mut validation = Validation::new(&config, seed, applied, worker.state_digest(), now);
        if snapshot_damage.is_some() || is_quarantined {
            validation.quarantine(now);
        } else if own.is_some_and(|own| own > Index::ZERO) {
            validation.reset_verification(now);
        }
        let raft = Raft::new(config.raft.clone(), restored, seed, now).map_err(OpenError::Start)?;
        let parts = NodeParts {
            raft,
            storage,
            read_conflicts: ReadConflicts::new(worker.machine().user().conflict_test()),
            snapshots: Snapshots::new(&config, applied),
            validation,
            lost_end,
            covered_loss,
            snapshot_damage,
            is_quarantined,
            version_required,
            hash_chains,
            usage: worker.machine().usage(),
        };
        let node = Node::new(config, parts, now);
        Ok(Replica { node, worker })
    }
}

/// Returns false if the node of this directory has lost what no other node can give back: an entry
/// that it needs, if it is the only member; its state or the end of its log, if it alone is a
/// quorum (docs/REPAIR.md). Such a node is not started.
#[must_use]
pub fn can_be_repaired(opened: &OpenedStorage) -> bool {
    let (active, own) = (opened.membership(), opened.identity.node);
    let is_alone = !active.is_empty() && !active.has_other_member(own);
    let needs_entries = opened.needed_entries().next().is_some();
    let needs_more = opened.snapshot_damage.is_some() || opened.lost_end.is_some();
    let is_lost = (needs_entries && is_alone) || (needs_more && is_sole_quorum(opened));
    !is_lost || may_have_peers(opened)
}

/// Marks the node of a directory as uncertain, on its disk: the directory is an older copy, so the
/// node may have acknowledged entries that it lacks (docs/REPAIR.md, R3). Returns the content of
/// the directory before that.
///
/// # Errors
/// [`OpenError::SoleVoter`] if the node alone is a quorum; then nothing was changed. Otherwise
/// [`OpenError::Storage`], with an error of [`Inspection::open`] or [`Storage::make_uncertain`], or
/// with damage with which no node can start.
pub fn make_uncertain(
    disk: &mut dyn Disk,
    config: &StorageConfig,
) -> Result<OpenedStorage, OpenError> {
    let found = Inspection::open(disk, config).map_err(OpenError::Storage)?;
    // If no node can start with the log, the readable part of it may lack the last membership, on
    // which the next check depends.
    let opened = match (found.damage, found.repairable) {
        (None, _) => found.opened,
        (Some(_), Some(repairable)) => repairable,
        (Some(damage), None) => return Err(OpenError::Storage(damage.into())),
    };
    if !may_have_peers(&opened) && is_sole_quorum(&opened) {
        return Err(OpenError::SoleVoter);
    }
    Storage::make_uncertain(disk, config).map_err(OpenError::Storage)?;
    Ok(opened)
}

/// Whether a membership whose content is lost may name other voters.
fn may_have_peers(opened: &OpenedStorage) -> bool {
    opened.needed_entries().any(|damaged| damaged.is_membership)
}

/// Rejects the start of an uncertain node that no other node can make certain again.
fn check_certainty(opened: &OpenedStorage) -> Result<(), OpenError> {
    let is_lost =
        opened.hard_state.is_uncertain && !may_have_peers(opened) && is_sole_quorum(opened);
    if is_lost { Err(OpenError::SoleVoter) } else { Ok(()) }
}

/// Whether the node alone is a quorum of its active membership.
fn is_sole_quorum(opened: &OpenedStorage) -> bool {
    let (active, own) = (opened.membership(), opened.identity.node);
    !active.is_empty() && is_quorum(active, |member| member == own)
}

texts! { OpenError:
    Self::Config(error) => "{error}";
    Self::Storage(error) => "{error}";
    Self::Snapshot(failure) => "{failure}";
    Self::AppliedBeyondLog { applied, last } =>
        "the state machine has applied entry {applied}, but the log ends at {last}: the two are \
         not of the same node, or the log lost its last entries";
    Self::Start(error) => "{error}";
    Self::SoleVoter =>
        "the log may lack entries that this node acknowledged, and no other voter can give them \
         back, because this node alone is a quorum: restore a backup, or create a new cluster from \
         this directory (docs/RECOVERY.md)";
}

impl std::error::Error for OpenError {}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;
    use crate::raft::Config;
    use crate::replica::node::disk_order_tests::Empty;
    use crate::replica::output::Output;
    use crate::storage::{Completion, Event, FileAction, FileName, Identity};
    use crate::types::{
        DamagedEntry, Entry, EntryId, HardState, Incarnation, NodeId, Payload, SnapshotMeta,
        StateVerification, Term, Write, WriteId,
    };

    #[test]
    fn the_only_member_needs_each_entry_after_its_snapshot() {
        let (own, alone) = (NodeId(1), Membership::new([NodeId(1)]));
        let mut opened = opened_alone(own);
        assert!(can_be_repaired(&opened));
        let id = EntryId::new(Term(1), Index(7));
        opened.damaged = vec![DamagedEntry { id, is_membership: true }];
        assert!(can_be_repaired(&opened), "the entry may have added a voter");
        opened.damaged = vec![DamagedEntry { id, is_membership: false }];
        assert!(!can_be_repaired(&opened));
        opened.memberships = vec![(Index(3), Membership::new([own, NodeId(2)]))];
        assert!(can_be_repaired(&opened), "the other voter has it");
        let two = Membership::new([own, NodeId(2)]).with_casting(own);
        for (at, members) in [(5, two.clone()), (6, alone.clone().with_learners([NodeId(2)]))] {
            opened.memberships.push((Index(at), members));
            assert!(is_sole_quorum(&opened));
            assert!(can_be_repaired(&opened), "the other member may have it");
        }
        opened.memberships.push((Index(8), alone.clone()));
        assert!(!can_be_repaired(&opened));
        opened.snapshot = SnapshotMeta::empty(EntryId::new(Term(1), Index(7)), alone);
        assert!(can_be_repaired(&opened), "the snapshot covers the entry");
        opened.snapshot_damage = Some(StorageError::damage(FileName::Superblock, 0, "bad"));
        assert!(!can_be_repaired(&opened), "no other node has its state");
        opened.snapshot_damage = None;
        opened.lost_end = Some(StorageError::damage(FileName::Segment(1), 0, "lost"));
        assert!(!can_be_repaired(&opened), "no other node knows what it acknowledged");
        opened.memberships.push((Index(9), two));
        assert!(!can_be_repaired(&opened), "no quorum without it makes it certain again");
    }

    #[test]
    fn a_node_that_is_a_quorum_is_not_started_uncertain() {
        let own = NodeId(1);
        let mut opened = opened_alone(own);
        assert_eq!(check_certainty(&opened), Ok(()));
        opened.hard_state.is_uncertain = true;
        assert_eq!(check_certainty(&opened), Err(OpenError::SoleVoter));
        opened.memberships = vec![(Index(3), Membership::new([1, 2, 3].map(NodeId)))];
        assert_eq!(check_certainty(&opened), Ok(()), "the others lead and check it");
    }

    #[test]
    fn a_state_that_the_state_machine_made_durable_is_unverified_even_without_a_snapshot() {
        let (directory, config) = directory_with_three_entries();
        let disk = storage::FileDisk::open(directory.path()).expect("it opens");
        for (applied, verification) in [
            (None, StateVerification::Consistent),
            (Some(0), StateVerification::Consistent),
            (Some(2), StateVerification::Unverified),
        ] {
            let (machine, now) = (Empty::with_applied(applied.map(Index)), Instant::ZERO);
            let opened =
                Replica::open(&mut disk.clone(), ClusterId(1), machine, config.clone(), 0, now);
            let node = opened.expect("the log has what was applied").node;
            assert_eq!(node.verification(), verification, "{applied:?}");
        }
    }

    #[test]
    fn a_start_reports_the_sectors_that_it_repairs() {
        let (directory, config) = directory_with_three_entries();
        let mut disk = storage::FileDisk::open(directory.path()).expect("it opens");
        let file = FileName::Segment(1);
        let damage = FileAction::Write { file, offset: 100, bytes: vec![0x55; 8] };
        disk.execute(&damage).expect("the file can be written");
        let reports = |disk: &mut storage::FileDisk| {
            let (machine, now) = (Empty::with_applied(None), Instant::ZERO);
            let opened = Replica::open(disk, ClusterId(1), machine, config.clone(), 0, now);
            let mut node = opened.expect("the bodies determine the header block").node;
            let mut outputs = Vec::new();
            node.start(&mut outputs);
            outputs.retain(|output| matches!(output, Output::LogRepaired(_)));
            outputs
        };
        let damage = StorageError::damage(file, 0, "the sector is damaged");
        assert_eq!(reports(&mut disk), [Output::LogRepaired(damage)]);
        assert_eq!(reports(&mut disk), [], "the sector is intact again");
    }

    /// Returns the directory of a node with three entries, and the configuration of the node.
    fn directory_with_three_entries() -> (TempDir, ReplicaConfig) {
        let (cluster, own) = (ClusterId(1), NodeId(1));
        let identity = Identity { cluster, node: own, incarnation: Incarnation(1) };
        let directory = tempfile::tempdir().expect("a directory");
        let mut disk = storage::FileDisk::open(directory.path()).expect("it opens");
        let config = ReplicaConfig::new(Config::new(own));
        let members = Membership::new([1, 2, 3].map(NodeId));
        Replica::<Empty>::create(&mut disk, identity, &members, &config).expect("it is empty");
        let (mut storage, _) =
            Storage::open(&mut disk, cluster, own, &config.storage).expect("ready");
        let entry =
            |index| Entry { id: EntryId::new(Term(1), Index(index)), payload: Payload::Noop };
        let hard_state = Some(HardState::new(Term(1), Some(own)));
        let (entries, committed) = ((1..=3).map(entry).collect(), Index(0));
        let write = Write { id: WriteId(1), hard_state, committed, install: None, entries };
        let mut events = Vec::new();
        storage.start(&mut events);
        storage.persist(write, &mut events);
        storage.close(&mut events);
        while !events.is_empty() {
            for event in std::mem::take(&mut events) {
                let Event::Disk(operation) = event else { continue };
                let result = disk.execute(&operation.action);
                let completion = Completion { id: operation.id, result };
                storage.completed(completion, &mut events);
            }
        }
        drop(storage);
        (directory, config)
    }

    /// Returns the state of a new directory of the only voter.
    fn opened_alone(own: NodeId) -> OpenedStorage {
        let identity = Identity { cluster: ClusterId(1), node: own, incarnation: Incarnation(1) };
        let directory = tempfile::tempdir().expect("a directory");
        let mut disk = storage::FileDisk::open(directory.path()).expect("it opens");
        let config = StorageConfig::default();
        let alone = Membership::new([own]);
        Storage::format(&mut disk, identity, &alone, &config).expect("it is empty");
        let (_, opened) = Storage::open(&mut disk, ClusterId(1), own, &config).expect("ready");
        opened
    }
}
