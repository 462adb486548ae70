//! A new cluster out of what is left of an old one: out of the directories that survived, when too
//! few did for a quorum, or out of a backup.
//!
//! What is there is surveyed and nothing is written; a plan says which directory holds most and
//! what may be lost; then new directories are made, of a cluster with another id, and the old ones
//! are left as they are. `docs/RECOVERY.md` has the argument and the steps.

mod alive;
mod backup;
mod choice;
mod fill;
mod format;
mod holding;
mod plan;
mod refusal;
mod restore;
mod survey;

pub use backup::{Backup, backup};
pub use choice::{Choice, Loss};
pub use format::{BackupDamage, BackupHead};
pub use holding::Holding;
pub use plan::{Plan, RecoveryError};
pub use refusal::{Consent, Refusal};
pub use restore::{RestoreError, restore};
pub use survey::{Survey, Survivor};
