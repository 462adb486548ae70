//! Errors of membership changes.

use crate::types::id::NodeId;
use crate::types::membership::state::Membership;
use crate::types::text::texts;

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
    /// The change gives the named node more than one role, or the roles of the node in the
    /// membership contradict each other.
    ConflictingRoles(NodeId),
    /// The named node votes with another incarnation of its disk: suspend or remove it first.
    OtherIncarnationVotes(NodeId),
    /// The address of the named node has white space or a control character.
    InvalidAddress(NodeId),
}

texts! { ChangeError:
    Self::NoVoters => "no voters would be left";
    Self::TooManyVoters => "more than {} voters", Membership::VOTERS_MAX;
    Self::TooLarge =>
        "larger than {} bytes: use fewer members or shorter addresses", Membership::BYTES_MAX;
    Self::IdIsZero => "0 is not a valid node id";
    Self::NotMember(id) => "{id} is not a member";
    Self::CastingWithoutVote(id) => "{id} cannot hold the casting vote: it would not be a voter";
    Self::ConflictingRoles(id) => "{id} has two conflicting roles";
    Self::OtherIncarnationVotes(id) =>
        "{id} votes with another incarnation: suspend or remove it first";
    Self::InvalidAddress(id) => "the address of {id} has a space or a control character";
}

impl core::error::Error for ChangeError {}
