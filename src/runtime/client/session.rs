//! The session that makes a proposal count once, however often it is sent and to whom.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::{Mutex as Gate, Notify};
use tokio::time::{Instant, timeout};

use crate::machine::SessionLimits;
use crate::machine::{Answer, Call, ClientSession, Nonce, Outcome, SessionId};
use crate::runtime::client::attempts::{Attempts, Network, Repeats, Route};
use crate::runtime::client::connection::lock;
use crate::runtime::client::error::{ClientError, Rejection, Trouble};
use crate::runtime::entropy::entropy;
use crate::types::{Acknowledge, Command};
use crate::wire::{Told, Wanted};

/// One session at a time, shared by the clones of a client. A proposal takes a place in its window;
/// there are so many that may be under way together, and the rest wait in their order.
#[derive(Debug)]
pub(super) struct Session {
    limits: SessionLimits,
    acknowledge: Acknowledge,
    /// Whoever holds it is the next to take a place, and opens the session if it must.
    gate: Gate<()>,
    state: Mutex<ClientSession>,
    /// A place is free, or the session is over.
    room: Notify,
}

/// A proposal's place in the window. It is free again when this is dropped.
struct Place<'a> {
    session: &'a Session,
    call: Call,
}

impl Session {
    pub(super) fn new(limits: SessionLimits, acknowledge: Acknowledge) -> Session {
        let state = ClientSession::new(Nonce(entropy()), limits);
        let (gate, state) = (Gate::new(()), Mutex::new(state));
        Session { limits, acknowledge, gate, state, room: Notify::new() }
    }

    /// Has the command carried out once, and gives the reply.
    ///
    /// # Errors
    /// A [`ClientError`].
    pub(super) async fn propose(
        &self,
        network: &Network,
        deadline: Instant,
        command: &[u8],
    ) -> Result<Arc<[u8]>, ClientError> {
        let mut attempts = network.attempts(deadline, Repeats::Once);
        loop {
            let place = self.enter(network, deadline, command).await?;
            let told = self.ask(&place, &mut attempts).await?;
            match told {
                Some(reply) => return Ok(reply),
                None if attempts.may_have_happened() => {
                    return Err(ClientError::Unknown(Trouble::SessionExpired));
                }
                // It was never in the log: it may be asked for in another session.
                None => drop(place),
            }
        }
    }

    /// Takes a place in the window of an open session, in turn.
    async fn enter(
        &self,
        network: &Network,
        deadline: Instant,
        command: &[u8],
    ) -> Result<Place<'_>, ClientError> {
        let full = |_| {
            let is_open = lock(&self.state).id().is_some();
            let trouble = if is_open { Trouble::WindowFull } else { Trouble::NoSession };
            ClientError::NotProposed(trouble)
        };
        let _turn = timeout(until(deadline), self.gate.lock()).await.map_err(full)?;
        loop {
            self.open(network, deadline).await?;
            let mut room = std::pin::pin!(self.room.notified());
            room.as_mut().enable();
            let taken = {
                let mut state = lock(&self.state);
                // Who ended it meanwhile has said so to those alone that were waiting.
                if state.is_over() {
                    continue;
                }
                state.submit(command)
            };
            if let Some(call) = taken {
                return Ok(Place { session: self, call });
            }
            timeout(until(deadline), room).await.map_err(full)?;
        }
    }

    /// Opens the session if it is not open; another one if it is over.
    async fn open(&self, network: &Network, deadline: Instant) -> Result<(), ClientError> {
        let mut attempts = network.attempts(deadline, Repeats::Harmless);
        loop {
            let register = {
                let mut state = lock(&self.state);
                if state.is_over() {
                    *state = ClientSession::new(Nonce(entropy()), self.limits);
                }
                match state.calls().next() {
                    Some(register @ Call::Register(_)) => register,
                    _ => return Ok(()),
                }
            };
            let wanted = || {
                let command = lock(&self.state).command(register);
                command.map(|command| self.wanted(command))
            };
            let outcome = match attempts.ask(Route::Leader, wanted).await? {
                Some(Told::Registered { session, .. }) => Outcome::Registered(SessionId(session)),
                Some(_) => return Err(ClientError::Rejected(Rejection::Malformed)),
                None => continue,
            };
            lock(&self.state).answer(register, &outcome);
        }
    }

    /// Asks until there is a reply; none if the session is over before.
    async fn ask(
        &self,
        place: &Place<'_>,
        attempts: &mut Attempts<'_>,
    ) -> Result<Option<Arc<[u8]>>, ClientError> {
        loop {
            let wanted = || place.command().map(|command| self.wanted(command));
            match attempts.ask(Route::Leader, wanted).await? {
                None => return Ok(None),
                Some(Told::Replied { reply, .. }) => {
                    place.answer(&Outcome::Reply(Arc::clone(&reply)));
                    return Ok(Some(reply));
                }
                Some(Told::SessionExpired { .. }) => {
                    place.answer(&Outcome::SessionExpired);
                    return Ok(None);
                }
                // Requests before it have not arrived yet.
                Some(Told::OutsideWindow { .. }) => attempts.wait().await?,
                Some(_) => return Err(ClientError::Rejected(Rejection::Malformed)),
            }
        }
    }

    fn wanted(&self, command: Command) -> Wanted {
        Wanted::Propose { acknowledge: self.acknowledge, command }
    }
}

impl Place<'_> {
    /// What to send now; none if the session is over.
    fn command(&self) -> Option<Command> {
        lock(&self.session.state).command(self.call)
    }

    fn answer(&self, outcome: &Outcome) {
        let answer = lock(&self.session.state).answer(self.call, outcome);
        if let Answer::Over(_) = answer {
            self.session.room.notify_waiters();
        }
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        lock(&self.session.state).give_up(self.call);
        self.session.room.notify_waiters();
    }
}

fn until(deadline: Instant) -> Duration {
    deadline.saturating_duration_since(Instant::now())
}
