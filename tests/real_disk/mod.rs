//! The store on real files: power cuts under load, failing syncs, torn writes, and a full file
//! system.
//!
//! A test is skipped, with a message, if this machine lacks a requirement: root for mounting
//! images, or a compiler for the two small programs that inject the faults.

mod faults;
mod full;
mod load;
mod power;
mod store;
