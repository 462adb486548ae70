//! The attempts of one call: chooses the node of each attempt, and decides by the reply whether and
//! where to retry.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

use crate::runtime::client::config::ClientConfig;
use crate::runtime::client::connection::{Connection, Dialer};
use crate::runtime::client::error::{AttemptError, ClientError, RejectCause};
use crate::runtime::client::nodes::Nodes;
use crate::runtime::client::pending_replies::{ConnectionError, SentFlag};
use crate::runtime::lock::lock;
use crate::runtime::transport::link::Links;
use crate::runtime::unnamed_cluster::ANY_UNNAMED_CLUSTER;
use crate::storage::ClusterId;
use crate::types::{MachineRejectReason, RejectReason};
use crate::wire::{LeaderHint, ReplyBody, RequestBody, ServiceRejectReason};

/// The connections and the known nodes, shared by the clones of a client.
pub(super) struct ConnectionPool {
    dialer: Dialer,
    connections: Mutex<BTreeMap<String, Connection>>,
}

/// The node to which a request is sent.
#[derive(Clone, Copy, Debug)]
pub(super) enum Route<'a> {
    /// The leader; while it is unknown, any node that may know it.
    Leader,
    /// The leader, for a request that every node answers: a report of a node that does not lead is
    /// treated as a rejection.
    OnlyLeader,
    /// Any node of the cluster.
    Any,
    /// Only the node at this address.
    At(&'a str),
}

/// Whether a request may be sent again after an attempt that may have been executed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RetryPolicy {
    /// The request changes nothing, and may be sent again.
    ReadOnly,
    /// The request takes effect once, however often it is sent; or it starts work of a node, and a
    /// second start does no harm.
    Idempotent,
    /// The request must not be sent again.
    Never,
}

/// The attempts of one call.
pub(super) struct Attempts<'a> {
    pool: &'a ConnectionPool,
    deadline: Instant,
    retry_policy: RetryPolicy,
    /// The number of retries since the last wait, none of which waited.
    retries: usize,
    retry_wait: Duration,
    /// Whether an attempt may have been executed.
    may_have_executed: bool,
    /// The most significant error since the last wait; until there is one, the most significant
    /// error before that wait.
    last_error: Option<AttemptError>,
    /// Whether the last error is from before the last wait.
    is_outdated: bool,
}

impl ConnectionPool {
    pub(super) fn new(config: ClientConfig, links: Links) -> ConnectionPool {
        let start = usize::from(links.environment.entropy() as u16);
        let nodes = Nodes::new(config.addresses.clone(), start);
        let (config, nodes) = (Arc::new(config), Arc::new(Mutex::new(nodes)));
        let dialer = Dialer { config, links, nodes, node: None, met: Arc::default() };
        ConnectionPool { dialer, connections: Mutex::default() }
    }

    pub(super) fn config(&self) -> &ClientConfig {
        &self.dialer.config
    }

    /// Returns the cluster of the configuration; if that names none, [`Dialer::met`].
    pub(super) fn cluster(&self) -> Option<ClusterId> {
        match self.config().cluster {
            ANY_UNNAMED_CLUSTER => *lock(&self.dialer.met),
            named => Some(named),
        }
    }

    pub(super) fn links(&self) -> &Links {
        &self.dialer.links
    }

    pub(super) fn attempts(&self, deadline: Instant, retry_policy: RetryPolicy) -> Attempts<'_> {
        Attempts {
            pool: self,
            deadline,
            retry_policy,
            retries: 0,
            retry_wait: self.config().retry_min,
            may_have_executed: false,
            last_error: None,
            is_outdated: false,
        }
    }

    fn connection(&self, address: &str) -> Connection {
        let mut connections = lock(&self.connections);
        connections.retain(|_, connection| !connection.is_closed());
        let open = || Connection::open(address.to_owned(), self.dialer.clone());
        connections.entry(address.to_owned()).or_insert_with(open).clone()
    }
}

/// The next step after an attempt.
enum NextStep {
    /// The call is complete.
    Done(ReplyBody),
    /// Retry at once, unless the retries without a wait are used up ([`Attempts::retries_max`]).
    RetryNow,
    /// Retry after a wait.
    RetryLater,
}

impl Attempts<'_> {
    /// Returns true if an attempt may have been executed.
    pub(super) fn may_have_executed(&self) -> bool {
        self.may_have_executed
    }

    /// Sends the request until a reply states its outcome. `body` returns the request for each
    /// attempt; once `body` returns `None`, the call ends without a reply.
    ///
    /// # Errors
    /// A [`ClientError`], once the request may not be retried or the deadline has passed.
    pub(super) async fn send(
        &mut self,
        route: Route<'_>,
        mut body: impl FnMut() -> Option<RequestBody>,
    ) -> Result<Option<ReplyBody>, ClientError> {
        loop {
            let is_repeated = self.retry_policy == RetryPolicy::Never && self.may_have_executed;
            assert!(!is_repeated, "a request that may have been executed is not sent again");
            let Some(body) = body() else { return Ok(None) };
            let address = self.address(route);
            let connection = self.pool.connection(&address);
            let sent = SentFlag::default();
            let result = timeout(self.attempt_time_max(route), connection.send(body, &sent)).await;
            let next = match result {
                Err(_) => self.timed_out(address, !sent.withdraw())?,
                Ok(Err(error)) => self.classify_failure(address, error)?,
                Ok(Ok(reply)) => {
                    let only_leader = matches!(route, Route::OnlyLeader);
                    let reply = if only_leader { of_leader(reply) } else { reply };
                    self.classify_reply(address, reply)?
                }
            };
            match next {
                NextStep::Done(reply) => return Ok(Some(reply)),
                NextStep::RetryNow if self.retries < self.retries_max(route) => self.retries += 1,
                NextStep::RetryNow | NextStep::RetryLater => {
                    self.check_accepted()?;
                    self.wait().await?;
                }
            }
        }
    }

    /// Returns the maximum number of retries without a wait: with several nodes, enough to try each
    /// of them and then the leader that one of them names.
    fn retries_max(&self, route: Route<'_>) -> usize {
        match route {
            Route::At(_) => 1,
            Route::Leader | Route::OnlyLeader | Route::Any => self.nodes().count() + 1,
        }
    }

    /// Returns the time limit of an attempt: the whole remaining time if no other node may be
    /// tried.
    fn attempt_time_max(&self, route: Route<'_>) -> Duration {
        let remaining = self.deadline.saturating_duration_since(Instant::now());
        match (route, self.retry_policy) {
            (Route::At(_), _) | (_, RetryPolicy::Never) => remaining,
            (_, RetryPolicy::ReadOnly | RetryPolicy::Idempotent) => {
                remaining.min(self.pool.config().attempt_max)
            }
        }
    }

    /// Handles an attempt that received no reply within its time limit. `was_sent` is false if the
    /// request was withdrawn before it was sent.
    fn timed_out(&mut self, address: String, was_sent: bool) -> Result<NextStep, ClientError> {
        self.nodes().mark_failed(&address);
        self.may_have_executed |= was_sent;
        let is_over = Instant::now() >= self.deadline;
        let error = match was_sent {
            true => AttemptError::TimedOut { address },
            false => {
                let error = "no connection took the request within the time limit".to_owned();
                let unreachable = AttemptError::Unreachable { address, error };
                if is_over { self.last_error.take().unwrap_or(unreachable) } else { unreachable }
            }
        };
        if is_over || (was_sent && self.retry_policy == RetryPolicy::Never) {
            return Err(self.final_error(error));
        }
        self.record(error);
        Ok(NextStep::RetryNow)
    }

    /// Records the error of an attempt after which the call is retried.
    pub(super) fn record(&mut self, error: AttemptError) {
        let last = self.last_error.as_ref().filter(|_| !self.is_outdated);
        if last.is_none_or(|last| last.significance() <= error.significance()) {
            self.last_error = Some(error);
            self.is_outdated = false;
        }
    }

    /// Checks that a retry can succeed, after every node was tried since the last wait.
    ///
    /// # Errors
    /// [`ClientError::Mismatch`] if no node that is reachable accepts the client.
    fn check_accepted(&mut self) -> Result<(), ClientError> {
        let is_mismatch = matches!(&self.last_error, Some(AttemptError::Mismatch { .. }));
        match self.last_error.take_if(|_| is_mismatch && !self.is_outdated) {
            Some(error) => Err(self.final_error(error)),
            None => Ok(()),
        }
    }

    /// Waits before the next attempt: up to `retry_min` at first, and up to twice as long each
    /// time, at most `retry_max`.
    ///
    /// # Errors
    /// A [`ClientError`], without a wait, if the wait would end after the deadline.
    pub(super) async fn wait(&mut self) -> Result<(), ClientError> {
        // A random time between half of the wait and all of it, so that callers that failed
        // together spread out.
        let random = self.pool.links().environment.entropy() as u16;
        let wait = self.retry_wait.mul_f64(0.5 + f64::from(random) / f64::from(u16::MAX) / 2.0);
        if Instant::now() + wait >= self.deadline {
            let error = self.last_error.take();
            return Err(self.final_error(error.unwrap_or(AttemptError::WindowFull)));
        }
        sleep(wait).await;
        self.retries = 0;
        self.is_outdated = true;
        self.retry_wait = (self.retry_wait * 2).min(self.pool.config().retry_max);
        Ok(())
    }

    /// Returns the error of a call that ends because of `error`, the error of one of its attempts.
    pub(super) fn final_error(&self, error: AttemptError) -> ClientError {
        match (self.may_have_executed && self.retry_policy != RetryPolicy::ReadOnly, error) {
            (true, error) => ClientError::Unknown(error),
            (false, AttemptError::Mismatch { address, mismatch, error }) => {
                ClientError::Mismatch { address, mismatch, error }
            }
            (false, error) => ClientError::NotExecuted(error),
        }
    }

    /// Returns the error of a call whose last attempt was rejected. Earlier attempts may have been
    /// executed nevertheless.
    fn rejected(&self, cause: RejectCause) -> ClientError {
        match self.may_have_executed && self.retry_policy != RetryPolicy::ReadOnly {
            true => ClientError::Unknown(AttemptError::Rejected(cause)),
            false => ClientError::Rejected(cause),
        }
    }

    fn nodes(&self) -> std::sync::MutexGuard<'_, Nodes> {
        lock(&self.pool.dialer.nodes)
    }

    fn address(&self, route: Route<'_>) -> String {
        match route {
            Route::Leader | Route::OnlyLeader => self.nodes().leader(),
            Route::Any => self.nodes().any(),
            Route::At(address) => address.to_owned(),
        }
    }

    fn classify_failure(
        &mut self,
        address: String,
        error: ConnectionError,
    ) -> Result<NextStep, ClientError> {
        self.nodes().mark_failed(&address);
        match error {
            ConnectionError::TooLarge => Err(self.rejected(RejectCause::RequestTooLarge)),
            ConnectionError::Unreachable(error) => {
                self.record(AttemptError::Unreachable { address, error });
                Ok(NextStep::RetryNow)
            }
            ConnectionError::Mismatch(mismatch, error) => {
                self.record(AttemptError::Mismatch { address, mismatch, error });
                Ok(NextStep::RetryNow)
            }
            ConnectionError::Lost(error) => {
                self.retry_after_unknown_outcome(AttemptError::ConnectionLost { address, error })
            }
        }
    }

    /// Handles an attempt that may have been executed.
    ///
    /// # Errors
    /// The error of the call, if the request must not be sent again.
    fn retry_after_unknown_outcome(
        &mut self,
        error: AttemptError,
    ) -> Result<NextStep, ClientError> {
        self.may_have_executed = true;
        if self.retry_policy == RetryPolicy::Never {
            return Err(self.final_error(error));
        }
        self.record(error);
        Ok(NextStep::RetryNow)
    }

    fn classify_reply(
        &mut self,
        address: String,
        reply: ReplyBody,
    ) -> Result<NextStep, ClientError> {
        match reply {
            ReplyBody::Unknown => {
                self.nodes().mark_failed(&address);
                self.retry_after_unknown_outcome(AttemptError::OutcomeUnknown { address })
            }
            ReplyBody::ServiceRejected(ServiceRejectReason::Overloaded) => {
                self.record(AttemptError::Overloaded { address });
                Ok(NextStep::RetryLater)
            }
            ReplyBody::ServiceRejected(reason) => {
                // Only the answer was rejected; the request itself was executed.
                self.may_have_executed |= reason == ServiceRejectReason::AnswerTooLarge;
                Err(self.rejected(RejectCause::Service(reason)))
            }
            ReplyBody::MachineRejected { reason, .. } => {
                let cause = RejectCause::Machine(reason);
                match reason {
                    MachineRejectReason::Requests { .. } => {
                        self.record(AttemptError::Rejected(cause));
                        Ok(NextStep::RetryLater)
                    }
                    _ => Err(self.rejected(cause)),
                }
            }
            ReplyBody::Rejected { reason, leader } => {
                let redirected = match reason {
                    RejectReason::NotLeader { .. } => {
                        self.nodes().follow_hint(&address, leader.as_ref());
                        true
                    }
                    RejectReason::Stopped | RejectReason::NoLeader | RejectReason::Unverified => {
                        self.nodes().mark_failed(&address);
                        true
                    }
                    // A change in flight may be the leader's own, such as that of the casting vote.
                    RejectReason::Busy
                    | RejectReason::DiskFull
                    | RejectReason::MembershipChangeInFlight
                    | RejectReason::Transferring => false,
                    _ => {
                        // The target that was asked to take over may still do so.
                        self.may_have_executed |= reason == RejectReason::TransferAborted;
                        return Err(self.rejected(RejectCause::Node(reason)));
                    }
                };
                self.record(AttemptError::NotReady { address, reason });
                Ok(if redirected { NextStep::RetryNow } else { NextStep::RetryLater })
            }
            ReplyBody::Replied { .. }
            | ReplyBody::Registered { .. }
            | ReplyBody::MembershipChangeCommitted { .. } => {
                self.nodes().set_leader(&address);
                Ok(NextStep::Done(reply))
            }
            ReplyBody::SessionExpired { .. }
            | ReplyBody::OutsideWindow { .. }
            | ReplyBody::Malformed { .. }
            | ReplyBody::MayBeLost { .. }
            | ReplyBody::Answered { .. }
            | ReplyBody::LeadershipTransferred
            | ReplyBody::Started
            | ReplyBody::Report(_)
            | ReplyBody::RecordingPart { .. } => Ok(NextStep::Done(reply)),
        }
    }
}

/// Returns the report of a node that does not lead as a rejection, which names the leader if the
/// node knows it.
fn of_leader(reply: ReplyBody) -> ReplyBody {
    let ReplyBody::Report(report) = &reply else { return reply };
    let leader = report.status.leader;
    if leader == Some(report.status.id) {
        return reply;
    }
    let member = leader.and_then(|id| report.membership.member(id));
    let hint = member.map(|member| LeaderHint { id: member.id, address: member.address.clone() });
    ReplyBody::Rejected { reason: RejectReason::NotLeader { leader }, leader: hint }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::client::error::Mismatch;
    use crate::storage::ClusterId;

    /// Returns the error of a call that is rejected after an attempt with the reply `earlier`.
    fn rejection(
        retry_policy: RetryPolicy,
        earlier: Option<ReplyBody>,
        reason: ServiceRejectReason,
    ) -> ClientError {
        let config = ClientConfig::new(ClusterId(7), ["127.0.0.1:1"]);
        let pool = ConnectionPool::new(config, Links::for_test());
        let deadline = Instant::now() + Duration::from_secs(60);
        let mut attempts = pool.attempts(deadline, retry_policy);
        let address = || "127.0.0.1:1".to_owned();
        if let Some(earlier) = earlier {
            assert!(attempts.classify_reply(address(), earlier).is_ok(), "the call retries");
        }
        match attempts.classify_reply(address(), ReplyBody::ServiceRejected(reason)) {
            Err(error) => error,
            Ok(_) => panic!("a rejection ends the call"),
        }
    }

    /// Returns the error of a call after each node was tried once, with these errors.
    fn error_of_round(errors: [ConnectionError; 3]) -> Option<ClientError> {
        let config = ClientConfig::new(ClusterId(7), ["127.0.0.1:1"]);
        let pool = ConnectionPool::new(config, Links::for_test());
        let deadline = Instant::now() + Duration::from_secs(60);
        let mut attempts = pool.attempts(deadline, RetryPolicy::Idempotent);
        for error in errors {
            assert!(attempts.classify_failure("127.0.0.1:1".to_owned(), error).is_ok());
        }
        attempts.check_accepted().err()
    }

    #[test]
    fn a_node_that_does_not_accept_the_client_says_more_than_unreachable_ones() {
        let refused = || ConnectionError::Unreachable("connection refused".to_owned());
        let mismatch = || ConnectionError::Mismatch(Mismatch::Certificate, "untrusted".to_owned());
        let lost = || ConnectionError::Lost("end of file".to_owned());
        let rounds = [
            [mismatch(), refused(), refused()],
            [refused(), mismatch(), refused()],
            [refused(), refused(), mismatch()],
        ];
        for errors in rounds {
            let error = error_of_round(errors);
            assert!(
                matches!(&error, Some(ClientError::Mismatch { error, .. }) if error == "untrusted"),
                "{error:?}"
            );
        }
        assert_eq!(error_of_round([refused(), refused(), refused()]), None, "the call is retried");
        // One node accepts the client, so a retry may succeed.
        assert_eq!(error_of_round([lost(), mismatch(), refused()]), None);
    }

    #[test]
    fn after_an_answer_that_is_too_large_the_outcome_of_a_proposal_is_unknown() {
        let rejected = RejectCause::Service(ServiceRejectReason::AnswerTooLarge);
        let proposed =
            rejection(RetryPolicy::Idempotent, None, ServiceRejectReason::AnswerTooLarge);
        assert_eq!(proposed, ClientError::Unknown(AttemptError::Rejected(rejected)));
        let read = rejection(RetryPolicy::ReadOnly, None, ServiceRejectReason::AnswerTooLarge);
        assert_eq!(read, ClientError::Rejected(rejected));
    }

    #[test]
    fn after_an_aborted_transfer_the_target_may_still_take_over() {
        let config = ClientConfig::new(ClusterId(7), ["127.0.0.1:1"]);
        let pool = ConnectionPool::new(config, Links::for_test());
        let error = |reason| {
            let deadline = Instant::now() + Duration::from_secs(60);
            let mut attempts = pool.attempts(deadline, RetryPolicy::Never);
            let reply = ReplyBody::Rejected { reason, leader: None };
            attempts.classify_reply("127.0.0.1:1".to_owned(), reply).err()
        };
        let aborted = RejectCause::Node(RejectReason::TransferAborted);
        let unknown = ClientError::Unknown(AttemptError::Rejected(aborted));
        assert_eq!(error(RejectReason::TransferAborted), Some(unknown));
        let no_target = RejectCause::Node(RejectReason::NoTransferTarget);
        assert_eq!(error(RejectReason::NoTransferTarget), Some(ClientError::Rejected(no_target)));
    }

    #[test]
    fn a_membership_change_is_retried_until_the_one_in_flight_is_complete() {
        let config = ClientConfig::new(ClusterId(7), ["127.0.0.1:1"]);
        let pool = ConnectionPool::new(config, Links::for_test());
        let deadline = Instant::now() + Duration::from_secs(60);
        let mut attempts = pool.attempts(deadline, RetryPolicy::Never);
        let reason = RejectReason::MembershipChangeInFlight;
        let reply = ReplyBody::Rejected { reason, leader: None };
        let next = attempts.classify_reply("127.0.0.1:1".to_owned(), reply);
        assert!(matches!(next, Ok(NextStep::RetryLater)), "another one may soon be complete");
        let error = attempts.last_error.take().expect("the rejection is recorded");
        let error = attempts.final_error(error);
        assert!(matches!(error, ClientError::NotExecuted(_)), "{error:?}");
        assert!(
            error.to_string().ends_with("until the change is complete, or cancel it"),
            "{error}"
        );
    }

    #[test]
    fn an_attempt_without_a_reply_may_have_been_executed_unless_it_was_not_sent() {
        let config = ClientConfig::new(ClusterId(7), ["127.0.0.1:1"]);
        let pool = ConnectionPool::new(config, Links::for_test());
        let address = || "127.0.0.1:1".to_owned();
        let text = || "end of file".to_owned();
        let not_sent = [
            ConnectionError::Unreachable(text()),
            ConnectionError::Mismatch(Mismatch::Certificate, text()),
            ConnectionError::TooLarge,
        ];
        let failures = not_sent.map(|error| (error, false));
        for policy in [RetryPolicy::ReadOnly, RetryPolicy::Idempotent, RetryPolicy::Never] {
            let attempts = || pool.attempts(Instant::now() + Duration::from_secs(60), policy);
            let lost = (ConnectionError::Lost(text()), true);
            for (error, was_sent) in failures.iter().cloned().chain([lost]) {
                let mut attempts = attempts();
                let ends = attempts.classify_failure(address(), error.clone()).is_err();
                assert_eq!(attempts.may_have_executed(), was_sent, "{error:?}");
                let is_final = policy == RetryPolicy::Never && was_sent;
                let is_too_large = matches!(error, ConnectionError::TooLarge);
                assert_eq!(ends, is_final || is_too_large, "{policy:?} after {error:?}");
            }
            for was_sent in [false, true] {
                let mut attempts = attempts();
                let ends = attempts.timed_out(address(), was_sent).is_err();
                assert_eq!(ends, was_sent && policy == RetryPolicy::Never, "{policy:?}");
                assert_eq!(attempts.may_have_executed(), was_sent);
                let mut late = pool.attempts(Instant::now(), policy);
                let error = late.timed_out(address(), was_sent).err().expect("no time is left");
                let is_unknown = matches!(error, ClientError::Unknown(_));
                assert_eq!(is_unknown, was_sent && policy != RetryPolicy::ReadOnly, "{error:?}");
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn waits_grow_up_to_their_bound_and_each_is_followed_by_a_whole_round() {
        let config = ClientConfig::new(ClusterId(7), ["127.0.0.1:1"]);
        let (retry_min, retry_max) = (config.retry_min, config.retry_max);
        let pool = ConnectionPool::new(config, Links::for_test());
        let deadline = Instant::now() + Duration::from_secs(60);
        let mut attempts = pool.attempts(deadline, RetryPolicy::Idempotent);
        let (mut longest, mut waited) = (retry_min, 0);
        while Instant::now() + retry_max < deadline {
            let error = "refused".to_owned();
            let (address, outdated) = ("127.0.0.1:1".to_owned(), attempts.is_outdated);
            attempts.record(AttemptError::Unreachable { address, error });
            assert_eq!((outdated, attempts.is_outdated), (waited > 0, false));
            attempts.retries = 2;
            let since = Instant::now();
            attempts.wait().await.expect("time is left");
            // The timers of the runtime have whole milliseconds.
            let (wait, rounding) = (since.elapsed(), Duration::from_millis(1));
            assert!(longest / 2 <= wait && wait <= longest + rounding, "{wait:?} of {longest:?}");
            assert_eq!(attempts.retries, 0, "each node is tried again without a wait");
            longest = (longest * 2).min(retry_max);
            waited += 1;
        }
        assert!(longest == retry_max && waited > 60, "{waited} waits");
    }

    #[test]
    fn after_a_rejection_the_outcome_of_an_earlier_attempt_is_unknown() {
        let rejected = RejectCause::Service(ServiceRejectReason::NotAllowed);
        let later = rejection(
            RetryPolicy::Idempotent,
            Some(ReplyBody::Unknown),
            ServiceRejectReason::NotAllowed,
        );
        assert_eq!(later, ClientError::Unknown(AttemptError::Rejected(rejected)));
        let first = rejection(RetryPolicy::Idempotent, None, ServiceRejectReason::NotAllowed);
        assert_eq!(first, ClientError::Rejected(rejected));
    }
}
