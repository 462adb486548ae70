//! Starting a node on its directory: recovery, the snapshot into the state machine, the algorithm.

use std::fmt;

use crate::machine::{Machine, StateMachine};
use crate::raft::{Raft, StartError};
use crate::replica::chains::Chains;
use crate::replica::config::{ReplicaConfig, ReplicaConfigError};
use crate::replica::node::Node;
use crate::replica::validation::Validation;
use crate::replica::worker::Worker;
use crate::storage::{self, ClusterId, Disk, Failure, Identity, Storage};
use crate::types::{Index, Instant, Membership, Restored};

/// A whole node: the half that decides and the half that works.
#[derive(Clone, Debug)]
pub struct Replica<M> {
    /// The algorithm and its log store.
    pub node: Node,
    /// Sessions and the user's state machine.
    pub worker: Worker<M>,
}

/// Why a node cannot start.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum OpenError {
    /// The configuration makes no sense.
    Config(ReplicaConfigError),
    /// The directory cannot be used.
    Storage(storage::OpenError),
    /// The snapshot cannot be read, or the state machine does not take it.
    Snapshot(Failure),
    /// The state machine has applied more than the log has: it belongs to another log, or the log
    /// lost its end.
    AppliedBeyondLog {
        /// How far the state machine says it is.
        applied: Index,
        /// The last index of the log.
        last: Index,
    },
    /// What was restored contradicts itself.
    Start(StartError),
}

impl<M: StateMachine> Replica<M> {
    /// Makes an empty directory a node's, in a cluster whose first membership is `membership`.
    ///
    /// # Errors
    /// [`OpenError::Config`], or [`OpenError::Storage`] if the directory was ever used.
    pub fn create(
        disk: &mut impl Disk,
        identity: Identity,
        membership: &Membership,
        config: &ReplicaConfig,
    ) -> Result<(), OpenError> {
        config.check().map_err(OpenError::Config)?;
        Storage::format(disk, identity, membership, &config.storage).map_err(OpenError::Storage)
    }

    /// Starts a node on its directory. `machine` is the user's state machine: empty, or as far as
    /// it made itself durable. `seed` feeds everything the node draws by chance and must differ
    /// from every other start of the node. Reads the disk at once, and as long as it takes.
    ///
    /// # Errors
    /// An [`OpenError`] that says what is wrong and where; the directory is left as it is.
    pub fn open(
        disk: &mut impl Disk,
        cluster: ClusterId,
        machine: M,
        config: ReplicaConfig,
        seed: u64,
        now: Instant,
    ) -> Result<Replica<M>, OpenError> {
        config.check().map_err(OpenError::Config)?;
        let (storage, opened) = Storage::open(disk, cluster, config.raft.id, &config.storage)
            .map_err(OpenError::Storage)?;
        let states_each = config.validate_states.then_some(config.validation_entries);
        let mut worker = Worker::new(cluster, Machine::new(machine), states_each);
        if opened.snapshot.last.index > Index::ZERO {
            worker.restore(&opened.snapshot, disk).map_err(OpenError::Snapshot)?;
        }
        let own = worker.machine().user().applied();
        if own > opened.last.index {
            return Err(OpenError::AppliedBeyondLog { applied: own, last: opened.last.index });
        }
        let applied = worker.machine().applied().index;
        let ends = (opened.snapshot.last.index, opened.previous_snapshot);
        let restored = Restored {
            incarnation: opened.identity.incarnation,
            hard_state: opened.hard_state,
            committed: opened.committed,
            snapshot: opened.snapshot,
            base: opened.base,
            runs: opened.runs,
            memberships: opened.memberships,
            last: opened.last.index,
            tail: opened.tail,
            applied,
        };
        let chains = Chains::of(&restored.tail);
        let validation = Validation::new(&config, seed, (applied, worker.imprint()), now);
        let raft = Raft::new(config.raft.clone(), restored, seed, now).map_err(OpenError::Start)?;
        let test = worker.machine().user().conflict_test();
        let node = Node::new(config, raft, storage, test, ends, (validation, chains), now);
        Ok(Replica { node, worker })
    }
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            OpenError::Config(error) => error.fmt(f),
            OpenError::Storage(error) => error.fmt(f),
            OpenError::Snapshot(failure) => failure.fmt(f),
            OpenError::AppliedBeyondLog { applied, last } => write!(
                f,
                "the state machine has applied entry {applied}, but the log ends with {last}: the \
                 two are not of the same node, or the log lost its end"
            ),
            OpenError::Start(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for OpenError {}
