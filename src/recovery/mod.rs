//! Disaster recovery: a new cluster from the surviving data directories of an old one that lost its
//! quorum, or from a backup.
//!
//! A survey inspects the directories and writes nothing. A plan names the most complete directory
//! and the possible data loss. Then new directories are created for a cluster with another id, and
//! the old ones are unchanged. `docs/RECOVERY.md` has the argument and the steps.

mod backup;
mod copy;
mod directory_state;
mod format;
mod plan;
mod quorum_check;
mod reject_reason;
mod restore;
mod source;
mod survey;

pub use backup::{Backup, backup};
pub use directory_state::DirectoryState;
pub use format::{BackupError, BackupHeader};
pub use plan::{Plan, RecoveryError};
pub use reject_reason::{Consent, RecoveryRejectReason};
pub use restore::{RestoreError, restore};
pub use source::{DataLoss, RecoverySource};
pub use survey::{Survey, SurveyedDirectory};
