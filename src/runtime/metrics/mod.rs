//! What a node counts while it runs, for whoever watches over it. `docs/METRICS.md` has every name.
//!
//! Counting is atomics; without the feature `metrics` it is nothing.

mod counts;
#[cfg(feature = "metrics")]
mod exposition;
mod labels;
mod network;
#[cfg(feature = "metrics")]
mod told;
mod value;

pub(super) use counts::Counts;
pub(super) use labels::{Ending, Loss, ReadEnding, SnapshotStep};
pub(super) use network::{Open, PeerCounts};
#[cfg(feature = "metrics")]
pub use told::{Bucket, Glance, Latencies, Link, Metrics, Timed, Totals};
pub(super) use value::Stopwatch;
