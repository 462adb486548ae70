//! Makes the operations of one register small.

use crate::history::{OpId, Operation, Outcome, Part};
use crate::zones::call::{Call, Calls, NEVER, What, time};

/// The operations of `part`, each as `what` says of its call and of what it returned; nothing if
/// `what` cannot say. Those of which it says nothing to know are left out.
pub(crate) fn gather<O: Copy, R: Copy>(
    part: Part<'_, O, R>,
    what: impl Fn(&O, Option<&R>) -> Told,
) -> Option<Calls> {
    let mut calls =
        Calls { list: Vec::with_capacity(part.len()), ids: Vec::with_capacity(part.len()) };
    let mut operation = |(id, operation): (&OpId, &Operation<O, R>)| {
        let (returned, ret) = match &operation.outcome {
            Outcome::Returned { at, ret } => (time(*at), Some(ret)),
            Outcome::Failed | Outcome::Unknown => (NEVER, None),
        };
        match what(&operation.op, ret) {
            Told::Nothing => {}
            Told::Nonsense | Told::Otherwise => return None,
            Told::This(what) => {
                calls.list.push(Call { invoked: time(operation.invoked), returned, what });
                calls.ids.push(*id);
            }
        }
        Some(())
    };
    // The operations of a key lie far apart in memory: copying them, which depends on nothing in
    // them, waits for many at a time.
    let mut near: Vec<Operation<O, R>> = Vec::with_capacity(part.len().min(NEAR));
    for ids in part.ids().chunks(NEAR) {
        near.clear();
        near.extend(ids.iter().map(|id| *part.history().operation(*id)));
        ids.iter().zip(&near).try_for_each(&mut operation)?;
    }
    Some(calls)
}

/// How many operations are copied together: they stay in the nearest cache.
const NEAR: usize = 256;

/// What an operation says.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Told {
    /// Nothing.
    Nothing,
    /// What no object of its kind says.
    Nonsense,
    /// Something that zones have no place for.
    Otherwise,
    /// This.
    This(What),
}
