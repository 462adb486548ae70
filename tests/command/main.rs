//! The command `quorate`, as a person and as a test harness use it, and the store under a load:
//! real processes, real files, real signals.
#![cfg(unix)]

#[path = "../common/addresses.rs"]
mod addresses;
mod attacks;
mod backups;
mod cli;
mod clusters;
#[path = "../common/command_output.rs"]
mod command_output;
mod conditions;
mod deploy;
mod directories;
mod faults;
mod flags;
mod flips;
mod http;
#[path = "../common/http_client.rs"]
mod http_client;
mod kills;
mod lagging;
#[path = "../lin_kv/mod.rs"]
mod lin_kv;
mod load;
mod logs;
mod losses;
mod mistakes;
#[path = "../real_disk/mount.rs"]
mod mount;
mod nodes;
mod open_files;
mod operations;
#[path = "../common/processes.rs"]
mod processes;
#[path = "../real_disk/program.rs"]
mod program;
mod quota;
#[path = "../real_disk/mod.rs"]
#[cfg(target_os = "linux")]
mod real_disk;
mod recordings;
mod repairs;
mod restored_directories;
mod serving;
mod settings;
#[path = "../common/skip.rs"]
mod skip;
mod soak;
mod unread_output;
mod upgrades;
mod versions;
