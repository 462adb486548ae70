//! The differences between the clocks of nodes, from the messages between them.
//!
//! A message arrives after it was sent. So the clock of the receiver is ahead of the sender's by at
//! most the time between the two, and the messages in both directions bound the difference.

use std::ops::RangeInclusive;

use quorate::types::NodeId;

use crate::values::time::SimTime;

/// Bounds of the difference between the clocks of two nodes, in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClockOffset {
    /// The node whose clock is the measure.
    pub one: NodeId,
    /// The other node, whose clock is ahead of the one node's by an amount within the bounds.
    pub other: NodeId,
    /// The least amount, negative if the other node's clock may be behind.
    pub min: i128,
    /// The greatest amount, negative if the other node's clock is behind.
    pub max: i128,
}

/// For each pair of nodes, the least time between the sending and the arrival of a message, each by
/// the clock of its node.
#[derive(Clone, Debug)]
pub(super) struct Clocks {
    nodes: Vec<NodeId>,
    least: Vec<Option<i128>>,
}

impl Clocks {
    pub(super) fn new(nodes: Vec<NodeId>) -> Clocks {
        let least = vec![None; nodes.len() * nodes.len()];
        Clocks { nodes, least }
    }

    pub(super) fn arrived(&mut self, from: usize, to: usize, sent: SimTime, arrived: SimTime) {
        let took = i128::from(arrived.0) - i128::from(sent.0);
        let least = &mut self.least[from * self.nodes.len() + to];
        *least = Some(least.map_or(took, |least| least.min(took)));
    }

    /// The bounds for every pair of nodes that exchanged messages in both directions.
    pub(super) fn offsets(&self) -> Vec<ClockOffset> {
        let count = self.nodes.len();
        let mut offsets = Vec::new();
        for one in 0..count {
            for other in one + 1..count {
                let there = self.least[one * count + other];
                let back = self.least[other * count + one];
                if let (Some(max), Some(back)) = (there, back) {
                    let (one, other) = (self.nodes[one], self.nodes[other]);
                    offsets.push(ClockOffset { one, other, min: -back, max });
                }
            }
        }
        offsets
    }
}

/// The difference of two clocks below which their times are regarded as comparable, in nanoseconds:
/// less than any sensible election timeout.
const COMPARABLE_NANOS: i128 = 50_000_000;

/// Returns the bounds of the time, in nanoseconds, by which the clock of `other` is ahead of the
/// clock of `one`, from messages between the two or between both and a third node. If the
/// difference changed, the bounds have the difference before and after. `None` if nothing bounds
/// it.
pub(crate) fn clock_lead(
    offsets: &[ClockOffset],
    one: NodeId,
    other: NodeId,
) -> Option<RangeInclusive<i128>> {
    if one == other {
        return Some(0..=0);
    }
    let direct = |one: NodeId, other: NodeId| {
        offsets.iter().find_map(|offset| {
            let least = offset.min.min(offset.max);
            let most = offset.min.max(offset.max);
            match (offset.one, offset.other) {
                pair if pair == (one, other) => Some(least..=most),
                pair if pair == (other, one) => Some(-most..=-least),
                _ => None,
            }
        })
    };
    let thirds = offsets.iter().flat_map(|offset| [offset.one, offset.other]);
    let by_third = thirds.filter_map(|third| {
        let (there, back) = (direct(one, third)?, direct(third, other)?);
        Some(there.start() + back.start()..=there.end() + back.end())
    });
    direct(one, other).or_else(|| by_third.min_by_key(|bounds| bounds.end() - bounds.start()))
}

impl ClockOffset {
    /// Whether the clocks are known to differ so much, now or at an earlier time, that their times
    /// cannot be compared.
    #[must_use]
    pub fn is_apart(&self) -> bool {
        self.min > COMPARABLE_NANOS
            || self.max < -COMPARABLE_NANOS
            || self.min - self.max > COMPARABLE_NANOS
    }

    /// Whether one difference explains all messages. If not, the difference changed meanwhile.
    #[must_use]
    pub fn is_constant(&self) -> bool {
        self.min <= self.max
    }

    /// Whether the clocks certainly differ.
    #[must_use]
    pub fn is_certain(&self) -> bool {
        self.min > 0 || self.max < 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_in_both_directions_bound_the_difference() {
        let mut clocks = Clocks::new(vec![NodeId(1), NodeId(2)]);
        // The clock of n2 is 100 ahead; a message takes at least 10.
        clocks.arrived(0, 1, SimTime(1_000), SimTime(1_130));
        clocks.arrived(0, 1, SimTime(2_000), SimTime(2_110));
        assert_eq!(clocks.offsets(), []);
        clocks.arrived(1, 0, SimTime(3_100), SimTime(3_010));
        let offset = ClockOffset { one: NodeId(1), other: NodeId(2), min: 90, max: 110 };
        assert_eq!(clocks.offsets(), [offset]);
        assert!(offset.is_certain() && !offset.is_apart());
    }

    #[test]
    fn a_third_node_bounds_the_difference_of_two_others() {
        let [one, two, three] = [1, 2, 3].map(NodeId);
        let second = 1_000_000_000;
        let offsets = [
            ClockOffset { one, other: two, min: 4, max: 6 },
            ClockOffset { one, other: three, min: second + 1, max: second + 2 },
        ];
        assert_eq!(clock_lead(&offsets, two, one), Some(-6..=-4));
        assert_eq!(clock_lead(&offsets, two, three), Some(second - 5..=second - 2));
        assert_eq!(clock_lead(&offsets, two, two), Some(0..=0));
        assert_eq!(clock_lead(&offsets, two, NodeId(4)), None);
        assert_eq!(offsets.map(|offset| offset.is_apart()), [false, true]);
        let changed = ClockOffset { one, other: two, min: second, max: 0 };
        assert!(changed.is_apart());
        assert_eq!(clock_lead(&[changed], one, two), Some(0..=second));
    }
}
