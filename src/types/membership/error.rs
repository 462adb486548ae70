//! Why a membership cannot be changed as somebody wants.

use core::fmt;

use crate::types::id::NodeId;
use crate::types::membership::state::Membership;

/// Why a membership cannot be changed so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ChangeError {
    /// Nobody would vote any more.
    NoVoters,
    /// More than [`Membership::VOTERS_MAX`] would vote.
    TooManyVoters,
    /// It would take more than [`Membership::BYTES_MAX`]: fewer members, or shorter addresses.
    TooLarge,
    /// The id names no node.
    IdIsZero,
    /// The node is no member.
    NotMember(NodeId),
    /// The casting vote would be with a node that has no vote.
    CastingWithoutVote(NodeId),
    /// The node is to become two things at once.
    Contradiction(NodeId),
    /// The node votes with another disk than the one named: its vote is to be taken first.
    OtherDisk(NodeId),
}

impl fmt::Display for ChangeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ChangeError::NoVoters => f.write_str("nobody would vote any more"),
            ChangeError::TooManyVoters => {
                write!(f, "more than {} nodes would vote", Membership::VOTERS_MAX)
            }
            ChangeError::TooLarge => {
                let bytes = Membership::BYTES_MAX;
                write!(f, "it would take more than {bytes} bytes: fewer members, shorter addresses")
            }
            ChangeError::IdIsZero => f.write_str("0 names no node"),
            ChangeError::NotMember(id) => write!(f, "{id} is no member"),
            ChangeError::CastingWithoutVote(id) => {
                write!(f, "{id} would hold the casting vote, and has no vote")
            }
            ChangeError::Contradiction(id) => write!(f, "{id} is to become two things at once"),
            ChangeError::OtherDisk(id) => {
                write!(f, "{id} votes with another disk: suspend or remove it first")
            }
        }
    }
}

impl core::error::Error for ChangeError {}
