//! A link goes up and down repeatedly.

use std::fmt;
use std::time::Duration;

use crate::faults::fault_draw::FaultDraw;
use crate::faults::links::{LinkSelector, Resolve};
use crate::faults::planned::{Extent, For, Planned, Syntax, every, for_duration};
use crate::faults::selector::NodeSelector;
use crate::words::Exact;

/// The link between two nodes goes down and up again, for one period each, until the duration is
/// over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flap {
    /// One end of the link.
    pub one: NodeSelector,
    /// The other end of the link.
    pub other: NodeSelector,
    /// How long the link stays down, and up.
    pub period: Duration,
    /// How long the link flaps.
    pub duration: Duration,
}

impl Flap {
    pub(super) fn draw(draw: &mut FaultDraw<'_>, node: NodeSelector, duration: Duration) -> Flap {
        let period = draw.scale.latency_max * draw.between(2, 60) as u32;
        Flap { one: node, other: draw.any_node(), period, duration: duration * 2 }
    }

    /// Returns the links between both ends, if they are known.
    pub(crate) fn blocks(&self, resolve: Resolve<'_>) -> Option<LinkSelector> {
        let (one, other) = (resolve(self.one)?, resolve(self.other)?);
        Some(Box::new(move |from, to| (from, to) == (one, other) || (to, from) == (one, other)))
    }
}

impl Planned for Flap {
    fn syntax<V: From<Flap>>() -> Vec<Syntax<V>> {
        vec![Syntax {
            verb: "flap",
            arguments: "NODE-NODE every DURATION [for DURATION]",
            summary: "The link between the two nodes goes down and up again, each time for the \
                      first duration.",
            read: |w| {
                let (one, other) = w.read("two nodes, like n1-n2 or n1-leader", ends)?;
                let period = every(w)?;
                Ok(Flap { one, other, period, duration: for_duration(w)? }.into())
            },
        }]
    }

    fn extent(&self) -> Extent {
        let nodes = vec![self.one, self.other];
        Extent { nodes, duration: Some(self.duration), on_processes: Ok(()) }
    }
}

impl fmt::Display for Flap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Flap { one, other, period, duration } = self;
        write!(f, "flap {one}-{other} every {}{}", Exact(*period), For(*duration))
    }
}

fn ends(word: &str) -> Option<(NodeSelector, NodeSelector)> {
    let (one, other) = word.split_once('-')?;
    Some((NodeSelector::of(one)?, NodeSelector::of(other)?))
}
