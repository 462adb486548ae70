//! Damaged entries: their term and index are known, and the disk has lost their content.

use crate::types::id::EntryId;

/// An entry that is part of the log although its content cannot be read from the disk. A peer that
/// has the same entry can provide the content (docs/REPAIR.md).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "std", derive(serde::Serialize, serde::Deserialize))]
pub struct DamagedEntry {
    /// The term and index of the entry, from its header.
    pub id: EntryId,
    /// Whether the entry is a membership. A node that starts with such an entry after its snapshot
    /// may not know the active membership until the content is restored.
    pub is_membership: bool,
}
