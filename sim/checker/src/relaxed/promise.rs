//! What the reads of a history promise: how old what they show may be, and in which order.

use crate::check::Parts;
use crate::history::{History, Moment, OpId, Operation, Part};
use crate::model::{Effect, Model};

/// How old what a read shows may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freshness {
    /// Not at all: it was right at some moment between its invocation and its return.
    Current,
    /// It was right at some moment not more than this before its invocation, in the units of
    /// [`Promise::clock`].
    Bounded(u64),
    /// It was right at some moment since the start.
    Local,
}

/// In which order the operations of one client show: without a session, old reads of one client may
/// be right at moments in any order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Session {
    /// None is promised.
    Free,
    /// Its reads never go back: none was right only before the moment at which an earlier one was
    /// (Terry et al. 1994, §3, monotonic reads). Reads are all operations that cannot change the
    /// state, those that are current included.
    Reads,
    /// Its operations show in the order in which it asked for them: its reads never go back, and
    /// show what it wrote (Terry et al. 1994, §3, also read your writes).
    Whole,
}

/// What the reads of a history promise.
#[derive(Clone, Copy)]
pub struct Promise<'a, O, R> {
    /// How old each may be. What it says of operations that may change the state is ignored: they
    /// are current.
    pub freshness: &'a dyn Fn(OpId, &Operation<O, R>) -> Freshness,
    /// When each moment was, in any unit: nanoseconds of a simulation that noted the time of every
    /// event, or `&|moment| moment.0.into()` to count events. It is asked of the moments of the
    /// history alone, and must not go back.
    pub clock: &'a dyn Fn(Moment) -> u64,
    /// What is promised of the order of one client's.
    pub session: Session,
}

/// For each operation that may show something old, the first moment that is not too old, and at
/// which what it shows can have been so: just before it begins what it may show.
pub(crate) fn earliest<M: Model>(
    model: &M,
    history: &History<M::Op, M::Ret>,
    promise: &Promise<'_, M::Op, M::Ret>,
) -> Vec<Option<Moment>> {
    let operations = history.operations();
    let returns = operations.iter().map(Operation::returned).filter(|at| *at != Moment::NEVER);
    let invocations = operations.iter().map(|operation| operation.invoked);
    let mut moments: Vec<Moment> = invocations.chain(returns).collect();
    moments.sort_unstable();
    let times: Vec<u64> = moments.iter().map(|moment| (promise.clock)(*moment)).collect();
    assert!(times.is_sorted(), "the clock goes back");
    let of = |(id, operation): (OpId, &Operation<M::Op, M::Ret>)| {
        if model.effect(&operation.op, operation.ret()) != Effect::Observe {
            return None;
        }
        match (promise.freshness)(id, operation) {
            Freshness::Current => None,
            Freshness::Local => Some(Moment(0)),
            Freshness::Bounded(bound) => {
                let oldest = (promise.clock)(operation.invoked).saturating_sub(bound);
                Some(moments[times.partition_point(|time| *time < oldest)])
            }
        }
    };
    let mut earliest: Vec<Option<Moment>> = (0..).map(OpId).zip(operations).map(of).collect();
    if earliest.iter().all(Option::is_none) {
        return earliest;
    }
    let parts = Parts::new(model, history);
    for place in 0..parts.len() {
        let part = Part::new(history, parts.ids(place));
        let since = model.shown_since(part).into_iter().flatten();
        for ((OpId(id), operation), since) in part.iter().zip(since) {
            if let Some(earliest) = &mut earliest[id as usize] {
                *earliest = since.min(operation.invoked).max(*earliest);
            }
        }
    }
    earliest
}
