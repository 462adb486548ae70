//! Cases with known answers: what other implementations of Raft, and models written from the
//! paper, say must happen. The cases are in `tests/data`; its README names their source.

#[path = "../harness/mod.rs"]
mod harness;
#[path = "../common/skip.rs"]
mod skip;

mod cases;
mod changes;
mod figure7;
mod files;
mod forged;
mod quorums;
mod scenarios;
mod steps;
mod tables;
