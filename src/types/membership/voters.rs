//! A set of voters.

use alloc::vec::Vec;
use core::fmt;
use core::ops::Deref;

use crate::types::id::NodeId;

/// Voters that decide together: sorted, without repetition, and perhaps with a casting vote.
///
/// A quorum of them is a majority. If their number is even, half of them is one too, provided that
/// the holder of the casting vote is in it; an odd set never needs the vote.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct Voters {
    ids: Vec<NodeId>,
    casting: Option<NodeId>,
}

impl Voters {
    /// The set of these, none of which holds the casting vote.
    pub fn new(ids: impl IntoIterator<Item = NodeId>) -> Voters {
        let mut ids: Vec<NodeId> = ids.into_iter().collect();
        ids.sort_unstable();
        ids.dedup();
        Voters { ids, casting: None }
    }

    /// The same set, in which `holder` has the casting vote.
    ///
    /// # Panics
    /// If it is none of them.
    #[must_use]
    pub fn with_casting(self, holder: Option<NodeId>) -> Voters {
        assert!(
            holder.is_none_or(|holder| self.ids.contains(&holder)),
            "contract: a voter holds the casting vote"
        );
        Voters { casting: holder, ..self }
    }

    /// Who holds the casting vote.
    #[must_use]
    pub fn casting(&self) -> Option<NodeId> {
        self.casting
    }

    /// Whether their number is even, so that they can split into halves.
    #[must_use]
    pub fn can_split(&self) -> bool {
        !self.ids.is_empty() && self.ids.len().is_multiple_of(2)
    }
}

impl Deref for Voters {
    type Target = [NodeId];

    fn deref(&self) -> &[NodeId] {
        &self.ids
    }
}

impl fmt::Display for Voters {
    /// `{n1 n2*}`: a star marks the holder of the casting vote.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("{")?;
        for (position, id) in self.ids.iter().enumerate() {
            let space = if position == 0 { "" } else { " " };
            let star = if self.casting == Some(*id) { "*" } else { "" };
            write!(f, "{space}{id}{star}")?;
        }
        f.write_str("}")
    }
}

impl fmt::Debug for Voters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
