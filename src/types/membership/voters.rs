//! Voter sets, with an optional casting vote.

use alloc::vec::Vec;
use core::fmt;
use core::ops::Deref;

use crate::types::id::NodeId;
use crate::types::text::debug_as_display;

/// A set of voters that decide together: sorted, without repetition, and optionally with a casting
/// vote.
///
/// Any majority of them is a quorum. If their number is even, a half that includes the holder of
/// the casting vote is a quorum too; an odd set never needs the casting vote.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct Voters {
    ids: Vec<NodeId>,
    casting: Option<NodeId>,
}

impl Voters {
    /// Returns the set of these voters, without a casting vote.
    pub fn new(ids: impl IntoIterator<Item = NodeId>) -> Voters {
        let mut ids: Vec<NodeId> = ids.into_iter().collect();
        ids.sort_unstable();
        ids.dedup();
        Voters { ids, casting: None }
    }

    /// Returns the same set, in which `holder`, or no voter, has the casting vote.
    ///
    /// # Panics
    /// If `holder` is not in the set.
    #[must_use]
    pub fn with_casting(self, holder: Option<NodeId>) -> Voters {
        assert!(
            holder.is_none_or(|holder| self.ids.contains(&holder)),
            "contract: a voter holds the casting vote"
        );
        Voters { casting: holder, ..self }
    }

    /// Returns the holder of the casting vote, if any.
    #[must_use]
    #[inline]
    pub fn casting(&self) -> Option<NodeId> {
        self.casting
    }

    /// Returns true if the number of voters is even and not 0, so they can split into halves.
    #[must_use]
    #[inline]
    pub fn can_split(&self) -> bool {
        !self.ids.is_empty() && self.ids.len().is_multiple_of(2)
    }
}

impl Deref for Voters {
    type Target = [NodeId];

    #[inline]
    fn deref(&self) -> &[NodeId] {
        &self.ids
    }
}

impl fmt::Display for Voters {
    /// Writes `{n1 n2*}`, where a star marks the holder of the casting vote.
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

debug_as_display!(Voters);
