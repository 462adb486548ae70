//! Cases with known results, from other implementations of Raft and from models written after the
//! paper. The cases are in `tests/data`; its README names their source.

mod cases;
mod changes;
mod figure7;
mod files;
mod forged;
mod quorums;
mod scenarios;
mod steps;
mod tables;
