//! The command `quorate`, as a person uses it: real processes, real files, real signals.
#![cfg(unix)]

#[path = "../common/addresses.rs"]
mod addresses;
#[path = "../common/asked.rs"]
mod asked;
mod away;
mod backups;
mod directories;
mod faults;
mod http;
mod kills;
mod load;
#[path = "../real_disk/mount.rs"]
mod mount;
mod nodes;
mod operations;
#[path = "../common/processes.rs"]
mod processes;
#[path = "../real_disk/program.rs"]
mod program;
#[path = "../common/said.rs"]
mod said;
mod serving;
mod settings;
#[path = "../common/skip.rs"]
mod skip;
mod told;
