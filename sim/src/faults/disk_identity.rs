//! A node starts on another disk: an empty one, or an older copy of its own.

use std::fmt;
use std::time::Duration;

use crate::faults::fault_draw::FaultDraw;
use crate::faults::planned::{Extent, For, Planned, Syntax, by, for_duration};
use crate::faults::selector::NodeSelector;
use crate::words::Exact;

/// The node loses its disk, and restarts on an empty one after its downtime.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wipe {
    /// The node that loses its disk.
    pub node: NodeSelector,
    /// How long the node stays down.
    pub down: Duration,
}

/// The node's disk is copied; later the node crashes, and restarts on the copy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rollback {
    /// The node whose disk is rolled back.
    pub node: NodeSelector,
    /// The age of the copy at the crash.
    pub age: Duration,
    /// How long the node stays down.
    pub down: Duration,
}

impl Wipe {
    pub(super) fn draw(draw: &mut FaultDraw<'_>, node: NodeSelector, _: Duration) -> Wipe {
        Wipe { node, down: draw.downtime() }
    }
}

impl Planned for Wipe {
    fn syntax<V: From<Wipe>>() -> Vec<Syntax<V>> {
        vec![Syntax {
            verb: "wipe",
            arguments: "NODE [for DURATION]",
            summary: "The node loses its disk, and restarts on an empty one. The line does nothing \
                      if the cluster could not survive the loss.",
            read: |w| Ok(Wipe { node: NodeSelector::read(w)?, down: for_duration(w)? }.into()),
        }]
    }

    fn extent(&self) -> Extent {
        Extent::of(self.node, Some(self.down))
    }
}

impl fmt::Display for Wipe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "wipe {}{}", self.node, For(self.down))
    }
}

impl Rollback {
    pub(super) fn draw(
        draw: &mut FaultDraw<'_>,
        node: NodeSelector,
        duration: Duration,
    ) -> Rollback {
        Rollback { node, age: duration * 2, down: draw.downtime() }
    }
}

impl Planned for Rollback {
    fn syntax<V: From<Rollback>>() -> Vec<Syntax<V>> {
        vec![Syntax {
            verb: "roll back",
            arguments: "NODE by DURATION [for DURATION]",
            summary: "Copies the node's disk; after the first duration the node crashes, and after \
                      the second one it restarts on the copy.",
            read: |w| {
                let (node, age) = (NodeSelector::read(w)?, by(w)?);
                Ok(Rollback { node, age, down: for_duration(w)? }.into())
            },
        }]
    }

    fn extent(&self) -> Extent {
        Extent::of(self.node, Some(self.down))
    }
}

impl fmt::Display for Rollback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "roll back {} by {}{}", self.node, Exact(self.age), For(self.down))
    }
}
