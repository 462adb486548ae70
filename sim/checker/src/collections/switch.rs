//! Decides switches: objects with two states, such as a lock, or the membership of one element in a
//! set.
//!
//! Operations are ordered only when one returns that is not ordered yet (just-in-time
//! linearization, Lowe 2017). If it is legal now, it takes effect. Otherwise a pending operation
//! toggles the switch first. One toggle per response suffices, because operations with the same
//! effect are interchangeable; of those, the one with the first response goes first. A read, or a
//! write of the present state, needs no toggle if the state was right at some instant since its
//! invocation. So a configuration is the state, the instant at which the switch entered it, and the
//! pending operations that toggled the switch.

use crate::budget::StopCheck;
use crate::collections::narrowing::{CheckResult, Violation};
use crate::collections::span::{NEVER, Span, Time};
use crate::history::OpId;

/// One operation on a switch.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SwitchOp {
    pub(crate) id: OpId,
    pub(crate) span: Span,
    pub(crate) kind: Kind,
    /// The state that the operation observes or sets.
    pub(crate) state: bool,
    /// Whether the operation, with an unknown outcome, may toggle the switch to its state or do
    /// nothing.
    pub(crate) may_toggle: bool,
}

/// The effect of an operation with a known outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The operation found the switch in its state.
    Read,
    /// The operation toggled the switch to its state from the other state.
    Toggle,
    /// The operation set the switch to its state, from either state.
    Write,
}

/// The result of the check of one switch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SwitchResult {
    /// Some order explains all operations.
    Linearizable,
    /// No order explains the result of this operation.
    NotLinearizable(OpId),
    /// Too many configurations are possible, or the check was stopped.
    Unknown,
}

/// The maximum number of other operations that a sentence names.
const OTHERS_MAX: usize = 8;

/// The maximum number of configurations that are followed.
const CONFIGURATIONS_MAX: usize = 4096;

/// A configuration: one possibility of what has happened up to a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Configuration {
    state: bool,
    /// The slots of the pending operations that toggled the switch.
    used: u64,
    /// The number of operations of unknown outcome that toggled the switch, by target state.
    unknown: [u32; 2],
    /// The instant since which the switch has been in `state`.
    since: Time,
}

/// The pending operations on one switch.
#[derive(Debug)]
struct Open {
    /// The pending operations that may toggle the switch, by slot.
    slots: Vec<Option<SwitchOp>>,
    /// The number of invoked operations of unknown outcome, by target state.
    unknown: [u32; 2],
}

impl SwitchOp {
    /// Returns the operation with an unknown outcome.
    pub(crate) fn unknown(self) -> SwitchOp {
        SwitchOp { span: self.span.unknown(), ..self }
    }
}

/// Decides the operations `ops` on a switch with the initial state `init`. Operations that are not
/// `known` have an unknown outcome. `describe` formats an operation, as in `acquire 7`. The result
/// is unknown if `stop` ends the check.
pub(crate) fn check_switch(
    init: bool,
    ops: &[SwitchOp],
    known: &dyn Fn(OpId) -> bool,
    describe: &dyn Fn(OpId) -> String,
    stop: &StopCheck<'_>,
) -> CheckResult {
    let weaker = |op: &SwitchOp| if known(op.id) { *op } else { op.unknown() };
    let ops: Vec<SwitchOp> = ops.iter().map(weaker).collect();
    let id = match check(init, &ops, stop) {
        SwitchResult::Linearizable => return CheckResult::Linearizable,
        SwitchResult::Unknown => return CheckResult::Unknown,
        SwitchResult::NotLinearizable(id) => id,
    };
    let by = ops.iter().find(|op| op.id == id).map_or(NEVER, |op| op.span.returned);
    let is_known = |op: &&SwitchOp| op.span.is_known() && op.span.invoked < by;
    let kept: Vec<OpId> = ops.iter().filter(is_known).map(|op| op.id).collect();
    let others: Vec<String> = kept
        .iter()
        .filter(|other| **other != id)
        .take(OTHERS_MAX + 1)
        .map(|id| describe(*id))
        .collect();
    let reason = match others.len() {
        0 => format!("{} is impossible at any instant", describe(id)),
        1..=OTHERS_MAX => {
            format!("{} is impossible in any order with {}", describe(id), others.join(", "))
        }
        _ => format!(
            "{} is impossible in any order with the {} others of the counterexample",
            describe(id),
            kept.len() - 1
        ),
    };
    CheckResult::NotLinearizable(Violation { kept, reason })
}

/// Searches for an order of `ops` on a switch with the initial state `init`.
fn check(init: bool, ops: &[SwitchOp], stop: &StopCheck<'_>) -> SwitchResult {
    let mut events: Vec<(Time, bool, usize)> = Vec::with_capacity(2 * ops.len());
    for (place, op) in ops.iter().enumerate() {
        events.push((op.span.invoked, false, place));
        if op.span.is_known() {
            events.push((op.span.returned, true, place));
        }
    }
    events.sort_unstable();
    let mut open = Open { slots: Vec::new(), unknown: [0, 0] };
    let mut configurations =
        vec![Configuration { state: init, used: 0, unknown: [0, 0], since: Time::MIN }];
    let mut next = Vec::new();
    for (now, returns, place) in events {
        let op = &ops[place];
        if stop.is_stopped_after(configurations.len()) {
            return SwitchResult::Unknown;
        }
        if !returns {
            if !open.invoke(op) {
                return SwitchResult::Unknown;
            }
            continue;
        }
        let slot = open.slot(op.id);
        for configuration in &configurations {
            configuration.after(op, slot, &open, now, &mut next);
        }
        if let Some(slot) = slot {
            open.slots[slot] = None;
        }
        keep_best(&mut next);
        std::mem::swap(&mut configurations, &mut next);
        next.clear();
        if configurations.is_empty() {
            return SwitchResult::NotLinearizable(op.id);
        }
        if configurations.len() > CONFIGURATIONS_MAX {
            return SwitchResult::Unknown;
        }
    }
    SwitchResult::Linearizable
}

impl Open {
    /// Adds an invoked operation. Returns false if there is no free slot.
    fn invoke(&mut self, op: &SwitchOp) -> bool {
        if !op.span.is_known() {
            self.unknown[usize::from(op.state)] += u32::from(op.may_toggle);
            return true;
        }
        if op.kind == Kind::Read {
            return true;
        }
        match self.slots.iter_mut().find(|slot| slot.is_none()) {
            Some(slot) => *slot = Some(*op),
            None => self.slots.push(Some(*op)),
        }
        self.slots.len() <= 64
    }

    fn slot(&self, id: OpId) -> Option<usize> {
        self.slots.iter().position(|op| op.is_some_and(|op| op.id == id))
    }
}

impl Configuration {
    /// Appends the configurations after the response of `op`, which has the slot `slot` if it may
    /// toggle the switch.
    fn after(
        mut self,
        op: &SwitchOp,
        slot: Option<usize>,
        open: &Open,
        now: Time,
        configurations: &mut Vec<Configuration>,
    ) {
        let bit = slot.map_or(0, |slot| 1 << slot);
        if self.used & bit != 0 {
            self.used &= !bit;
            configurations.push(self);
            return;
        }
        let right = self.state == op.state;
        let placed = op.kind != Kind::Toggle && (right || op.span.invoked < self.since);
        if placed {
            configurations.push(self);
        }
        let toggled = Configuration { state: op.state, since: now, ..self };
        if op.kind != Kind::Read && !right {
            configurations.push(toggled);
        }
        // Another operation toggles first: to the other state before this one toggles back, or to
        // the state that this one needs. A write should toggle back rather than change nothing,
        // because this is its last chance.
        let by_another = match op.kind {
            Kind::Toggle => right,
            Kind::Read => !placed,
            Kind::Write => right || !placed,
        };
        if by_another {
            let from = configurations.len();
            self.toggled(bit, open, now, configurations);
            for configuration in &mut configurations[from..] {
                configuration.state = op.state;
            }
        }
    }

    /// Appends the configurations after a toggle by another operation: of each kind, the one with
    /// the first response, except the one of `bit`; or one of unknown outcome.
    fn toggled(self, bit: u64, open: &Open, now: Time, configurations: &mut Vec<Configuration>) {
        let (state, since) = (!self.state, now);
        for kind in [Kind::Toggle, Kind::Write] {
            let free = open.slots.iter().enumerate().filter_map(|(slot, op)| {
                let op = op.filter(|op| op.kind == kind && op.state == state)?;
                ((self.used | bit) & 1 << slot == 0).then_some((op.span.returned, slot))
            });
            if let Some((_, slot)) = free.min() {
                configurations.push(Configuration {
                    state,
                    since,
                    used: self.used | 1 << slot,
                    ..self
                });
            }
        }
        let towards = usize::from(state);
        if self.unknown[towards] < open.unknown[towards] {
            let mut unknown = self.unknown;
            unknown[towards] += 1;
            configurations.push(Configuration { state, since, unknown, ..self });
        }
    }

    /// Returns true if every continuation of `other` is one of `self`.
    fn is_as_good_as(&self, other: &Configuration) -> bool {
        (self.state, self.used) == (other.state, other.used)
            && self.since >= other.since
            && self.unknown[0] <= other.unknown[0]
            && self.unknown[1] <= other.unknown[1]
    }
}

/// Removes the configurations that another one dominates.
fn keep_best(configurations: &mut Vec<Configuration>) {
    if configurations.len() < 2 {
        return;
    }
    let rank = |configuration: &Configuration| {
        (
            configuration.state,
            configuration.used,
            configuration.unknown,
            std::cmp::Reverse(configuration.since),
        )
    };
    configurations.sort_unstable_by_key(rank);
    let mut kept: Vec<Configuration> = Vec::with_capacity(configurations.len());
    for configuration in configurations.iter() {
        let alike = kept.iter().rev().take_while(|other| other.used == configuration.used);
        if !alike.take(64).any(|other| other.is_as_good_as(configuration)) {
            kept.push(*configuration);
        }
    }
    *configurations = kept;
}
