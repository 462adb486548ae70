//! The causes of role changes.

use crate::types::id::NodeId;
use crate::types::text::texts;

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
    /// So many voters rejected the request for a vote or pre-vote that the node cannot win.
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
    /// The leader or candidate took no step for so long that another node may lead.
    Paused,
    /// The disk of a leader or a pre-candidate has completed no write for the longest election
    /// timeout.
    DiskStuck,
    /// An entry of the leader's log stayed damaged for the longest election timeout, or one of a
    /// pre-candidate's log is damaged.
    LogDamaged,
    /// The membership that gives this node no vote is committed.
    VoteRemoved,
    /// The node's state machine is in quarantine.
    Quarantined,
    /// The node has installed a snapshot with committed entries that it lacked.
    SnapshotInstalled,
    /// The node had asked for pre-votes, and has voted for another node since.
    Voted {
        /// The node that got the vote.
        candidate: NodeId,
    },
}

texts! {
    RoleCause:
    Self::ElectionTimeout => "election timeout";
    Self::CampaignRequested => "campaign requested";
    Self::LeadershipTransfer { from } => "leadership transfer of {from}";
    Self::PreVotesGranted => "a quorum granted pre-votes";
    Self::VotesGranted => "a quorum granted votes";
    Self::VotesRejected => "too many votes rejected";
    Self::LacksCommitted => "lacks committed entries";
    Self::LeaderFound { from } => "{from} leads";
    Self::LaterTerm { from } => "{from} is in a later term";
    Self::QuorumLost => "no reply of a quorum";
    Self::Paused => "was paused";
    Self::DiskStuck => "disk is stuck";
    Self::LogDamaged => "entry stays damaged";
    Self::VoteRemoved => "vote was removed";
    Self::Quarantined => "state machine in quarantine";
    Self::SnapshotInstalled => "installed a snapshot";
    Self::Voted { candidate } => "voted for {candidate}";
}
