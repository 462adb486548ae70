//! The sink of trace lines.

use std::sync::Arc;

/// A function that receives the lines of a trace, without line ends, in order.
pub type TraceSink = Arc<dyn Fn(&str) + Send + Sync>;
