//! Whether a node is there, and fit to serve.

use crate::runtime::{Glance, Handle};
use serde_json::json;

/// By how many entries a node may be behind what it knows as committed, and still serve.
const LAG_MAX: u64 = 10_000;

/// How a node is. Costs a few loads, whatever the node has to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Health {
    /// The node runs.
    pub(super) live: bool,
    /// It knows a leader, and has applied what is committed, save for the last few entries.
    pub(super) ready: bool,
    glance: Glance,
}

impl Health {
    pub(super) fn of(handle: &Handle) -> Health {
        let glance = handle.metrics().glance();
        // Nobody tells who leads any more once the node is gone, however that came about.
        let live = !glance.stopped && handle.leadership().has_changed().is_ok();
        let ready = live && glance.leader.is_some() && lag(&glance) <= LAG_MAX;
        Health { live, ready, glance }
    }

    pub(super) fn to_json(self) -> String {
        let glance = &self.glance;
        json!({
            "live": self.live,
            "ready": self.ready,
            "node": glance.id.0,
            "role": glance.role.to_string(),
            "term": glance.term.0,
            "leader": glance.leader.map(|leader| leader.0),
            "committed": glance.committed.0,
            "applied": glance.applied.0,
            "lag": lag(glance),
        })
        .to_string()
    }
}

fn lag(glance: &Glance) -> u64 {
    glance.committed.0.saturating_sub(glance.applied.0)
}
