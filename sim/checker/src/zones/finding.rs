//! What a near-linear check comes to.

use crate::zones::call::{Call, NEVER, Time};
use crate::zones::clusters::{Clash, Zone};

/// The place of a call in its list.
pub(crate) type CallId = u32;

/// What a near-linear check comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Finding {
    /// There is an order.
    Linearizable,
    /// There is none.
    Wrong(Wrong),
    /// The operations do not tell which of them a read saw.
    Ambiguous,
}

/// Why there is no order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wrong {
    pub(crate) why: Why,
    /// Calls whose outcomes prove it, and perhaps more.
    pub(crate) known: Vec<CallId>,
    /// Calls that must have taken effect because of those.
    pub(crate) related: Vec<CallId>,
}

/// Why there is no order, in terms of calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Why {
    /// It saw a value that nobody wrote.
    Unwritten(CallId),
    /// Both found the same value, which was written once, and changed it.
    Twice(CallId, CallId),
    /// It needs itself to have taken effect before.
    Circle(CallId),
    /// `early` returned before `late` began, which must take effect before it.
    Inside { early: CallId, late: CallId },
    /// Two values, of which neither can come first.
    Apart { one: Extremes, other: Extremes },
    /// Two reads of one text that grows, neither of which begins with the other.
    Disagree(CallId, CallId),
    /// A read saw what was appended once, and saw it twice, or where `other` did not see it.
    Reused { read: CallId, append: CallId, other: CallId },
    /// For a reason that takes more than a few calls to tell.
    Somehow,
}

/// The calls that make a zone what it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Extremes {
    /// The first that returned; nothing if the value was there at first.
    pub(crate) returned: Option<CallId>,
    /// The last that began.
    pub(crate) invoked: CallId,
}

impl Extremes {
    fn of(zone: &Zone, calls: &[Call]) -> Option<Extremes> {
        let invoked = invoked_at(calls, zone.last_invoke)?;
        Some(Extremes { returned: returned_at(calls, zone.first_return), invoked })
    }

    fn calls(&self) -> impl Iterator<Item = CallId> {
        self.returned.into_iter().chain([self.invoked])
    }
}

impl Why {
    /// What `clash` means for `calls`.
    pub(crate) fn of(clash: &Clash, calls: &[Call]) -> Why {
        Why::told(clash, calls).unwrap_or(Why::Somehow)
    }

    fn told(clash: &Clash, calls: &[Call]) -> Option<Why> {
        match clash {
            Clash::Inside { invoked, returned } => Some(Why::Inside {
                early: returned_at(calls, *returned)?,
                late: invoked_at(calls, *invoked)?,
            }),
            Clash::Apart(one, other) => Some(Why::Apart {
                one: Extremes::of(one, calls)?,
                other: Extremes::of(other, calls)?,
            }),
        }
    }

    /// The calls that it speaks of.
    pub(crate) fn calls(&self) -> Vec<CallId> {
        let mut calls: Vec<CallId> = match self {
            Why::Unwritten(call) | Why::Circle(call) => vec![*call],
            Why::Twice(one, other) | Why::Disagree(one, other) => vec![*one, *other],
            Why::Reused { read, append, other } => vec![*read, *append, *other],
            Why::Inside { early, late } => vec![*early, *late],
            Why::Apart { one, other } => one.calls().chain(other.calls()).collect(),
            Why::Somehow => Vec::new(),
        };
        calls.sort_unstable();
        calls.dedup();
        calls
    }
}

/// The call that returned at `time`.
pub(crate) fn returned_at(calls: &[Call], time: Time) -> Option<CallId> {
    let position = calls.iter().position(|call| call.returned == time && time != NEVER)?;
    CallId::try_from(position).ok()
}

/// The call that was invoked at `time`.
pub(crate) fn invoked_at(calls: &[Call], time: Time) -> Option<CallId> {
    let position = calls.binary_search_by_key(&time, |call| call.invoked).ok()?;
    CallId::try_from(position).ok()
}
