//! A node makes no steps for a while.

use std::fmt;
use std::time::Duration;

use crate::faults::fault_draw::FaultDraw;
use crate::faults::planned::{Extent, For, Planned, Syntax, for_duration};
use crate::faults::selector::NodeSelector;

/// The node makes no steps for the duration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pause {
    /// The node that pauses.
    pub node: NodeSelector,
    /// How long the node pauses.
    pub duration: Duration,
}

impl Pause {
    pub(super) fn draw(_: &mut FaultDraw<'_>, node: NodeSelector, duration: Duration) -> Pause {
        Pause { node, duration }
    }
}

impl Planned for Pause {
    fn syntax<V: From<Pause>>() -> Vec<Syntax<V>> {
        vec![Syntax {
            verb: "pause",
            arguments: "NODE [for DURATION]",
            summary: "The node makes no steps; messages that arrive meanwhile are delivered \
                      together at the end.",
            read: |w| Ok(Pause { node: NodeSelector::read(w)?, duration: for_duration(w)? }.into()),
        }]
    }

    fn extent(&self) -> Extent {
        Extent::of(self.node, Some(self.duration))
    }
}

impl fmt::Display for Pause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "pause {}{}", self.node, For(self.duration))
    }
}
