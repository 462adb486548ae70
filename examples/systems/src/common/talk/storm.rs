//! The talk in the simulator's storms: what its clients ask for, and what must always hold.

use std::collections::BTreeMap;

use quorate_sim::choice::Draw;
use quorate_sim::observe::OpId;
use quorate_sim::workload::Workload;

use crate::common::codec;
use crate::common::talk::machine::Talk;
use crate::common::talk::message::{Command, Mode, Query, Reply, Session};

/// How many users there are: few, so that operations meet.
const USERS: u64 = 3;
/// How many tokens clients log in with: few, so that sessions are often in force.
const TOKENS: u64 = 2;
/// How many messages a history has.
const HISTORY_MAX: usize = 3;

/// Clients that come, go, send and receive; with a model of what waits, if they check.
#[derive(Clone, Debug, Default)]
pub struct Clients {
    /// What was sent to each user there is, and not taken yet, by number: who sent it, and what.
    waiting: BTreeMap<String, BTreeMap<u64, (String, String)>>,
    /// The last number that a message got.
    last: u64,
}

/// A talk with short histories: its state is looked at again and again.
fn talk() -> Talk {
    Talk::new(Mode::default(), HISTORY_MAX)
}

fn user(draw: &mut Draw<'_>) -> String {
    format!("user{}", draw.below(USERS))
}

fn session(draw: &mut Draw<'_>) -> Session {
    Session { user: user(draw), token: draw.below(TOKENS) }
}

impl Workload for Clients {
    type Machine = Talk;

    fn machine(&self) -> Talk {
        talk()
    }

    fn command(&self, op: OpId, draw: &mut Draw<'_>) -> Vec<u8> {
        let text = format!("{}", op.0);
        codec::encode(&match draw.below(16) {
            0..=5 => Command::Send { session: session(draw), to: user(draw), text },
            6 | 7 => Command::Create { user: user(draw), id: op.0 },
            8..=10 => Command::Login(session(draw)),
            // Numbers that were given, most of them, and some that are not yet.
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

    fn words(&self, command: &[u8]) -> String {
        let command: Option<Command> = codec::decode(command);
        command.map_or_else(|| "no command".to_owned(), |command| command.to_string())
    }

    /// Numbers go up; what is taken is what was sent and not taken before.
    fn check_reply(&mut self, command: &[u8], reply: &[u8]) -> Result<(), String> {
        let reply = codec::decode(reply).ok_or("it replies what is no reply")?;
        let command = codec::decode(command).ok_or("it replies to what is no command")?;
        match (command, reply) {
            (Command::Create { user, .. }, Reply::Created) => self.create(user),
            (Command::Send { session, to, text }, Reply::Sent(number)) => {
                self.send(session.user, &to, text, number)
            }
            (Command::Acknowledge { session, upto }, Reply::Acknowledged(count)) => {
                let taken = self.take(&session.user, upto)?;
                same(&session.user, taken, count)
            }
            (Command::Delete { session, .. }, Reply::Deleted(count)) => {
                let lost = self.take(&session.user, u64::MAX)?;
                self.waiting.remove(&session.user);
                same(&session.user, lost, count)
            }
            _ => Ok(()),
        }
    }

    /// A client is shown what waits for it, in the order in which it was sent, and all of it.
    fn check_answer(&self, query: &[u8], answer: &[u8]) -> Result<(), String> {
        let query = codec::decode(query).ok_or("it answers what is no query")?;
        let answer = codec::decode(answer).ok_or("it answers with what is no reply")?;
        let (Query::Waiting { session, .. }, Reply::Messages(mails, more)) = (query, answer) else {
            return Ok(());
        };
        let shown = mails.into_iter().map(|mail| (mail.number, (mail.from, mail.text)));
        let shown: Vec<_> = shown.collect();
        let waiting = self.waiting.get(&session.user).into_iter().flatten();
        let waiting = waiting.map(|(number, mail)| (*number, mail.clone()));
        let first: Vec<_> = waiting.clone().take(shown.len()).collect();
        match shown == first && more == (waiting.count() > shown.len()) {
            true => Ok(()),
            false => Err(format!("{} is shown {shown:?} of {first:?}", session.user)),
        }
    }

    /// Nothing that was sent is lost, and nothing that was taken waits.
    fn check_state(&self, machine: &Talk) -> Result<(), String> {
        for user in (0..USERS).map(|user| format!("user{user}")) {
            let waiting = machine.waiting(&user);
            let sent = self.waiting.get(&user).map(|sent| sent.keys().copied().collect());
            if waiting != sent {
                return Err(format!("{waiting:?} wait for {user}, and {sent:?} were sent to it"));
            }
        }
        Ok(())
    }
}

impl Clients {
    /// What was sent to a user and not taken yet, in order: its number, who sent it, and what.
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
        let waiting = self.waiting.get_mut(to).ok_or_else(|| format!("there is no {to}"))?;
        waiting.insert(number, (from, text));
        Ok(())
    }

    /// How many of a user's messages up to this number are taken.
    fn take(&mut self, user: &str, upto: u64) -> Result<u64, String> {
        let waiting = self.waiting.get_mut(user).ok_or_else(|| format!("there is no {user}"))?;
        let before = waiting.len();
        waiting.retain(|number, _| *number > upto);
        Ok((before - waiting.len()) as u64)
    }
}

fn same(user: &str, taken: u64, told: u64) -> Result<(), String> {
    match taken == told {
        true => Ok(()),
        false => Err(format!("{user} is told that {told} messages were taken, and {taken} were")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Commands of clients, one after the other, on a machine alone.
    fn checked(commands: &[Command], lose: impl Fn(&Command) -> bool) -> Result<(), String> {
        use quorate::machine::StateMachine;
        use quorate::types::Index;
        let (mut clients, mut talk) = (Clients::default(), super::talk());
        for command in commands {
            let bytes = codec::encode(command);
            let reply = talk.clone().apply(Index(1), &bytes);
            if !lose(command) {
                talk.apply(Index(1), &bytes);
            }
            clients.check_reply(&bytes, &reply)?;
            clients.check_state(&talk)?;
        }
        Ok(())
    }

    fn story() -> Vec<Command> {
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
    fn a_lost_message_and_one_that_waits_twice_are_noticed() {
        assert_eq!(checked(&story(), |_| false), Ok(()));
        assert!(checked(&story(), |it| matches!(it, Command::Send { .. })).is_err());
        assert!(checked(&story(), |it| matches!(it, Command::Acknowledge { .. })).is_err());
    }
}
