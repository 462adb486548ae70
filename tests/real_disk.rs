//! The store on real files: power cuts under load, syncs that fail, writes that are cut in half,
//! and a file system that is full.
//!
//! What this machine lacks is skipped, and said: root for mounting images, and a compiler for the
//! two small programs that make the faults.
#![cfg(target_os = "linux")]

#[path = "common/skip.rs"]
mod skip;
mod real_disk {
    mod faults;
    mod full;
    mod load;
    mod mount;
    mod power;
    mod program;
    mod store;
}
