//! Where the lines of a trace go.

use std::sync::Arc;

/// Takes the lines of a trace, without line ends, in order.
pub type TraceSink = Arc<dyn Fn(&str) + Send + Sync>;
