//! The reasons for which a healthy node rejects a user's request.

use crate::types::id::NodeId;
use crate::types::membership::ChangeError;
use crate::types::text::texts;
use crate::types::version::MachineVersion;

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
    /// A bound of the configuration is reached, or the leader of a new term begins no membership
    /// change before it has committed an entry of that term: retry later.
    Busy,
    /// The command is larger than `Config::command_bytes_max`, or the request of a client is larger
    /// than its frame may be.
    TooLarge,
    /// The read could not be confirmed, because no leader is known, the leader was lost, or it did
    /// not reply within the longest election timeout. Or this node lacked, for that time, an entry
    /// on which the answer depends: retry at another node.
    NoLeader,
    /// The node has stopped and accepts no requests.
    Stopped,
    /// The leader's disk is full: retry once it has space.
    DiskFull,
    /// Another membership change is in flight, which a user or the leader itself has begun: retry
    /// once it is complete.
    MembershipChangeInFlight,
    /// The requested membership is invalid.
    Membership(ChangeError),
    /// There is no membership change in flight that can still be cancelled.
    NoChangeToCancel,
    /// The membership change was cancelled: the nodes that it would have made voters stay learners.
    /// With `Config::survivor`, the death of voters may also cancel it, at least in part.
    ChangeCancelled,
    /// The leader is transferring its leadership: retry at the next leader.
    Transferring,
    /// The named node is not another voter, or no node is named and there is no other voter.
    NoTransferTarget,
    /// The target did not take over the leadership in time: this node still leads. If this node has
    /// already asked the target to campaign, the target may still win an election.
    TransferAborted,
    /// This node's state is not known to be consistent with a majority: retry at another node.
    Unverified,
    /// The build of a member does not have the version of the rules that was to be set.
    BuildTooOld {
        /// The first such member, in the order of the ids.
        node: NodeId,
        /// The highest version that its build has.
        version_max: MachineVersion,
    },
    /// A member has not reported to this leader which versions of the rules its build has.
    BuildUnknown {
        /// The first such member, in the order of the ids.
        node: NodeId,
    },
}

/// The reason for which the state machine of every node rejects a command of the log. The command
/// was not executed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "std", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum MachineRejectReason {
    /// Only an administrator may send the command.
    NotAdministrator,
    /// All sessions are taken, and the principal has none.
    Sessions {
        /// The bound `SessionBounds::sessions_max` of all sessions.
        max: u32,
    },
    /// The session asks for a larger window than allowed.
    Window {
        /// The bound `SessionBounds::window_max` of each session.
        max: u32,
    },
    /// The session asks for more bytes of stored replies than allowed.
    RepliesBytesPerSession {
        /// The bound `SessionBounds::replies_bytes_per_session_max`, in bytes.
        max: u32,
    },
    /// The sessions store as many requests as allowed. A later copy of the request may be executed.
    Requests {
        /// The bound `SessionBounds::requests_max` of all sessions.
        max: u32,
    },
    /// The version of the rules is at least the requested one, and a version is never lowered.
    VersionNotHigher {
        /// The version of the rules, which stays.
        current: MachineVersion,
    },
}

texts! { RejectReason:
    Self::NotLeader { leader: Some(leader) } => "not the leader: retry at {leader}";
    Self::NotLeader { leader: None } => "not the leader: no leader is known";
    Self::Busy => "busy: too many requests are pending, or a new leader is not ready yet";
    Self::TooLarge => "the command is too large";
    Self::NoLeader => "no leader could confirm the read";
    Self::Stopped => "the node has stopped";
    Self::DiskFull => "the leader's disk is full";
    Self::MembershipChangeInFlight => "another membership change is in flight";
    Self::Membership(error) => "invalid membership: {error}";
    Self::NoChangeToCancel => "no membership change can be cancelled";
    Self::ChangeCancelled => "the membership change was cancelled";
    Self::Transferring => "the leader is transferring its leadership";
    Self::NoTransferTarget => "the leadership can be transferred only to another voter";
    Self::TransferAborted => "the target did not take over the leadership in time";
    Self::Unverified => "the node's state is not verified";
    Self::BuildTooOld { node, version_max } =>
        "the build of {node} has the rules up to version {version_max} only: start {node} with a \
         newer build first";
    Self::BuildUnknown { node } =>
        "{node} has not reported to the leader yet which versions its build has: start it, or \
         remove it, and retry";
}

texts! { MachineRejectReason:
    Self::NotAdministrator => "the command requires an administrator";
    Self::Sessions { max } =>
        "the cluster has the maximum number of client sessions (sessions_max = {max}): an \
         administrator must raise it, or lower the share of one principal";
    Self::Window { max } =>
        "the session's window exceeds window_max = {max}: use a smaller window";
    Self::RepliesBytesPerSession { max } =>
        "the session asks for more than replies_bytes_per_session_max = {max}: ask for less";
    Self::Requests { max } =>
        "the client sessions store the maximum number of requests (requests_max = {max}): retry \
         later, or an administrator must raise it";
    Self::VersionNotHigher { current } =>
        "the version is already {current}, and can only be raised";
}
