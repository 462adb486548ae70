//! Executes one request of a client, and turns its outcome into a reply.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tracing::info;

use crate::machine::Outcome;
use crate::runtime::client::Forwarder;
use crate::runtime::config::ServiceConfig;
use crate::runtime::handle::Handle;
use crate::runtime::principal::Role;
use crate::runtime::request::{ProposalOutcome, ReadReply, RequestError};
use crate::types::RejectReason;
use crate::wire::{LeaderHint, ReplyBody, RequestBody, ServiceRejectReason};

/// The limits of all clients together: pending requests, and the bytes of requests and replies.
#[derive(Clone)]
pub(super) struct ServiceLimits {
    requests: Arc<Semaphore>,
    kib: Arc<Semaphore>,
    kib_max: usize,
}

/// The permits of one request; after [`LimitPermits::exchange_for_reply`], those of its reply.
pub(super) struct LimitPermits {
    limits: ServiceLimits,
    _request: OwnedSemaphorePermit,
    kib: Option<OwnedSemaphorePermit>,
}

impl ServiceLimits {
    pub(super) fn new(config: &ServiceConfig) -> ServiceLimits {
        let kib_max = (config.requests_kib_max as usize).min(Semaphore::MAX_PERMITS);
        let requests = Arc::new(Semaphore::new(config.requests_max));
        ServiceLimits { requests, kib: Arc::new(Semaphore::new(kib_max)), kib_max }
    }

    /// Acquires the permits of a request; none if a limit is reached.
    pub(super) fn acquire(&self, body: &RequestBody) -> Option<LimitPermits> {
        let bytes = match body {
            RequestBody::Propose { command, .. } => command.len(),
            RequestBody::Read { query, .. } => query.len(),
            _ => 0,
        };
        let request = Arc::clone(&self.requests).try_acquire_owned().ok()?;
        let kib = self.kib(bytes.div_ceil(1 << 10))?;
        Some(LimitPermits { limits: self.clone(), _request: request, kib: Some(kib) })
    }

    fn kib(&self, count: usize) -> Option<OwnedSemaphorePermit> {
        let count = u32::try_from(count).ok()?;
        Arc::clone(&self.kib).try_acquire_many_owned(count).ok()
    }
}

impl LimitPermits {
    /// Exchanges the permits of the request for those of its reply. An answer beyond the limit is
    /// replaced by a rejection, because a read can be repeated. The reply to a proposal is sent in
    /// any case, and takes the permits that are available.
    pub(super) fn exchange_for_reply(mut self, body: ReplyBody) -> (ReplyBody, LimitPermits) {
        self.kib = None;
        let ServiceLimits { kib, kib_max, .. } = &self.limits;
        // A reply larger than the whole limit may be sent if no other reply is unwritten.
        let count = |bytes: usize| bytes.div_ceil(1 << 10).min(*kib_max);
        let (body, kib) = match body {
            ReplyBody::Answered { ref answer, .. } => match self.limits.kib(count(answer.len())) {
                Some(kib) => (body, Some(kib)),
                None => (ReplyBody::ServiceRejected(ServiceRejectReason::Overloaded), None),
            },
            ReplyBody::Replied { ref reply, .. } => {
                let room = count(reply.len()).min(kib.available_permits());
                let kib = self.limits.kib(room);
                (body, kib)
            }
            short => (short, None),
        };
        (body, LimitPermits { kib, ..self })
    }
}

/// Whether a client with this role may send this request. `forwards` is true for a node that
/// forwards the proposal of its own client, whose role it has checked.
pub(super) fn is_allowed((role, forwards): (Role, bool), body: &RequestBody) -> bool {
    match body {
        // Nodes request the reports of other nodes for their status page.
        RequestBody::Report => true,
        RequestBody::Propose { .. } if forwards => true,
        RequestBody::Propose { .. } | RequestBody::Read { .. } => role != Role::Node,
        RequestBody::ChangeMembership(_)
        | RequestBody::CancelMembershipChange
        | RequestBody::TransferLeadership(_)
        | RequestBody::Campaign
        | RequestBody::TakeSnapshot => role == Role::Admin,
    }
}

/// Executes the request on the node, or on the leader by `forwarder`, and returns the reply.
pub(super) async fn execute(
    handle: &Handle,
    forwarder: Option<&Forwarder>,
    body: RequestBody,
) -> ReplyBody {
    match body {
        RequestBody::Propose { acknowledge, command } => {
            let result = handle.propose_command(command.clone(), acknowledge).await;
            let reply = match result {
                Ok(outcome) => return proposal_reply(outcome),
                Err(error) => error_reply(handle, &error, ReplyBody::Unknown),
            };
            match (forwarder, leader_to_forward_to(&reply)) {
                (Some(forwarder), Some(leader)) => {
                    let forwarded =
                        forwarder.forward(leader, RequestBody::Propose { acknowledge, command });
                    forwarded.await.unwrap_or(reply)
                }
                _ => reply,
            }
        }
        RequestBody::Read { level, query } => match handle.read(level, &query).await {
            Ok(ReadReply { answer, freshness, index, applied }) => {
                ReplyBody::Answered { freshness, index, applied, answer }
            }
            Err(error) => error_reply(handle, &error, stopped_reply(handle)),
        },
        RequestBody::Report => match handle.report().await {
            Ok(report) => ReplyBody::Report(Box::new(report)),
            Err(error) => error_reply(handle, &error, stopped_reply(handle)),
        },
        request => execute_admin_request(handle, request).await,
    }
}

/// Returns the leader if the request was rejected only because this node does not lead.
fn leader_to_forward_to(reply: &ReplyBody) -> Option<&LeaderHint> {
    match reply {
        ReplyBody::Rejected { reason: RejectReason::NotLeader { .. }, leader: Some(leader) } => {
            (!leader.address.as_str().is_empty()).then_some(leader)
        }
        _ => None,
    }
}

/// Executes a request that only administrators may send.
async fn execute_admin_request(handle: &Handle, request: RequestBody) -> ReplyBody {
    info!(?request, "administrator request");
    let result = match request {
        RequestBody::ChangeMembership(change) => handle.change_membership(change).await,
        RequestBody::CancelMembershipChange => handle.cancel_membership_change().await,
        RequestBody::TransferLeadership(to) => {
            let result =
                handle.transfer_leadership(to).await.map(|()| ReplyBody::LeadershipTransferred);
            return result.unwrap_or_else(|error| error_reply(handle, &error, ReplyBody::Unknown));
        }
        // The reply says only that the node has accepted the request. If it had stopped before, the
        // request is rejected.
        RequestBody::Campaign => return started_reply(handle, handle.campaign().await),
        RequestBody::TakeSnapshot => return started_reply(handle, handle.snapshot().await),
        RequestBody::Propose { .. } | RequestBody::Read { .. } | RequestBody::Report => {
            unreachable!("every client may send this request")
        }
    };
    match result {
        Ok(id) => ReplyBody::MembershipChangeCommitted { id },
        Err(error) => error_reply(handle, &error, ReplyBody::Unknown),
    }
}

fn started_reply(handle: &Handle, result: Result<(), RequestError>) -> ReplyBody {
    match result {
        Ok(()) => ReplyBody::Started,
        Err(error) => error_reply(handle, &error, stopped_reply(handle)),
    }
}

fn proposal_reply(outcome: ProposalOutcome) -> ReplyBody {
    match outcome {
        ProposalOutcome::MayBeLost { id } => ReplyBody::MayBeLost { id },
        ProposalOutcome::Done { id, outcome } => match outcome {
            Outcome::Reply(reply) => ReplyBody::Replied { id, reply },
            Outcome::Registered(session) => ReplyBody::Registered { id, session: session.0 },
            Outcome::SessionExpired => ReplyBody::SessionExpired { id },
            Outcome::OutsideWindow => ReplyBody::OutsideWindow { id },
            Outcome::Malformed => ReplyBody::Malformed { id },
        },
    }
}

/// Returns the reply for an error. `stopped` is the reply if the node stopped before the outcome
/// was known: [`ReplyBody::Unknown`] if the request may have been executed.
fn error_reply(handle: &Handle, error: &RequestError, stopped: ReplyBody) -> ReplyBody {
    match error {
        RequestError::Rejected(reason) => reject_reply(handle, *reason),
        RequestError::Unknown => ReplyBody::Unknown,
        RequestError::Stopped => stopped,
    }
}

fn stopped_reply(handle: &Handle) -> ReplyBody {
    reject_reply(handle, RejectReason::Stopped)
}

fn reject_reply(handle: &Handle, reason: RejectReason) -> ReplyBody {
    let leader_id = match reason {
        RejectReason::NotLeader { leader } => leader,
        _ => handle.leadership.borrow().leader,
    };
    let membership = handle.membership.borrow();
    let leader = leader_id.map(|id| {
        let member = membership.member(id);
        LeaderHint { id, address: member.map(|member| member.address.clone()).unwrap_or_default() }
    });
    ReplyBody::Rejected { reason, leader }
}

/// Returns the reply that replaces an answer too large for a frame.
pub(super) fn too_large_reply() -> ReplyBody {
    ReplyBody::ServiceRejected(ServiceRejectReason::AnswerTooLarge)
}
