//! Benchmark results: the latency of each request at each node, for each write load.

use std::fmt;

use crate::common::latencies::Latencies;

/// The write load during a measurement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Load {
    /// No writes during the reads.
    Idle,
    /// Sequential writes to keys that are not read.
    OtherKeys,
    /// Sequential writes to the key that is read.
    SameKey,
}

/// The kind of a measured request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Request {
    /// A local read with an empty query, which the state machine rejects; the baseline.
    Nothing,
    /// A read of the key with [`ReadLevel::Replica`](quorate::types::ReadLevel), answered locally
    /// with a lease.
    Replica,
    /// A linearizable read of the key, with a round through the coordinator.
    Linearizable,
}

/// The results with one write load.
#[derive(Clone, Debug)]
pub(super) struct LoadResult {
    pub(super) load: Load,
    pub(super) nodes: Vec<NodeResult>,
    /// The latencies of the writes, if there were any.
    pub(super) writes: Option<Latencies>,
}

/// The results of one node.
#[derive(Clone, Debug)]
pub(super) struct NodeResult {
    pub(super) id: u64,
    pub(super) leads: bool,
    /// The latencies in the order of [`Request::ALL`].
    pub(super) requests: [Latencies; Request::ALL.len()],
}

impl Load {
    pub(super) const ALL: [Load; 3] = [Load::Idle, Load::OtherKeys, Load::SameKey];
}

impl Request {
    pub(super) const ALL: [Request; 3] =
        [Request::Nothing, Request::Replica, Request::Linearizable];
}

impl NodeResult {
    pub(super) fn of(&self, request: Request) -> &Latencies {
        &self.requests[request as usize]
    }

    /// Returns the median latency of a local read divided by that of the empty query.
    pub(super) fn local_over_empty(&self) -> f64 {
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
    fn a_local_read_is_compared_with_an_empty_query() {
        let mut node = NodeResult { id: 1, leads: false, requests: Default::default() };
        for (request, millis) in [(Request::Nothing, 2), (Request::Replica, 3)] {
            node.requests[request as usize].add(Duration::from_millis(millis));
        }
        let ratio = node.local_over_empty();
        assert!((ratio - 1.5).abs() < 0.01, "{ratio}");
        for (index, request) in Request::ALL.into_iter().enumerate() {
            assert_eq!(request as usize, index);
        }
    }
}
