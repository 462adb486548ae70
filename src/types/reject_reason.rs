//! The reasons for which a healthy node rejects a user's request.

use core::fmt;

use crate::types::id::NodeId;
use crate::types::membership::ChangeError;

/// The reason for which a node rejects a proposal, a read or an administrative request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "std", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum RejectReason {
    /// Only the leader accepts the request: retry at the named node, if one is known.
    NotLeader {
        /// The leader this node follows, if it knows one.
        leader: Option<NodeId>,
    },
    /// A bound of the configuration is reached: retry later.
    Busy,
    /// The command is larger than `Config::command_bytes_max`.
    TooLarge,
    /// The read could not be confirmed, because no leader is known or the leader was lost.
    NoLeader,
    /// The node has stopped and accepts no requests.
    Stopped,
    /// The leader's disk is full: retry once it has space.
    DiskFull,
    /// Another membership change is in flight: retry once it is complete.
    MembershipChangeInFlight,
    /// The requested membership is invalid.
    Membership(ChangeError),
    /// There is no membership change in flight that can still be cancelled.
    NoChangeToCancel,
    /// The membership change was cancelled: the nodes that it would have made voters stay learners.
    ChangeCancelled,
    /// The leader is transferring its leadership: retry at the next leader.
    Transferring,
    /// The named node is not a voter to which this leader could transfer the leadership.
    NoTransferTarget,
    /// The target did not take over the leadership in time: this node still leads.
    TransferAborted,
    /// This node's state is not known to be consistent with a majority: retry at another node.
    Unverified,
}

impl fmt::Display for RejectReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RejectReason::NotLeader { leader: Some(leader) } => {
                write!(f, "not the leader: retry at {leader}")
            }
            RejectReason::NotLeader { leader: None } => {
                f.write_str("not the leader: no leader is known")
            }
            RejectReason::Busy => f.write_str("busy: too many requests are pending"),
            RejectReason::TooLarge => f.write_str("the command is too large"),
            RejectReason::NoLeader => f.write_str("no leader could confirm the read"),
            RejectReason::Stopped => f.write_str("the node has stopped"),
            RejectReason::DiskFull => f.write_str("the leader's disk is full"),
            RejectReason::MembershipChangeInFlight => {
                f.write_str("another membership change is in flight")
            }
            RejectReason::Membership(error) => write!(f, "invalid membership: {error}"),
            RejectReason::NoChangeToCancel => f.write_str("no membership change can be cancelled"),
            RejectReason::ChangeCancelled => f.write_str("the membership change was cancelled"),
            RejectReason::Transferring => f.write_str("the leader is transferring its leadership"),
            RejectReason::NoTransferTarget => {
                f.write_str("there is no voter to transfer the leadership to")
            }
            RejectReason::TransferAborted => {
                f.write_str("the target did not take over the leadership in time")
            }
            RejectReason::Unverified => f.write_str("the node's state is not verified"),
        }
    }
}
