//! Registers whose reads tell which write they saw, decided in nearly linear time: all operations
//! of one value span a zone of time, and zones that are in each other's way are wrong (Gibbons &
//! Korach 1997, "Testing shared memories", §4).

pub(crate) mod append;
mod call;
mod clusters;
mod evidence;
mod finding;
mod gather;
mod places;
pub(crate) mod register;
mod repeats;
mod tokens;

pub(crate) use call::{BEFORE, Call, Calls, NEVER, Time, What};
pub(crate) use evidence::{Names, verdict};
pub(crate) use gather::{Told, gather};
