//! A client's own side of a session: it numbers requests, keeps what has no answer yet, and says
//! what to send. Without IO and without a clock.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::machine::outcome::Outcome;
use crate::machine::request::{Nonce, Request, Sequence, SessionId, SessionLimits};
use crate::types::Command;

/// A client's side of one session.
///
/// Send what [`ClientSession::calls`] names, as often and to whichever node it takes, and hand in
/// every outcome. Once the session is over, open another with another nonce.
#[derive(Clone, Debug)]
pub struct ClientSession {
    nonce: Nonce,
    limits: SessionLimits,
    state: State,
    next: Sequence,
    /// The requests without an answer.
    waiting: BTreeMap<Sequence, Arc<[u8]>>,
}

/// Something to have proposed; every copy of it may reach the log. The nonce says of which session
/// it is: an outcome that comes when another is open means nothing to that one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Call {
    /// The registration of a session.
    Register(Nonce),
    /// One request of a session.
    Request(Nonce, Sequence),
}

/// What an outcome means for the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The session is open: requests may be sent.
    Opened(SessionId),
    /// The request was carried out exactly once.
    Reply(Sequence, Arc<[u8]>),
    /// The session is over. These requests had no answer: each was carried out once or never, and
    /// none will be from now on, save copies that are on their way.
    Over(Vec<Sequence>),
    /// Nothing new: an answer the client had before, or one that a later copy makes up for.
    Nothing,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Registering,
    Open(SessionId),
    Over,
}

impl ClientSession {
    /// A session that is not registered yet. `nonce` is random, and used for this session alone.
    ///
    /// # Panics
    /// If a limit is out of its bounds.
    #[must_use]
    pub fn new(nonce: Nonce, limits: SessionLimits) -> ClientSession {
        assert!(limits.is_valid(), "{limits:?} is out of bounds");
        let state = State::Registering;
        ClientSession { nonce, limits, state, next: Sequence::FIRST, waiting: BTreeMap::new() }
    }

    /// Takes in a command and gives it the next number; none while the window is full or once the
    /// session is over. Commands may be taken in before the session is open: they are called for
    /// once it is.
    pub fn submit(&mut self, command: &[u8]) -> Option<Call> {
        if self.state == State::Over || !self.has_room() {
            return None;
        }
        let sequence = self.next;
        self.next = sequence.next();
        let earlier = self.waiting.insert(sequence, Arc::from(command));
        assert_eq!(earlier, None, "a number is given once");
        Some(Call::Request(self.nonce, sequence))
    }

    /// The client does not wait for the request any more. Whether it was carried out stays
    /// unknown; copies of it that reach the log after a later request are not. Does nothing for a
    /// registration, or a request of another session.
    pub fn give_up(&mut self, call: Call) {
        if let Call::Request(nonce, sequence) = call
            && nonce == self.nonce
        {
            self.waiting.remove(&sequence);
        }
    }

    /// What may be sent now, for the first time or again, lowest number first.
    pub fn calls(&self) -> impl Iterator<Item = Call> + '_ {
        let registers = (self.state == State::Registering).then_some(Call::Register(self.nonce));
        let open = matches!(self.state, State::Open(_));
        let requests = self.waiting.keys().filter(move |_| open);
        let requests = requests.map(|sequence| Call::Request(self.nonce, *sequence));
        registers.into_iter().chain(requests)
    }

    /// The command to have proposed for a call; none unless [`ClientSession::calls`] has it.
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
                command: self.waiting.get(&sequence)?,
            },
        };
        Some(request.encode())
    }

    /// Takes in what came of one copy of a call: of this session's, or of an earlier one's, which
    /// is nothing new.
    pub fn answer(&mut self, call: Call, outcome: &Outcome) -> Answer {
        if !self.awaits(call) {
            return Answer::Nothing;
        }
        match (call, outcome) {
            (Call::Register(_), Outcome::Registered(session)) => {
                self.state = State::Open(*session);
                Answer::Opened(*session)
            }
            (Call::Request(_, sequence), Outcome::Reply(reply)) => {
                self.waiting.remove(&sequence);
                Answer::Reply(sequence, Arc::clone(reply))
            }
            (Call::Request(..), Outcome::SessionExpired) | (_, Outcome::Malformed) => self.end(),
            _ => Answer::Nothing,
        }
    }

    /// The session, once it is open.
    #[must_use]
    pub fn id(&self) -> Option<SessionId> {
        match self.state {
            State::Open(session) => Some(session),
            State::Registering | State::Over => None,
        }
    }

    /// Whether the session has ended.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.state == State::Over
    }

    /// Whether the call is this session's, may have been sent, and has no answer yet.
    fn awaits(&self, call: Call) -> bool {
        match (call, self.state) {
            (Call::Register(nonce), State::Registering) => nonce == self.nonce,
            (Call::Request(nonce, sequence), State::Open(_)) => {
                nonce == self.nonce && self.waiting.contains_key(&sequence)
            }
            _ => false,
        }
    }

    /// The lowest number that has no answer yet, or will be given next.
    fn floor(&self) -> Sequence {
        self.waiting.first_key_value().map_or(self.next, |(sequence, _)| *sequence)
    }

    fn has_room(&self) -> bool {
        self.next <= Sequence::MAX && self.next.0 - self.floor().0 < u64::from(self.limits.window)
    }

    fn end(&mut self) -> Answer {
        self.state = State::Over;
        Answer::Over(std::mem::take(&mut self.waiting).into_keys().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::Index;

    const LIMITS: SessionLimits =
        SessionLimits { sessions_max: 2, window: 2, replies_bytes_max: 10 };

    const NONCE: Nonce = Nonce(7);
    const REGISTER: Call = Call::Register(NONCE);
    /// What [`open`] gives.
    const OPEN: SessionId = SessionId(Index(3));

    fn open() -> ClientSession {
        let mut client = ClientSession::new(NONCE, LIMITS);
        let outcome = Outcome::Registered(OPEN);
        assert_eq!(client.answer(REGISTER, &outcome), Answer::Opened(OPEN));
        client
    }

    fn reply() -> Outcome {
        Outcome::Reply(Arc::from(&b"ok"[..]))
    }

    fn calls(client: &ClientSession) -> Vec<Call> {
        client.calls().collect()
    }

    #[test]
    fn a_session_registers_before_it_asks() {
        let mut client = ClientSession::new(NONCE, LIMITS);
        let first = client.submit(b"a").unwrap();
        assert_eq!(calls(&client), [REGISTER]);
        assert_eq!(client.command(first), None);
        let register = client.command(REGISTER).unwrap();
        let expected = Request::Register { nonce: NONCE, limits: LIMITS };
        assert_eq!(Request::decode(&register), Some(expected));
        client.answer(REGISTER, &Outcome::Registered(OPEN));
        assert_eq!(client.id(), Some(OPEN));
        assert_eq!(calls(&client), [first]);
        let again = client.answer(REGISTER, &Outcome::Registered(SessionId(Index(9))));
        assert_eq!((again, client.id()), (Answer::Nothing, Some(OPEN)));
    }

    #[test]
    fn it_acknowledges_what_it_has_and_keeps_to_its_window() {
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
        assert!(matches!(client.answer(second, &reply()), Answer::Reply(..)));
        assert_eq!(client.submit(b"c"), None, "the first is still open");
        assert!(matches!(client.answer(first, &reply()), Answer::Reply(..)));
        assert_eq!(client.answer(first, &reply()), Answer::Nothing);
        let third = client.submit(b"c").unwrap();
        assert_eq!(third, Call::Request(NONCE, Sequence(3)));
        assert_eq!(acknowledged(&client, third), third);
        assert_eq!(calls(&client), [third]);
    }

    #[test]
    fn an_expired_session_ends_everything_that_has_no_answer() {
        let mut client = open();
        let requests = [client.submit(b"a").unwrap(), client.submit(b"b").unwrap()];
        let outside = client.answer(requests[1], &Outcome::OutsideWindow);
        assert_eq!(outside, Answer::Nothing, "another copy may be carried out");
        let over = client.answer(requests[1], &Outcome::SessionExpired);
        assert_eq!(over, Answer::Over(vec![Sequence(1), Sequence(2)]));
        assert!(client.is_over() && calls(&client).is_empty());
        assert_eq!(client.submit(b"c"), None);
        assert_eq!(client.answer(requests[0], &reply()), Answer::Nothing);
    }

    #[test]
    fn what_is_given_up_before_the_session_is_open_is_never_sent() {
        let mut client = ClientSession::new(NONCE, LIMITS);
        let first = client.submit(b"a").unwrap();
        client.give_up(first);
        client.answer(REGISTER, &Outcome::Registered(OPEN));
        assert_eq!(calls(&client), []);
    }

    #[test]
    fn what_is_given_up_makes_room() {
        let mut client = open();
        let first = client.submit(b"a").unwrap();
        client.submit(b"b").unwrap();
        client.give_up(first);
        let third = client.submit(b"c").expect("the first is not waited for any more");
        let command = client.command(third).unwrap();
        let Some(Request::InSession { acknowledged, .. }) = Request::decode(&command) else {
            panic!("a request in a session");
        };
        assert_eq!(acknowledged, Sequence(2), "no copy of the first is carried out any more");
        assert_eq!(client.command(first), None);
        assert_eq!(client.answer(first, &reply()), Answer::Nothing);
        assert_eq!(client.answer(first, &Outcome::SessionExpired), Answer::Nothing);
        assert!(!client.is_over());
    }

    #[test]
    fn what_comes_of_another_session_means_nothing() {
        let mut client = open();
        let first = client.submit(b"a").unwrap();
        let other = Call::Request(Nonce(8), Sequence(1));
        assert_eq!(client.command(other), None);
        assert_eq!(client.answer(other, &reply()), Answer::Nothing);
        assert_eq!(client.answer(other, &Outcome::SessionExpired), Answer::Nothing);
        client.give_up(other);
        assert_eq!(calls(&client), [first]);
        let mut client = ClientSession::new(Nonce(8), LIMITS);
        let registered = Outcome::Registered(OPEN);
        assert_eq!(client.answer(REGISTER, &registered), Answer::Nothing, "another's nonce");
        assert_eq!(client.answer(Call::Register(Nonce(8)), &registered), Answer::Opened(OPEN));
    }

    #[test]
    fn an_answer_that_came_late_ends_nothing() {
        let mut client = open();
        let first = client.submit(b"a").unwrap();
        client.answer(first, &reply());
        let late = client.answer(first, &Outcome::SessionExpired);
        assert_eq!(late, Answer::Nothing);
        assert!(!client.is_over());
    }

    #[test]
    fn a_registration_that_makes_no_sense_to_a_node_is_the_end() {
        let mut client = ClientSession::new(NONCE, LIMITS);
        assert_eq!(client.answer(REGISTER, &Outcome::Malformed), Answer::Over(vec![]));
        assert!(client.is_over());
    }
}
