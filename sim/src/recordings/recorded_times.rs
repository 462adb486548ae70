//! The times in which a node is recorded, by its own clock.

use std::fmt;

use quorate::types::NodeId;

use crate::recordings::account::{AccountLine, Note};
use crate::values::time::SimTime;

/// The maximum number of times that are printed.
const SHOWN_MAX: usize = 5;

/// The times in which the steps of a node are recorded, oldest first, each with both ends.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecordedTimes(Vec<(SimTime, SimTime)>);

impl RecordedTimes {
    /// Returns the times of a node in an account.
    #[must_use]
    pub fn of(lines: &[AccountLine], node: NodeId) -> RecordedTimes {
        let (mut times, mut since) = (Vec::new(), None);
        for line in lines.iter().filter(|line| line.node == node) {
            match line.note {
                Note::Starts | Note::Begins { .. } => since = Some(line.at),
                Note::Ends | Note::Lacks => {
                    times.extend(since.take().map(|since| (since, line.at.max(since))));
                }
                _ => {}
            }
        }
        RecordedTimes(times)
    }

    /// The beginning of the first time.
    #[must_use]
    pub fn begin(&self) -> Option<SimTime> {
        self.0.iter().map(|(from, _)| *from).min()
    }

    /// The end of the last time.
    #[must_use]
    pub fn end(&self) -> Option<SimTime> {
        self.0.iter().map(|(_, to)| *to).max()
    }

    /// The parts of the time between `from` and `to` in which the node is recorded.
    #[must_use]
    pub fn within(&self, from: SimTime, to: SimTime) -> RecordedTimes {
        let parts = self.0.iter().map(|(begin, end)| (*begin.max(&from), *end.min(&to)));
        RecordedTimes(parts.filter(|(begin, end)| begin <= end).collect())
    }

    /// Whether the node is recorded at every time between `from` and `to`.
    #[must_use]
    pub fn covers(&self, from: SimTime, to: SimTime) -> bool {
        self.0.iter().any(|(begin, end)| *begin <= from && *end >= to)
    }

    /// Whether the node is not recorded at any time.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for RecordedTimes {
    /// Prints `1.0 to 2.5 s, 4.0 to 9.0 s`, at most the first five times.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("no time");
        }
        for (place, (from, to)) in self.0.iter().take(SHOWN_MAX).enumerate() {
            let comma = if place > 0 { ", " } else { "" };
            write!(f, "{comma}{from} to {to} s")?;
        }
        match self.0.len().checked_sub(SHOWN_MAX) {
            Some(more @ 1..) => write!(f, " and {more} more times"),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use quorate::types::Term;

    use super::*;

    #[test]
    fn a_node_is_recorded_from_each_beginning_to_the_next_end() {
        let line = |at: u64, note| {
            let (at, node) = (SimTime(at * 1_000_000_000), NodeId(1));
            AccountLine { at, until: at, node, term: Term(1), record: None, count: 1, note }
        };
        let begins = || Note::Begins { role: quorate::raft::RoleName::Follower, leader: None };
        let lines =
            [line(1, Note::Starts), line(3, Note::Lacks), line(5, begins()), line(9, Note::Ends)];
        let times = RecordedTimes::of(&lines, NodeId(1));
        assert_eq!(times.to_string(), "1.000000 to 3.000000 s, 5.000000 to 9.000000 s");
        let second = |seconds: u64| SimTime(seconds * 1_000_000_000);
        assert_eq!(times.within(second(4), second(6)).to_string(), "5.000000 to 6.000000 s");
        assert!(times.within(second(4), second(4)).is_empty());
        assert!(times.covers(second(5), second(9)) && !times.covers(second(1), second(5)));
        assert_eq!((times.begin(), times.end()), (Some(second(1)), Some(second(9))));
        assert!(RecordedTimes::of(&lines, NodeId(2)).is_empty());
    }
}
