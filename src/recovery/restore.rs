//! A new cluster that begins with the state of a backup.

use std::fmt;
use std::io::{self, Read};

use crate::recovery::backup::Backup;
use crate::recovery::fill::{FillError, fill};
use crate::recovery::format::BackupDamage;
use crate::recovery::plan::check_membership;
use crate::recovery::refusal::Refusal;
use crate::storage::{ClusterId, Disk, Foundation, Identity, OpenError, Origin, StorageConfig};
use crate::types::{Membership, NodeId};

/// Why a directory was not made of a backup. What was begun of it is no node's.
#[derive(Debug)]
#[non_exhaustive]
pub enum RestoreError {
    /// The cluster cannot begin so.
    Refused(Refusal),
    /// The node is no member of the new cluster.
    NotMember(NodeId),
    /// The backup is damaged, or ends early.
    Damaged(BackupDamage),
    /// The backup cannot be read.
    Backup(io::Error),
    /// The new directory.
    Target(OpenError),
}

/// Makes the directory of `node`, in an empty one, with the state of the backup that `from` gives:
/// for a new cluster that begins with `membership`, whose every member names an incarnation and
/// gets its own directory so before any of them starts. Indices and sessions are those of the
/// backup. Memory is one chunk and 32 bytes for each.
///
/// # Errors
/// A [`RestoreError`]. What was written is no directory of a node, and has to be removed.
pub fn restore(
    from: &mut dyn Read,
    cluster: ClusterId,
    membership: &Membership,
    node: NodeId,
    target: &mut impl Disk,
    config: &StorageConfig,
) -> Result<(), RestoreError> {
    let member = membership.member(node).ok_or(RestoreError::NotMember(node))?;
    check_membership(membership).map_err(RestoreError::Refused)?;
    let mut backup = Backup::open(from).map_err(of_backup)?;
    let (old, last) = (backup.head().cluster, backup.head().last);
    if old == cluster {
        return Err(RestoreError::Refused(Refusal::SameCluster(cluster)));
    }
    let identity = Identity { cluster, node, incarnation: member.incarnation };
    let origin = Origin { cluster: old, last };
    let foundation = Foundation::begin(target, identity, origin, last, membership, config);
    let mut foundation = foundation.map_err(RestoreError::Target)?;
    fill(&mut foundation, target, config, &mut backup).map_err(|error| match error {
        FillError::Content(error) => of_backup(error),
        FillError::Target(error) => RestoreError::Target(error),
    })?;
    foundation.finish(target, last.term).map_err(RestoreError::Target)
}

fn of_backup(error: io::Error) -> RestoreError {
    let damage = error.get_ref().and_then(|inner| inner.downcast_ref::<BackupDamage>());
    damage.cloned().map_or_else(|| RestoreError::Backup(error), RestoreError::Damaged)
}

impl fmt::Display for RestoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RestoreError::Refused(refusal) => refusal.fmt(f),
            RestoreError::NotMember(node) => write!(f, "{node} is no member of the new cluster"),
            RestoreError::Damaged(damage) => damage.fmt(f),
            RestoreError::Backup(error) => write!(f, "the backup cannot be read: {error}"),
            RestoreError::Target(error) => {
                write!(f, "the new directory, which is to be emptied: {error}")
            }
        }
    }
}

impl std::error::Error for RestoreError {}
