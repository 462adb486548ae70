//! When an operation was under way.

use crate::history::{Moment, Operation};

/// A moment of the history; what was there before it has negative times.
pub(crate) type Time = i64;

/// After everything that happens.
pub(crate) const NEVER: Time = Time::MAX;

/// From when to when an operation was under way: it took effect in between.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) invoked: Time,
    /// [`NEVER`] if its outcome is unknown.
    pub(crate) returned: Time,
}

impl Span {
    /// Of something that never happens.
    pub(crate) const NEVER: Span = Span { invoked: NEVER, returned: NEVER };

    /// When `operation` was under way.
    pub(crate) fn of<O, R>(operation: &Operation<O, R>) -> Span {
        let invoked = Time::from(operation.invoked.0);
        match operation.returned() {
            Moment::NEVER => Span { invoked, returned: NEVER },
            Moment(at) => Span { invoked, returned: Time::from(at) },
        }
    }

    /// The span of the one at `place` of `count` that were done one after another before the
    /// history began.
    pub(crate) fn initial(place: usize, count: usize) -> Span {
        let from_end = Time::try_from(count - place).expect("there is memory for fewer");
        Span { invoked: -2 * from_end, returned: -2 * from_end + 1 }
    }

    /// Whether the outcome is known.
    pub(crate) fn is_known(self) -> bool {
        self.returned < NEVER
    }
}
