//! Events, and their encoding in few bits.

/// An event of one node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Move {
    /// A message, by its number, is delivered.
    Deliver(u32),
    /// The message is delivered, and stays in flight, so that it can be delivered again.
    Repeat(u32),
    /// The clock of the node advances to its deadline, and the node is stepped. With leases, a node
    /// that does not lead campaigns instead, and its clock does not advance.
    Timeout,
    /// The clock of the node advances, without a step of the node, by one election timeout. With
    /// leases all clocks advance by half of one, with last survivors by
    /// [`SURVIVOR_STEP`](crate::scope::SURVIVOR_STEP).
    TimePasses,
    /// The node, which was down, starts again.
    Start,
    /// The first pending write becomes durable.
    Flush,
    /// The node crashes. This number of parts of its first pending write is durable, and nothing of
    /// later writes. The node starts again at once; with last survivors it stays down until
    /// [`Move::Start`].
    Crash(u32),
    /// A user proposes a command.
    Propose,
    /// A user requests this membership change.
    Change(u32),
    /// A user requests a leadership transfer to this node.
    Transfer(u32),
}

/// An event, and the node at which it happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Event {
    /// The position of the node: n1 is at 0.
    pub(crate) place: usize,
    pub(crate) kind: Move,
}

const ARGUMENT_BITS: u32 = 24;
const KIND_BITS: u32 = 4;

impl Move {
    /// Encodes the move as a number.
    pub(crate) fn code(self) -> u32 {
        let (kind, argument) = match self {
            Move::Deliver(message) => (0, message),
            Move::Repeat(message) => (1, message),
            Move::Timeout => (2, 0),
            Move::TimePasses => (3, 0),
            Move::Flush => (4, 0),
            Move::Crash(parts) => (5, parts),
            Move::Propose => (6, 0),
            Move::Change(change) => (7, change),
            Move::Transfer(to) => (8, to),
            Move::Start => (9, 0),
        };
        assert!(argument < 1 << ARGUMENT_BITS, "the number of messages fits the code");
        kind << ARGUMENT_BITS | argument
    }

    fn of(code: u32) -> Move {
        let argument = code & ((1 << ARGUMENT_BITS) - 1);
        match code >> ARGUMENT_BITS {
            0 => Move::Deliver(argument),
            1 => Move::Repeat(argument),
            2 => Move::Timeout,
            3 => Move::TimePasses,
            4 => Move::Flush,
            5 => Move::Crash(argument),
            6 => Move::Propose,
            7 => Move::Change(argument),
            8 => Move::Transfer(argument),
            9 => Move::Start,
            _ => unreachable!("the code was produced by `code`"),
        }
    }
}

impl Event {
    /// Encodes the event as a number.
    pub(crate) fn code(self) -> u32 {
        let place = u32::try_from(self.place).expect("the nodes are few");
        place << (ARGUMENT_BITS + KIND_BITS) | self.kind.code()
    }

    /// Decodes the event of a number.
    pub(crate) fn of(code: u32) -> Event {
        let place = (code >> (ARGUMENT_BITS + KIND_BITS)) as usize;
        Event { place, kind: Move::of(code & ((1 << (ARGUMENT_BITS + KIND_BITS)) - 1)) }
    }
}

/// The kinds of events that the bounds limit, in the order of their counters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BoundedKind {
    Timeout,
    Heartbeat,
    TimePasses,
    Crash,
    Repeat,
    Propose,
    Change,
    Transfer,
}

/// Counters of the limited events, of four bits each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct UsedBounds(pub(crate) u32);

impl UsedBounds {
    pub(crate) fn of(self, counted: BoundedKind) -> u8 {
        (self.0 >> (4 * counted as u32) & 15) as u8
    }

    pub(crate) fn and(self, counted: BoundedKind) -> UsedBounds {
        assert!(self.of(counted) < 15, "a bound fits four bits");
        UsedBounds(self.0 + (1 << (4 * counted as u32)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_decoded_from_its_code() {
        let moves = [
            Move::Deliver(7),
            Move::Repeat(1 << 20),
            Move::Timeout,
            Move::TimePasses,
            Move::Flush,
            Move::Crash(2),
            Move::Propose,
            Move::Change(1),
            Move::Transfer(3),
            Move::Start,
        ];
        for (place, kind) in (0..4).flat_map(|place| moves.map(|kind| (place, kind))) {
            let event = Event { place, kind };
            assert_eq!(Event::of(event.code()), event);
        }
    }

    #[test]
    fn used_bounds_are_counted_by_kind() {
        let used = UsedBounds::default()
            .and(BoundedKind::Crash)
            .and(BoundedKind::Crash)
            .and(BoundedKind::Transfer);
        assert_eq!(
            [BoundedKind::Crash, BoundedKind::TimePasses, BoundedKind::Transfer]
                .map(|c| used.of(c)),
            [2, 0, 1]
        );
    }
}
