//! An object with two states, such as a lock, or one element of a set, which is in it or not.
//!
//! Operations are ordered only when one returns that has no place yet (Lowe 2017, just in time):
//! if it can have one it takes it, otherwise the switch is turned, by one of those under way, and
//! then it can. No more than one turn is ever needed for one return, because operations that do the
//! same can change places; of those, the one that returns first goes first. What only looks, or
//! writes what is there already, needs no turn if the state was right at some moment since it was
//! invoked. So all there is to remember of an order is the state, since when, and which operations
//! under way were used to turn it.

use crate::collections::finding::{Fault, Finding};
use crate::collections::span::{NEVER, Span, Time};
use crate::history::OpId;

/// One operation on a switch.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Act {
    pub(crate) id: OpId,
    pub(crate) span: Span,
    pub(crate) kind: Kind,
    /// The state that it looks for, or leaves.
    pub(crate) state: bool,
    /// Whether it may turn the switch to its state, or do nothing, if its outcome is unknown.
    pub(crate) may_turn: bool,
}

/// What an operation on a switch does, if its outcome is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// It found the switch in its state.
    Look,
    /// It turned the switch to its state from the other.
    Turn,
    /// It left the switch in its state, in which it may have been before.
    Write,
}

/// What can be said of the acts on one switch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Found {
    /// There is an order.
    Order,
    /// There is none: this act cannot return as it did.
    NoneAt(OpId),
    /// Too much is possible.
    Unsure,
}

/// The most other operations that a fault names.
const OTHERS_MAX: usize = 8;

/// The most ways to be in that are followed.
const WAYS_MAX: usize = 4096;

/// One way in which everything up to some return can have happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Way {
    state: bool,
    /// The slots of those under way that have turned the switch.
    used: u64,
    /// How many with unknown outcomes have turned it, to each state.
    unknown: [u32; 2],
    /// Since when it is in `state`.
    since: Time,
}

/// What is under way.
#[derive(Debug)]
struct Open {
    /// The acts that may turn the switch, by slot.
    slots: Vec<Option<Act>>,
    /// How many with unknown outcomes are invoked, by the state that they turn to.
    unknown: [u32; 2],
}

impl Act {
    /// It, if its outcome is taken as unknown.
    pub(crate) fn unknown(self) -> Act {
        Act { span: Span { invoked: self.span.invoked, ..Span::NEVER }, ..self }
    }
}

/// What can be said of `acts` on a switch that is in state `init` at first. `words` says an act, as
/// in `acquire 7`.
pub(crate) fn find(
    init: bool,
    acts: &[Act],
    known: &dyn Fn(OpId) -> bool,
    words: &dyn Fn(OpId) -> String,
) -> Finding {
    let weaker = |act: &Act| if known(act.id) { *act } else { act.unknown() };
    let acts: Vec<Act> = acts.iter().map(weaker).collect();
    let id = match look(init, &acts) {
        Found::Order => return Finding::Fine,
        Found::Unsure => return Finding::Unsure,
        Found::NoneAt(id) => id,
    };
    let by = acts.iter().find(|act| act.id == id).map_or(NEVER, |act| act.span.returned);
    let told = |act: &&Act| act.span.is_known() && act.span.invoked < by;
    let kept: Vec<OpId> = acts.iter().filter(told).map(|act| act.id).collect();
    let others: Vec<String> = kept
        .iter()
        .filter(|other| **other != id)
        .take(OTHERS_MAX + 1)
        .map(|id| words(*id))
        .collect();
    let because = match others.len() {
        0 => format!("{} is not possible at any moment", words(id)),
        1..=OTHERS_MAX => {
            format!(
                "{} is not possible, in whatever order, beside {}",
                words(id),
                others.join(", ")
            )
        }
        _ => format!(
            "{} is not possible, in whatever order, beside the {} others that are shown",
            words(id),
            kept.len() - 1
        ),
    };
    Finding::Wrong(Fault { kept, because })
}

/// Looks for an order of `acts` of a switch that is in state `init` at first.
fn look(init: bool, acts: &[Act]) -> Found {
    let mut events: Vec<(Time, bool, usize)> = Vec::with_capacity(2 * acts.len());
    for (place, act) in acts.iter().enumerate() {
        events.push((act.span.invoked, false, place));
        if act.span.is_known() {
            events.push((act.span.returned, true, place));
        }
    }
    events.sort_unstable();
    let mut open = Open { slots: Vec::new(), unknown: [0, 0] };
    let mut ways = vec![Way { state: init, used: 0, unknown: [0, 0], since: Time::MIN }];
    let mut next = Vec::new();
    for (now, returns, place) in events {
        let act = &acts[place];
        if !returns {
            if !open.invoke(act) {
                return Found::Unsure;
            }
            continue;
        }
        let slot = open.slot(act.id);
        for way in &ways {
            way.after(act, slot, &open, now, &mut next);
        }
        if let Some(slot) = slot {
            open.slots[slot] = None;
        }
        keep_best(&mut next);
        std::mem::swap(&mut ways, &mut next);
        next.clear();
        if ways.is_empty() {
            return Found::NoneAt(act.id);
        }
        if ways.len() > WAYS_MAX {
            return Found::Unsure;
        }
    }
    Found::Order
}

impl Open {
    /// Whether there is room for `act`, which is invoked.
    fn invoke(&mut self, act: &Act) -> bool {
        if !act.span.is_known() {
            self.unknown[usize::from(act.state)] += u32::from(act.may_turn);
            return true;
        }
        if act.kind == Kind::Look {
            return true;
        }
        match self.slots.iter_mut().find(|slot| slot.is_none()) {
            Some(slot) => *slot = Some(*act),
            None => self.slots.push(Some(*act)),
        }
        self.slots.len() <= 64
    }

    fn slot(&self, id: OpId) -> Option<usize> {
        self.slots.iter().position(|act| act.is_some_and(|act| act.id == id))
    }
}

impl Way {
    /// The ways in which `act`, in `slot` if it may turn the switch, can have returned.
    fn after(
        mut self,
        act: &Act,
        slot: Option<usize>,
        open: &Open,
        now: Time,
        ways: &mut Vec<Way>,
    ) {
        let bit = slot.map_or(0, |slot| 1 << slot);
        if self.used & bit != 0 {
            self.used &= !bit;
            ways.push(self);
            return;
        }
        let right = self.state == act.state;
        let placed = act.kind != Kind::Turn && (right || act.span.invoked < self.since);
        if placed {
            ways.push(self);
        }
        let turned = Way { state: act.state, since: now, ..self };
        if act.kind != Kind::Look && !right {
            ways.push(turned);
        }
        // A turn by another: back, before this turns, or to where this finds what it needs. A
        // write is better off if it turns back than if it changes nothing: this is its last chance.
        let by_another = match act.kind {
            Kind::Turn => right,
            Kind::Look => !placed,
            Kind::Write => right || !placed,
        };
        if by_another {
            let from = ways.len();
            self.turned(bit, open, now, ways);
            for way in &mut ways[from..] {
                way.state = act.state;
            }
        }
    }

    /// The ways to turn the switch now: by any kind of operation but that of `bit`, the first of it
    /// to return.
    fn turned(self, bit: u64, open: &Open, now: Time, ways: &mut Vec<Way>) {
        let (state, since) = (!self.state, now);
        for kind in [Kind::Turn, Kind::Write] {
            let free = open.slots.iter().enumerate().filter_map(|(slot, act)| {
                let act = act.filter(|act| act.kind == kind && act.state == state)?;
                ((self.used | bit) & 1 << slot == 0).then_some((act.span.returned, slot))
            });
            if let Some((_, slot)) = free.min() {
                ways.push(Way { state, since, used: self.used | 1 << slot, ..self });
            }
        }
        let towards = usize::from(state);
        if self.unknown[towards] < open.unknown[towards] {
            let mut unknown = self.unknown;
            unknown[towards] += 1;
            ways.push(Way { state, since, unknown, ..self });
        }
    }

    /// Whether whatever can follow `other` can follow this.
    fn is_as_good_as(&self, other: &Way) -> bool {
        (self.state, self.used) == (other.state, other.used)
            && self.since >= other.since
            && self.unknown[0] <= other.unknown[0]
            && self.unknown[1] <= other.unknown[1]
    }
}

/// Keeps of `ways` those that are not worse than another.
fn keep_best(ways: &mut Vec<Way>) {
    if ways.len() < 2 {
        return;
    }
    let rank = |way: &Way| (way.state, way.used, way.unknown, std::cmp::Reverse(way.since));
    ways.sort_unstable_by_key(rank);
    let mut kept: Vec<Way> = Vec::with_capacity(ways.len());
    for way in ways.iter() {
        let alike = kept.iter().rev().take_while(|other| other.used == way.used);
        if !alike.take(64).any(|other| other.is_as_good_as(way)) {
            kept.push(*way);
        }
    }
    *ways = kept;
}
