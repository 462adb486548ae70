//! The guarantees of the reads of a history: how stale the state that a read observes may be, and
//! whether later reads of a client may observe older states.

use crate::check::Partitions;
use crate::history::{EventIndex, History, OpId, Operation, Subhistory};
use crate::model::{Effect, Model};

/// The staleness that a read is allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freshness {
    /// No staleness: the read observes a state between its invocation and its response.
    Current,
    /// The read observes a state that was current at some time between its response and this long
    /// before its invocation, in the units of [`ReadGuarantee::clock`].
    Bounded(u64),
    /// The read observes any state since the start.
    Local,
}

/// The order that the operations of one client keep. Without a session guarantee, stale reads of
/// one client may observe states in any order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionOrder {
    /// No order is guaranteed.
    None,
    /// Monotonic reads (Terry et al. 1994, §3): no read of a client observes an older state than an
    /// earlier read of the client. Reads are all read-only operations, including current ones.
    MonotonicReads,
    /// The operations of a client take effect in the order in which it invoked them: monotonic
    /// reads, and read your writes (Terry et al. 1994, §3).
    ProgramOrder,
}

/// The guarantee of the reads of a history.
#[derive(Clone, Copy)]
pub struct ReadGuarantee<'a, O, R> {
    /// Returns the freshness of each operation. It is ignored for operations that may change the
    /// state: they are current.
    pub freshness: &'a dyn Fn(OpId, &Operation<O, R>) -> Freshness,
    /// Returns the time of each event, in any unit: nanoseconds of a simulation that recorded the
    /// time of every event, or `&|event| event.0.into()` to count events. It is called with the
    /// events of the history only, and must not decrease.
    pub clock: &'a dyn Fn(EventIndex) -> u64,
    /// The order guaranteed to each client.
    pub session: SessionOrder,
}

/// Returns, for each operation that may be stale, the first event that is within its staleness
/// bound and not before the observed state was possible: the operation takes effect just before
/// that event or later. Returns `None` for the other operations.
pub(crate) fn earliest<M: Model>(
    model: &M,
    history: &History<M::Op, M::Ret>,
    guarantee: &ReadGuarantee<'_, M::Op, M::Ret>,
) -> Vec<Option<EventIndex>> {
    let operations = history.operations();
    let returns = operations.iter().map(Operation::returned).filter(|at| *at != EventIndex::NEVER);
    let invocations = operations.iter().map(|operation| operation.invoked);
    let mut event_indexes: Vec<EventIndex> = invocations.chain(returns).collect();
    event_indexes.sort_unstable();
    let times: Vec<u64> =
        event_indexes.iter().map(|event_index| (guarantee.clock)(*event_index)).collect();
    assert!(times.is_sorted(), "the clock of the guarantee decreases");
    let of = |(id, operation): (OpId, &Operation<M::Op, M::Ret>)| {
        if model.effect(&operation.op, operation.ret()) != Effect::ReadOnly {
            return None;
        }
        match (guarantee.freshness)(id, operation) {
            Freshness::Current => None,
            Freshness::Local => Some(EventIndex(0)),
            Freshness::Bounded(bound) => {
                let oldest = (guarantee.clock)(operation.invoked).saturating_sub(bound);
                Some(event_indexes[times.partition_point(|time| *time < oldest)])
            }
        }
    };
    let mut earliest: Vec<Option<EventIndex>> = (0..).map(OpId).zip(operations).map(of).collect();
    if earliest.iter().all(Option::is_none) {
        return earliest;
    }
    let partitions = Partitions::new(model, history);
    for place in 0..partitions.len() {
        let part = Subhistory::new(history, partitions.ids(place));
        let since = model.observable_since(part).into_iter().flatten();
        for ((OpId(id), operation), since) in part.iter().zip(since) {
            if let Some(earliest) = &mut earliest[id as usize] {
                *earliest = since.min(operation.invoked).max(*earliest);
            }
        }
    }
    earliest
}
