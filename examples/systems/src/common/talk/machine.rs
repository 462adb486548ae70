//! What is kept of a talk, and what commands do to it. It knows nothing of nodes.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::iter;
use std::ops::Bound::{Excluded, Unbounded};
use std::sync::Arc;

use quorate::machine::StateMachine;
use quorate::types::Index;

use crate::common::talk::message::{
    Account, Command, Mail, Mode, NAME_BYTES_MAX, Query, Refusal, Reply, Session, TEXT_BYTES_MAX,
    WAITING_MAX,
};
use crate::common::{codec, rows};

/// The most accounts.
pub const ACCOUNTS_MAX: usize = 1000;
/// The most messages in a user's history: the last ones.
pub const HISTORY_MAX: usize = 100;
/// The most names or messages in one reply: with room, they are less than a word.
const PAGE_MAX: usize = 40;
/// The most accounts in one reply, each with the numbers of all that waits.
const ACCOUNTS_PAGE_MAX: usize = 10;

/// Accounts, their messages, and the last number that a message got.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Talk {
    accounts: BTreeMap<String, Mailbox>,
    last: u64,
    /// How this node was started: no part of the state that nodes agree on.
    mode: Mode,
    /// The most messages in a history, the same on every node.
    history_max: usize,
}

impl Default for Talk {
    fn default() -> Talk {
        Talk::new(Mode::default(), HISTORY_MAX)
    }
}

/// What is kept for one user, messages by their numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Mailbox {
    id: u64,
    token: Option<u64>,
    waiting: BTreeMap<u64, Arc<Mail>>,
    history: BTreeMap<u64, Arc<Mail>>,
}

impl Talk {
    /// The talk of a node that was started in this mode, and keeps so many messages in a history.
    #[must_use]
    pub fn new(mode: Mode, history_max: usize) -> Talk {
        Talk { accounts: BTreeMap::new(), last: 0, mode, history_max }
    }

    /// The numbers of the messages that wait for a user; none if there is no such user.
    #[must_use]
    pub fn waiting(&self, user: &str) -> Option<Vec<u64>> {
        self.accounts.get(user).map(|account| account.waiting.keys().copied().collect())
    }

    fn carry_out(&mut self, command: Command) -> Result<Reply, Refusal> {
        match command {
            Command::Create { user, id } => self.create(user, id),
            Command::Delete { session, discard } => self.delete(&session, discard),
            Command::Login(session) => self.log_in(session),
            Command::Logout(session) => {
                self.logged_in(&session)?.token = None;
                Ok(Reply::LoggedOut)
            }
            Command::Send { session, to, text } => self.send(session, to, text),
            Command::Acknowledge { session, upto } => self.acknowledge(&session, upto),
        }
    }

    fn create(&mut self, user: String, id: u64) -> Result<Reply, Refusal> {
        if !is_name(&user) {
            return Err(Refusal::Name(shortened(&user)));
        }
        if self.accounts.contains_key(&user) {
            return Err(Refusal::Duplicate(user));
        }
        if self.accounts.len() >= ACCOUNTS_MAX {
            return Err(Refusal::Full);
        }
        self.accounts.insert(user, Mailbox { id, ..Mailbox::default() });
        Ok(Reply::Created)
    }

    fn delete(&mut self, session: &Session, discard: bool) -> Result<Reply, Refusal> {
        let waiting = self.logged_in(session)?.waiting.len() as u64;
        if waiting > 0 && !discard {
            return Err(Refusal::MailWaits(waiting));
        }
        self.accounts.remove(&session.user);
        Ok(Reply::Deleted(waiting))
    }

    fn log_in(&mut self, session: Session) -> Result<Reply, Refusal> {
        let Some(account) = self.accounts.get_mut(&session.user) else {
            return Err(Refusal::UnknownUser(shortened(&session.user)));
        };
        let before = account.token.replace(session.token);
        let ended_another = before.is_some_and(|token| token != session.token);
        Ok(Reply::LoggedIn { id: account.id, ended_another })
    }

    fn send(&mut self, session: Session, to: String, text: String) -> Result<Reply, Refusal> {
        self.logged_in(&session)?;
        if !(1..=TEXT_BYTES_MAX).contains(&text.len()) {
            return Err(Refusal::Text(text.len() as u64));
        }
        let Some(receiver) = self.accounts.get_mut(&to) else {
            return Err(Refusal::UnknownUser(shortened(&to)));
        };
        if receiver.waiting.len() >= WAITING_MAX {
            return Err(Refusal::QueueFull(to));
        }
        let number = self.last.checked_add(1).expect("nobody lives to send so many");
        let mail = Arc::new(Mail { number, from: session.user, to, text });
        receiver.waiting.insert(number, Arc::clone(&mail));
        self.last = number;
        let sender = self.accounts.get_mut(&mail.from).expect("it is logged in");
        sender.remember(mail, self.history_max);
        Ok(Reply::Sent(number))
    }

    fn acknowledge(&mut self, session: &Session, upto: u64) -> Result<Reply, Refusal> {
        let (last, history_max) = (self.last, self.history_max);
        let account = self.logged_in(session)?;
        if upto > last {
            return Err(Refusal::NotSent(upto, last));
        }
        let later = upto.checked_add(1).map(|later| account.waiting.split_off(&later));
        let taken = std::mem::replace(&mut account.waiting, later.unwrap_or_default());
        let count = taken.len() as u64;
        taken.into_values().for_each(|mail| account.remember(mail, history_max));
        Ok(Reply::Acknowledged(count))
    }

    /// What is kept for whoever this session is of.
    fn logged_in(&mut self, session: &Session) -> Result<&mut Mailbox, Refusal> {
        self.may_read(session)?;
        Ok(self.accounts.get_mut(&session.user).expect("it is there"))
    }

    fn may_read(&self, session: &Session) -> Result<&Mailbox, Refusal> {
        match self.accounts.get(&session.user) {
            None => Err(Refusal::UnknownUser(shortened(&session.user))),
            Some(account) if account.token == Some(session.token) => Ok(account),
            Some(_) => Err(Refusal::NotLoggedIn(session.user.clone())),
        }
    }

    fn answer(&self, query: Query) -> Result<Reply, Refusal> {
        Ok(match query {
            Query::List { pattern, after } => {
                if !is_pattern(&pattern) {
                    return Err(Refusal::Pattern(shortened(&pattern)));
                }
                let names = self.after(after).map(|(user, _)| user);
                let (names, more) = page(names.filter(|user| fits(&pattern, user)), PAGE_MAX);
                Reply::Users(names.into_iter().cloned().collect(), more)
            }
            Query::Waiting { session, after } => mails(&self.may_read(&session)?.waiting, after),
            Query::History { session, after } => mails(&self.may_read(&session)?.history, after),
            Query::Dump { after } => {
                let accounts = self.after(after).map(|(user, account)| account.told(user));
                let (accounts, more) = page(accounts, ACCOUNTS_PAGE_MAX);
                Reply::Accounts(accounts, more)
            }
            Query::Mode => Reply::Mode(self.mode),
        })
    }

    fn after(&self, user: String) -> impl Iterator<Item = (&String, &Mailbox)> {
        self.accounts.range((Excluded(user), Unbounded))
    }
}

impl Mailbox {
    /// Puts a message into the history, and the oldest out if it is one too many. One to oneself
    /// is in it once.
    fn remember(&mut self, mail: Arc<Mail>, history_max: usize) {
        self.history.insert(mail.number, mail);
        while self.history.len() > history_max {
            self.history.pop_first();
        }
    }

    fn told(&self, user: &str) -> Account {
        Account {
            user: user.to_owned(),
            is_logged_in: self.token.is_some(),
            waiting: self.waiting.keys().copied().collect(),
            history: self.history.len() as u64,
        }
    }
}

impl StateMachine for Talk {
    fn apply(&mut self, _: Index, command: &[u8]) -> Vec<u8> {
        let told = codec::decode(command).ok_or(Refusal::Malformed);
        let told = told.and_then(|command| self.carry_out(command));
        codec::encode(&told.unwrap_or_else(Reply::Refused))
    }

    fn query(&self, query: &[u8]) -> Vec<u8> {
        let told = codec::decode(query).ok_or(Refusal::Malformed);
        let told = told.and_then(|query| self.answer(query));
        codec::encode(&told.unwrap_or_else(Reply::Refused))
    }

    fn snapshot(&self) -> Box<dyn Read + Send> {
        // Messages are shared with the state, not copied.
        let accounts = self.accounts.clone().into_iter().flat_map(|(user, account)| {
            let waiting =
                account.waiting.into_values().map(|mail| Row::Waiting(mail.as_ref().clone()));
            let owner = user.clone();
            let kept = move |mail: Arc<Mail>| Row::History(owner.clone(), mail.as_ref().clone());
            let history = account.history.into_values().map(kept);
            iter::once(Row::Account(user, account.id, account.token)).chain(waiting).chain(history)
        });
        rows::write(iter::once(Row::Last(self.last)).chain(accounts))
    }

    fn restore(&mut self, snapshot: &mut dyn Read) -> io::Result<()> {
        let mut talk = Talk::new(self.mode, self.history_max);
        let mut is_whole = true;
        rows::read(snapshot, |row| match row {
            Row::Last(last) => talk.last = last,
            Row::Account(user, id, token) => {
                talk.accounts.insert(user, Mailbox { id, token, ..Mailbox::default() });
            }
            Row::Waiting(mail) => match talk.accounts.get_mut(&mail.to) {
                Some(account) => drop(account.waiting.insert(mail.number, Arc::new(mail))),
                None => is_whole = false,
            },
            Row::History(user, mail) => match talk.accounts.get_mut(&user) {
                Some(account) => account.remember(Arc::new(mail), self.history_max),
                None => is_whole = false,
            },
        })?;
        if !is_whole {
            let said = "a message of nobody: another program wrote the snapshot";
            return Err(io::Error::new(io::ErrorKind::InvalidData, said));
        }
        *self = talk;
        Ok(())
    }
}

/// One row of a snapshot; an account's is before those of its messages.
#[derive(serde::Serialize, serde::Deserialize)]
enum Row {
    Last(u64),
    Account(String, u64, Option<u64>),
    Waiting(Mail),
    History(String, Mail),
}

fn mails(mails: &BTreeMap<u64, Arc<Mail>>, after: u64) -> Reply {
    let later = mails.range((Excluded(after), Unbounded)).map(|(_, mail)| mail.as_ref());
    let (mails, more) = page(later, PAGE_MAX);
    Reply::Messages(mails.into_iter().cloned().collect(), more)
}

/// The first of them, and whether there are more.
fn page<T>(mut all: impl Iterator<Item = T>, count_max: usize) -> (Vec<T>, bool) {
    let first = all.by_ref().take(count_max).collect();
    (first, all.next().is_some())
}

fn is_name(name: &str) -> bool {
    name.len() <= NAME_BYTES_MAX
        && name.starts_with(|first: char| first.is_ascii_alphanumeric())
        && name.chars().all(is_letter)
}

fn is_pattern(pattern: &str) -> bool {
    let is_part = |letter| is_letter(letter) || matches!(letter, '*' | '?');
    (1..=NAME_BYTES_MAX).contains(&pattern.len()) && pattern.chars().all(is_part)
}

fn is_letter(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_' | '.')
}

/// Whether a name is what a pattern means: the last star takes as many letters as it must.
fn fits(pattern: &str, name: &str) -> bool {
    let (pattern, name) = (pattern.as_bytes(), name.as_bytes());
    let (mut at, mut read) = (0, 0);
    // Where the last star is, and how much it has taken.
    let mut star = None;
    while read < name.len() {
        match pattern.get(at) {
            Some(b'*') => {
                star = Some((at, read));
                at += 1;
            }
            Some(letter) if *letter == b'?' || *letter == name[read] => {
                at += 1;
                read += 1;
            }
            _ => {
                let Some((place, taken)) = star else { return false };
                star = Some((place, taken + 1));
                (at, read) = (place + 1, taken + 1);
            }
        }
    }
    pattern[at..].iter().all(|letter| *letter == b'*')
}

/// What is said back of a name that may be of any length.
fn shortened(name: &str) -> String {
    name.chars().take(NAME_BYTES_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Has the talk carry a command out.
    fn ask(talk: &mut Talk, command: Command) -> Reply {
        let told = talk.apply(Index(1), &codec::encode(&command));
        codec::decode(&told).expect("it is a reply")
    }

    fn look(talk: &Talk, query: &Query) -> Reply {
        codec::decode(&talk.query(&codec::encode(query))).expect("it is a reply")
    }

    fn create(talk: &mut Talk, user: &str) -> Reply {
        ask(talk, Command::Create { user: user.to_owned(), id: 7 })
    }

    fn of(user: &str, token: u64) -> Session {
        Session { user: user.to_owned(), token }
    }

    fn send(talk: &mut Talk, from: &str, to: &str, text: &str) -> Reply {
        let (to, text) = (to.to_owned(), text.to_owned());
        ask(talk, Command::Send { session: of(from, 1), to, text })
    }

    /// Users that are there and logged in with token 1.
    fn talk(users: &[&str]) -> Talk {
        let mut talk = Talk::default();
        for user in users {
            assert_eq!(create(&mut talk, user), Reply::Created);
            let told = ask(&mut talk, Command::Login(of(user, 1)));
            assert_eq!(told, Reply::LoggedIn { id: 7, ended_another: false });
        }
        talk
    }

    #[test]
    fn a_message_waits_for_whoever_is_away_until_it_is_acknowledged() {
        let mut talk = talk(&["ann", "bob"]);
        assert_eq!(ask(&mut talk, Command::Logout(of("bob", 1))), Reply::LoggedOut);
        assert_eq!(send(&mut talk, "ann", "bob", "one"), Reply::Sent(1));
        assert_eq!(send(&mut talk, "ann", "bob", "two"), Reply::Sent(2));
        ask(&mut talk, Command::Login(of("bob", 2)));
        let waiting = Query::Waiting { session: of("bob", 2), after: 0 };
        let Reply::Messages(mails, false) = look(&talk, &waiting) else { panic!("they wait") };
        let texts: Vec<&str> = mails.iter().map(|mail| mail.text.as_str()).collect();
        assert_eq!(texts, ["one", "two"]);
        let taken = |upto| Command::Acknowledge { session: of("bob", 2), upto };
        assert_eq!(ask(&mut talk, taken(1)), Reply::Acknowledged(1));
        assert_eq!(ask(&mut talk, taken(1)), Reply::Acknowledged(0), "once more");
        assert_eq!(talk.waiting("bob"), Some(vec![2]));
        assert_eq!(ask(&mut talk, taken(3)), Reply::Refused(Refusal::NotSent(3, 2)));
        assert_eq!(ask(&mut talk, taken(2)), Reply::Acknowledged(1));
    }

    #[test]
    fn a_new_login_ends_the_one_before() {
        let mut talk = talk(&["ann"]);
        let again = ask(&mut talk, Command::Login(of("ann", 2)));
        assert_eq!(again, Reply::LoggedIn { id: 7, ended_another: true });
        let ended = Reply::Refused(Refusal::NotLoggedIn("ann".to_owned()));
        assert_eq!(send(&mut talk, "ann", "ann", "x"), ended);
        assert_eq!(ask(&mut talk, Command::Logout(of("ann", 1))), ended);
        let history = Query::History { session: of("ann", 1), after: 0 };
        assert_eq!(look(&talk, &history), ended);
        let unknown = Reply::Refused(Refusal::UnknownUser("bob".to_owned()));
        assert_eq!(ask(&mut talk, Command::Login(of("bob", 1))), unknown);
    }

    #[test]
    fn an_account_for_which_messages_wait_is_deleted_only_with_them() {
        let mut talk = talk(&["ann", "bob"]);
        send(&mut talk, "ann", "bob", "x");
        let delete = |discard| Command::Delete { session: of("bob", 1), discard };
        assert_eq!(ask(&mut talk, delete(false)), Reply::Refused(Refusal::MailWaits(1)));
        assert_eq!(ask(&mut talk, delete(true)), Reply::Deleted(1));
        let unknown = Reply::Refused(Refusal::UnknownUser("bob".to_owned()));
        assert_eq!(send(&mut talk, "ann", "bob", "y"), unknown);
        // Another one of the name has nothing of the first, and numbers go on.
        create(&mut talk, "bob");
        assert_eq!(talk.waiting("bob"), Some(vec![]));
        assert_eq!(send(&mut talk, "ann", "bob", "z"), Reply::Sent(2));
    }

    #[test]
    fn a_history_has_the_last_messages_both_ways_and_each_once() {
        let mut talk = talk(&["ann", "bob"]);
        for _ in 0..HISTORY_MAX {
            send(&mut talk, "ann", "ann", "x");
        }
        send(&mut talk, "bob", "ann", "last");
        let upto = HISTORY_MAX as u64 + 1;
        ask(&mut talk, Command::Acknowledge { session: of("ann", 1), upto });
        let mut numbers = Vec::new();
        loop {
            let after = numbers.last().copied().unwrap_or(0);
            let told = look(&talk, &Query::History { session: of("ann", 1), after });
            let Reply::Messages(mails, more) = told else { panic!("{told:?}") };
            numbers.extend(mails.iter().map(|mail| mail.number));
            if !more {
                break;
            }
        }
        assert_eq!(numbers, (2..=upto).collect::<Vec<_>>());
    }

    #[test]
    fn what_is_out_of_bounds_is_refused() {
        let mut talk = talk(&["ann"]);
        for name in ["", ".ann", "-ann", "a b", "a/b", "ä", &"x".repeat(NAME_BYTES_MAX + 1)] {
            let told = create(&mut talk, name);
            assert!(matches!(told, Reply::Refused(Refusal::Name(_))), "{told:?}");
        }
        let duplicate = Refusal::Duplicate("ann".to_owned());
        let told = create(&mut talk, "ann");
        assert_eq!(told, Reply::Refused(duplicate));
        for text in [String::new(), "x".repeat(TEXT_BYTES_MAX + 1)] {
            let told = send(&mut talk, "ann", "ann", &text);
            assert_eq!(told, Reply::Refused(Refusal::Text(text.len() as u64)));
        }
        for pattern in ["", "a b", "[a]"] {
            let (pattern, after) = (pattern.to_owned(), String::new());
            let told = look(&talk, &Query::List { pattern, after });
            assert!(matches!(told, Reply::Refused(Refusal::Pattern(_))), "{told:?}");
        }
        for _ in 0..WAITING_MAX {
            assert!(matches!(send(&mut talk, "ann", "ann", "x"), Reply::Sent(_)));
        }
        let full = Refusal::QueueFull("ann".to_owned());
        assert_eq!(send(&mut talk, "ann", "ann", "x"), Reply::Refused(full));
        for count in 1..ACCOUNTS_MAX {
            assert_eq!(create(&mut talk, &format!("u{count}")), Reply::Created);
        }
        let full = create(&mut talk, "one-more");
        assert_eq!(full, Reply::Refused(Refusal::Full));
        let told = codec::decode(&talk.apply(Index(1), b"?"));
        assert_eq!(told, Some(Reply::Refused(Refusal::Malformed)));
    }

    #[test]
    fn the_largest_page_is_a_word() {
        let users: Vec<String> = (0..12).map(|user| format!("{user:a<64}")).collect();
        let mut talk = talk(&users.iter().map(String::as_str).collect::<Vec<_>>());
        for to in &users {
            for _ in 0..WAITING_MAX {
                send(&mut talk, &users[0], to, &"x".repeat(TEXT_BYTES_MAX));
            }
        }
        let page = look(&talk, &Query::Waiting { session: of(&users[0], 1), after: 0 });
        assert!(matches!(page, Reply::Messages(mails, true) if mails.len() == PAGE_MAX));
        let page = look(&talk, &Query::Dump { after: String::new() });
        assert!(matches!(page, Reply::Accounts(all, true) if all.len() == ACCOUNTS_PAGE_MAX));
    }

    #[test]
    fn a_pattern_fits_as_in_a_shell() {
        let fitting =
            [("*", "ann"), ("a*", "ann"), ("*n", "ann"), ("a?n", "ann"), ("a*b*c", "abxbyc")];
        for (pattern, name) in fitting {
            assert!(fits(pattern, name), "{pattern} {name}");
        }
        for (pattern, name) in [("a", "ann"), ("?", "ann"), ("*a", "ann"), ("ann?", "ann")] {
            assert!(!fits(pattern, name), "{pattern} {name}");
        }
    }

    #[test]
    fn a_snapshot_has_everything_but_the_mode() {
        let mut talk = talk(&["ann", "bob"]);
        send(&mut talk, "ann", "bob", "one");
        send(&mut talk, "ann", "bob", "two");
        ask(&mut talk, Command::Acknowledge { session: of("bob", 1), upto: 1 });
        let mut restored = Talk::new(Mode::Survivor, HISTORY_MAX);
        restored.restore(&mut talk.snapshot()).expect("it is a snapshot");
        assert_eq!(look(&restored, &Query::Mode), Reply::Mode(Mode::Survivor));
        restored.mode = Mode::Majority;
        assert_eq!(restored, talk);
        let mut stray = rows::write(
            [Row::History(
                "eve".to_owned(),
                Mail {
                    number: 1,
                    from: "ann".to_owned(),
                    to: "eve".to_owned(),
                    text: "x".to_owned(),
                },
            )]
            .into_iter(),
        );
        assert!(restored.restore(&mut stray).is_err());
        assert_eq!(restored, talk, "it stays as it was");
    }
}
