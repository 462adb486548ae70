//! What must be seen to work, system by system, on real processes: the binaries that the guides
//! name, their files, signals, and a network between them that can be cut.
#![cfg(unix)]

#[path = "../../../../tests/common/addresses.rs"]
mod addresses;
#[path = "../../../../tests/common/asked.rs"]
mod asked;
#[path = "../../../../tests/common/gullible.rs"]
mod gullible;
#[allow(dead_code, reason = "each package of tests uses what it needs")]
#[path = "../../../../tests/common/processes.rs"]
mod processes;
#[allow(dead_code, reason = "each package of tests uses what it needs")]
#[path = "../../../../tests/common/said.rs"]
mod said;
mod support;

mod chat;
mod coordinator;
mod courier;
mod directory;
mod orders;
