//! Compact operations of one register, the input of the near-linear checks.

use crate::history::{EventIndex, OpId};
use crate::value::ValueId;

/// An instant: an [`EventIndex`] plus one, so that there is an instant before all events.
pub(crate) type Time = u32;

/// The instant before all events, at which the initial value was written.
pub(crate) const BEFORE: Time = 0;

/// The instant after all events, at which an operation of unknown outcome returns.
pub(crate) const NEVER: Time = Time::MAX;

/// Returns the instant of the event `event_index`.
pub(crate) fn time(event_index: EventIndex) -> Time {
    event_index.0.saturating_add(1)
}

/// The action of an operation on a register, with its result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// The operation read this value.
    Read(ValueId),
    /// The operation wrote this value.
    Write(ValueId),
    /// The operation appended this text.
    Append(ValueId),
    /// The operation changed `from` to `to`; if its outcome is unknown, only if it found `from`.
    CompareAndSet { from: ValueId, to: ValueId },
    /// The operation found a value other than `from`, and did not change it to `to`.
    FailedCas { from: ValueId, to: ValueId },
    /// The operation found the value `found` instead of `from`, and did not change it to `to`.
    FailedCasFound { from: ValueId, to: ValueId, found: ValueId },
}

/// One operation on the register.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Call {
    pub(crate) invoked: Time,
    /// The instant of the response; [`NEVER`] if the outcome is unknown.
    pub(crate) returned: Time,
    pub(crate) action: Action,
}

impl Call {
    /// Returns true if the outcome is known.
    pub(crate) fn is_known(&self) -> bool {
        self.returned != NEVER
    }

    /// Returns the same call with an unknown outcome.
    pub(crate) fn with_unknown_outcome(self) -> Call {
        let action = match self.action {
            Action::FailedCas { from, to } | Action::FailedCasFound { from, to, .. } => {
                Action::CompareAndSet { from, to }
            }
            action => action,
        };
        Call { returned: NEVER, action, ..self }
    }
}

/// The operations of one register in the order of invocation, with their numbers.
#[derive(Clone, Debug, Default)]
pub(crate) struct Calls {
    pub(crate) list: Vec<Call>,
    pub(crate) ids: Vec<OpId>,
}
