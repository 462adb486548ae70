//! Collects the compact operations of one register.

use crate::history::{OpId, Operation, Outcome, Subhistory};
use crate::zones::call::{Action, Call, Calls, NEVER, time};

/// Collects the operations of `part`, each classified by `classify`. Irrelevant operations are left
/// out. Returns `None` if some operation is invalid or unsupported.
pub(crate) fn gather<O: Copy, R: Copy>(
    part: Subhistory<'_, O, R>,
    classify: impl Fn(&O, Option<&R>) -> Classification,
) -> Option<Calls> {
    let mut calls =
        Calls { list: Vec::with_capacity(part.len()), ids: Vec::with_capacity(part.len()) };
    let mut operation = |(id, operation): (&OpId, &Operation<O, R>)| {
        let (returned, ret) = match &operation.outcome {
            Outcome::Returned { at, ret } => (time(*at), Some(ret)),
            Outcome::Failed | Outcome::Unknown => (NEVER, None),
        };
        match classify(&operation.op, ret) {
            Classification::Irrelevant => {}
            Classification::Invalid | Classification::Unsupported => return None,
            Classification::Action(action) => {
                calls.list.push(Call { invoked: time(operation.invoked), returned, action });
                calls.ids.push(*id);
            }
        }
        Some(())
    };
    // The operations of a key are far apart in memory. Copying them in batches overlaps the cache
    // misses, because the copies do not depend on each other.
    let mut near: Vec<Operation<O, R>> = Vec::with_capacity(part.len().min(NEAR));
    for ids in part.ids().chunks(NEAR) {
        near.clear();
        near.extend(ids.iter().map(|id| *part.history().operation(*id)));
        ids.iter().zip(&near).try_for_each(&mut operation)?;
    }
    Some(calls)
}

/// The number of operations that are copied together, so that they stay in the nearest cache.
const NEAR: usize = 256;

/// The classification of an operation and its result.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Classification {
    /// The operation cannot affect the verdict.
    Irrelevant,
    /// No register can return this result for the operation.
    Invalid,
    /// The zone algorithms do not support the operation.
    Unsupported,
    /// The operation is this action on the register.
    Action(Action),
}
