//! The operations of one register, made small: all that the near-linear checks look at.

use crate::history::{Moment, OpId};
use crate::value::Value;

/// An instant: a [`Moment`] plus one, so that there is one before all of them.
pub(crate) type Time = u32;

/// Before everything that happens: when the first value was written.
pub(crate) const BEFORE: Time = 0;

/// After everything that happens: when an operation of unknown outcome returns.
pub(crate) const NEVER: Time = Time::MAX;

/// The instant of `moment`.
pub(crate) fn time(moment: Moment) -> Time {
    moment.0.saturating_add(1)
}

/// What one operation asked and was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum What {
    /// It read this value.
    Read(Value),
    /// It wrote this value.
    Write(Value),
    /// It appended this text.
    Append(Value),
    /// It changed `from` into `to`; if its outcome is unknown, only if it found `from`.
    Swap { from: Value, to: Value },
    /// It found that the value was not `from`, and so did not change it into `to`.
    Refused { from: Value, to: Value },
    /// It found another value than `from`, and so did not change it into `to`.
    Found { from: Value, to: Value, found: Value },
}

/// One operation.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Call {
    pub(crate) invoked: Time,
    /// [`NEVER`] if its outcome is unknown.
    pub(crate) returned: Time,
    pub(crate) what: What,
}

impl Call {
    /// Whether its outcome is known.
    pub(crate) fn is_known(&self) -> bool {
        self.returned != NEVER
    }

    /// The same, if its outcome were unknown.
    pub(crate) fn forgotten(self) -> Call {
        let what = match self.what {
            What::Refused { from, to } | What::Found { from, to, .. } => What::Swap { from, to },
            what => what,
        };
        Call { returned: NEVER, what, ..self }
    }
}

/// The operations of one register in the order of invocation, with their numbers.
#[derive(Clone, Debug, Default)]
pub(crate) struct Calls {
    pub(crate) list: Vec<Call>,
    pub(crate) ids: Vec<OpId>,
}
