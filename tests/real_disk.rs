//! The store on real files: power cuts under load, failing syncs, torn writes, and a full file
//! system.
//!
//! A test is skipped, with a message, if this machine lacks a requirement: root for mounting
//! images, or a compiler for the two small programs that inject the faults.
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
