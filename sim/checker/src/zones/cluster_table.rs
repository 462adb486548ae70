//! Maps values to clusters.

use foldhash::fast::FixedState;
use hashbrown::HashMap;

use crate::value::ValueId;
use crate::zones::clusters::{ClusterId, NONE};

/// Maps values to clusters, by an array if the ids of the values are dense.
#[derive(Debug)]
pub(crate) enum ClusterTable {
    /// The clusters of the values from `low` on.
    Table { low: u32, clusters: Vec<ClusterId> },
    /// The clusters of arbitrary values.
    Map(HashMap<ValueId, ClusterId, FixedState>),
}

impl ClusterTable {
    /// Creates a table for about `count` distinct values from `low` to `high`, inclusive.
    pub(crate) fn new(low: ValueId, high: ValueId, count: usize) -> ClusterTable {
        let span = high.0.saturating_sub(low.0) as usize + 1;
        if span <= 4 * count + 64 {
            return ClusterTable::Table { low: low.0, clusters: vec![NONE; span] };
        }
        // Most values are written once and read once, so a table that fits the cache is worth more
        // than one that never grows.
        ClusterTable::Map(HashMap::with_capacity_and_hasher(count / 4, FixedState::default()))
    }

    /// Returns the entry of `value`; [`NONE`] if the value has no cluster yet.
    #[inline]
    pub(crate) fn at(&mut self, value: ValueId) -> &mut ClusterId {
        match self {
            ClusterTable::Table { low, clusters } => &mut clusters[(value.0 - *low) as usize],
            ClusterTable::Map(map) => map.entry(value).or_insert(NONE),
        }
    }
}
