//! Zones: decides registers whose reads determine the write that they observed, in nearly linear
//! time. All operations on one value span a zone of time, and conflicting zones prove that the
//! history is not linearizable (Gibbons & Korach 1997, "Testing shared memories", §4).

pub(crate) mod append;
mod call;
mod cluster_table;
mod clusters;
mod conflict;
mod counterexample;
mod gather;
pub(crate) mod register;
mod repeats;
mod tokens;
mod unwritten;

pub(crate) use call::{Action, BEFORE, Call, Calls, NEVER, Time};
pub(crate) use counterexample::{OpNames, verdict};
pub(crate) use gather::{Classification, gather};
