//! Requests of the program to a running node, and their replies.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use tokio::sync::oneshot::{self, Sender};

use crate::machine::Outcome;
use crate::replica::{Input, Output};
use crate::runtime::metrics::{Counts, ProposalEnd, ReadEnd, Stopwatch};
use crate::types::{
    Acknowledge, Change, Command, EntryId, Freshness, Index, NodeId, ReadLevel, RejectReason,
    Report, Tag,
};

/// The result of a request.
pub(super) type Reply<T> = Result<T, RequestError>;

/// The reasons for which a request fails.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RequestError {
    /// The node rejected the request and did not execute it. It may be sent again if the reason is
    /// temporary.
    Rejected(RejectReason),
    /// The outcome is unknown: the request may have been executed, or may be executed later. It is
    /// safe to send again only within a client session.
    Unknown,
    /// The server stopped before the outcome of the request was known.
    Stopped,
}

/// The outcome of a proposal that was not rejected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProposalOutcome {
    /// The command is committed and applied.
    Done {
        /// The log position at which the command is committed.
        id: EntryId,
        /// The result of applying the command on this node.
        outcome: Outcome,
    },
    /// The command is in the leader's memory and may be lost; only with
    /// [`Acknowledge::LeaderOnly`].
    MayBeLost {
        /// The log position at which the leader appended the command.
        id: EntryId,
    },
}

/// The reply to a read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadReply {
    /// The state machine's answer to the query.
    pub answer: Vec<u8>,
    /// The freshness that the node guarantees for the answer.
    pub freshness: Freshness,
    /// The log index that the read waited for before it was executed.
    pub index: Index,
    /// The last index that the state machine had applied when it answered.
    pub applied: Index,
}

/// One request to the node, with the sender for its reply if it has a reply.
pub(super) enum NodeRequest {
    Propose(Command, Acknowledge, Stopwatch, Sender<Reply<ProposalOutcome>>),
    Read(ReadLevel, Vec<u8>, Stopwatch, Sender<Reply<ReadReply>>),
    ChangeMembership(Change, Sender<Reply<EntryId>>),
    CancelMembershipChange(Sender<Reply<EntryId>>),
    TransferLeadership(Option<NodeId>, Sender<Reply<()>>),
    Campaign,
    Snapshot,
    Report(Sender<Report>),
    Close,
}

/// The requests that wait for their outcome, by tag.
#[derive(Debug, Default)]
pub(super) struct PendingRequests {
    last: u64,
    by_tag: BTreeMap<Tag, PendingRequest>,
}

#[derive(Debug)]
enum PendingRequest {
    Proposal(Stopwatch, Sender<Reply<ProposalOutcome>>),
    Read(ReadLevel, Stopwatch, Sender<Reply<ReadReply>>),
    MembershipChange(Sender<Reply<EntryId>>),
    LeadershipTransfer(Sender<Reply<()>>),
}

impl PendingRequests {
    /// Registers the request and returns the input for the node. Returns the request itself if it
    /// is a [`NodeRequest::Report`] or [`NodeRequest::Close`], which the driver handles itself.
    pub(super) fn submit(&mut self, request: NodeRequest) -> Result<Input, NodeRequest> {
        Ok(match request {
            NodeRequest::Propose(command, acknowledge, since, sender) => {
                let tag = self.register(PendingRequest::Proposal(since, sender));
                Input::propose(tag, acknowledge, command)
            }
            NodeRequest::Read(level, query, since, sender) => Input::Read {
                tag: self.register(PendingRequest::Read(level, since, sender)),
                level,
                query,
            },
            NodeRequest::ChangeMembership(change, sender) => Input::ChangeMembership {
                tag: self.register(PendingRequest::MembershipChange(sender)),
                change,
            },
            NodeRequest::CancelMembershipChange(sender) => Input::CancelMembershipChange {
                tag: self.register(PendingRequest::MembershipChange(sender)),
            },
            NodeRequest::TransferLeadership(to, sender) => Input::TransferLeadership {
                tag: self.register(PendingRequest::LeadershipTransfer(sender)),
                to,
            },
            NodeRequest::Campaign => Input::Campaign,
            NodeRequest::Snapshot => Input::TakeSnapshot,
            NodeRequest::Report(_) | NodeRequest::Close => return Err(request),
        })
    }

    /// Returns the input that transfers the leadership, and the receiver of its result.
    pub(super) fn transfer_leadership(&mut self) -> (Input, oneshot::Receiver<Reply<()>>) {
        let (sender, reply) = oneshot::channel();
        (
            Input::TransferLeadership {
                tag: self.register(PendingRequest::LeadershipTransfer(sender)),
                to: None,
            },
            reply,
        )
    }

    fn register(&mut self, pending: PendingRequest) -> Tag {
        self.last += 1;
        self.by_tag.insert(Tag(self.last), pending);
        Tag(self.last)
    }

    /// Sends the reply if the output ends a request; returns any other output.
    pub(super) fn complete(&mut self, output: Output, counts: &Counts) -> Option<Output> {
        let (tag, reply) = match output {
            Output::Replied { tag, id, outcome } => (tag, Ok(RequestOutcome::Done(id, outcome))),
            Output::MayBeLost { tag, id } => (tag, Ok(RequestOutcome::MayBeLost(id))),
            Output::Answered { tag, freshness, index, applied, answer } => {
                (tag, Ok(RequestOutcome::Read(ReadReply { answer, freshness, index, applied })))
            }
            Output::MembershipChangeCommitted { tag, id } => {
                (tag, Ok(RequestOutcome::MembershipChanged(id)))
            }
            Output::LeadershipTransferred { tag } => {
                (tag, Ok(RequestOutcome::LeadershipTransferred))
            }
            Output::Rejected { tag, reason } => (tag, Err(RequestError::Rejected(reason))),
            Output::Unknown { tag } => (tag, Err(RequestError::Unknown)),
            other => return Some(other),
        };
        if let Some(pending) = self.by_tag.remove(&tag) {
            pending.count(&reply, counts);
            pending.send(reply);
        }
        None
    }
}

/// The outcome of a request of any kind.
enum RequestOutcome {
    Done(EntryId, Outcome),
    MayBeLost(EntryId),
    Read(ReadReply),
    MembershipChanged(EntryId),
    LeadershipTransferred,
}

impl PendingRequest {
    fn count(&self, reply: &Reply<RequestOutcome>, counts: &Counts) {
        match self {
            PendingRequest::Proposal(since, _) => {
                let end = match reply {
                    Ok(RequestOutcome::MayBeLost(_)) => ProposalEnd::MayBeLost,
                    Ok(_) => ProposalEnd::Done,
                    Err(RequestError::Rejected(_)) => ProposalEnd::Rejected,
                    Err(RequestError::Unknown | RequestError::Stopped) => ProposalEnd::Unknown,
                };
                counts.proposal_ended(end, *since);
            }
            PendingRequest::Read(level, since, _) => {
                let answered = reply.is_ok();
                let end = if answered { ReadEnd::Answered } else { ReadEnd::Rejected };
                counts.read_ended(*level, end, *since);
            }
            PendingRequest::MembershipChange(_) | PendingRequest::LeadershipTransfer(_) => {}
        }
        if let Err(RequestError::Rejected(reason)) = reply {
            counts.requests.rejected.add(reason, 1);
        }
    }

    /// Sends the reply; a caller that has dropped its future receives none.
    fn send(self, reply: Reply<RequestOutcome>) {
        match (self, reply) {
            (PendingRequest::Proposal(_, sender), Ok(RequestOutcome::Done(id, outcome))) => {
                drop(sender.send(Ok(ProposalOutcome::Done { id, outcome })));
            }
            (PendingRequest::Proposal(_, sender), Ok(RequestOutcome::MayBeLost(id))) => {
                drop(sender.send(Ok(ProposalOutcome::MayBeLost { id })));
            }
            (PendingRequest::Read(_, _, sender), Ok(RequestOutcome::Read(read_reply))) => {
                drop(sender.send(Ok(read_reply)));
            }
            (
                PendingRequest::MembershipChange(sender),
                Ok(RequestOutcome::MembershipChanged(id)),
            ) => drop(sender.send(Ok(id))),
            (
                PendingRequest::LeadershipTransfer(sender),
                Ok(RequestOutcome::LeadershipTransferred),
            ) => drop(sender.send(Ok(()))),
            (PendingRequest::Proposal(_, sender), Err(error)) => drop(sender.send(Err(error))),
            (PendingRequest::Read(_, _, sender), Err(error)) => drop(sender.send(Err(error))),
            (PendingRequest::MembershipChange(sender), Err(error)) => drop(sender.send(Err(error))),
            (PendingRequest::LeadershipTransfer(sender), Err(error)) => {
                drop(sender.send(Err(error)))
            }
            (
                PendingRequest::Proposal(..)
                | PendingRequest::Read(..)
                | PendingRequest::MembershipChange(_)
                | PendingRequest::LeadershipTransfer(_),
                _,
            ) => {
                unreachable!("the kind of the outcome is that of its request")
            }
        }
    }
}

impl ProposalOutcome {
    /// The state machine's reply, if there is one.
    #[must_use]
    pub fn reply(&self) -> Option<&Arc<[u8]>> {
        match self {
            ProposalOutcome::Done { outcome: Outcome::Reply(reply), .. } => Some(reply),
            ProposalOutcome::Done { .. } | ProposalOutcome::MayBeLost { .. } => None,
        }
    }
}

impl fmt::Display for RequestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RequestError::Rejected(reason) => write!(f, "the request was rejected: {reason}"),
            RequestError::Unknown => f.write_str(
                "the outcome of the request is unknown: send it again only within a session",
            ),
            RequestError::Stopped => {
                f.write_str("the server stopped before the outcome of the request was known")
            }
        }
    }
}

impl std::error::Error for RequestError {}
