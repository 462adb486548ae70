//! The client session, within which a proposal takes effect once, however often it is sent.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::{Mutex as Gate, Notify};
use tokio::time::{Instant, timeout};

use crate::machine::SessionLimits;
use crate::machine::{Call, ClientSession, Nonce, Outcome, SessionEvent, SessionId};
use crate::runtime::client::attempts::{Attempts, ConnectionPool, RetryPolicy, Route};
use crate::runtime::client::error::{AttemptError, ClientError, RejectCause};
use crate::runtime::lock::lock;
use crate::types::{Acknowledge, Command};
use crate::wire::{ReplyBody, RequestBody};

/// The current session, shared by the clones of a client. Each proposal occupies a slot of the
/// window; the window limits the proposals in flight, and further ones wait in order.
#[derive(Debug)]
pub(super) struct Session {
    acknowledge: Acknowledge,
    /// Held by the proposal that acquires the next slot, and opens the session if necessary.
    turn: Gate<()>,
    state: Mutex<ClientSession>,
    /// Notified when a slot becomes free or the session ends.
    slot_freed: Notify,
}

/// The slot of a proposal in the window, which is freed when this is dropped.
struct WindowSlot<'a> {
    session: &'a Session,
    call: Call,
}

impl Session {
    pub(super) fn new(nonce: Nonce, limits: SessionLimits, acknowledge: Acknowledge) -> Session {
        let state = ClientSession::new(nonce, limits);
        let (turn, state) = (Gate::new(()), Mutex::new(state));
        Session { acknowledge, turn, state, slot_freed: Notify::new() }
    }

    /// Proposes the command, to be applied once, and returns the reply.
    ///
    /// # Errors
    /// A [`ClientError`].
    pub(super) async fn propose(
        &self,
        pool: &ConnectionPool,
        deadline: Instant,
        command: &[u8],
    ) -> Result<Arc<[u8]>, ClientError> {
        let mut attempts = pool.attempts(deadline, RetryPolicy::Idempotent);
        loop {
            let slot = self.acquire_slot(pool, deadline, command).await?;
            let reply = self.send(&slot, &mut attempts).await?;
            match reply {
                Some(reply) => return Ok(reply),
                None if attempts.may_have_executed() => {
                    return Err(ClientError::Unknown(AttemptError::SessionExpired));
                }
                // No attempt can have been executed: propose the command in a new session. The wait
                // limits how often clients of one principal displace each other's sessions, if more
                // of them are active than it may have sessions.
                None => {
                    drop(slot);
                    attempts.record(AttemptError::SessionExpired);
                    attempts.wait().await?;
                }
            }
        }
    }

    /// Waits in order for a slot in the window of an open session.
    async fn acquire_slot(
        &self,
        pool: &ConnectionPool,
        deadline: Instant,
        command: &[u8],
    ) -> Result<WindowSlot<'_>, ClientError> {
        let full = |_| {
            let is_open = lock(&self.state).id().is_some();
            let error = if is_open { AttemptError::WindowFull } else { AttemptError::NoSession };
            ClientError::NotExecuted(error)
        };
        let _turn = timeout(time_until(deadline), self.turn.lock()).await.map_err(full)?;
        loop {
            self.open(pool, deadline).await?;
            let mut freed = std::pin::pin!(self.slot_freed.notified());
            freed.as_mut().enable();
            let call = {
                let mut state = lock(&self.state);
                // A session that ended before `freed` was enabled does not notify it.
                if state.is_ended() {
                    continue;
                }
                state.submit(command)
            };
            if let Some(call) = call {
                return Ok(WindowSlot { session: self, call });
            }
            timeout(time_until(deadline), freed).await.map_err(full)?;
        }
    }

    /// Opens the session unless it is open; opens a new one if it has ended.
    async fn open(&self, pool: &ConnectionPool, deadline: Instant) -> Result<(), ClientError> {
        // An attempt that may have opened a session has not executed the caller's command.
        let mut attempts = pool.attempts(deadline, RetryPolicy::ReadOnly);
        loop {
            let register = {
                let mut state = lock(&self.state);
                if state.is_ended() {
                    let nonce = Nonce(pool.links().environment.entropy());
                    *state = state.successor(nonce);
                }
                match state.calls().next() {
                    Some(register @ Call::Register(_)) => register,
                    _ => return Ok(()),
                }
            };
            let body = || {
                let command = lock(&self.state).command(register);
                command.map(|command| self.request(command))
            };
            let outcome = match attempts.send(Route::Leader, body).await? {
                Some(ReplyBody::Registered { session, .. }) => {
                    Outcome::Registered(SessionId(session))
                }
                Some(ReplyBody::Malformed { .. }) => {
                    return Err(ClientError::Rejected(RejectCause::MalformedCommand));
                }
                Some(_) => return Err(ClientError::NotExecuted(AttemptError::UnexpectedReply)),
                None => continue,
            };
            lock(&self.state).on_outcome(register, &outcome);
        }
    }

    /// Sends the proposal until there is a reply; returns `None` if the session ends first.
    async fn send(
        &self,
        slot: &WindowSlot<'_>,
        attempts: &mut Attempts<'_>,
    ) -> Result<Option<Arc<[u8]>>, ClientError> {
        loop {
            let body = || slot.command().map(|command| self.request(command));
            match attempts.send(Route::Leader, body).await? {
                None => return Ok(None),
                Some(ReplyBody::Replied { reply, .. }) => {
                    slot.answer(&Outcome::Reply(Arc::clone(&reply)));
                    return Ok(Some(reply));
                }
                Some(ReplyBody::SessionExpired { .. }) => {
                    slot.answer(&Outcome::SessionExpired);
                    return Ok(None);
                }
                // Earlier proposals of the window have not been applied yet.
                Some(ReplyBody::OutsideWindow { .. }) => attempts.wait().await?,
                Some(ReplyBody::Malformed { .. }) => {
                    return Err(ClientError::Rejected(RejectCause::MalformedCommand));
                }
                // Such a node is faulty or of another version, and may have the command in its log.
                Some(_) => return Err(ClientError::Unknown(AttemptError::UnexpectedReply)),
            }
        }
    }

    fn request(&self, command: Command) -> RequestBody {
        RequestBody::Propose { acknowledge: self.acknowledge, command }
    }
}

impl WindowSlot<'_> {
    /// Returns the command to send now; `None` if the session has ended.
    fn command(&self) -> Option<Command> {
        lock(&self.session.state).command(self.call)
    }

    fn answer(&self, outcome: &Outcome) {
        let answer = lock(&self.session.state).on_outcome(self.call, outcome);
        if let SessionEvent::Ended(_) = answer {
            self.session.slot_freed.notify_waiters();
        }
    }
}

impl Drop for WindowSlot<'_> {
    fn drop(&mut self) {
        lock(&self.session.state).abandon(self.call);
        self.session.slot_freed.notify_waiters();
    }
}

fn time_until(deadline: Instant) -> Duration {
    deadline.saturating_duration_since(Instant::now())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::client::config::ClientConfig;
    use crate::runtime::transport::link::Links;
    use crate::storage::ClusterId;
    use crate::types::Index;

    const NONCE: Nonce = Nonce(7);

    fn pool() -> ConnectionPool {
        let config = ClientConfig::new(ClusterId(7), ["127.0.0.1:1"]);
        ConnectionPool::new(config, Links::for_test())
    }

    /// Returns an open session with a window of two requests.
    fn open() -> Session {
        let limits = SessionLimits { window: 2, replies_bytes_max: 0 };
        let session = Session::new(NONCE, limits, Acknowledge::Default);
        let registered = Outcome::Registered(SessionId(Index(3)));
        lock(&session.state).on_outcome(Call::Register(NONCE), &registered);
        session
    }

    #[tokio::test(start_paused = true)]
    async fn a_proposal_that_waits_for_the_window_begins_once_the_first_slot_is_free() {
        let (session, pool) = (open(), pool());
        let deadline = Instant::now() + Duration::from_secs(60);
        let acquire = || session.acquire_slot(&pool, deadline, b"a");
        let first = acquire().await.expect("the window has room");
        let second = acquire().await.expect("the window has room");
        let waiting = async { acquire().await.map(|slot| slot.call) };
        let free = async {
            tokio::task::yield_now().await;
            drop(first);
        };
        let (third, ()) = tokio::join!(waiting, free);
        assert!(third.is_ok() && Instant::now() < deadline, "{third:?}");
        drop(second);
    }

    #[tokio::test(start_paused = true)]
    async fn the_end_of_a_session_ends_the_wait_for_its_window() {
        let (session, pool) = (open(), pool());
        let deadline = Instant::now() + Duration::from_secs(60);
        let acquire = || session.acquire_slot(&pool, deadline, b"a");
        let (first, _second) = (acquire().await.unwrap(), acquire().await.unwrap());
        let waiting = async { acquire().await.map(|slot| slot.call) };
        let end = async {
            tokio::task::yield_now().await;
            first.answer(&Outcome::SessionExpired);
            tokio::task::yield_now().await;
            assert!(!lock(&session.state).is_ended(), "another session takes its place");
            assert_eq!(first.command(), None, "its requests are not sent again");
        };
        tokio::select! {
            biased;
            waited = waiting => panic!("no node registers the next session: {waited:?}"),
            () = end => {}
        }
    }

    #[test]
    #[should_panic(expected = "a nonce is used for one session")]
    fn a_session_with_the_nonce_of_the_one_before_panics() {
        let session = open();
        let call = lock(&session.state).submit(b"a").expect("the window has room");
        lock(&session.state).on_outcome(call, &Outcome::SessionExpired);
        let _ = lock(&session.state).successor(NONCE);
    }
}
