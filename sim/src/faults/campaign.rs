//! A node starts an election although its leader is healthy.

use std::fmt;
use std::time::Duration;

use crate::faults::fault_draw::FaultDraw;
use crate::faults::planned::{Extent, Planned, Syntax};
use crate::faults::selector::NodeSelector;

/// The node starts an election.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Campaign {
    /// The node that campaigns.
    pub node: NodeSelector,
}

impl Campaign {
    pub(super) fn draw(_: &mut FaultDraw<'_>, node: NodeSelector, _: Duration) -> Campaign {
        Campaign { node }
    }
}

impl Planned for Campaign {
    fn syntax<V: From<Campaign>>() -> Vec<Syntax<V>> {
        vec![Syntax {
            verb: "campaign",
            arguments: "NODE",
            summary: "The node starts an election, even if its leader is healthy.",
            read: |w| Ok(Campaign { node: NodeSelector::read(w)? }.into()),
        }]
    }

    fn extent(&self) -> Extent {
        Extent::of(self.node, None)
            .only_simulated("no command starts an election: use `transfer leader to`")
    }
}

impl fmt::Display for Campaign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "campaign {}", self.node)
    }
}
