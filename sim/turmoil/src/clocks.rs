//! The clocks of nodes, which drift apart.
//!
//! turmoil cannot slow the clock of a host down. While one clock is to be slow, the others are fast
//! by the same rate instead, which no node can tell from a slow clock.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::lasting::Lasting;
use crate::world::State;

/// The drifts of all nodes.
#[derive(Default)]
pub(crate) struct Clocks {
    /// The drifts of nodes, in parts per million. Of several, the last one to begin counts.
    drifts: Lasting<i32>,
    /// The time in nanoseconds that each node's clock has gained and does not show yet.
    gained: BTreeMap<u64, u64>,
}

impl Clocks {
    pub(crate) fn drift(&mut self, node: u64, ppm: i32, until: Duration) {
        self.drifts.begin(node, ppm, until);
    }

    /// Ends all drifts.
    pub(crate) fn clear(&mut self) {
        self.drifts.clear();
    }

    /// Lets one millisecond pass.
    pub(crate) fn step(&mut self, state: &mut State, now: Duration) {
        self.drifts.end_due(now);
        let drift = |id: u64| self.drifts.of(id).next().unwrap_or(0);
        let State { nodes, paused, .. } = state;
        let slowest = (1..=nodes.len() as u64).map(drift).min().unwrap_or(0).min(0);
        for (at, node) in nodes.iter_mut().enumerate() {
            let id = at as u64 + 1;
            // The clock of a paused node would make up for the gain in one step after the pause.
            if paused.contains(&id) {
                continue;
            }
            let ppm = drift(id) - slowest;
            // A millionth of a millisecond is a nanosecond.
            let gained = self.gained.entry(id).or_default();
            *gained += u64::from(ppm.unsigned_abs());
            // Clocks of tokio have whole milliseconds.
            let millis = *gained / 1_000_000;
            *gained -= millis * 1_000_000;
            node.clock_gain += Duration::from_millis(millis);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::NodeState;

    #[test]
    fn clocks_drift_apart_by_their_rates() {
        let mut state = State { nodes: vec![NodeState::default(); 3], ..State::default() };
        let mut clocks = Clocks::default();
        let second = Duration::from_secs(1);
        clocks.drift(1, 3_000, second);
        clocks.drift(2, -5_000, second * 2);
        for millis in 0..3_000 {
            clocks.step(&mut state, Duration::from_millis(millis));
        }
        let gained = state.nodes.iter().map(|node| node.clock_gain.as_millis());
        assert_eq!(gained.collect::<Vec<_>>(), [8 + 5, 0, 5 + 5]);
    }

    #[test]
    fn the_end_of_a_drift_ends_no_other() {
        let mut state = State { nodes: vec![NodeState::default(); 2], ..State::default() };
        let mut clocks = Clocks::default();
        let second = Duration::from_secs(1);
        clocks.drift(1, 2_000, second * 3);
        clocks.drift(1, 5_000, second);
        for millis in 0..4_000 {
            clocks.step(&mut state, Duration::from_millis(millis));
        }
        assert_eq!(state.nodes[0].clock_gain.as_millis(), 5 + 2 + 2);
    }
}
