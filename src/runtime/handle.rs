//! The handle through which a program sends requests to the node it runs.

use std::io;
use std::sync::Arc;

use tokio::sync::watch;
use tracing::warn;

use crate::machine::{self, Proposer};
#[cfg(feature = "http")]
use crate::runtime::environment::Environment;
use crate::runtime::metrics::{RequestMetric, Stopwatch};
use crate::runtime::rejected_connections::ConnectionRejectReason;
use crate::runtime::request::{
    self, ProposalOutcome, ReadReply, RequestError, TypedReply, reject_reply,
};
use crate::runtime::request_limits::Share;
use crate::runtime::request_queue::RequestSender;
#[cfg(feature = "tls")]
use crate::runtime::tls::TlsError;
use crate::runtime::transport::connection_registry::ConnectionRegistry;
#[cfg(feature = "tls")]
use crate::runtime::transport::link::Security;
use crate::types::{
    Acknowledge, Change, EntryId, Membership, NodeId, ReadLevel, RejectReason, Report, RoleName,
    Term,
};
use crate::wire::{ReplyBody, RequestBody};

/// A handle to a node that runs in this process. Clones share the node.
///
/// Each request ends with a reply or a [`RequestError`]. Dropping a future does not cancel its
/// request, unless the request still waits for room within
/// [`ServerConfig::requests_max`](crate::runtime::ServerConfig::requests_max).
#[derive(Clone, Debug)]
pub struct Handle {
    pub(super) requests: RequestSender,
    pub(super) leadership: watch::Receiver<Leadership>,
    pub(super) membership: watch::Receiver<Membership>,
    pub(super) registry: Arc<ConnectionRegistry>,
    /// The maximum size of a command, in bytes.
    pub(super) command_bytes_max: usize,
}

/// The role, term and leader of a node, as the node knows them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leadership {
    /// The role of the node.
    pub role: RoleName,
    /// The current term of the node.
    pub term: Term,
    /// The leader that the node follows, itself included; `None` if it knows no leader.
    pub leader: Option<NodeId>,
}

impl Handle {
    /// Proposes the command, waits until it is committed and applied, and returns the reply of this
    /// node's state machine. Only the leader accepts commands.
    ///
    /// # Errors
    /// A [`RequestError`]. After [`RequestError::Unknown`] or [`RequestError::Stopped`] the command
    /// may have been applied, or may be applied later. A caller that must not apply it twice
    /// proposes it within a session, by [`Handle::propose_request`]. If the user's state machine
    /// rejects the command, for example because its quota is used up, that is its reply, and not an
    /// error.
    pub async fn propose(&self, command: &[u8]) -> Result<Arc<[u8]>, RequestError> {
        let outcome =
            self.propose_request(&machine::Request::Plain(command), Acknowledge::Default).await?;
        outcome.reply().cloned().ok_or(RequestError::Unknown)
    }

    /// Proposes any request to the state machine, on behalf of [`Proposer::Unnamed`], and waits
    /// until it is acknowledged as `acknowledge` requires.
    ///
    /// # Errors
    /// A [`RequestError`].
    pub async fn propose_request(
        &self,
        request: &machine::Request<'_>,
        acknowledge: Acknowledge,
    ) -> Result<ProposalOutcome, RequestError> {
        // The stamp of `Proposer::Unnamed` is one byte.
        let bytes = 1 + request.encoded_bytes();
        if bytes > self.command_bytes_max {
            let reason = RejectReason::TooLarge;
            let reply = ReplyBody::Rejected { reason, leader: None };
            let (counts, metric) = (&self.registry.counts, RequestMetric::Proposal);
            counts.request_ended(metric, Stopwatch::start(), &reply);
            return Err(RequestError::Rejected(reason));
        }
        // The command is encoded once there is room for it.
        let body = || RequestBody::ProposeFor {
            acknowledge,
            command: request.encode_for(Proposer::Unnamed),
        };
        self.call(Share::Proposals, bytes, body, request::proposal_outcome).await
    }

    /// Queries the state machine; any node accepts reads. `docs/READS.md` describes the read
    /// levels and their costs.
    ///
    /// # Errors
    /// A [`RequestError`]; never [`RequestError::Unknown`].
    pub async fn read(&self, level: ReadLevel, query: &[u8]) -> Result<ReadReply, RequestError> {
        let request = || RequestBody::Read { level, query: query.to_vec() };
        self.call(Share::Reads, query.len(), request, request::read_reply).await
    }

    /// Changes the membership, and waits until the change is complete. Only the leader accepts
    /// changes.
    ///
    /// # Errors
    /// A [`RequestError`]. [`RejectReason::MembershipChangeInFlight`] is temporary: the change in
    /// flight may be the leader's own, such as that by which it takes the casting vote.
    pub async fn change_membership(&self, change: Change) -> Result<EntryId, RequestError> {
        self.control(RequestBody::ChangeMembership(change), request::membership_change).await
    }

    /// Cancels a staged membership change, whose new voters have not caught up yet.
    ///
    /// # Errors
    /// A [`RequestError`].
    pub async fn cancel_membership_change(&self) -> Result<EntryId, RequestError> {
        self.control(RequestBody::CancelMembershipChange, request::membership_change).await
    }

    /// Transfers the leadership to the voter `to`, or to a voter that the leader chooses if none
    /// is given.
    ///
    /// # Errors
    /// A [`RequestError`]; [`RequestError::Unknown`] or [`RequestError::Stopped`] if the node stops
    /// first. After [`RejectReason::TransferAborted`] the target may still take over.
    pub async fn transfer_leadership(&self, to: Option<NodeId>) -> Result<(), RequestError> {
        self.control(RequestBody::TransferLeadership(to), request::leadership_transfer).await
    }

    /// Makes the node start a pre-vote now, as if its election timeout had passed. A node that
    /// leads or may not lead, such as a learner, does nothing. The pre-vote is rejected while a
    /// majority of the voters hears from a leader.
    ///
    /// # Errors
    /// [`RequestError::Stopped`].
    pub async fn campaign(&self) -> Result<(), RequestError> {
        self.control(RequestBody::Campaign, request::started).await
    }

    /// Makes the node take a snapshot of its state machine, however few entries it has applied
    /// since the last one. If the node is taking one already, another one follows it.
    /// `Status::snapshot` of a report shows when the snapshot is complete.
    ///
    /// # Errors
    /// [`RequestError::Stopped`].
    pub async fn snapshot(&self) -> Result<(), RequestError> {
        self.control(RequestBody::TakeSnapshot, request::started).await
    }

    /// Returns the full status of the node.
    ///
    /// # Errors
    /// [`RequestError::Stopped`].
    pub async fn report(&self) -> Result<Report, RequestError> {
        self.control(RequestBody::Report, request::report).await
    }

    /// Returns a receiver of the node's role, term and leader, which is notified of changes; of
    /// several in quick succession it may see only the last.
    #[must_use]
    pub fn leadership(&self) -> watch::Receiver<Leadership> {
        self.leadership.clone()
    }

    /// Returns a receiver of the active membership, which is notified of changes; of several in
    /// quick succession it may see only the last.
    #[must_use]
    pub fn membership(&self) -> watch::Receiver<Membership> {
        self.membership.clone()
    }

    /// Returns the number of connections that were rejected or closed, by reason.
    #[must_use]
    pub fn rejected_connections(&self) -> Vec<(ConnectionRejectReason, u64)> {
        self.registry.rejected.counts()
    }

    /// Returns the number of open connections that other nodes and clients made to this node.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.registry.connections()
    }

    /// Reads the files of [`TlsConfig`](crate::runtime::TlsConfig) again, synchronously: if their
    /// file system hangs, so does the calling thread, which must not be one that runs the node's
    /// tasks. New connections use the new files; open connections end if their peer is no longer
    /// trusted. Does nothing on a server without TLS.
    ///
    /// # Errors
    /// A [`TlsError`] that names the file; the old files stay in use.
    #[cfg(feature = "tls")]
    pub fn reload_tls(&self) -> Result<(), TlsError> {
        match &self.registry.links.security {
            Security::Plaintext { .. } => Ok(()),
            Security::Tls(tls) => tls.reload(),
        }
    }

    /// Returns the metrics of the node, which stay readable after it has stopped.
    #[cfg(feature = "metrics")]
    #[must_use]
    pub fn metrics(&self) -> crate::runtime::metrics::Metrics {
        crate::runtime::metrics::Metrics::new(Arc::clone(&self.registry.counts))
    }

    /// Logs that a connection could not be accepted, within the limit of the node's log lines.
    pub(crate) fn log_accept_failure(&self, error: &io::Error, connection: &str) {
        if self.registry.log_limit.admit("accept") {
            warn!(%error, "cannot accept {connection}");
        }
    }

    /// Returns the environment in which the node runs.
    #[cfg(feature = "http")]
    pub(crate) fn environment(&self) -> &Environment {
        &self.registry.links.environment
    }

    /// Returns the reply to a request that a stopped node did not execute.
    pub(super) fn stopped_reply(&self) -> ReplyBody {
        let leader = self.leadership.borrow().leader;
        reject_reply(RejectReason::Stopped, leader, &self.membership.borrow())
    }

    async fn control<T>(
        &self,
        body: RequestBody,
        result: fn(ReplyBody) -> TypedReply<T>,
    ) -> Result<T, RequestError> {
        self.call(Share::Control, 0, || body, result).await
    }

    async fn call<T>(
        &self,
        share: Share,
        bytes: usize,
        body: impl FnOnce() -> RequestBody,
        result: fn(ReplyBody) -> TypedReply<T>,
    ) -> Result<T, RequestError> {
        let sent = self.requests.send_of_program(share, bytes, body).await;
        let reply = sent.ok_or(RequestError::Stopped)?.await.map_err(|_| RequestError::Stopped)?;
        result(reply).map_err(|reply| RequestError::of(&reply))
    }
}

#[cfg(test)]
impl Handle {
    /// Returns a handle to a node that replies to nothing until the second value is dropped.
    #[cfg(feature = "http")]
    pub(crate) fn of_stuck_node() -> (Handle, impl Sized) {
        Handle::for_test()
    }

    /// Returns a handle to a node that the test simulates, and the queue of its requests.
    pub(super) fn for_test() -> (Handle, tokio::sync::mpsc::Receiver<request::DriverRequest>) {
        use crate::runtime::config::NetworkConfig;
        use crate::runtime::metrics::Counts;
        use crate::runtime::transport::link;
        use crate::storage::ClusterId;

        let (requests, request_queue) = RequestSender::new(16, 1 << 10);
        let leadership = Leadership { role: RoleName::Follower, term: Term(1), leader: None };
        let (_, leadership) = watch::channel(leadership);
        let (_, membership) = watch::channel(Membership::default());
        let counts = Arc::new(Counts::new(NodeId(1), ClusterId(7)));
        let links = link::Links::for_test();
        let registry = Arc::new(ConnectionRegistry::new(links, &NetworkConfig::default(), counts));
        let command_bytes_max = 1 << 20;
        (Handle { requests, leadership, membership, registry, command_bytes_max }, request_queue)
    }
}

#[cfg(test)]
#[cfg(not(madsim))]
mod tests {
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use super::*;

    #[tokio::test]
    async fn a_command_that_is_too_long_is_rejected_before_those_that_wait() {
        let (handle, _requests) = Handle::for_test();
        // The first takes all the room that the program has, and the second waits for it.
        let long = vec![7; (1 << 20) - 64];
        let mut first = pin!(handle.propose(&long));
        let mut second = pin!(handle.propose(b"short"));
        let mut context = Context::from_waker(Waker::noop());
        assert!(first.as_mut().poll(&mut context).is_pending());
        assert!(second.as_mut().poll(&mut context).is_pending());
        // The stamp of the proposer makes it too long.
        let too_long = vec![7; (1 << 20) - 2];
        let mut rejected = pin!(handle.propose(&too_long));
        let Poll::Ready(result) = rejected.as_mut().poll(&mut context) else {
            panic!("it waits for the others")
        };
        assert_eq!(result, Err(RequestError::Rejected(RejectReason::TooLarge)));
    }
}
