//! The client's side of a session: it numbers requests, keeps the pending ones, and returns the
//! calls to send. It has no IO and no clock.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::machine::outcome::Outcome;
use crate::machine::request::{Nonce, Request, Sequence, SessionId, SessionLimits};
use crate::types::Command;

/// The client's side of one session.
///
/// The caller sends each call of [`ClientSession::calls`], as often and to as many nodes as needed,
/// and passes each outcome to [`ClientSession::on_outcome`]. After the session has ended, the
/// caller creates a new one with a new nonce.
#[derive(Clone, Debug)]
pub struct ClientSession {
    nonce: Nonce,
    limits: SessionLimits,
    state: State,
    next: Sequence,
    /// The commands of the requests without a reply.
    pending: BTreeMap<Sequence, Arc<[u8]>>,
}

/// A call that the caller proposes to the cluster, once or more often; each copy may reach the log.
/// The nonce identifies the session, so that outcomes of another session are ignored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Call {
    /// The registration of a session.
    Register(Nonce),
    /// One request of a session, by its sequence number.
    Request(Nonce, Sequence),
}

/// The meaning of an outcome for the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SessionEvent {
    /// The session is registered: requests may be sent.
    Opened(SessionId),
    /// The request was executed exactly once, with this reply.
    Reply(Sequence, Arc<[u8]>),
    /// The session has ended. These requests had no reply: each is executed at most once. The
    /// client sends no more copies of them, but a copy in flight may still be executed.
    Ended(Vec<Sequence>),
    /// The outcome changes nothing: the call has ended already or is of another session, or a later
    /// copy of it may have a different outcome.
    Ignored,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Registering,
    Open(SessionId),
    Ended,
}

impl ClientSession {
    /// Returns a session that is not registered yet. `nonce` must be random, and used for this
    /// session only.
    ///
    /// # Panics
    /// If a limit is out of its bounds.
    #[must_use]
    pub fn new(nonce: Nonce, limits: SessionLimits) -> ClientSession {
        assert!(limits.is_valid(), "{limits:?} is out of bounds");
        let state = State::Registering;
        ClientSession { nonce, limits, state, next: Sequence::FIRST, pending: BTreeMap::new() }
    }

    /// Returns a session in place of this one, which has ended.
    ///
    /// # Panics
    /// If this session has not ended, or if `nonce` is its own: late outcomes of this session would
    /// then be taken for those of the new one.
    #[cfg(feature = "tokio")]
    pub(crate) fn successor(&self, nonce: Nonce) -> ClientSession {
        assert!(self.is_ended(), "a session has a successor once it has ended");
        assert_ne!(nonce, self.nonce, "a nonce is used for one session");
        ClientSession::new(nonce, self.limits)
    }

    /// Adds a command with the next sequence number. Returns `None` while the window is full, and
    /// after the session has ended. Commands may be added before the session is registered;
    /// [`ClientSession::calls`] returns them once it is.
    pub fn submit(&mut self, command: &[u8]) -> Option<Call> {
        if self.state == State::Ended || !self.has_room() {
            return None;
        }
        let sequence = self.next;
        self.next = sequence.next();
        let earlier = self.pending.insert(sequence, Arc::from(command));
        assert_eq!(earlier, None, "a sequence number is used once");
        self.check();
        Some(Call::Request(self.nonce, sequence))
    }

    /// Abandons a request: its outcome is ignored from now on. A copy of the abandoned request may
    /// still be executed until the log has a request of this session that acknowledges it. A later
    /// request acknowledges it if that request is encoded after this call, and while no request
    /// before the abandoned one is pending. Does nothing for a registration, or for a request of
    /// another session.
    pub fn abandon(&mut self, call: Call) {
        if let Call::Request(nonce, sequence) = call
            && nonce == self.nonce
        {
            self.pending.remove(&sequence);
            self.check();
        }
    }

    /// Panics if the parts contradict one another.
    fn check(&self) {
        let last = self.pending.last_key_value().map(|(sequence, _)| *sequence);
        assert!(last < Some(self.next), "only submitted requests are pending");
        assert!(self.pending.len() <= self.limits.window as usize, "the window bounds requests");
        let span = self.next.0 - self.floor().0;
        assert!(span <= u64::from(self.limits.window), "a server accepts each pending request");
        let has_ended = self.state == State::Ended;
        assert!(!has_ended || self.pending.is_empty(), "an ended session sends nothing");
    }

    /// Returns the calls that may be sent now, for the first time or again, in ascending order.
    pub fn calls(&self) -> impl Iterator<Item = Call> + '_ {
        let registers = (self.state == State::Registering).then_some(Call::Register(self.nonce));
        let open = matches!(self.state, State::Open(_));
        let requests = self.pending.keys().filter(move |_| open);
        let requests = requests.map(|sequence| Call::Request(self.nonce, *sequence));
        registers.into_iter().chain(requests)
    }

    /// Returns the encoded request to propose for a call; `None` unless [`ClientSession::calls`]
    /// contains it.
    #[must_use]
    pub fn command(&self, call: Call) -> Option<Command> {
        if !self.awaits(call) {
            return None;
        }
        let request = match call {
            Call::Register(nonce) => Request::Register { nonce, limits: self.limits },
            Call::Request(_, sequence) => Request::InSession {
                session: self.id()?,
                sequence,
                acknowledged: self.floor(),
                command: self.pending.get(&sequence)?,
            },
        };
        Some(request.encode())
    }

    /// Handles the outcome of one copy of a call, of this or of an earlier session.
    pub fn on_outcome(&mut self, call: Call, outcome: &Outcome) -> SessionEvent {
        self.check();
        if !self.awaits(call) {
            return SessionEvent::Ignored;
        }
        match (call, outcome) {
            (Call::Register(_), Outcome::Registered(session)) => {
                self.state = State::Open(*session);
                SessionEvent::Opened(*session)
            }
            (Call::Request(_, sequence), Outcome::Reply(reply)) => {
                self.pending.remove(&sequence);
                SessionEvent::Reply(sequence, Arc::clone(reply))
            }
            (Call::Request(..), Outcome::SessionExpired)
            | (Call::Register(_), Outcome::Rejected(_))
            | (_, Outcome::Malformed) => self.end(),
            _ => SessionEvent::Ignored,
        }
    }

    /// Returns the session id, while the session is open.
    #[must_use]
    pub fn id(&self) -> Option<SessionId> {
        match self.state {
            State::Open(session) => Some(session),
            State::Registering | State::Ended => None,
        }
    }

    /// Returns true if the session has ended.
    #[must_use]
    pub fn is_ended(&self) -> bool {
        self.state == State::Ended
    }

    /// Returns true if the call is of this session, may have been sent, and has no reply yet.
    fn awaits(&self, call: Call) -> bool {
        match (call, self.state) {
            (Call::Register(nonce), State::Registering) => nonce == self.nonce,
            (Call::Request(nonce, sequence), State::Open(_)) => {
                nonce == self.nonce && self.pending.contains_key(&sequence)
            }
            _ => false,
        }
    }

    /// Returns the lowest sequence number without a reply, or the next one to use.
    fn floor(&self) -> Sequence {
        self.pending.first_key_value().map_or(self.next, |(sequence, _)| *sequence)
    }

    fn has_room(&self) -> bool {
        self.next <= Sequence::MAX && self.next.0 - self.floor().0 < u64::from(self.limits.window)
    }

    fn end(&mut self) -> SessionEvent {
        self.state = State::Ended;
        SessionEvent::Ended(std::mem::take(&mut self.pending).into_keys().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{Index, MachineRejectReason};

    const LIMITS: SessionLimits = SessionLimits { window: 2, replies_bytes_max: 10 };

    const NONCE: Nonce = Nonce(7);
    const REGISTER: Call = Call::Register(NONCE);
    /// The id of the session that [`open`] returns.
    const OPEN: SessionId = SessionId(Index(3));

    fn open() -> ClientSession {
        let mut client = ClientSession::new(NONCE, LIMITS);
        let outcome = Outcome::Registered(OPEN);
        assert_eq!(client.on_outcome(REGISTER, &outcome), SessionEvent::Opened(OPEN));
        client
    }

    fn reply() -> Outcome {
        Outcome::Reply(Arc::from(&b"ok"[..]))
    }

    fn calls(client: &ClientSession) -> Vec<Call> {
        client.calls().collect()
    }

    #[test]
    fn a_session_registers_before_it_sends_requests() {
        let mut client = ClientSession::new(NONCE, LIMITS);
        let first = client.submit(b"a").unwrap();
        assert_eq!(calls(&client), [REGISTER]);
        assert_eq!(client.command(first), None);
        let register = client.command(REGISTER).unwrap();
        let expected = Request::Register { nonce: NONCE, limits: LIMITS };
        assert_eq!(Request::decode(&register), Some(expected));
        client.on_outcome(REGISTER, &Outcome::Registered(OPEN));
        assert_eq!(client.id(), Some(OPEN));
        assert_eq!(calls(&client), [first]);
        let again = client.on_outcome(REGISTER, &Outcome::Registered(SessionId(Index(9))));
        assert_eq!((again, client.id()), (SessionEvent::Ignored, Some(OPEN)));
    }

    #[test]
    fn requests_acknowledge_received_replies_and_stay_in_the_window() {
        let mut client = open();
        let first = client.submit(b"a").unwrap();
        let second = client.submit(b"b").unwrap();
        assert_eq!(client.submit(b"c"), None, "the window is full");
        let acknowledged = |client: &ClientSession, call| {
            let command = client.command(call).unwrap();
            match Request::decode(&command) {
                Some(Request::InSession { acknowledged, .. }) => Call::Request(NONCE, acknowledged),
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(acknowledged(&client, second), first);
        assert!(matches!(client.on_outcome(second, &reply()), SessionEvent::Reply(..)));
        assert_eq!(client.submit(b"c"), None, "the first is still open");
        assert!(matches!(client.on_outcome(first, &reply()), SessionEvent::Reply(..)));
        assert_eq!(client.on_outcome(first, &reply()), SessionEvent::Ignored);
        let third = client.submit(b"c").unwrap();
        assert_eq!(third, Call::Request(NONCE, Sequence(3)));
        assert_eq!(acknowledged(&client, third), third);
        assert_eq!(calls(&client), [third]);
    }

    #[test]
    fn an_expired_session_ends_all_pending_requests() {
        let mut client = open();
        let requests = [client.submit(b"a").unwrap(), client.submit(b"b").unwrap()];
        let outside = client.on_outcome(requests[1], &Outcome::OutsideWindow);
        assert_eq!(outside, SessionEvent::Ignored, "another copy may be executed");
        let ended = client.on_outcome(requests[1], &Outcome::SessionExpired);
        assert_eq!(ended, SessionEvent::Ended(vec![Sequence(1), Sequence(2)]));
        assert!(client.is_ended() && calls(&client).is_empty());
        assert_eq!(client.submit(b"c"), None);
        assert_eq!(client.on_outcome(requests[0], &reply()), SessionEvent::Ignored);
    }

    #[test]
    fn a_request_abandoned_before_registration_is_never_sent() {
        let mut client = ClientSession::new(NONCE, LIMITS);
        let first = client.submit(b"a").unwrap();
        client.abandon(first);
        client.on_outcome(REGISTER, &Outcome::Registered(OPEN));
        assert_eq!(calls(&client), []);
    }

    #[test]
    fn an_abandoned_request_makes_room() {
        let mut client = open();
        let first = client.submit(b"a").unwrap();
        client.submit(b"b").unwrap();
        client.abandon(first);
        let third = client.submit(b"c").expect("the first was abandoned");
        let command = client.command(third).unwrap();
        let Some(Request::InSession { acknowledged, .. }) = Request::decode(&command) else {
            panic!("a request in a session");
        };
        assert_eq!(acknowledged, Sequence(2), "no copy of the first is executed any more");
        assert_eq!(client.command(first), None);
        assert_eq!(client.on_outcome(first, &reply()), SessionEvent::Ignored);
        assert_eq!(client.on_outcome(first, &Outcome::SessionExpired), SessionEvent::Ignored);
        assert!(!client.is_ended());
    }

    #[test]
    fn outcomes_of_another_session_are_ignored() {
        let mut client = open();
        let first = client.submit(b"a").unwrap();
        let other = Call::Request(Nonce(8), Sequence(1));
        assert_eq!(client.command(other), None);
        assert_eq!(client.on_outcome(other, &reply()), SessionEvent::Ignored);
        assert_eq!(client.on_outcome(other, &Outcome::SessionExpired), SessionEvent::Ignored);
        client.abandon(other);
        assert_eq!(calls(&client), [first]);
        let mut client = ClientSession::new(Nonce(8), LIMITS);
        let registered = Outcome::Registered(OPEN);
        assert_eq!(
            client.on_outcome(REGISTER, &registered),
            SessionEvent::Ignored,
            "the nonce of another session"
        );
        assert_eq!(
            client.on_outcome(Call::Register(Nonce(8)), &registered),
            SessionEvent::Opened(OPEN)
        );
    }

    #[test]
    fn a_late_outcome_does_not_end_the_session() {
        let mut client = open();
        let first = client.submit(b"a").unwrap();
        client.on_outcome(first, &reply());
        let late = client.on_outcome(first, &Outcome::SessionExpired);
        assert_eq!(late, SessionEvent::Ignored);
        assert!(!client.is_ended());
    }

    #[test]
    fn a_malformed_or_rejected_registration_ends_the_session() {
        let rejected = Outcome::Rejected(MachineRejectReason::Sessions { max: 7 });
        for outcome in [Outcome::Malformed, rejected.clone()] {
            let mut client = ClientSession::new(NONCE, LIMITS);
            assert_eq!(client.on_outcome(REGISTER, &outcome), SessionEvent::Ended(vec![]));
            assert!(client.is_ended());
        }
        let mut client = open();
        let first = client.submit(b"a").unwrap();
        let later = client.on_outcome(first, &rejected);
        assert_eq!(later, SessionEvent::Ignored, "another copy may be executed");
    }
}
