//! The version of the rules by which a state machine applies commands.

use crate::types::text::texts;

/// The version of the rules by which commands are applied. All nodes follow the version that the
/// log has reached, so that no two nodes apply a command by different rules.
///
/// A *build* of the program that runs a node implements each part of the rules up to a highest
/// version. It can apply commands by every version up to that one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "std", derive(serde::Serialize, serde::Deserialize))]
pub struct MachineVersion {
    /// The version of the rules of the user's state machine; it begins with 0.
    pub user: u32,
    /// The version of the rules of this library, such as those of the client sessions; it begins
    /// with 1.
    pub library: u32,
}

impl MachineVersion {
    /// The version of a new cluster.
    pub const FIRST: MachineVersion = MachineVersion { user: 0, library: 1 };

    /// Returns the higher version of each part: the result of raising this version to `other`.
    #[must_use]
    pub fn max(self, other: MachineVersion) -> MachineVersion {
        let (user, library) = (self.user.max(other.user), self.library.max(other.library));
        let max = MachineVersion { user, library };
        assert!(self.is_within(max) && other.is_within(max), "the maximum lowers no part");
        max
    }

    /// Returns the lower version of each part, which two builds with these highest versions have in
    /// common.
    #[must_use]
    pub fn min(self, other: MachineVersion) -> MachineVersion {
        let (user, library) = (self.user.min(other.user), self.library.min(other.library));
        let min = MachineVersion { user, library };
        assert!(min.is_within(self) && min.is_within(other), "both builds have the minimum");
        min
    }

    /// Returns true if a build whose highest version is `max` can apply commands by this version.
    #[must_use]
    pub fn is_within(self, max: MachineVersion) -> bool {
        self.user <= max.user && self.library <= max.library
    }
}

impl Default for MachineVersion {
    fn default() -> MachineVersion {
        MachineVersion::FIRST
    }
}

texts! {
    /// Writes the user's version, and that of the library in brackets.
    MachineVersion:
    Self { user, library } => "{user} (library {library})";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_two_parts_are_compared_one_by_one() {
        let version = |user, library| MachineVersion { user, library };
        assert_eq!(version(1, 3).max(version(2, 1)), version(2, 3));
        assert_eq!(version(1, 3).min(version(2, 1)), version(1, 1));
        assert!(version(1, 1).is_within(version(1, 1)));
        assert!(!version(2, 1).is_within(version(1, 9)));
        assert!(!version(0, 2).is_within(version(9, 1)));
        assert_eq!(version(2, 1).to_string(), "2 (library 1)");
    }
}
