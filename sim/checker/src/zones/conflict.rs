//! Results of the near-linear checks, and the conflicts that they find.

use crate::zones::call::{Call, NEVER, Time};
use crate::zones::clusters::{Zone, ZoneConflict};

/// The position of a call in its list.
pub(crate) type CallId = u32;

/// The result of a near-linear check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ZoneResult {
    /// Some order explains all calls.
    Linearizable,
    /// No order explains all calls.
    NotLinearizable(Violation),
    /// The calls do not determine which write a read observed.
    Ambiguous,
}

/// A conflict, and the calls that prove it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Violation {
    pub(crate) conflict: Conflict,
    /// Calls whose outcomes prove the conflict, and perhaps more.
    pub(crate) known: Vec<CallId>,
    /// Calls that must have taken effect because of the known ones.
    pub(crate) related: Vec<CallId>,
}

/// The reason why no order explains the calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Conflict {
    /// The call observed a value that no call wrote.
    Unwritten(CallId),
    /// Both calls found and replaced the same value, which was written once.
    ReplacedTwice(CallId, CallId),
    /// The call observed a value that depends on its own effect.
    Cycle(CallId),
    /// `early` returned before `late` was invoked, although `late` must take effect first.
    WithinChain { early: CallId, late: CallId },
    /// Two values of which neither can come first.
    BetweenChains { one: Extremes, other: Extremes },
    /// Two reads of a growing text of which neither is a prefix of the other.
    DivergentReads(CallId, CallId),
    /// The text of `append` is in the value that the call `read` observed: more often than it was
    /// appended, if `other` is `read`, and otherwise after a different text than in the value that
    /// `other` observed.
    RepeatedAppend { read: CallId, append: CallId, other: CallId },
    /// A reason that involves more calls.
    Other,
}

/// The calls that determine a zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Extremes {
    /// The call with the first response, or `None` for the initial value.
    pub(crate) returned: Option<CallId>,
    /// The call with the last invocation.
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

impl Conflict {
    /// Translates a conflict of zones to the calls that cause it.
    pub(crate) fn of(zone_conflict: &ZoneConflict, calls: &[Call]) -> Conflict {
        Conflict::of_calls(zone_conflict, calls).unwrap_or(Conflict::Other)
    }

    fn of_calls(zone_conflict: &ZoneConflict, calls: &[Call]) -> Option<Conflict> {
        match zone_conflict {
            ZoneConflict::WithinChain { invoked, returned } => Some(Conflict::WithinChain {
                early: returned_at(calls, *returned)?,
                late: invoked_at(calls, *invoked)?,
            }),
            ZoneConflict::BetweenChains(one, other) => Some(Conflict::BetweenChains {
                one: Extremes::of(one, calls)?,
                other: Extremes::of(other, calls)?,
            }),
        }
    }

    /// Returns the calls of the conflict, sorted.
    pub(crate) fn calls(&self) -> Vec<CallId> {
        let mut calls: Vec<CallId> = match self {
            Conflict::Unwritten(call) | Conflict::Cycle(call) => vec![*call],
            Conflict::ReplacedTwice(one, other) | Conflict::DivergentReads(one, other) => {
                vec![*one, *other]
            }
            Conflict::RepeatedAppend { read, append, other } => vec![*read, *append, *other],
            Conflict::WithinChain { early, late } => vec![*early, *late],
            Conflict::BetweenChains { one, other } => one.calls().chain(other.calls()).collect(),
            Conflict::Other => Vec::new(),
        };
        calls.sort_unstable();
        calls.dedup();
        calls
    }
}

/// Returns the call whose response is at `time`.
pub(crate) fn returned_at(calls: &[Call], time: Time) -> Option<CallId> {
    let position = calls.iter().position(|call| call.returned == time && time != NEVER)?;
    CallId::try_from(position).ok()
}

/// Returns the call whose invocation is at `time`.
pub(crate) fn invoked_at(calls: &[Call], time: Time) -> Option<CallId> {
    let position = calls.binary_search_by_key(&time, |call| call.invoked).ok()?;
    CallId::try_from(position).ok()
}
