//! The health checks: whether a node is live, and ready to serve.

use std::time::Duration;

use crate::runtime::{Handle, NodeSummary, WriteObstacle};
use serde_json::json;

/// The maximum number of committed entries that a ready node may not have applied yet.
const LAG_MAX: u64 = 10_000;

/// The longest time since the driver of a live node last ran; it runs at least once a second.
const IDLE_MAX: Duration = Duration::from_secs(30);

/// The body of each health check while the node is starting and has no status yet.
pub(super) const STARTING: &str = concat!(
    r#"{"live":true,"ready":false,"takes_writes":false,"#,
    r#""obstacle":"the node is starting: it opens its data directory, or asks other members","#,
    r#""node":null,"role":null,"term":null,"leader":null,"#,
    r#""committed":null,"applied":null,"lag":null}"#,
);

/// The health of a node, read from its metrics without waiting for its driver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Health {
    /// Whether the node runs, and its driver is not stuck.
    pub(super) live: bool,
    /// Whether the node is live, knows a leader that accepts its disk, and has applied all but the
    /// last [`LAG_MAX`] committed entries that it knows of.
    pub(super) ready: bool,
    /// Whether the node is ready and knows no obstacle to writes.
    pub(super) takes_writes: bool,
    summary: NodeSummary,
}

impl Health {
    pub(super) fn of(handle: &Handle) -> Health {
        let summary = handle.metrics().summary();
        // The sender of the leadership is dropped when the node ends, even if it panics.
        let runs = !summary.stopped && handle.leadership().has_changed().is_ok();
        let live = runs && summary.idle <= IDLE_MAX;
        let disk_is_known = summary.write_obstacle != Some(WriteObstacle::UnknownDisk);
        let follows = summary.leader.is_some() && disk_is_known;
        let ready = live && follows && lag(&summary) <= LAG_MAX;
        let takes_writes = ready && summary.write_obstacle.is_none();
        Health { live, ready, takes_writes, summary }
    }

    pub(super) fn to_json(self) -> String {
        let summary = &self.summary;
        json!({
            "live": self.live,
            "ready": self.ready,
            "takes_writes": self.takes_writes,
            "obstacle": summary.write_obstacle.map(|obstacle| obstacle.to_string()),
            "node": summary.id.0,
            "role": summary.role.to_string(),
            "term": summary.term.0,
            "leader": summary.leader.map(|leader| leader.0),
            "committed": summary.committed.0,
            "applied": summary.applied.0,
            "lag": lag(summary),
        })
        .to_string()
    }
}

fn lag(summary: &NodeSummary) -> u64 {
    summary.committed.0.saturating_sub(summary.applied.0)
}
