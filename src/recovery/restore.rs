//! Restoring a backup into a new cluster.

use std::io::{self, Read};

use crate::recovery::backup::Backup;
use crate::recovery::copy::{CopyError, copy_snapshot};
use crate::recovery::format::BackupError;
use crate::recovery::plan::check_membership;
use crate::recovery::reject_reason::RecoveryRejectReason;
use crate::storage::{ClusterId, Disk, Identity, OpenError, Origin, StorageConfig, StorageImport};
use crate::types::text::texts;
use crate::types::{Incarnation, Membership, NodeId, Root};

/// The error that prevented the creation of a directory from a backup. The target may be
/// incomplete: no node can start with it, and it must be emptied before another attempt. A target
/// that was not empty is unchanged.
#[derive(Debug)]
#[non_exhaustive]
pub enum RestoreError {
    /// The restore was rejected before anything was written.
    Rejected(RecoveryRejectReason),
    /// The node is not a member of the new cluster.
    NotMember(NodeId),
    /// The backup is corrupt, or ends early.
    Damaged(BackupError),
    /// The backup cannot be read.
    Backup(io::Error),
    /// The new directory cannot be written.
    Target(OpenError),
}

/// Creates the data directory of `node` in an empty directory, with the state of the backup in
/// `from`, for a new cluster with `membership`. Each member must have an incarnation, and all
/// directories must be created before a node starts. Indices and sessions are those of the backup.
/// The restore holds one chunk of the backup and one of the new snapshot in memory, and the hashes
/// of all chunks of both.
///
/// Returns the root hash of the backup that was read. It is the same for every member of a cluster:
/// a caller that reads a backup several times compares the roots.
///
/// # Errors
/// A [`RestoreError`]. No node can start with the incomplete directory, which must be emptied
/// before another attempt.
pub fn restore(
    from: &mut dyn Read,
    cluster: ClusterId,
    membership: &Membership,
    node: NodeId,
    target: &mut dyn Disk,
    config: &StorageConfig,
) -> Result<Root, RestoreError> {
    let member = membership.member(node).ok_or(RestoreError::NotMember(node))?;
    check_membership(membership).map_err(RestoreError::Rejected)?;
    let mut backup = Backup::open(from).map_err(of_backup)?;
    let (old, last) = (backup.head().cluster, backup.head().last);
    if old == cluster {
        return Err(RestoreError::Rejected(RecoveryRejectReason::SameCluster(cluster)));
    }
    assert_ne!(member.incarnation, Incarnation::default(), "a checked member has an incarnation");
    let identity = Identity { cluster, node, incarnation: member.incarnation };
    let origin = Origin { cluster: old, last };
    let import = StorageImport::begin(target, identity, origin, last, membership, config);
    let mut import = import.map_err(RestoreError::Target)?;
    copy_snapshot(&mut import, target, config, &mut backup).map_err(|error| match error {
        CopyError::Content(error) => of_backup(error),
        CopyError::Target(error) => RestoreError::Target(error),
    })?;
    let root = backup.root();
    import.finish(target, last.term).map_err(RestoreError::Target)?;
    Ok(root)
}

fn of_backup(error: io::Error) -> RestoreError {
    let damage = error.get_ref().and_then(|inner| inner.downcast_ref::<BackupError>());
    damage.cloned().map_or_else(|| RestoreError::Backup(error), RestoreError::Damaged)
}

texts! {
    RestoreError:
    Self::Rejected(reason) => "{reason}";
    Self::NotMember(node) => "{node} is not a member of the new cluster";
    Self::Damaged(damage) => "{damage}";
    Self::Backup(error) => "the backup cannot be read: {error}";
    Self::Target(error @ OpenError::NotEmpty(_)) => "{error}";
    Self::Target(error) => "the new directory is incomplete and must be emptied: {error}";
}

impl std::error::Error for RestoreError {}
