//! The chaos workload of the messaging systems: client operations and invariants.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use quorate_sim::observe::OpId;
use quorate_sim::values::choice::Draw;
use quorate_sim::workload::Workload;

use crate::common::codec;
use crate::common::messaging::machine::MessageStore;
use crate::common::messaging::message::{Command, Mode, Query, Reply, Session};

/// The number of users; small, so that operations conflict.
const USERS: u64 = 3;
/// The number of session tokens; small, so that sessions are often valid.
const TOKENS: u64 = 2;
/// The maximum number of messages in a history.
const HISTORY_MAX: usize = 3;

/// Clients that log in and out, send and receive, with a model of the waiting messages.
#[derive(Clone, Debug, Default)]
pub struct Clients {
    /// The messages that wait for each user, by number: sender and text.
    waiting: BTreeMap<String, BTreeMap<u64, (String, String)>>,
    /// The last message number.
    last: u64,
    accepted: Arc<Accepted>,
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

    /// Checks that message numbers increase, and that the replies to acknowledgements and deletions
    /// count exactly the messages that waited.
    fn check_reply(&mut self, command: &[u8], reply: &[u8]) -> Result<(), String> {
        let reply = codec::decode(reply).ok_or("the reply cannot be decoded")?;
        let command = codec::decode(command).ok_or("the command cannot be decoded")?;
        match (command, reply) {
            (Command::Create { user, .. }, Reply::Created) => self.create(user),
            (Command::Send { session, to, text }, Reply::Sent(number)) => {
                self.send(session.user, &to, text, number)
            }
            (Command::Acknowledge { session, upto }, Reply::Acknowledged(count)) => {
                let taken = self.take(&session.user, upto)?;
                check_count(&session.user, taken, count)
            }
            (Command::Delete { session, .. }, Reply::Deleted(count)) => {
                let lost = self.take(&session.user, u64::MAX)?;
                self.waiting.remove(&session.user);
                check_count(&session.user, lost, count)
            }
            _ => Ok(()),
        }
    }

    /// Checks that a client sees all messages that wait for it, in the order in which they were
    /// sent.
    fn check_answer(&self, query: &[u8], answer: &[u8]) -> Result<(), String> {
        let query = codec::decode(query).ok_or("the query cannot be decoded")?;
        let answer = codec::decode(answer).ok_or("the answer cannot be decoded")?;
        let (Query::Waiting { session, .. }, Reply::Messages(mails, more)) = (query, answer) else {
            return Ok(());
        };
        let shown = mails.into_iter().map(|mail| (mail.number, (mail.from, mail.text)));
        let shown: Vec<_> = shown.collect();
        if !shown.is_empty() {
            self.accepted.shown.fetch_add(1, Ordering::Relaxed);
        }
        let waiting = self.waiting.get(&session.user).into_iter().flatten();
        let waiting = waiting.map(|(number, mail)| (*number, mail.clone()));
        let first: Vec<_> = waiting.clone().take(shown.len()).collect();
        match shown == first && more == (waiting.count() > shown.len()) {
            true => Ok(()),
            false => Err(format!("{} sees {shown:?} instead of {first:?}", session.user)),
        }
    }

    /// Checks that no sent message is lost, and that no acknowledged message still waits.
    fn check_state(&self, machine: &MessageStore) -> Result<(), String> {
        for user in (0..USERS).map(|user| format!("user{user}")) {
            let waiting = machine.waiting(&user);
            let sent = self.waiting.get(&user).map(|sent| sent.keys().copied().collect());
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
        let waiting = self.waiting.get(user).into_iter().flatten();
        waiting.map(|(number, (from, text))| (*number, from.as_str(), text.as_str()))
    }

    fn create(&mut self, user: String) -> Result<(), String> {
        match self.waiting.insert(user.clone(), BTreeMap::new()) {
            None => Ok(()),
            Some(_) => Err(format!("{user} was created twice")),
        }
    }

    fn send(&mut self, from: String, to: &str, text: String, number: u64) -> Result<(), String> {
        let before = std::mem::replace(&mut self.last, number);
        if number <= before {
            return Err(format!("a message got number {number} after number {before}"));
        }
        let waiting = self.waiting.get_mut(to).ok_or_else(|| format!("unknown user {to}"))?;
        waiting.insert(number, (from, text));
        self.accepted.sent.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// Removes the waiting messages of a user up to this number, and returns their count.
    fn take(&mut self, user: &str, upto: u64) -> Result<u64, String> {
        let waiting = self.waiting.get_mut(user).ok_or_else(|| format!("unknown user {user}"))?;
        let before = waiting.len();
        waiting.retain(|number, _| *number > upto);
        let taken = (before - waiting.len()) as u64;
        self.accepted.taken.fetch_add(u64::from(taken > 0), Ordering::Relaxed);
        Ok(taken)
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
}
