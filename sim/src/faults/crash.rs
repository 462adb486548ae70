//! A node crashes, and loses its memory and its unflushed writes.

use std::fmt;
use std::time::Duration;

use crate::faults::fault_draw::FaultDraw;
use crate::faults::planned::{Extent, For, Planned, Syntax, for_duration};
use crate::faults::selector::NodeSelector;
use crate::words::{SyntaxError, Words};

/// The node crashes, and restarts after its downtime.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Crash {
    /// The node that crashes.
    pub node: NodeSelector,
    /// The part of its unflushed writes that survives.
    pub keep: KeptWrites,
    /// How long the node stays down.
    pub down: Duration,
}

/// The part of the unflushed writes that survives a crash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeptWrites {
    /// No unflushed write survives.
    None,
    /// A part survives, chosen when the crash happens.
    Part,
    /// All unflushed writes survive.
    All,
}

/// Every value of `keep=` with its word.
const KEPT: [(KeptWrites, &str); 3] =
    [(KeptWrites::None, "none"), (KeptWrites::Part, "part"), (KeptWrites::All, "all")];

impl Crash {
    pub(super) fn draw(draw: &mut FaultDraw<'_>, node: NodeSelector, _: Duration) -> Crash {
        let keep = *draw.pick(&[KeptWrites::Part, KeptWrites::None, KeptWrites::All]);
        Crash { node, keep, down: draw.downtime() }
    }
}

impl Planned for Crash {
    fn syntax<V: From<Crash>>() -> Vec<Syntax<V>> {
        vec![Syntax {
            verb: "crash",
            arguments: "NODE [keep=part|all] [for DURATION]",
            summary: "The node crashes, loses its memory and its unflushed writes, and restarts \
                      after the duration; `keep` keeps a part or all of the unflushed writes.",
            read: |w| {
                let (node, keep) = (NodeSelector::read(w)?, kept_writes(w)?);
                Ok(Crash { node, keep, down: for_duration(w)? }.into())
            },
        }]
    }

    fn extent(&self) -> Extent {
        let extent = Extent::of(self.node, Some(self.down));
        match self.keep {
            KeptWrites::None | KeptWrites::All => extent,
            KeptWrites::Part => {
                extent.only_simulated("the kernel keeps all writes of a killed process")
            }
        }
    }
}

impl fmt::Display for Crash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Crash { node, keep, down } = self;
        write!(f, "crash {node}")?;
        for (_, word) in KEPT.iter().filter(|(kept, _)| kept == keep && *kept != KeptWrites::None) {
            write!(f, " keep={word}")?;
        }
        write!(f, "{}", For(*down))
    }
}

fn kept_writes(words: &mut Words<'_>) -> Result<KeptWrites, SyntaxError> {
    let part = |word: &str| {
        let name = word.strip_prefix("keep=")?;
        KEPT.iter().find(|(_, known)| *known == name).map(|(kept, _)| *kept)
    };
    match words.peek().is_some_and(|word| word.starts_with("keep=")) {
        true => words.read("keep=none, keep=part or keep=all", part),
        false => Ok(KeptWrites::None),
    }
}
