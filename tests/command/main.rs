//! The command `quorate`, as a person uses it: real processes, real files, real signals.
#![cfg(unix)]

#[path = "../common/addresses.rs"]
mod addresses;
mod backups;
mod cli;
#[path = "../common/command_output.rs"]
mod command_output;
mod directories;
mod faults;
mod http;
#[path = "../common/http_client.rs"]
mod http_client;
mod kills;
mod lagging;
mod load;
mod losses;
#[path = "../real_disk/mount.rs"]
mod mount;
mod nodes;
mod operations;
#[path = "../common/processes.rs"]
mod processes;
#[path = "../real_disk/program.rs"]
mod program;
mod quota;
mod serving;
mod settings;
#[path = "../common/skip.rs"]
mod skip;
