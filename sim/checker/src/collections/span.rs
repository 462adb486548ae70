//! The spans of operations, from invocation to response.

use crate::history::{EventIndex, Operation};

/// An instant: the index of an event, or negative before the history begins.
pub(crate) type Time = i64;

/// The instant after all events.
pub(crate) const NEVER: Time = Time::MAX;

/// The span of an operation: it takes effect between its invocation and its response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) invoked: Time,
    /// The instant of the response; [`NEVER`] if the outcome is unknown.
    pub(crate) returned: Time,
}

impl Span {
    /// The span of an operation that never happens.
    pub(crate) const NEVER: Span = Span { invoked: NEVER, returned: NEVER };

    /// Returns the span of `operation`.
    pub(crate) fn of<O, R>(operation: &Operation<O, R>) -> Span {
        let invoked = Time::from(operation.invoked.0);
        match operation.returned() {
            EventIndex::NEVER => Span { invoked, returned: NEVER },
            EventIndex(at) => Span { invoked, returned: Time::from(at) },
        }
    }

    /// Returns the span of the operation at `place` of `count` sequential ones before the history.
    pub(crate) fn initial(place: usize, count: usize) -> Span {
        let from_end = Time::try_from(count - place).expect("the number of operations fits i64");
        Span { invoked: -2 * from_end, returned: -2 * from_end + 1 }
    }

    /// Returns the same span with an unknown outcome.
    pub(crate) fn unknown(self) -> Span {
        Span { returned: NEVER, ..self }
    }

    /// Returns true if the outcome is known.
    pub(crate) fn is_known(self) -> bool {
        self.returned < NEVER
    }
}
