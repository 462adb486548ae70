//! Errors of membership changes.

use core::fmt;

use crate::types::id::NodeId;
use crate::types::membership::state::Membership;

/// The reason for which a membership, or a change of one, is invalid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "std", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum ChangeError {
    /// The change would leave no voters.
    NoVoters,
    /// There would be more than [`Membership::VOTERS_MAX`] voters.
    TooManyVoters,
    /// The encoding would exceed [`Membership::BYTES_MAX`]: use fewer members or shorter addresses.
    TooLarge,
    /// The node id is 0, which is not a valid id.
    IdIsZero,
    /// The named node is not a member.
    NotMember(NodeId),
    /// The named holder of the casting vote would not be a voter.
    CastingWithoutVote(NodeId),
    /// The named node would have two conflicting roles.
    ConflictingRoles(NodeId),
    /// The named node votes with another incarnation of its disk: suspend or remove it first.
    OtherIncarnationVotes(NodeId),
}

impl fmt::Display for ChangeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ChangeError::NoVoters => f.write_str("no voters would be left"),
            ChangeError::TooManyVoters => {
                write!(f, "more than {} voters", Membership::VOTERS_MAX)
            }
            ChangeError::TooLarge => {
                let bytes = Membership::BYTES_MAX;
                write!(f, "larger than {bytes} bytes: use fewer members or shorter addresses")
            }
            ChangeError::IdIsZero => f.write_str("0 is not a valid node id"),
            ChangeError::NotMember(id) => write!(f, "{id} is not a member"),
            ChangeError::CastingWithoutVote(id) => {
                write!(f, "{id} cannot hold the casting vote: it would not be a voter")
            }
            ChangeError::ConflictingRoles(id) => write!(f, "{id} has two conflicting roles"),
            ChangeError::OtherIncarnationVotes(id) => {
                write!(f, "{id} votes with another incarnation: suspend or remove it first")
            }
        }
    }
}

impl core::error::Error for ChangeError {}
