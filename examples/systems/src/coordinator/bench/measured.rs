//! What was measured: how long each request took at each node, beside each load.

use std::fmt;

use crate::common::latencies::Latencies;

/// What else the cluster does meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Load {
    /// Nothing.
    Idle,
    /// Writes, one after the other, to keys that nobody reads.
    OtherKeys,
    /// Writes, one after the other, to the key that is read.
    SameKey,
}

/// What a node is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Request {
    /// Nothing: it says that this is no query.
    Nothing,
    /// The value of the key, by itself where it may.
    Replica,
    /// The value of the key, with the coordinator's word on how fresh that has to be.
    Linearizable,
}

/// What was measured beside one load.
#[derive(Clone, Debug)]
pub(super) struct Measured {
    pub(super) load: Load,
    pub(super) nodes: Vec<AtNode>,
    /// The writes beside it; none where there were none.
    pub(super) writes: Option<Latencies>,
}

/// What was measured at one node.
#[derive(Clone, Debug)]
pub(super) struct AtNode {
    pub(super) id: u64,
    pub(super) leads: bool,
    /// In the order of [`Request::ALL`].
    pub(super) requests: [Latencies; Request::ALL.len()],
}

impl Load {
    pub(super) const ALL: [Load; 3] = [Load::Idle, Load::OtherKeys, Load::SameKey];
}

impl Request {
    pub(super) const ALL: [Request; 3] =
        [Request::Nothing, Request::Replica, Request::Linearizable];
}

impl AtNode {
    pub(super) fn of(&self, request: Request) -> &Latencies {
        &self.requests[request as usize]
    }

    /// How many times as long as for nothing a read takes that the node answers by itself: the
    /// medians of both.
    pub(super) fn price(&self) -> f64 {
        let median = |request| self.of(request).milliseconds(0.5);
        median(Request::Replica) / median(Request::Nothing).max(f64::EPSILON)
    }
}

impl fmt::Display for Load {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Load::Idle => "none",
            Load::OtherKeys => "other keys",
            Load::SameKey => "the same key",
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_price_is_that_of_the_read_over_that_of_nothing() {
        let mut node = AtNode { id: 1, leads: false, requests: Default::default() };
        for (request, millis) in [(Request::Nothing, 2), (Request::Replica, 3)] {
            node.requests[request as usize].add(Duration::from_millis(millis));
        }
        assert!((node.price() - 1.5).abs() < 0.01, "{}", node.price());
        for (place, request) in Request::ALL.into_iter().enumerate() {
            assert_eq!(request as usize, place);
        }
    }
}
