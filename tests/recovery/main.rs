//! Quorum loss, backup and restore: which directory is gone on from and what may be lost, against
//! models; new directories on disks that crash and rot; whole nodes before and after.

#[path = "../../examples/driver/mod.rs"]
mod driver;
#[path = "../../examples/driver/operator.rs"]
mod operator;

mod backups;
mod choices;
mod directories;
mod histories;
mod holdings;
mod nodes;
