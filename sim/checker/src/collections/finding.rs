//! What a check of a collection finds, and how the evidence of a fault is made small.

use crate::history::OpId;
use crate::verdict::{Evidence, Verdict};

/// What a check finds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Finding {
    /// There is an order that explains everything.
    Fine,
    /// There is none.
    Wrong(Fault),
    /// The check cannot tell.
    Unsure,
}

/// Why there is no order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    /// The operations that show it, whatever became of all others; in any order, perhaps repeated.
    pub(crate) kept: Vec<OpId>,
    /// The fault in one sentence.
    pub(crate) because: String,
}

/// What to try to make evidence smaller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Narrowing {
    /// Leave out one operation after another, if there are few.
    Singly,
    /// Leave out as many of the oldest operations as possible, then one after another.
    OldestFirst,
}

/// How many operations may be looked at, all in all, to make evidence smaller.
const LOOKS_MAX: usize = 400_000;

/// The verdict that `look` comes to on `count` operations. It is told whose outcome to take as
/// known; of all others it must be taken as unknown.
pub(crate) fn verdict(
    narrowing: Narrowing,
    count: usize,
    look: impl Fn(&dyn Fn(OpId) -> bool) -> Finding,
) -> Option<Verdict> {
    match look(&|_| true) {
        Finding::Fine => Some(Verdict::Linearizable),
        Finding::Unsure => None,
        Finding::Wrong(fault) => {
            Some(Verdict::NotLinearizable(narrowed(narrowing, count, fault, look)))
        }
    }
}

/// The fewest operations that can be found to show `fault`.
pub(crate) fn narrowed(
    narrowing: Narrowing,
    count: usize,
    fault: Fault,
    look: impl Fn(&dyn Fn(OpId) -> bool) -> Finding,
) -> Evidence {
    let tries = (LOOKS_MAX / count.max(1)).max(8);
    let mut fault = sorted(fault);
    let looked = |kept: &[OpId]| look(&|id| kept.binary_search(&id).is_ok());
    if narrowing == Narrowing::OldestFirst {
        let mut leave_out = fault.kept.len() / 2;
        while leave_out > 1 {
            match looked(&fault.kept[leave_out..]) {
                Finding::Wrong(smaller) => fault = sorted(smaller),
                Finding::Fine | Finding::Unsure => leave_out /= 4,
            }
            leave_out = leave_out.min(fault.kept.len() / 2);
        }
    }
    let mut minimal = fault.kept.len() <= tries;
    // What is needed here is needed in whatever smaller evidence is found later: to leave it out
    // of more makes fewer operations known.
    let mut tried = Vec::new();
    while minimal {
        let Some(next) = fault.kept.iter().copied().find(|id| !tried.contains(id)) else { break };
        tried.push(next);
        let without: Vec<OpId> = fault.kept.iter().copied().filter(|id| *id != next).collect();
        match looked(&without) {
            Finding::Wrong(smaller) => fault = sorted(smaller),
            Finding::Fine => {}
            Finding::Unsure => minimal = false,
        }
    }
    Evidence { operations: fault.kept, because: fault.because, minimal }
}

fn sorted(mut fault: Fault) -> Fault {
    fault.kept.sort();
    fault.kept.dedup();
    fault
}
