//! The causes of role changes.

use core::fmt;

use crate::types::id::NodeId;

/// Why a node's role, term or known leader changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "std", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum RoleCause {
    /// The election timeout has passed without a leader, or without the end of an election.
    ElectionTimeout,
    /// The driver asked the node to campaign, with `Input::Campaign`.
    CampaignRequested,
    /// The leader `from` asked the node to campaign, because it transfers its leadership to the
    /// node.
    LeadershipTransfer {
        /// The leader of the earlier term.
        from: NodeId,
    },
    /// A quorum would vote for the node (thesis §9.6).
    PreVotesGranted,
    /// A quorum has voted for the node.
    VotesGranted,
    /// So many voters rejected the vote request that the node cannot win.
    VotesRejected,
    /// A voter knows committed entries that the node lacks, so another node must be elected.
    LacksCommitted,
    /// A message of this leader has arrived.
    LeaderFound {
        /// The sender of the message, which leads.
        from: NodeId,
    },
    /// A message of a later term has arrived, from a node that is not known to lead.
    LaterTerm {
        /// The sender of the message.
        from: NodeId,
    },
    /// The leader heard from no quorum within the longest election timeout (thesis §6.2).
    QuorumLost,
    /// The leader took no step for so long that another node may lead.
    Paused,
    /// The leader's disk has completed no write for the longest election timeout.
    DiskStuck,
    /// An entry of the leader's log stayed damaged for the longest election timeout.
    LogDamaged,
    /// The membership that gives this node no vote is committed.
    VoteRemoved,
    /// The node's state machine is in quarantine.
    Quarantined,
    /// The node has installed a snapshot with committed entries that it lacked.
    SnapshotInstalled,
}

impl fmt::Display for RoleCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RoleCause::ElectionTimeout => f.write_str("election timeout"),
            RoleCause::CampaignRequested => f.write_str("campaign requested"),
            RoleCause::LeadershipTransfer { from } => write!(f, "leadership transfer of {from}"),
            RoleCause::PreVotesGranted => f.write_str("a quorum granted pre-votes"),
            RoleCause::VotesGranted => f.write_str("a quorum granted votes"),
            RoleCause::VotesRejected => f.write_str("too many votes rejected"),
            RoleCause::LacksCommitted => f.write_str("lacks committed entries"),
            RoleCause::LeaderFound { from } => write!(f, "{from} leads"),
            RoleCause::LaterTerm { from } => write!(f, "{from} is in a later term"),
            RoleCause::QuorumLost => f.write_str("no reply of a quorum"),
            RoleCause::Paused => f.write_str("was paused"),
            RoleCause::DiskStuck => f.write_str("disk is stuck"),
            RoleCause::LogDamaged => f.write_str("entry stays damaged"),
            RoleCause::VoteRemoved => f.write_str("vote was removed"),
            RoleCause::Quarantined => f.write_str("state machine in quarantine"),
            RoleCause::SnapshotInstalled => f.write_str("installed a snapshot"),
        }
    }
}
