//! The chaos workload of the messaging systems: client operations and invariants.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use quorate_sim::observe::OpId;
use quorate_sim::values::choice::Draw;
use quorate_sim::workload::Workload;

use crate::common::codec;
use crate::common::messaging::machine::{MessageStore, PAGE_MAX};
use crate::common::messaging::message::{
    Account, Command, Mail, Mode, Query, RejectReason, Reply, Session,
};

/// The number of users; small, so that operations conflict.
const USERS: u64 = 3;
/// The number of session tokens; small, so that sessions are often valid.
const TOKENS: u64 = 2;
/// The maximum number of messages in a history.
const HISTORY_MAX: usize = 3;

/// Clients that log in and out, send and receive, with a model of the accounts.
#[derive(Clone, Debug, Default)]
pub struct Clients {
    accounts: BTreeMap<String, Model>,
    /// The last message number.
    last: u64,
    accepted: Arc<Accepted>,
}

/// The account of one user, according to the log.
#[derive(Clone, Debug, Default)]
struct Model {
    id: u64,
    /// The token of the user's session, if the user is logged in.
    token: Option<u64>,
    waiting: BTreeMap<u64, Mail>,
    history: BTreeMap<u64, Mail>,
}

/// How often the nodes accepted requests of the clients and of all their clones: the checks say
/// nothing about a state machine that rejects every request.
#[derive(Debug, Default)]
pub struct Accepted {
    /// The messages that were sent.
    pub sent: AtomicU64,
    /// The acknowledgements and deletions that took waiting messages.
    pub taken: AtomicU64,
    /// The answers with waiting messages.
    pub shown: AtomicU64,
}

impl Accepted {
    /// Asserts that the nodes accepted each kind of request at least this often.
    ///
    /// # Panics
    /// If they did not.
    pub fn assert_min(&self, min: u64) {
        let counts = [&self.sent, &self.taken, &self.shown];
        let enough = counts.iter().all(|count| count.load(Ordering::Relaxed) >= min);
        assert!(enough, "fewer than {min} of a kind were accepted: {self:?}");
    }
}

/// Returns a state machine with short histories, because its state is checked often.
fn message_store() -> MessageStore {
    MessageStore::new(Mode::default(), HISTORY_MAX)
}

fn user(draw: &mut Draw<'_>) -> String {
    format!("user{}", draw.below(USERS))
}

fn session(draw: &mut Draw<'_>) -> Session {
    Session { user: user(draw), token: draw.below(TOKENS) }
}

impl Workload for Clients {
    type Machine = MessageStore;

    fn machine(&self) -> MessageStore {
        message_store()
    }

    fn command(&self, op: OpId, draw: &mut Draw<'_>) -> Vec<u8> {
        let text = format!("{}", op.0);
        codec::encode(&match draw.below(16) {
            0..=5 => Command::Send { session: session(draw), to: user(draw), text },
            6 | 7 => Command::Create { user: user(draw), id: op.0 },
            8..=10 => Command::Login(session(draw)),
            // Mostly existing message numbers, and some that do not exist yet.
            11..=13 => {
                Command::Acknowledge { session: session(draw), upto: draw.below(op.0 / 4 + 2) }
            }
            14 => Command::Logout(session(draw)),
            _ => Command::Delete { session: session(draw), discard: draw.below(2) == 0 },
        })
    }

    fn command_bytes_max(&self) -> usize {
        128
    }

    fn query(&self, _: OpId, draw: &mut Draw<'_>) -> Vec<u8> {
        codec::encode(&match draw.below(4) {
            0 => Query::Dump { after: String::new() },
            1 => Query::List { pattern: "*".to_owned(), after: String::new() },
            2 => Query::History { session: session(draw), after: draw.below(20) },
            _ => Query::Waiting { session: session(draw), after: 0 },
        })
    }

    fn describe_command(&self, command: &[u8]) -> String {
        let command: Option<Command> = codec::decode(command);
        command.map_or_else(|| "invalid command".to_owned(), |command| command.to_string())
    }

    /// Checks that message numbers increase, that the replies to acknowledgements and deletions
    /// count exactly the messages that waited, and that each user has one session, which ends with
    /// a logout or another login and is required for what the user sends, receives and deletes.
    fn check_reply(&mut self, command: &[u8], reply: &[u8]) -> Result<(), String> {
        let reply = codec::decode(reply).ok_or("the reply cannot be decoded")?;
        let command = codec::decode(command).ok_or("the command cannot be decoded")?;
        self.check_session(&command, &reply)?;
        match (command, reply) {
            (Command::Create { user, id }, Reply::Created) => self.create(user, id),
            (Command::Login(session), Reply::LoggedIn { id, ended_another }) => {
                self.log_in(&session, id, ended_another)
            }
            (Command::Logout(session), Reply::LoggedOut) => {
                self.account(&session.user)?.token = None;
                Ok(())
            }
            (Command::Send { session, to, text }, Reply::Sent(number)) => {
                self.send(Mail { number, from: session.user, to, text })
            }
            (Command::Acknowledge { session, upto }, Reply::Acknowledged(count)) => {
                let taken = self.take(&session.user, upto)?;
                check_count(&session.user, taken, count)
            }
            (Command::Delete { session, .. }, Reply::Deleted(count)) => {
                let lost = self.take(&session.user, u64::MAX)?;
                self.accounts.remove(&session.user);
                check_count(&session.user, lost, count)
            }
            _ => Ok(()),
        }
    }

    /// Checks that a client sees the accounts, the messages that wait for it and its history as the
    /// log has them, in order, and only in its session.
    fn check_answer(&self, query: &[u8], answer: &[u8]) -> Result<(), String> {
        let query: Query = codec::decode(query).ok_or("the query cannot be decoded")?;
        let answer: Reply = codec::decode(answer).ok_or("the answer cannot be decoded")?;
        let expected = self.expected(&query);
        if answer != expected {
            return Err(format!("the answer to {query:?} is {answer:?}, expected {expected:?}"));
        }
        if let (Query::Waiting { .. }, Reply::Messages(shown, _)) = (&query, &answer)
            && !shown.is_empty()
        {
            self.accepted.shown.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Checks that no sent message is lost, and that no acknowledged message still waits.
    fn check_state(&self, machine: &MessageStore) -> Result<(), String> {
        for user in (0..USERS).map(|user| format!("user{user}")) {
            let waiting = machine.waiting(&user);
            let sent = self.accounts.get(&user).map(|it| it.waiting.keys().copied().collect());
            if waiting != sent {
                return Err(format!("messages {waiting:?} wait for {user}, expected {sent:?}"));
            }
        }
        Ok(())
    }
}

impl Clients {
    /// Returns the counts of accepted requests, which are those of all clones.
    #[must_use]
    pub fn accepted(&self) -> Arc<Accepted> {
        Arc::clone(&self.accepted)
    }

    /// Returns the messages that wait for a user, in order: number, sender and text.
    pub fn waiting(&self, user: &str) -> impl Iterator<Item = (u64, &str, &str)> {
        let waiting = self.accounts.get(user).into_iter().flat_map(|it| it.waiting.values());
        waiting.map(|mail| (mail.number, mail.from.as_str(), mail.text.as_str()))
    }

    fn account(&mut self, user: &str) -> Result<&mut Model, String> {
        self.accounts.get_mut(user).ok_or_else(|| format!("unknown user {user}"))
    }

    /// Returns the account of a session, or the expected rejection if the session has ended.
    fn logged_in(&self, session: &Session) -> Result<&Model, RejectReason> {
        match self.accounts.get(&session.user) {
            None => Err(RejectReason::UnknownUser(session.user.clone())),
            Some(account) if account.token == Some(session.token) => Ok(account),
            Some(_) => Err(RejectReason::NotLoggedIn(session.user.clone())),
        }
    }

    /// Checks that a command that requires a session was rejected exactly if the session has ended.
    fn check_session(&self, command: &Command, reply: &Reply) -> Result<(), String> {
        let session = match command {
            Command::Delete { session, .. }
            | Command::Logout(session)
            | Command::Send { session, .. }
            | Command::Acknowledge { session, .. } => session,
            Command::Create { .. } | Command::Login(_) => return Ok(()),
        };
        let is_right = match self.logged_in(session) {
            Ok(_) => !matches!(reply, Reply::Rejected(RejectReason::NotLoggedIn(_))),
            Err(reason) => *reply == Reply::Rejected(reason),
        };
        match is_right {
            true => Ok(()),
            false => Err(format!("the reply to `{command}` is {reply:?}")),
        }
    }

    fn create(&mut self, user: String, id: u64) -> Result<(), String> {
        match self.accounts.insert(user.clone(), Model { id, ..Model::default() }) {
            None => Ok(()),
            Some(_) => Err(format!("{user} was created twice")),
        }
    }

    fn log_in(&mut self, session: &Session, id: u64, ended_another: bool) -> Result<(), String> {
        let account = self.account(&session.user)?;
        let before = account.token.replace(session.token);
        let expected = (account.id, before.is_some_and(|token| token != session.token));
        match (id, ended_another) == expected {
            true => Ok(()),
            false => Err(format!("{} logs in to {id}, expected {expected:?}", session.user)),
        }
    }

    fn send(&mut self, mail: Mail) -> Result<(), String> {
        let (number, before) = (mail.number, self.last);
        if number <= before {
            return Err(format!("a message got number {number} after number {before}"));
        }
        self.last = number;
        self.account(&mail.to)?.waiting.insert(number, mail.clone());
        self.account(&mail.from.clone())?.remember(mail);
        self.accepted.sent.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// Moves the waiting messages of a user up to this number to its history, and returns their
    /// count.
    fn take(&mut self, user: &str, upto: u64) -> Result<u64, String> {
        let account = self.account(user)?;
        let mut taken = 0;
        while let Some(first) = account.waiting.first_entry().filter(|first| *first.key() <= upto) {
            let mail = first.remove();
            account.remember(mail);
            taken += 1;
        }
        self.accepted.taken.fetch_add(u64::from(taken > 0), Ordering::Relaxed);
        Ok(taken)
    }

    /// Returns the expected answer to a query. All names and accounts fit in one page.
    fn expected(&self, query: &Query) -> Reply {
        let later = |mails: &BTreeMap<u64, Mail>, after: u64| {
            let later = mails.values().filter(|mail| mail.number > after);
            (later.clone().count(), later.take(PAGE_MAX).cloned().collect())
        };
        let messages = |session: &Session, after: u64, of: fn(&Model) -> &BTreeMap<u64, Mail>| {
            self.logged_in(session).map_or_else(Reply::Rejected, |account| {
                let (count, mails) = later(of(account), after);
                Reply::Messages(mails, count > PAGE_MAX)
            })
        };
        match query {
            Query::List { .. } => Reply::Users(self.accounts.keys().cloned().collect(), false),
            Query::Waiting { session, after } => messages(session, *after, |it| &it.waiting),
            Query::History { session, after } => messages(session, *after, |it| &it.history),
            Query::Dump { .. } => {
                let accounts = self.accounts.iter().map(|(user, account)| Account {
                    user: user.clone(),
                    is_logged_in: account.token.is_some(),
                    waiting: account.waiting.keys().copied().collect(),
                    history: account.history.len() as u64,
                });
                Reply::Accounts(accounts.collect(), false)
            }
            Query::Mode => Reply::Mode(Mode::default()),
        }
    }
}

impl Model {
    /// Adds a message to the history, of which the last ones are kept.
    fn remember(&mut self, mail: Mail) {
        self.history.insert(mail.number, mail);
        while self.history.len() > HISTORY_MAX {
            self.history.pop_first();
        }
    }
}

fn check_count(user: &str, expected: u64, replied: u64) -> Result<(), String> {
    match expected == replied {
        true => Ok(()),
        false => Err(format!("the reply to {user} counts {replied} messages, expected {expected}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Checks commands on a state machine, one after the other; `lose` selects lost commands.
    fn checked(commands: &[Command], lose: impl Fn(&Command) -> bool) -> Result<(), String> {
        use quorate::machine::StateMachine;
        use quorate::types::Index;
        let (mut clients, mut store) = (Clients::default(), super::message_store());
        for command in commands {
            let bytes = codec::encode(command);
            let reply = store.clone().apply(Index(1), &bytes);
            if !lose(command) {
                store.apply(Index(1), &bytes);
            }
            clients.check_reply(&bytes, &reply)?;
            clients.check_state(&store)?;
        }
        Ok(())
    }

    fn commands() -> Vec<Command> {
        let session = Session { user: "user0".to_owned(), token: 1 };
        let (to, text) = (session.user.clone(), "7".to_owned());
        vec![
            Command::Create { user: to.clone(), id: 7 },
            Command::Login(session.clone()),
            Command::Send { session: session.clone(), to, text },
            Command::Acknowledge { session, upto: 1 },
        ]
    }

    #[test]
    fn accepted_requests_of_clones_are_counted_and_rejected_ones_are_not() {
        use quorate::machine::StateMachine;
        use quorate::types::Index;
        let (clients, mut store) = (Clients::default(), super::message_store());
        let mut clone = clients.clone();
        let session = Session { user: "user0".to_owned(), token: 1 };
        let mut check = |store: &mut MessageStore, commands: &[Command]| {
            for command in commands {
                let bytes = codec::encode(command);
                clone.check_reply(&bytes, &store.apply(Index(1), &bytes)).expect("it is correct");
            }
            let waiting = codec::encode(&Query::Waiting { session: session.clone(), after: 0 });
            clone.check_answer(&waiting, &store.query(&waiting)).expect("it is correct");
        };
        let counts = || {
            let Accepted { sent, taken, shown } = &*clients.accepted;
            [sent, taken, shown].map(|count| count.load(Ordering::Relaxed))
        };
        let commands = commands();
        check(&mut super::message_store(), &commands[2..]);
        assert_eq!(counts(), [0, 0, 0], "there is no such user");
        check(&mut store, &commands[..3]);
        assert_eq!(counts(), [1, 0, 1]);
        check(&mut store, &commands[3..]);
        assert_eq!(counts(), [1, 1, 1]);
    }

    #[test]
    fn lost_messages_and_lost_acknowledgements_are_detected() {
        assert_eq!(checked(&commands(), |_| false), Ok(()));
        assert!(checked(&commands(), |command| matches!(command, Command::Send { .. })).is_err());
        assert!(
            checked(&commands(), |command| matches!(command, Command::Acknowledge { .. })).is_err()
        );
    }

    #[test]
    fn a_session_that_has_ended_and_one_that_has_not_are_distinguished() {
        let mut clients = Clients::default();
        let of = |token| Session { user: "user0".to_owned(), token };
        let logged_in = |ended_another| Reply::LoggedIn { id: 7, ended_another };
        let send = |token| Command::Send {
            session: of(token),
            to: "user0".to_owned(),
            text: "7".to_owned(),
        };
        let ended = || Reply::Rejected(RejectReason::NotLoggedIn("user0".to_owned()));
        let unknown = || Reply::Rejected(RejectReason::UnknownUser("user0".to_owned()));
        let steps = [
            (send(1), unknown(), Reply::Sent(1)),
            (Command::Create { user: "user0".to_owned(), id: 7 }, Reply::Created, ended()),
            (send(1), ended(), Reply::Sent(1)),
            (Command::Login(of(1)), logged_in(false), logged_in(true)),
            (send(1), Reply::Sent(1), ended()),
            (Command::Login(of(1)), logged_in(false), logged_in(true)),
            (Command::Login(of(2)), logged_in(true), logged_in(false)),
            (send(1), ended(), Reply::Sent(2)),
            (Command::Logout(of(1)), ended(), Reply::LoggedOut),
            (send(2), Reply::Sent(2), ended()),
            (Command::Logout(of(2)), Reply::LoggedOut, ended()),
            (send(2), ended(), Reply::Sent(3)),
        ];
        for (command, right, wrong) in steps {
            let bytes = codec::encode(&command);
            let is_creation = matches!(command, Command::Create { .. });
            let wrong = clients.clone().check_reply(&bytes, &codec::encode(&wrong));
            assert_eq!(wrong.is_err(), !is_creation, "{command}");
            let right = clients.check_reply(&bytes, &codec::encode(&right));
            assert_eq!(right, Ok(()), "{command}");
        }
    }

    #[test]
    fn wrong_lists_histories_and_queues_are_detected() {
        use quorate::machine::StateMachine;
        use quorate::types::Index;
        let (mut clients, mut store) = (Clients::default(), super::message_store());
        let session = Session { user: "user0".to_owned(), token: 1 };
        let queries = [
            Query::List { pattern: "*".to_owned(), after: String::new() },
            Query::Dump { after: String::new() },
            Query::Waiting { session: session.clone(), after: 0 },
            Query::History { session, after: 0 },
        ];
        let queries = queries.map(|query| codec::encode(&query));
        let mut states = Vec::new();
        for command in commands() {
            states.push(store.clone());
            let bytes = codec::encode(&command);
            let reply = store.apply(Index(1), &bytes);
            assert_eq!(clients.check_reply(&bytes, &reply), Ok(()));
        }
        states.push(store);
        for (number, state) in states.iter().enumerate() {
            let is_wrong =
                |query: &Vec<u8>| clients.check_answer(query, &state.query(query)).is_err();
            // After the creation, the login, the message and the acknowledgement.
            let expected = match number {
                0 => [true, true, true, true],
                1 => [false, true, true, true],
                2 => [false, true, false, true],
                3 => [false, true, true, false],
                _ => [false, false, false, false],
            };
            assert_eq!(queries.each_ref().map(is_wrong), expected, "after {number} commands");
        }
    }
}
