//! The async client of a cluster.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::machine::{Nonce, Outcome, Request};
use crate::runtime::client::attempts::{ConnectionPool, RetryPolicy, Route};
use crate::runtime::client::config::{ClientConfig, ClientConfigError};
use crate::runtime::client::error::{AttemptError, ClientError, RejectCause};
use crate::runtime::client::session::Session;
use crate::runtime::environment::{Environment, Simulation};
use crate::runtime::request::{
    self, Effect, Operation, ProposalOutcome, ReadReply, RecordingPart, TypedReply,
};
#[cfg(feature = "tls")]
use crate::runtime::tls::TlsError;
use crate::runtime::transport::link::Links;
#[cfg(feature = "tls")]
use crate::runtime::transport::link::Security;
use crate::storage::ClusterId;
use crate::types::{
    Acknowledge, Change, EntryId, MachineVersion, NodeId, ReadLevel, Report, SessionBounds,
};
use crate::wire::{ReplyBody, RequestBody};

/// A client of a cluster. Clones share its connections and its session. Each may be used by any
/// number of tasks concurrently.
///
/// The client connects with its first call, to a configured node that answers. It finds the leader,
/// follows leader changes, and learns of new members. Each call ends by its deadline. It must be
/// used within a tokio runtime that has time and IO enabled; [`blocking::Client`] needs none.
///
/// A request that a node has rejected for a temporary reason is sent again. After an attempt that
/// may have been executed, for example because its reply was lost:
///
/// | call | sent again |
/// |---|---|
/// | [`Client::propose`] | yes: the session executes the command once |
/// | reads, reports and [`Client::recording_part`] | yes: they change nothing |
/// | [`Client::campaign`], [`Client::snapshot`] | yes: the node may begin the work twice |
/// | all others | no: the call ends with [`ClientError::Unknown`] |
///
/// [`blocking::Client`]: crate::runtime::blocking::Client
#[derive(Clone)]
pub struct Client {
    shared: Arc<Shared>,
    deadline: Duration,
}

struct Shared {
    pool: ConnectionPool,
    session: Session,
}

impl Client {
    /// Returns a client that is not connected yet. Reads the TLS files, if there are any.
    ///
    /// # Errors
    /// A [`ClientConfigError`].
    pub fn new(config: ClientConfig) -> Result<Client, ClientConfigError> {
        Client::of(config, Environment::System)
    }

    /// Returns a client that runs in a simulation, and is not connected yet.
    ///
    /// # Errors
    /// A [`ClientConfigError`].
    #[cfg(feature = "unstable")]
    pub fn simulated(
        config: ClientConfig,
        simulation: Arc<dyn Simulation>,
    ) -> Result<Client, ClientConfigError> {
        Client::of(config, Environment::Simulated(simulation))
    }

    fn of(config: ClientConfig, environment: Environment) -> Result<Client, ClientConfigError> {
        config.check()?;
        let links = Links { security: config.security()?, environment };
        let deadline = config.deadline;
        let nonce = Nonce(links.environment.entropy());
        let session = Session::new(nonce, config.session, config.acknowledge);
        let pool = ConnectionPool::new(config, links);
        Ok(Client { shared: Arc::new(Shared { pool, session }), deadline })
    }

    /// Returns the same client with another deadline for each call.
    #[must_use]
    pub fn with_deadline(&self, deadline: Duration) -> Client {
        Client { shared: Arc::clone(&self.shared), deadline }
    }

    /// Returns the cluster of the configuration. If the configuration names none, returns the first
    /// cluster without a name from which a node replied. Until such a reply, returns the last
    /// cluster with a name from which a node replied.
    #[must_use]
    pub fn cluster(&self) -> Option<ClusterId> {
        self.shared.pool.cluster()
    }

    /// Proposes the command, and returns the reply of the state machine, which has then applied the
    /// command exactly once.
    ///
    /// The command is sent within the client's session, and resent until there is a reply, even
    /// after lost connections and leader changes. Up to the window of `ClientConfig::session`,
    /// calls are in flight concurrently, and their commands are applied in any order; further calls
    /// wait.
    ///
    /// # Errors
    /// After [`ClientError::NotExecuted`] and [`ClientError::Rejected`] the command was not applied
    /// and will not be. After [`ClientError::Unknown`] it may have been applied once, or may be
    /// applied once later.
    pub async fn propose(&self, command: &[u8]) -> Result<Arc<[u8]>, ClientError> {
        let Shared { pool, session } = &*self.shared;
        session.propose(pool, self.call_deadline(), command).await
    }

    /// Proposes the command outside of any session, to be applied at most once: for
    /// [`Acknowledge::LeaderOnly`], or to save the memory that nodes use for a session. The command
    /// is not sent again once it may have been appended.
    ///
    /// # Errors
    /// Those of [`Client::propose`]; [`ClientError::Unknown`] if the leader steps down or stops,
    /// the connection is lost, or the deadline passes after the command was sent.
    pub async fn propose_at_most_once(
        &self,
        command: &[u8],
        acknowledge: Acknowledge,
    ) -> Result<ProposalOutcome, ClientError> {
        self.propose_request(&Request::Plain(command), acknowledge).await
    }

    /// Sends an admin command to the state machine, which executes it at most once, and returns
    /// the reply. For administrators.
    ///
    /// # Errors
    /// Those of [`Client::propose_at_most_once`].
    pub async fn administer(&self, command: &[u8]) -> Result<Arc<[u8]>, ClientError> {
        let outcome = self.propose_request(&Request::Admin(command), Acknowledge::Default).await?;
        outcome.reply().cloned().ok_or(ClientError::Unknown(AttemptError::UnexpectedReply))
    }

    /// Sets the bounds of all client sessions on every node. Sessions beyond them expire. For
    /// administrators.
    ///
    /// # Errors
    /// Those of [`Client::propose_at_most_once`].
    ///
    /// # Panics
    /// If the bounds are invalid: see [`SessionBounds::error`].
    pub async fn set_session_bounds(&self, bounds: SessionBounds) -> Result<(), ClientError> {
        assert_eq!(bounds.error(), None, "{bounds:?} are invalid");
        let request = Request::SetBounds(bounds);
        self.propose_request(&request, Acknowledge::Default).await.map(|_| ())
    }

    /// Raises the version of the rules by which every node applies commands, from the log entry of
    /// this request on. `docs/OPERATIONS.md` has the steps of an upgrade. For administrators.
    ///
    /// # Errors
    /// Those of [`Client::propose_at_most_once`]. After [`ClientError::Unknown`] it is safe to
    /// repeat. The cause of [`ClientError::Rejected`] is `RejectReason::BuildTooOld` or
    /// `RejectReason::BuildUnknown` while a member cannot apply the version, or the leader does not
    /// know whether it can, and `MachineRejectReason::VersionNotHigher` if neither part is higher
    /// than before.
    pub async fn raise_version(&self, version: MachineVersion) -> Result<(), ClientError> {
        let request = Request::RaiseVersion(version);
        self.propose_request(&request, Acknowledge::Default).await.map(|_| ())
    }

    async fn propose_request(
        &self,
        request: &Request<'_>,
        acknowledge: Acknowledge,
    ) -> Result<ProposalOutcome, ClientError> {
        let body = RequestBody::Propose { acknowledge, command: request.encode() };
        let reply = self.send(Route::Leader, body).await?;
        match request::proposal_outcome(reply) {
            Ok(
                outcome @ (ProposalOutcome::Done { outcome: Outcome::Reply(_), .. }
                | ProposalOutcome::MayBeLost { .. }),
            ) => Ok(outcome),
            Ok(ProposalOutcome::Done { outcome: Outcome::Malformed, .. }) => {
                Err(ClientError::Rejected(RejectCause::MalformedCommand))
            }
            // Such a node is faulty or of another version, and may have the command in its log.
            Ok(ProposalOutcome::Done { .. }) | Err(_) => {
                Err(ClientError::Unknown(AttemptError::UnexpectedReply))
            }
        }
    }

    /// Queries the state machine. A read at the level `Linearizable` or `Lease` is sent to the
    /// leader, a read at any other level to the node in use, and to the next node if that fails.
    /// `docs/READS.md` describes the read levels and their costs.
    ///
    /// # Errors
    /// A [`ClientError`]; [`ClientError::Unknown`] only with [`AttemptError::UnexpectedReply`].
    pub async fn read(&self, level: ReadLevel, query: &[u8]) -> Result<ReadReply, ClientError> {
        let route = match level {
            ReadLevel::Linearizable | ReadLevel::Lease => Route::Leader,
            ReadLevel::Replica | ReadLevel::Bounded(_) | ReadLevel::Local => Route::Any,
        };
        self.read_via(route, level, query).await
    }

    /// Queries the state machine of the node at `address` (`host:port`), at any read level. The
    /// request is not sent to any other node.
    ///
    /// # Errors
    /// A [`ClientError`]; [`ClientError::Unknown`] only with [`AttemptError::UnexpectedReply`].
    pub async fn read_at(
        &self,
        address: &str,
        level: ReadLevel,
        query: &[u8],
    ) -> Result<ReadReply, ClientError> {
        self.read_via(Route::At(address), level, query).await
    }

    /// Returns the report of the node at `address`.
    ///
    /// # Errors
    /// A [`ClientError`]; [`ClientError::Unknown`] only with [`AttemptError::UnexpectedReply`].
    pub async fn report(&self, address: &str) -> Result<Report, ClientError> {
        self.report_via(Route::At(address)).await
    }

    /// Returns the report of the leader, which contains the replication progress of every other
    /// node. Waits until a node reports that it leads. A new leader may not have applied yet every
    /// entry that was committed before its election. A node may report that it leads although
    /// another one was elected meanwhile.
    ///
    /// # Errors
    /// A [`ClientError`]; [`ClientError::NotExecuted`] if no node reported that it leads before the
    /// deadline, and [`ClientError::Unknown`] only with [`AttemptError::UnexpectedReply`].
    pub async fn report_of_leader(&self) -> Result<Report, ClientError> {
        self.report_via(Route::OnlyLeader).await
    }

    /// Returns the report of the node in use, or of the next one if that fails.
    ///
    /// # Errors
    /// A [`ClientError`]; [`ClientError::Unknown`] only with [`AttemptError::UnexpectedReply`].
    pub async fn report_of_any(&self) -> Result<Report, ClientError> {
        self.report_via(Route::Any).await
    }

    /// Changes the membership, and waits until the change is complete, for which new voters must
    /// catch up. While another change is in flight, such as one by which a new leader takes the
    /// casting vote, the request is sent again. For administrators.
    ///
    /// # Errors
    /// A [`ClientError`]. After [`ClientError::Unknown`] the change may still complete: check a
    /// report.
    pub async fn change_membership(&self, change: Change) -> Result<EntryId, ClientError> {
        let body = RequestBody::ChangeMembership(change);
        self.call(Route::Leader, body, request::membership_change).await
    }

    /// Cancels a staged membership change, whose new voters have not caught up yet. For
    /// administrators.
    ///
    /// # Errors
    /// A [`ClientError`]. After [`ClientError::Unknown`] the change may be cancelled or complete:
    /// check a report.
    pub async fn cancel_membership_change(&self) -> Result<EntryId, ClientError> {
        let body = RequestBody::CancelMembershipChange;
        self.call(Route::Leader, body, request::membership_change).await
    }

    /// Transfers the leadership to the voter `to`, or to a voter that the leader chooses if none is
    /// given. For administrators.
    ///
    /// # Errors
    /// A [`ClientError`]; [`ClientError::Unknown`] with `RejectReason::TransferAborted` if the
    /// target did not take over in time: it may still do so.
    pub async fn transfer_leadership(&self, to: Option<NodeId>) -> Result<(), ClientError> {
        let body = RequestBody::TransferLeadership(to);
        self.call(Route::Leader, body, request::leadership_transfer).await
    }

    /// Makes the node at `address` start a pre-vote now, as if its election timeout had passed. The
    /// pre-vote is rejected while a majority of the voters hears from a leader. For administrators.
    ///
    /// # Errors
    /// A [`ClientError`].
    pub async fn campaign(&self, address: &str) -> Result<(), ClientError> {
        self.call(Route::At(address), RequestBody::Campaign, request::started).await
    }

    /// Makes the node at `address` take a snapshot of its state machine, and returns once the node
    /// has accepted the request. `Status::snapshot` of a report shows when the snapshot is
    /// complete. For administrators.
    ///
    /// # Errors
    /// A [`ClientError`].
    pub async fn snapshot(&self, address: &str) -> Result<(), ClientError> {
        self.call(Route::At(address), RequestBody::TakeSnapshot, request::started).await
    }

    /// Returns a part of the recording of the node at `address`: of the file with this number, from
    /// this offset on. If the node has removed the file, returns the beginning of the next one;
    /// file 0 is before all others. The node reads its files on a thread apart from its own, and
    /// limits how many bytes it sends in a second. For administrators.
    ///
    /// # Errors
    /// A [`ClientError`]; [`ClientError::Rejected`] with
    /// [`ServiceRejectReason::NoRecording`](crate::wire::ServiceRejectReason::NoRecording) if there
    /// is no recording that can be read.
    pub async fn recording_part(
        &self,
        address: &str,
        file: u64,
        offset: u64,
    ) -> Result<RecordingPart, ClientError> {
        let body = RequestBody::ReadRecording { file, offset };
        self.call(Route::At(address), body, request::recording_part).await
    }

    /// Reads the files of `ClientConfig::tls` again, synchronously. New connections use the new
    /// files; open connections end if their node is no longer trusted. Does nothing on a client
    /// without TLS.
    ///
    /// # Errors
    /// A [`TlsError`] that names the file; the old files stay in use.
    #[cfg(feature = "tls")]
    pub fn reload_tls(&self) -> Result<(), TlsError> {
        match &self.shared.pool.links().security {
            Security::Plaintext { .. } => Ok(()),
            Security::Tls(tls) => tls.reload(),
        }
    }

    fn call_deadline(&self) -> Instant {
        // A far longer deadline could overflow `Instant`.
        const FAR: Duration = Duration::from_secs(86_400 * 365);
        Instant::now() + self.deadline.min(FAR)
    }

    async fn call<T>(
        &self,
        route: Route<'_>,
        body: RequestBody,
        result: fn(ReplyBody) -> TypedReply<T>,
    ) -> Result<T, ClientError> {
        let reply = self.send(route, body).await?;
        result(reply).map_err(|_| ClientError::Unknown(AttemptError::UnexpectedReply))
    }

    async fn send(&self, route: Route<'_>, body: RequestBody) -> Result<ReplyBody, ClientError> {
        let retry_policy = match Operation::of(&body).effect {
            Effect::Read => RetryPolicy::ReadOnly,
            Effect::Start => RetryPolicy::Idempotent,
            Effect::Change => RetryPolicy::Never,
        };
        let mut attempts = self.shared.pool.attempts(self.call_deadline(), retry_policy);
        let reply = attempts.send(route, || Some(body.clone())).await?;
        reply.ok_or(ClientError::Unknown(AttemptError::UnexpectedReply))
    }

    async fn read_via(
        &self,
        route: Route<'_>,
        level: ReadLevel,
        query: &[u8],
    ) -> Result<ReadReply, ClientError> {
        let body = RequestBody::Read { level, query: query.to_vec() };
        self.call(route, body, request::read_reply).await
    }

    async fn report_via(&self, route: Route<'_>) -> Result<Report, ClientError> {
        self.call(route, RequestBody::Report, request::report).await
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let config = self.shared.pool.config();
        write!(f, "client of {} at {:?}", config.cluster, config.addresses)
    }
}
