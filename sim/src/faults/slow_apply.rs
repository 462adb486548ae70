//! A node's state machine takes long to apply.

use std::fmt;
use std::time::Duration;

use crate::faults::fault_draw::FaultDraw;
use crate::faults::planned::{Extent, For, Planned, Syntax, by, for_duration};
use crate::faults::processes::MACHINE;
use crate::faults::selector::NodeSelector;
use crate::words::Exact;

/// The node's state machine takes longer for each batch for the duration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlowApply {
    /// The node that becomes slow.
    pub node: NodeSelector,
    /// The additional time.
    pub by: Duration,
    /// How long the node is slow.
    pub duration: Duration,
}

impl SlowApply {
    pub(super) fn draw(
        draw: &mut FaultDraw<'_>,
        node: NodeSelector,
        duration: Duration,
    ) -> SlowApply {
        SlowApply { node, by: draw.extra_time(), duration: duration * 2 }
    }
}

impl Planned for SlowApply {
    fn syntax<V: From<SlowApply>>() -> Vec<Syntax<V>> {
        vec![Syntax {
            verb: "slow apply",
            arguments: "NODE by DURATION [for DURATION]",
            summary: "The node's state machine takes longer for each batch by the first duration.",
            read: |w| {
                let (node, by) = (NodeSelector::read(w)?, by(w)?);
                Ok(SlowApply { node, by, duration: for_duration(w)? }.into())
            },
        }]
    }

    fn extent(&self) -> Extent {
        Extent::of(self.node, Some(self.duration)).only_simulated(MACHINE)
    }
}

impl fmt::Display for SlowApply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "slow apply {} by {}{}", self.node, Exact(self.by), For(self.duration))
    }
}
