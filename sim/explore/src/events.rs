//! What can happen next, and how it is kept in few bits.

/// What can happen to one node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Move {
    /// A message arrives, by its number.
    Deliver(u32),
    /// A message arrives, and will once more.
    Repeat(u32),
    /// The node's clock is at its deadline, and it is told.
    Timeout,
    /// The node's clock goes on by one patience, or by one step, and it is not told.
    Lapse,
    /// The node, which was down, starts again.
    Start,
    /// The first write on its way is durable.
    Flush,
    /// Of the first write on its way only so many parts become durable, of the others nothing;
    /// the node starts again, or is down.
    Crash(u32),
    /// A user proposes a command.
    Propose,
    /// A user asks for this change of the membership.
    Change(u32),
    /// A user wants this node to lead.
    Transfer(u32),
}

/// What happens to which node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Event {
    /// Its place among the nodes: n1 is at 0.
    pub(crate) place: usize,
    pub(crate) what: Move,
}

const ARGUMENT_BITS: u32 = 24;
const KIND_BITS: u32 = 4;

impl Move {
    /// The move as one number.
    pub(crate) fn code(self) -> u32 {
        let (kind, argument) = match self {
            Move::Deliver(message) => (0, message),
            Move::Repeat(message) => (1, message),
            Move::Timeout => (2, 0),
            Move::Lapse => (3, 0),
            Move::Flush => (4, 0),
            Move::Crash(parts) => (5, parts),
            Move::Propose => (6, 0),
            Move::Change(change) => (7, change),
            Move::Transfer(to) => (8, to),
            Move::Start => (9, 0),
        };
        assert!(argument < 1 << ARGUMENT_BITS, "fewer messages than that are told apart");
        kind << ARGUMENT_BITS | argument
    }

    fn of(code: u32) -> Move {
        let argument = code & ((1 << ARGUMENT_BITS) - 1);
        match code >> ARGUMENT_BITS {
            0 => Move::Deliver(argument),
            1 => Move::Repeat(argument),
            2 => Move::Timeout,
            3 => Move::Lapse,
            4 => Move::Flush,
            5 => Move::Crash(argument),
            6 => Move::Propose,
            7 => Move::Change(argument),
            8 => Move::Transfer(argument),
            9 => Move::Start,
            _ => unreachable!("no such code was given"),
        }
    }
}

impl Event {
    /// The event as one number.
    pub(crate) fn code(self) -> u32 {
        let place = u32::try_from(self.place).expect("the nodes are few");
        place << (ARGUMENT_BITS + KIND_BITS) | self.what.code()
    }

    /// The event of this number.
    pub(crate) fn of(code: u32) -> Event {
        let place = (code >> (ARGUMENT_BITS + KIND_BITS)) as usize;
        Event { place, what: Move::of(code & ((1 << (ARGUMENT_BITS + KIND_BITS)) - 1)) }
    }
}

/// What the bounds count, in the order in which it is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Counted {
    Timeout,
    Heartbeat,
    Lapse,
    Crash,
    Repeat,
    Propose,
    Change,
    Transfer,
}

/// How much has happened of what is bounded: four bits each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Spent(pub(crate) u32);

impl Spent {
    pub(crate) fn of(self, counted: Counted) -> u8 {
        (self.0 >> (4 * counted as u32) & 15) as u8
    }

    pub(crate) fn and(self, counted: Counted) -> Spent {
        assert!(self.of(counted) < 15, "a bound fits four bits");
        Spent(self.0 + (1 << (4 * counted as u32)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_survives_its_code() {
        let moves = [
            Move::Deliver(7),
            Move::Repeat(1 << 20),
            Move::Timeout,
            Move::Lapse,
            Move::Flush,
            Move::Crash(2),
            Move::Propose,
            Move::Change(1),
            Move::Transfer(3),
            Move::Start,
        ];
        for (place, what) in (0..4).flat_map(|place| moves.map(|what| (place, what))) {
            let event = Event { place, what };
            assert_eq!(Event::of(event.code()), event);
        }
    }

    #[test]
    fn what_is_spent_is_counted_by_kind() {
        let spent = Spent::default().and(Counted::Crash).and(Counted::Crash).and(Counted::Transfer);
        assert_eq!(
            [Counted::Crash, Counted::Lapse, Counted::Transfer].map(|c| spent.of(c)),
            [2, 0, 1]
        );
    }
}
