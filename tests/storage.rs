//! Logs, snapshots, directories and backups on simulated disks, and complete nodes that repair or
//! compare them. One binary, because each has a copy of the library.

mod atlas;
#[path = "common/corpus.rs"]
mod corpus;
#[path = "common/draw.rs"]
mod draw;
#[path = "common/fixtures.rs"]
mod fixtures;
mod recovery;
mod snapshot;
mod validation;

/// The storage on a disk with torn writes, lost writes and bit rot: everything reported durable
/// survives any crash, and damage is distinguished from torn writes.
mod storage {
    mod broken;
    mod copies;
    mod corpus;
    mod covered_losses;
    mod crash;
    mod creation;
    mod damage;
    mod formatting;
    mod golden;
    mod host;
    mod losses;
    mod lost_copies;
    mod lost_ends;
    mod model;
    mod mutated;
    mod operators;
    mod random;
    mod repair;
    mod scrub;
    mod working;
}
