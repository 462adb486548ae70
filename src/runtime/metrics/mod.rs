//! The metrics of a running node, for monitoring. `docs/METRICS.md` lists every name.
//!
//! Recording uses atomics; without the feature `metrics` it does nothing.

#[cfg(feature = "metrics")]
mod api;
mod counts;
#[cfg(feature = "metrics")]
mod exposition;
mod labels;
mod network;
mod value;

#[cfg(feature = "metrics")]
pub use api::{Bucket, LatencyHistogram, LatencyMetric, Metrics, NodeSummary, PeerLink, Totals};
pub(super) use counts::Counts;
pub(super) use labels::{DropReason, RequestMetric, SnapshotStep};
pub(super) use network::{OpenConnection, PeerCounts, REQUESTS};
pub(super) use value::Stopwatch;
