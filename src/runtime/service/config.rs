//! How much a node does for clients at once.

use std::time::Duration;

/// The bounds of a node's service to clients. Whoever is beyond one is told so, or waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceConfig {
    /// The most connections of clients. One more is told that the node is full.
    pub connections_max: usize,
    /// The most requests of one connection that wait for their replies. No more is read from it
    /// until one of them has gone out.
    pub requests_per_connection_max: usize,
    /// The most requests of all connections that wait for their replies. One more is refused as
    /// overload.
    pub requests_max: usize,
    /// The most bytes of commands and queries that all of these requests have together, in KiB.
    /// What goes beyond it is refused as overload.
    pub requests_kib_max: u32,
    /// After how long without a request a connection is closed that waits for none.
    pub idle_max: Duration,
    /// How long replies may take to go out when the node is shut down.
    pub drain_max: Duration,
}

impl Default for ServiceConfig {
    fn default() -> ServiceConfig {
        ServiceConfig {
            connections_max: 1024,
            requests_per_connection_max: 512,
            requests_max: 16_384,
            requests_kib_max: 128 << 10,
            idle_max: Duration::from_secs(120),
            drain_max: Duration::from_secs(1),
        }
    }
}

impl ServiceConfig {
    /// The field that is zero, if one is: nothing could pass it.
    pub(in crate::runtime) fn zero(&self) -> Option<&'static str> {
        let counts = [
            ("service.connections_max", self.connections_max),
            ("service.requests_per_connection_max", self.requests_per_connection_max),
            ("service.requests_max", self.requests_max),
            ("service.requests_kib_max", self.requests_kib_max as usize),
        ];
        let count = counts.into_iter().find(|(_, count)| *count == 0);
        let idle = self.idle_max.is_zero().then_some("service.idle_max");
        count.map(|(field, _)| field).or(idle)
    }
}
