//! Why a node does not do what a user asks for.

use core::fmt;

use crate::types::id::NodeId;
use crate::types::membership::ChangeError;

/// Why a proposal or a read was rejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RejectReason {
    /// Only the leader takes proposals: ask the named node, if one is known.
    NotLeader {
        /// The leader this node follows.
        leader: Option<NodeId>,
    },
    /// A bound of the configuration is reached: try again later.
    Busy,
    /// The command is over `Config::command_bytes_max`.
    TooLarge,
    /// The read could not be confirmed, because no leader is known or the leader was lost.
    NoLeader,
    /// The node has stopped.
    Stopped,
    /// The leader's disk is full: try again once it has space.
    DiskFull,
    /// Another change of the membership is under way: ask again once it is complete.
    MembershipChangeInFlight,
    /// The membership cannot be changed so.
    Membership(ChangeError),
    /// There is no change that could still be given up.
    NothingToGiveUp,
    /// The change was given up: the voters that were to come are learners.
    GivenUp,
    /// The leader is handing its leadership over: try again with the next one.
    Transferring,
    /// The node named is no voter that this leader could hand over to.
    NoSuccessor,
    /// The other node did not take the leadership over in time: this one leads on.
    TransferAborted,
    /// The node's state is not known to be that of a majority: ask another node.
    Unverified,
}

impl fmt::Display for RejectReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RejectReason::NotLeader { leader: Some(leader) } => {
                write!(f, "not the leader: ask {leader}")
            }
            RejectReason::NotLeader { leader: None } => f.write_str("not the leader: none known"),
            RejectReason::Busy => f.write_str("busy: too much waits already"),
            RejectReason::TooLarge => f.write_str("the command is too large"),
            RejectReason::NoLeader => f.write_str("no leader could confirm the read"),
            RejectReason::Stopped => f.write_str("the node has stopped"),
            RejectReason::DiskFull => f.write_str("the leader's disk is full"),
            RejectReason::MembershipChangeInFlight => {
                f.write_str("another change of the membership is under way")
            }
            RejectReason::Membership(error) => write!(f, "the membership cannot be so: {error}"),
            RejectReason::NothingToGiveUp => f.write_str("no change can still be given up"),
            RejectReason::GivenUp => f.write_str("the change was given up"),
            RejectReason::Transferring => f.write_str("the leader is handing over"),
            RejectReason::NoSuccessor => f.write_str("no voter that could lead"),
            RejectReason::TransferAborted => f.write_str("the leadership was not taken over"),
            RejectReason::Unverified => f.write_str("the node's state may be wrong"),
        }
    }
}
