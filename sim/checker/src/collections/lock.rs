//! Decides locks: acquisitions and releases alternate.

use crate::budget::StopCheck;
use crate::collections::narrowing::{Narrowing, verdict};
use crate::collections::switch::{SwitchOp, check_switch};
use crate::history::OpId;
use crate::verdict::Verdict;

/// Decides a lock that is initially `held`. Each of `ops` toggles it; `describe` formats an
/// operation, as in `acquire 7`.
pub(crate) fn decide(
    held: bool,
    ops: &[SwitchOp],
    describe: &dyn Fn(OpId) -> String,
    stop: &StopCheck<'_>,
) -> Option<Verdict> {
    verdict(Narrowing::OldestFirst, ops.len(), stop, |known| {
        check_switch(held, ops, known, describe, stop)
    })
}
