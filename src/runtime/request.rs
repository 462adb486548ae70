//! Requests to a running node and their replies: the access, the effect and the size of each
//! request, the requests that wait for their outcome, and the typed results.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::oneshot;

use crate::machine::{self, Outcome, SessionId};
use crate::replica::{Input, Node, Output};
use crate::runtime::metrics::{Counts, RequestMetric, Stopwatch};
use crate::runtime::origin::OriginNumber;
use crate::runtime::request_limits::{ClientLimits, KibPermits, LimitPermits, Share};
use crate::types::{
    EntryId, Freshness, Index, Membership, NodeId, RejectReason, Report, RoleName, Status, Tag,
};
use crate::wire::{LeaderHint, ReplyBody, RequestBody, ServiceRejectReason};

/// The reasons for which a request fails.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RequestError {
    /// The node rejected the request and did not execute it, with two exceptions: after
    /// `RejectReason::TransferAborted` the target may still take over, and after
    /// `RejectReason::ChangeCancelled` the nodes that were to become voters stay learners. The
    /// request may be sent again if the reason is temporary.
    #[error("the request was rejected: {0}")]
    Rejected(RejectReason),
    /// The outcome is unknown: the request may have been executed, or may be executed later. It is
    /// safe to send again only within a client session.
    #[error("the outcome of the request is unknown: send it again only within a session")]
    Unknown,
    /// The server stopped before the outcome of the request was known.
    #[error("the server stopped before the outcome of the request was known")]
    Stopped,
}

/// The outcome of a proposal that was not rejected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProposalOutcome {
    /// The command is committed and applied.
    Done {
        /// The log position at which the command is committed.
        id: EntryId,
        /// The result of applying the command, which is the same on every node.
        outcome: Outcome,
    },
    /// The command is in the leader's memory and may be lost; only with
    /// [`Acknowledge::LeaderOnly`](crate::types::Acknowledge::LeaderOnly).
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
    /// The read index: the state machine had applied at least the entries up to it when it
    /// answered.
    pub index: Index,
    /// The last index that the state machine had applied when it answered.
    pub applied: Index,
}

/// A part of a file of a node's recording.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordingPart {
    /// The number of the file, from 1. The files of a recording have consecutive numbers.
    pub file: u64,
    /// The offset in the file at which the part begins.
    pub offset: u64,
    /// The number of the newest file of the recording.
    pub newest: u64,
    /// The bytes from `offset` on; empty at the end of the file.
    pub bytes: Vec<u8>,
}

/// The properties of one request, by which every layer between a client and the node handles it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Operation {
    pub(super) access: Access,
    pub(super) effect: Effect,
    /// The share of the limits that the request counts against.
    pub(super) share: Share,
    /// The bytes of the command or the query, which count against the KiB limits of the service.
    pub(super) bytes: usize,
    pub(super) metric: RequestMetric,
}

/// The clients that may request an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    /// Every client; also nodes, for their status page.
    Everyone,
    /// Clients and administrators, but not nodes.
    Clients,
    /// Nodes that forward the requests of their clients to the leader.
    Forwarded,
    /// Administrators only. The request and its outcome are in the audit log.
    Admins,
}

/// The effect of an operation on the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    /// No effect: the request may be repeated. If the node stops first, the reply is a rejection.
    Read,
    /// A change of the cluster. If the node stops first, the outcome is unknown.
    Change,
    /// The start of work of the node. The request may be repeated. The node replies before the work
    /// is done; if the node stops, so does the work.
    Start,
}

impl Operation {
    /// Returns the properties of the request.
    pub(super) fn of(request: &RequestBody) -> Operation {
        use Access::{Admins, Clients, Everyone, Forwarded};
        use Effect::{Change, Read, Start};
        use RequestMetric as Metric;
        use Share::{Control, Proposals, Reads};
        let (access, effect, share, bytes) = match request {
            RequestBody::Propose { command, .. } => {
                (access_of(command), Change, Proposals, command.len())
            }
            RequestBody::ProposeFor { command, .. } => {
                (Forwarded, Change, Proposals, command.len())
            }
            RequestBody::Read { query, .. } => (Clients, Read, Reads, query.len()),
            RequestBody::Report => (Everyone, Read, Control, 0),
            RequestBody::ChangeMembership(_) => (Admins, Change, Control, 0),
            RequestBody::CancelMembershipChange => (Admins, Change, Control, 0),
            RequestBody::TransferLeadership(_) => (Admins, Change, Control, 0),
            RequestBody::Campaign => (Admins, Start, Control, 0),
            RequestBody::TakeSnapshot => (Admins, Start, Control, 0),
            RequestBody::ReadRecording { .. } => (Admins, Read, Reads, 0),
        };
        let metric = match request {
            RequestBody::Read { level, .. } => Metric::Read(*level),
            _ if share == Proposals => Metric::Proposal,
            _ => Metric::None,
        };
        Operation { access, effect, share, bytes, metric }
    }
}

/// Returns the clients that may propose the request. Every client may propose a malformed one: it
/// is committed, and ends in `Outcome::Malformed`.
fn access_of(request: &[u8]) -> Access {
    let request = machine::Request::decode(request);
    let needs_admin = request.is_some_and(|request| request.is_for_administrators());
    if needs_admin { Access::Admins } else { Access::Clients }
}

/// One item in the driver's queue.
#[derive(Debug)]
pub(super) enum DriverRequest {
    Execute(NodeRequest),
    /// Shuts the node down gracefully.
    Close,
}

impl DriverRequest {
    /// Returns true if the request is appended to the log of a leader.
    pub(super) fn is_proposal(&self) -> bool {
        matches!(self, Self::Execute(NodeRequest { body: RequestBody::ProposeFor { .. }, .. }))
    }

    /// Returns the number of the origin of the request.
    pub(super) fn origin(&self) -> OriginNumber {
        match self {
            DriverRequest::Execute(request) => request.reply.origin(),
            DriverRequest::Close => OriginNumber::default(),
        }
    }
}

/// One request to the node, with the sender for its reply.
#[derive(Debug)]
pub(super) struct NodeRequest {
    pub(super) body: RequestBody,
    metric: RequestMetric,
    since: Stopwatch,
    pub(super) reply: ReplySender,
}

impl NodeRequest {
    /// Returns a request of the program and the receiver of its reply, which fails if the node
    /// stops first. The request holds the permits until it has a reply.
    pub(super) fn new(
        body: RequestBody,
        permits: Option<LimitPermits>,
    ) -> (NodeRequest, oneshot::Receiver<ReplyBody>) {
        let (reply, receiver) = oneshot::channel();
        let reply = ReplySender { receiver: Some(ReplyReceiver::Caller(reply)), permits };
        (NodeRequest::with_reply(body, reply), receiver)
    }

    /// Returns a request whose reply is sent to `replies`, together with `slot` and the permits,
    /// which the request holds until then. If the node stops first, a [`QueuedReply`] without a
    /// reply is sent.
    pub(super) fn queued(
        body: RequestBody,
        slot: usize,
        permits: LimitPermits,
        replies: UnboundedSender<QueuedReply>,
    ) -> NodeRequest {
        let receiver = Some(ReplyReceiver::Queue { slot, replies });
        NodeRequest::with_reply(body, ReplySender { receiver, permits: Some(permits) })
    }

    fn with_reply(body: RequestBody, reply: ReplySender) -> NodeRequest {
        let metric = Operation::of(&body).metric;
        NodeRequest { body, metric, since: Stopwatch::start(), reply }
    }
}

/// The reply to one request of a queue.
pub(super) struct QueuedReply {
    pub(super) slot: usize,
    /// The reply; `None` if the node stopped without one.
    pub(super) reply: Option<ReplyBody>,
    /// The permits of the reply; `None` if the request was rejected before it reached the node, or
    /// gave them back while it waited for its outcome ([`Share::Control`]).
    pub(super) permits: Option<LimitPermits>,
}

/// The sender of the reply to one request, with the permits of the request.
#[derive(Debug)]
pub(super) struct ReplySender {
    /// `None` once the reply is sent.
    receiver: Option<ReplyReceiver>,
    permits: Option<LimitPermits>,
}

#[derive(Debug)]
enum ReplyReceiver {
    /// A caller in the program, which waits for this reply alone.
    Caller(oneshot::Sender<ReplyBody>),
    /// A queue that receives the replies to many requests, and distinguishes them by their slots.
    Queue { slot: usize, replies: UnboundedSender<QueuedReply> },
}

impl ReplySender {
    /// Sends the reply. A receiver that is gone receives nothing. A reply that exceeds the limits
    /// is replaced by a short one before it enters a queue, so that no queue holds more.
    pub(super) fn send(self, reply: ReplyBody) {
        self.send_and_count(reply, |_| ());
    }

    /// Returns the number of the origin of the request.
    fn origin(&self) -> OriginNumber {
        self.permits.as_ref().map(|permits| permits.limits().origin()).unwrap_or_default()
    }

    /// Sends the reply as [`ReplySender::send`] does. `count` gets the reply that is sent.
    fn send_and_count(mut self, reply: ReplyBody, count: impl FnOnce(&ReplyBody)) {
        let mut permits = self.permits.take();
        match self.receiver.take() {
            Some(ReplyReceiver::Caller(caller)) => {
                count(&reply);
                drop(caller.send(reply));
            }
            Some(ReplyReceiver::Queue { slot, replies }) => {
                let reply = match &mut permits {
                    Some(permits) => permits.exchange_for_reply(reply),
                    None => reply,
                };
                count(&reply);
                drop(replies.send(QueuedReply { slot, reply: Some(reply), permits }));
            }
            None => {}
        }
    }
}

impl Drop for ReplySender {
    fn drop(&mut self) {
        // A caller sees that its sender is gone; a queue has other senders.
        if let Some(ReplyReceiver::Queue { slot, replies }) = self.receiver.take() {
            drop(replies.send(QueuedReply { slot, reply: None, permits: self.permits.take() }));
        }
    }
}

/// The receiver of the answer to a query, which shows whether the query is worth its execution.
#[derive(Clone, Debug)]
pub(super) struct AnswerReceiver {
    limits: ClientLimits,
    /// The queue of the client's connection; `None` for a caller in the program.
    replies: Option<UnboundedSender<QueuedReply>>,
}

impl AnswerReceiver {
    /// Returns the number of the origin of the query.
    pub(super) fn origin(&self) -> OriginNumber {
        self.limits.origin()
    }

    /// Returns true if the answer to a query of this size may reach its client: the connection has
    /// not ended, and the answers to the origin are not full.
    pub(super) fn accepts(&self, query_bytes: usize) -> bool {
        let is_open = self.replies.as_ref().is_none_or(|replies| !replies.is_closed());
        is_open && !self.limits.answers_are_full(query_bytes)
    }
}

/// The requests that wait for their outcome, by tag.
#[derive(Debug, Default)]
pub(super) struct PendingRequests {
    last: u64,
    by_tag: BTreeMap<Tag, PendingRequest>,
    /// The permits of commands that were acknowledged before they were applied, in the order of the
    /// log.
    unapplied: VecDeque<(EntryId, KibPermits)>,
}

#[derive(Debug)]
struct PendingRequest {
    metric: RequestMetric,
    since: Stopwatch,
    reply: ReplySender,
}

impl PendingRequests {
    /// Returns the input for the node, and registers the request unless it has [`Effect::Start`],
    /// which is replied to at once. Returns the sender of the reply if the request is for a report,
    /// which the driver makes.
    pub(super) fn submit(&mut self, request: NodeRequest) -> Result<Input, ReplySender> {
        let NodeRequest { body, metric, since, mut reply } = request;
        let tag = Tag(self.last + 1);
        let input = match body {
            RequestBody::Propose { .. } => panic!("contract: a proposal names its proposer"),
            RequestBody::ProposeFor { acknowledge, command } => {
                Input::propose(tag, acknowledge, command)
            }
            RequestBody::Read { level, query } => Input::Read { tag, level, query },
            RequestBody::ChangeMembership(change) => Input::ChangeMembership { tag, change },
            RequestBody::CancelMembershipChange => Input::CancelMembershipChange { tag },
            RequestBody::TransferLeadership(to) => Input::TransferLeadership { tag, to },
            RequestBody::Campaign => {
                reply.send(ReplyBody::Started);
                return Ok(Input::Campaign);
            }
            RequestBody::TakeSnapshot => {
                reply.send(ReplyBody::Started);
                return Ok(Input::TakeSnapshot);
            }
            RequestBody::Report => return Err(reply),
            RequestBody::ReadRecording { .. } => panic!("contract: the service reads recordings"),
        };
        if !matches!(input, Input::Propose(_) | Input::Read { .. }) {
            // [`Share::Control`] says why.
            reply.permits = None;
        }
        self.last = tag.0;
        self.by_tag.insert(tag, PendingRequest { metric, since, reply });
        Ok(input)
    }

    /// Returns the receiver of the answer to a pending read, if limits count it.
    pub(super) fn answer_receiver(&self, tag: Tag) -> Option<AnswerReceiver> {
        let ReplySender { receiver, permits } = &self.by_tag.get(&tag)?.reply;
        let replies = match receiver {
            Some(ReplyReceiver::Queue { replies, .. }) => Some(replies.clone()),
            Some(ReplyReceiver::Caller(_)) | None => None,
        };
        Some(AnswerReceiver { limits: permits.as_ref()?.limits().clone(), replies })
    }

    /// Rejects a read whose query is not executed, because its answer would not reach the client.
    pub(super) fn reject_query(&mut self, tag: Tag, counts: &Counts) {
        if let Some(PendingRequest { metric, since, reply }) = self.by_tag.remove(&tag) {
            let rejected = ReplyBody::ServiceRejected(ServiceRejectReason::Overloaded);
            reply.send_and_count(rejected, |reply| counts.request_ended(metric, since, reply));
        }
    }

    /// Sends the reply if the output ends a request; returns any other output.
    pub(super) fn complete(
        &mut self,
        output: Output,
        node: &Node,
        counts: &Counts,
    ) -> Option<Output> {
        let (tag, reply) = match output {
            Output::Replied { tag, id, outcome } => (tag, applied_reply(id, outcome)),
            Output::MayBeLost { tag, id } => (tag, ReplyBody::MayBeLost { id }),
            Output::Answered { tag, freshness, index, applied, answer } => {
                (tag, ReplyBody::Answered { freshness, index, applied, answer })
            }
            Output::MembershipChangeCommitted { tag, id } => {
                (tag, ReplyBody::MembershipChangeCommitted { id })
            }
            Output::LeadershipTransferred { tag } => (tag, ReplyBody::LeadershipTransferred),
            Output::Rejected { tag, reason } => {
                let (leader, membership) = (node.status().leader, node.raft().log().membership());
                (tag, reject_reply(reason, leader, membership))
            }
            Output::Unknown { tag } => (tag, ReplyBody::Unknown),
            other => return Some(other),
        };
        if let Some(PendingRequest { metric, since, reply: mut sender }) = self.by_tag.remove(&tag)
        {
            if let ReplyBody::MayBeLost { id } = reply {
                let permits = sender.permits.as_mut().map(LimitPermits::split_off_kib);
                self.unapplied.extend(permits.map(|permits| (id, permits)));
            }
            sender.send_and_count(reply, |reply| counts.request_ended(metric, since, reply));
        }
        None
    }

    /// Releases the permits of commands that were acknowledged before they were applied, once they
    /// are applied and durable, or the node has stopped leading: until then the leader holds them
    /// in memory, and a client must not fill that memory alone.
    pub(super) fn release_applied(&mut self, status: &Status) {
        let (leads, reached) =
            (status.role == RoleName::Leader, status.applied.min(status.durable));
        let is_released = |(id, _): &mut (EntryId, KibPermits)| {
            !leads || id.term != status.term || id.index <= reached
        };
        while self.unapplied.pop_front_if(is_released).is_some() {}
    }
}

fn applied_reply(id: EntryId, outcome: Outcome) -> ReplyBody {
    match outcome {
        Outcome::Reply(reply) => ReplyBody::Replied { id, reply },
        Outcome::Registered(session) => ReplyBody::Registered { id, session: session.0 },
        Outcome::SessionExpired => ReplyBody::SessionExpired { id },
        Outcome::OutsideWindow => ReplyBody::OutsideWindow { id },
        Outcome::Malformed => ReplyBody::Malformed { id },
        Outcome::Rejected(reason) => ReplyBody::MachineRejected { id, reason },
    }
}

/// Returns the reply to a rejected request. It names the leader: for `NotLeader` that of the
/// reason, for any other reason `leader`, the one that the node follows.
pub(super) fn reject_reply(
    reason: RejectReason,
    leader: Option<NodeId>,
    membership: &Membership,
) -> ReplyBody {
    let leader = if let RejectReason::NotLeader { leader } = reason { leader } else { leader };
    let leader = leader.map(|id| {
        let member = membership.member(id);
        LeaderHint { id, address: member.map(|member| member.address.clone()).unwrap_or_default() }
    });
    ReplyBody::Rejected { reason, leader }
}

/// The typed result of a request; the reply itself if it is of a different kind than the result.
pub(super) type TypedReply<T> = Result<T, ReplyBody>;

pub(super) fn proposal_outcome(reply: ReplyBody) -> TypedReply<ProposalOutcome> {
    let (id, outcome) = match reply {
        ReplyBody::Replied { id, reply } => (id, Outcome::Reply(reply)),
        ReplyBody::Registered { id, session } => (id, Outcome::Registered(SessionId(session))),
        ReplyBody::SessionExpired { id } => (id, Outcome::SessionExpired),
        ReplyBody::OutsideWindow { id } => (id, Outcome::OutsideWindow),
        ReplyBody::Malformed { id } => (id, Outcome::Malformed),
        ReplyBody::MachineRejected { id, reason } => (id, Outcome::Rejected(reason)),
        ReplyBody::MayBeLost { id } => return Ok(ProposalOutcome::MayBeLost { id }),
        other => return Err(other),
    };
    Ok(ProposalOutcome::Done { id, outcome })
}

pub(super) fn read_reply(reply: ReplyBody) -> TypedReply<ReadReply> {
    match reply {
        ReplyBody::Answered { freshness, index, applied, answer } => {
            Ok(ReadReply { answer, freshness, index, applied })
        }
        other => Err(other),
    }
}

pub(super) fn report(reply: ReplyBody) -> TypedReply<Report> {
    if let ReplyBody::Report(report) = reply { Ok(*report) } else { Err(reply) }
}

pub(super) fn membership_change(reply: ReplyBody) -> TypedReply<EntryId> {
    if let ReplyBody::MembershipChangeCommitted { id } = reply { Ok(id) } else { Err(reply) }
}

pub(super) fn leadership_transfer(reply: ReplyBody) -> TypedReply<()> {
    if reply == ReplyBody::LeadershipTransferred { Ok(()) } else { Err(reply) }
}

pub(super) fn recording_part(reply: ReplyBody) -> TypedReply<RecordingPart> {
    match reply {
        ReplyBody::RecordingPart { file, offset, newest, bytes } => {
            Ok(RecordingPart { file, offset, newest, bytes })
        }
        other => Err(other),
    }
}

pub(super) fn started(reply: ReplyBody) -> TypedReply<()> {
    if reply == ReplyBody::Started { Ok(()) } else { Err(reply) }
}

impl RequestError {
    /// Returns the error that a reply without a result stands for. The outcome is unknown after any
    /// reply but a rejection.
    pub(super) fn of(reply: &ReplyBody) -> RequestError {
        let ReplyBody::Rejected { reason, .. } = reply else { return RequestError::Unknown };
        RequestError::Rejected(*reason)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::raft::{Config, Raft};
    use crate::runtime::request_limits::ClientLimits;
    use crate::types::{Instant, Restored, Term};

    #[test]
    fn a_command_counts_until_it_is_applied_and_durable_or_the_term_of_its_leader_is_over() {
        let restored = Restored::fresh(Membership::new([NodeId(1)]));
        let raft = Raft::new(Config::new(NodeId(1)), restored, 7, Instant::ZERO);
        let status = raft.expect("a valid start").status();
        let limits = ClientLimits::of_program(9, 9);
        let held = |role, term, applied, durable| {
            let permits = |index| {
                let mut permits = limits.acquire(Share::Proposals, 0).expect("there is room");
                (EntryId::new(Term(2), Index(index)), permits.split_off_kib())
            };
            let unapplied = (1..=4).map(permits).collect();
            let mut pending = PendingRequests { unapplied, ..PendingRequests::default() };
            let (applied, durable) = (Index(applied), Index(durable));
            pending.release_applied(&Status { role, term: Term(term), applied, durable, ..status });
            pending.unapplied.len() as u64
        };
        for (applied, durable) in (0..=5).flat_map(|applied| (0..=5).map(move |it| (applied, it))) {
            let left = 4 - applied.min(durable).min(4);
            assert_eq!(held(RoleName::Leader, 2, applied, durable), left);
            assert_eq!(held(RoleName::Leader, 3, applied, durable), 0, "a later term");
            assert_eq!(held(RoleName::Follower, 2, applied, durable), 0, "it leads no longer");
        }
    }
}
