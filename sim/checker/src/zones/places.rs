//! Which cluster a value has.

use foldhash::fast::FixedState;
use hashbrown::HashMap;

use crate::value::Value;
use crate::zones::clusters::{ClusterId, NONE};

/// Which cluster a value has: a plain table where the values lie close together.
#[derive(Debug)]
pub(crate) enum Places {
    /// The clusters of the values from `low` on.
    Table { low: u32, clusters: Vec<ClusterId> },
    /// The clusters of any values.
    Map(HashMap<Value, ClusterId, FixedState>),
}

impl Places {
    /// For about `count` different values between `low` and `high`, both of them included.
    pub(crate) fn new(low: Value, high: Value, count: usize) -> Places {
        let span = high.0.saturating_sub(low.0) as usize + 1;
        if span <= 4 * count + 64 {
            return Places::Table { low: low.0, clusters: vec![NONE; span] };
        }
        // Most values are written once and read once: a table that fits the cache is worth more
        // than one that never grows.
        Places::Map(HashMap::with_capacity_and_hasher(count / 4, FixedState::default()))
    }

    /// Where the cluster of `value` stands; [`NONE`] if it has none yet.
    #[inline]
    pub(crate) fn at(&mut self, value: Value) -> &mut ClusterId {
        match self {
            Places::Table { low, clusters } => &mut clusters[(value.0 - *low) as usize],
            Places::Map(map) => map.entry(value).or_insert(NONE),
        }
    }
}
