//! How nodes compare what came of the log: one asks, each answers for itself, and whoever finds
//! itself in the wrong is rebuilt from another's snapshot.

use core::fmt;

use crate::types::id::{Index, NodeId};
use crate::types::write::SnapshotMeta;

/// One question or answer about the state machines. It may be lost, repeated, delayed or overtaken.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Comparison {
    /// The node that says it.
    pub from: NodeId,
    /// The node it is meant for.
    pub to: NodeId,
    /// What it says.
    pub body: ComparisonBody,
}

/// What a state machine shows of itself after an index; each part may be unknown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Imprint {
    /// The rolling hash over all that was applied, and what came of it.
    pub results: Option<Hash128>,
    /// The hash of the state itself, where it was taken.
    pub state: Option<Hash128>,
}

/// Half of a BLAKE3 hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hash128(pub [u8; 16]);

/// What a question or an answer says.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ComparisonBody {
    /// "What came of the log up to `index`, as you have it?" Answered once the receiver has applied
    /// as much.
    Ask {
        /// Tells one round of the asking node, of one of its starts, from another.
        round: u64,
        /// The index.
        index: Index,
    },
    /// The answer.
    Answer {
        /// As asked.
        round: u64,
        /// As asked.
        index: Index,
        /// What came of it, as far as the sender knows, or still does.
        imprint: Imprint,
    },
    /// The sender's state machine is wrong, and starts over from the first snapshot offered that
    /// ends after `after`.
    Want {
        /// Where its own snapshot ends.
        after: Index,
    },
    /// Here is such a snapshot. Its bytes go the way of every snapshot's.
    Offer {
        /// The sender's last snapshot.
        meta: SnapshotMeta,
    },
}

/// How often a node compared, since its start, and what with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Comparisons {
    /// A majority had the same results.
    pub agreed: u64,
    /// Too few could tell, and none differed. No reason to believe anything.
    pub unavailable: u64,
    /// Some differed, and too few could tell who is right; or no majority has the same.
    pub undecided: u64,
    /// A majority had other results.
    pub refuted: u64,
    /// Appends whose predecessor's chain was held against the log's.
    pub chains: u64,
    /// Appends of which that was not possible: one of the two did not know it.
    pub chains_unavailable: u64,
}

impl fmt::Display for Comparison {
    /// What is said, without the addresses.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.body {
            ComparisonBody::Ask { index, .. } => write!(f, "asks for the results at {index}"),
            ComparisonBody::Answer { index, imprint, .. } => {
                write!(f, "has {imprint} at {index}")
            }
            ComparisonBody::Want { after } => write!(f, "wants a snapshot after {after}"),
            ComparisonBody::Offer { meta } => write!(f, "offers its snapshot at {}", meta.last),
        }
    }
}

impl Imprint {
    /// Whether nothing is known.
    #[must_use]
    pub fn is_unknown(&self) -> bool {
        self.results.is_none() && self.state.is_none()
    }
}

impl fmt::Display for Imprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.results {
            Some(results) => write!(f, "results {results}")?,
            None => f.write_str("results unknown")?,
        }
        self.state.map_or(Ok(()), |state| write!(f, ", state {state}"))
    }
}

impl fmt::Display for Hash128 {
    /// The first eight hexadecimal digits.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().take(4).try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}
