//! Quorum loss, backup and restore: the choice of the source and the data loss against models, new
//! directories on disks with crashes and corruption, and complete nodes before and after.

#[path = "../../examples/driver/mod.rs"]
mod driver;
#[path = "../../examples/driver/operator.rs"]
mod operator;

mod backups;
mod choices;
mod directories;
mod directory_states;
mod histories;
mod nodes;
