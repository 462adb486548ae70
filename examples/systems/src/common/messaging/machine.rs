//! The messaging state machine: accounts and their messages.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::iter;
use std::ops::Bound::{Excluded, Unbounded};
use std::sync::Arc;

use quorate::machine::StateMachine;
use quorate::types::Index;

use crate::common::messaging::message::{
    Account, Command, Mail, Mode, NAME_BYTES_MAX, Query, RejectReason, Reply, Session,
    TEXT_BYTES_MAX, WAITING_MAX,
};
use crate::common::{codec, rows};

/// The maximum number of accounts.
pub const ACCOUNTS_MAX: usize = 1000;
/// The maximum number of messages in the history of a user; older ones are dropped.
pub const HISTORY_MAX: usize = 100;
/// The maximum number of names or messages in one reply, so that it fits the encoding limit.
pub(super) const PAGE_MAX: usize = 40;
/// The maximum number of accounts in one reply, each with the numbers of its waiting messages.
const ACCOUNTS_PAGE_MAX: usize = 10;

/// The state machine: accounts, their messages, and the last message number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MessageStore {
    accounts: BTreeMap<String, Mailbox>,
    last: u64,
    /// The mode of this node; not part of the replicated state.
    mode: Mode,
    /// The maximum number of messages in a history, the same on every node.
    history_max: usize,
}

impl Default for MessageStore {
    fn default() -> MessageStore {
        MessageStore::new(Mode::default(), HISTORY_MAX)
    }
}

/// The account of one user, with its messages by number.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Mailbox {
    id: u64,
    token: Option<u64>,
    waiting: BTreeMap<u64, Arc<Mail>>,
    history: BTreeMap<u64, Arc<Mail>>,
}

impl MessageStore {
    /// Returns an empty store for a node in this mode, with this limit of history messages.
    #[must_use]
    pub fn new(mode: Mode, history_max: usize) -> MessageStore {
        MessageStore { accounts: BTreeMap::new(), last: 0, mode, history_max }
    }

    /// Returns the numbers of the messages that wait for a user, or `None` for an unknown user.
    #[must_use]
    pub fn waiting(&self, user: &str) -> Option<Vec<u64>> {
        self.accounts.get(user).map(|account| account.waiting.keys().copied().collect())
    }

    fn execute(&mut self, command: Command) -> Result<Reply, RejectReason> {
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

    fn create(&mut self, user: String, id: u64) -> Result<Reply, RejectReason> {
        if !is_name(&user) {
            return Err(RejectReason::Name(shortened(&user)));
        }
        if self.accounts.contains_key(&user) {
            return Err(RejectReason::Duplicate(user));
        }
        if self.accounts.len() >= ACCOUNTS_MAX {
            return Err(RejectReason::Full);
        }
        self.accounts.insert(user, Mailbox { id, ..Mailbox::default() });
        Ok(Reply::Created)
    }

    fn delete(&mut self, session: &Session, discard: bool) -> Result<Reply, RejectReason> {
        let waiting = self.logged_in(session)?.waiting.len() as u64;
        if waiting > 0 && !discard {
            return Err(RejectReason::MessagesWaiting(waiting));
        }
        self.accounts.remove(&session.user);
        Ok(Reply::Deleted(waiting))
    }

    fn log_in(&mut self, session: Session) -> Result<Reply, RejectReason> {
        let Some(account) = self.accounts.get_mut(&session.user) else {
            return Err(RejectReason::UnknownUser(shortened(&session.user)));
        };
        let before = account.token.replace(session.token);
        let ended_another = before.is_some_and(|token| token != session.token);
        Ok(Reply::LoggedIn { id: account.id, ended_another })
    }

    fn send(&mut self, session: Session, to: String, text: String) -> Result<Reply, RejectReason> {
        self.logged_in(&session)?;
        if !(1..=TEXT_BYTES_MAX).contains(&text.len()) {
            return Err(RejectReason::Text(text.len() as u64));
        }
        let Some(receiver) = self.accounts.get_mut(&to) else {
            return Err(RejectReason::UnknownUser(shortened(&to)));
        };
        if receiver.waiting.len() >= WAITING_MAX {
            return Err(RejectReason::QueueFull(to));
        }
        let number = self.last.checked_add(1).expect("message numbers do not overflow");
        let mail = Arc::new(Mail { number, from: session.user, to, text });
        receiver.waiting.insert(number, Arc::clone(&mail));
        self.last = number;
        let sender = self.accounts.get_mut(&mail.from).expect("the sender is logged in");
        sender.remember(mail, self.history_max);
        Ok(Reply::Sent(number))
    }

    fn acknowledge(&mut self, session: &Session, upto: u64) -> Result<Reply, RejectReason> {
        let (last, history_max) = (self.last, self.history_max);
        let account = self.logged_in(session)?;
        if upto > last {
            return Err(RejectReason::NotSent(upto, last));
        }
        let later = upto.checked_add(1).map(|later| account.waiting.split_off(&later));
        let taken = std::mem::replace(&mut account.waiting, later.unwrap_or_default());
        let count = taken.len() as u64;
        taken.into_values().for_each(|mail| account.remember(mail, history_max));
        Ok(Reply::Acknowledged(count))
    }

    /// Returns the account of a valid session.
    fn logged_in(&mut self, session: &Session) -> Result<&mut Mailbox, RejectReason> {
        self.may_read(session)?;
        Ok(self.accounts.get_mut(&session.user).expect("the account exists"))
    }

    fn may_read(&self, session: &Session) -> Result<&Mailbox, RejectReason> {
        match self.accounts.get(&session.user) {
            None => Err(RejectReason::UnknownUser(shortened(&session.user))),
            Some(account) if account.token == Some(session.token) => Ok(account),
            Some(_) => Err(RejectReason::NotLoggedIn(session.user.clone())),
        }
    }

    fn execute_query(&self, query: Query) -> Result<Reply, RejectReason> {
        Ok(match query {
            Query::List { pattern, after } => {
                if !is_pattern(&pattern) {
                    return Err(RejectReason::Pattern(shortened(&pattern)));
                }
                let names = self.after(after).map(|(user, _)| user);
                let (names, more) = page(names.filter(|user| matches(&pattern, user)), PAGE_MAX);
                Reply::Users(names.into_iter().cloned().collect(), more)
            }
            Query::Waiting { session, after } => mails(&self.may_read(&session)?.waiting, after),
            Query::History { session, after } => mails(&self.may_read(&session)?.history, after),
            Query::Dump { after } => {
                let accounts = self.after(after).map(|(user, account)| account.summary(user));
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
    /// Adds a message to the history and drops the oldest one beyond the limit. A message to
    /// oneself is stored once.
    fn remember(&mut self, mail: Arc<Mail>, history_max: usize) {
        self.history.insert(mail.number, mail);
        while self.history.len() > history_max {
            self.history.pop_first();
        }
    }

    fn summary(&self, user: &str) -> Account {
        Account {
            user: user.to_owned(),
            is_logged_in: self.token.is_some(),
            waiting: self.waiting.keys().copied().collect(),
            history: self.history.len() as u64,
        }
    }
}

impl StateMachine for MessageStore {
    fn apply(&mut self, _: Index, command: &[u8]) -> Vec<u8> {
        let reply = codec::decode(command).ok_or(RejectReason::InvalidRequest);
        let reply = reply.and_then(|command| self.execute(command));
        codec::encode(&reply.unwrap_or_else(Reply::Rejected))
    }

    fn query(&self, query: &[u8]) -> Vec<u8> {
        let reply = codec::decode(query).ok_or(RejectReason::InvalidRequest);
        let reply = reply.and_then(|query| self.execute_query(query));
        codec::encode(&reply.unwrap_or_else(Reply::Rejected))
    }

    fn snapshot(&self) -> Box<dyn Read + Send> {
        // Messages are shared with the state, not copied.
        let accounts = self.accounts.clone().into_iter().flat_map(|(user, account)| {
            let waiting =
                account.waiting.into_values().map(|mail| Row::Waiting(mail.as_ref().clone()));
            let owner = user.clone();
            let row = move |mail: Arc<Mail>| Row::History(owner.clone(), mail.as_ref().clone());
            let history = account.history.into_values().map(row);
            iter::once(Row::Account(user, account.id, account.token)).chain(waiting).chain(history)
        });
        rows::write(iter::once(Row::Last(self.last)).chain(accounts))
    }

    fn restore(&mut self, snapshot: &mut dyn Read) -> io::Result<()> {
        let mut store = MessageStore::new(self.mode, self.history_max);
        let mut is_whole = true;
        rows::read(snapshot, |row| match row {
            Row::Last(last) => store.last = last,
            Row::Account(user, id, token) => {
                store.accounts.insert(user, Mailbox { id, token, ..Mailbox::default() });
            }
            Row::Waiting(mail) => match store.accounts.get_mut(&mail.to) {
                Some(account) => drop(account.waiting.insert(mail.number, Arc::new(mail))),
                None => is_whole = false,
            },
            Row::History(user, mail) => match store.accounts.get_mut(&user) {
                Some(account) => account.remember(Arc::new(mail), self.history_max),
                None => is_whole = false,
            },
        })?;
        if !is_whole {
            let error = "invalid snapshot: a message of an unknown account";
            return Err(io::Error::new(io::ErrorKind::InvalidData, error));
        }
        *self = store;
        Ok(())
    }
}

/// One row of a snapshot; the row of an account precedes those of its messages.
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

/// Returns the first `count_max` items, and whether there are more.
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

/// Returns true if a name matches a pattern: `*` matches any number of characters, `?` matches one.
fn matches(pattern: &str, name: &str) -> bool {
    let (pattern, name) = (pattern.as_bytes(), name.as_bytes());
    let (mut at, mut read) = (0, 0);
    // The position of the last star in the pattern, and the end of the part of `name` that it
    // matches.
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

/// Returns the first [`NAME_BYTES_MAX`] characters of a name, for error messages.
fn shortened(name: &str) -> String {
    name.chars().take(NAME_BYTES_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Applies a command and decodes its reply.
    fn apply(store: &mut MessageStore, command: Command) -> Reply {
        let reply = store.apply(Index(1), &codec::encode(&command));
        codec::decode(&reply).expect("it is a reply")
    }

    fn query(store: &MessageStore, query: &Query) -> Reply {
        codec::decode(&store.query(&codec::encode(query))).expect("it is a reply")
    }

    fn create(store: &mut MessageStore, user: &str) -> Reply {
        apply(store, Command::Create { user: user.to_owned(), id: 7 })
    }

    fn of(user: &str, token: u64) -> Session {
        Session { user: user.to_owned(), token }
    }

    fn send(store: &mut MessageStore, from: &str, to: &str, text: &str) -> Reply {
        let (to, text) = (to.to_owned(), text.to_owned());
        apply(store, Command::Send { session: of(from, 1), to, text })
    }

    /// Returns a store with these users, logged in with token 1.
    fn store(users: &[&str]) -> MessageStore {
        let mut store = MessageStore::default();
        for user in users {
            assert_eq!(create(&mut store, user), Reply::Created);
            let reply = apply(&mut store, Command::Login(of(user, 1)));
            assert_eq!(reply, Reply::LoggedIn { id: 7, ended_another: false });
        }
        store
    }

    #[test]
    fn a_message_waits_until_it_is_acknowledged() {
        let mut store = store(&["ann", "bob"]);
        assert_eq!(apply(&mut store, Command::Logout(of("bob", 1))), Reply::LoggedOut);
        assert_eq!(send(&mut store, "ann", "bob", "one"), Reply::Sent(1));
        assert_eq!(send(&mut store, "ann", "bob", "two"), Reply::Sent(2));
        apply(&mut store, Command::Login(of("bob", 2)));
        let waiting = Query::Waiting { session: of("bob", 2), after: 0 };
        let Reply::Messages(mails, false) = query(&store, &waiting) else {
            panic!("the messages wait")
        };
        let texts: Vec<&str> = mails.iter().map(|mail| mail.text.as_str()).collect();
        assert_eq!(texts, ["one", "two"]);
        let taken = |upto| Command::Acknowledge { session: of("bob", 2), upto };
        assert_eq!(apply(&mut store, taken(1)), Reply::Acknowledged(1));
        assert_eq!(
            apply(&mut store, taken(1)),
            Reply::Acknowledged(0),
            "the acknowledgement is repeated"
        );
        assert_eq!(store.waiting("bob"), Some(vec![2]));
        assert_eq!(apply(&mut store, taken(3)), Reply::Rejected(RejectReason::NotSent(3, 2)));
        assert_eq!(apply(&mut store, taken(2)), Reply::Acknowledged(1));
    }

    #[test]
    fn a_new_login_ends_the_earlier_session() {
        let mut store = store(&["ann"]);
        let again = apply(&mut store, Command::Login(of("ann", 2)));
        assert_eq!(again, Reply::LoggedIn { id: 7, ended_another: true });
        let ended = Reply::Rejected(RejectReason::NotLoggedIn("ann".to_owned()));
        assert_eq!(send(&mut store, "ann", "ann", "x"), ended);
        assert_eq!(apply(&mut store, Command::Logout(of("ann", 1))), ended);
        let history = Query::History { session: of("ann", 1), after: 0 };
        assert_eq!(query(&store, &history), ended);
        let unknown = Reply::Rejected(RejectReason::UnknownUser("bob".to_owned()));
        assert_eq!(apply(&mut store, Command::Login(of("bob", 1))), unknown);
    }

    #[test]
    fn an_account_with_waiting_messages_is_deleted_only_with_discard() {
        let mut store = store(&["ann", "bob"]);
        send(&mut store, "ann", "bob", "x");
        let delete = |discard| Command::Delete { session: of("bob", 1), discard };
        assert_eq!(
            apply(&mut store, delete(false)),
            Reply::Rejected(RejectReason::MessagesWaiting(1))
        );
        assert_eq!(apply(&mut store, delete(true)), Reply::Deleted(1));
        let unknown = Reply::Rejected(RejectReason::UnknownUser("bob".to_owned()));
        assert_eq!(send(&mut store, "ann", "bob", "y"), unknown);
        // A new account of the same name is empty, and message numbers continue.
        create(&mut store, "bob");
        assert_eq!(store.waiting("bob"), Some(vec![]));
        assert_eq!(send(&mut store, "ann", "bob", "z"), Reply::Sent(2));
    }

    #[test]
    fn a_history_has_the_last_sent_and_received_messages_once_each() {
        let mut store = store(&["ann", "bob"]);
        for _ in 0..HISTORY_MAX {
            send(&mut store, "ann", "ann", "x");
        }
        send(&mut store, "bob", "ann", "last");
        let upto = HISTORY_MAX as u64 + 1;
        apply(&mut store, Command::Acknowledge { session: of("ann", 1), upto });
        let mut numbers = Vec::new();
        loop {
            let after = numbers.last().copied().unwrap_or(0);
            let reply = query(&store, &Query::History { session: of("ann", 1), after });
            let Reply::Messages(mails, more) = reply else { panic!("{reply:?}") };
            numbers.extend(mails.iter().map(|mail| mail.number));
            if !more {
                break;
            }
        }
        assert_eq!(numbers, (2..=upto).collect::<Vec<_>>());
    }

    #[test]
    fn requests_out_of_bounds_are_rejected() {
        let mut store = store(&["ann"]);
        for name in ["", ".ann", "-ann", "a b", "a/b", "ä", &"x".repeat(NAME_BYTES_MAX + 1)] {
            let reply = create(&mut store, name);
            assert!(matches!(reply, Reply::Rejected(RejectReason::Name(_))), "{reply:?}");
        }
        let duplicate = RejectReason::Duplicate("ann".to_owned());
        let reply = create(&mut store, "ann");
        assert_eq!(reply, Reply::Rejected(duplicate));
        for text in [String::new(), "x".repeat(TEXT_BYTES_MAX + 1)] {
            let reply = send(&mut store, "ann", "ann", &text);
            assert_eq!(reply, Reply::Rejected(RejectReason::Text(text.len() as u64)));
        }
        for pattern in ["", "a b", "[a]"] {
            let (pattern, after) = (pattern.to_owned(), String::new());
            let reply = query(&store, &Query::List { pattern, after });
            assert!(matches!(reply, Reply::Rejected(RejectReason::Pattern(_))), "{reply:?}");
        }
        for _ in 0..WAITING_MAX {
            assert!(matches!(send(&mut store, "ann", "ann", "x"), Reply::Sent(_)));
        }
        let full = RejectReason::QueueFull("ann".to_owned());
        assert_eq!(send(&mut store, "ann", "ann", "x"), Reply::Rejected(full));
        for count in 1..ACCOUNTS_MAX {
            assert_eq!(create(&mut store, &format!("u{count}")), Reply::Created);
        }
        let full = create(&mut store, "one-more");
        assert_eq!(full, Reply::Rejected(RejectReason::Full));
        let reply = codec::decode(&store.apply(Index(1), b"?"));
        assert_eq!(reply, Some(Reply::Rejected(RejectReason::InvalidRequest)));
    }

    #[test]
    fn the_largest_page_fits_the_encoding_limit() {
        let users: Vec<String> = (0..12).map(|user| format!("{user:a<64}")).collect();
        let mut store = store(&users.iter().map(String::as_str).collect::<Vec<_>>());
        for to in &users {
            for _ in 0..WAITING_MAX {
                send(&mut store, &users[0], to, &"x".repeat(TEXT_BYTES_MAX));
            }
        }
        let page = query(&store, &Query::Waiting { session: of(&users[0], 1), after: 0 });
        assert!(matches!(page, Reply::Messages(mails, true) if mails.len() == PAGE_MAX));
        let page = query(&store, &Query::Dump { after: String::new() });
        assert!(matches!(page, Reply::Accounts(all, true) if all.len() == ACCOUNTS_PAGE_MAX));
    }

    #[test]
    fn a_pattern_matches_as_in_a_shell() {
        let fitting =
            [("*", "ann"), ("a*", "ann"), ("*n", "ann"), ("a?n", "ann"), ("a*b*c", "abxbyc")];
        for (pattern, name) in fitting {
            assert!(matches(pattern, name), "{pattern} {name}");
        }
        for (pattern, name) in [("a", "ann"), ("?", "ann"), ("*a", "ann"), ("ann?", "ann")] {
            assert!(!matches(pattern, name), "{pattern} {name}");
        }
    }

    #[test]
    fn a_snapshot_contains_everything_except_for_the_mode() {
        let mut store = store(&["ann", "bob"]);
        send(&mut store, "ann", "bob", "one");
        send(&mut store, "ann", "bob", "two");
        apply(&mut store, Command::Acknowledge { session: of("bob", 1), upto: 1 });
        let mut restored = MessageStore::new(Mode::Survivor, HISTORY_MAX);
        restored.restore(&mut store.snapshot()).expect("it is a snapshot");
        assert_eq!(query(&restored, &Query::Mode), Reply::Mode(Mode::Survivor));
        restored.mode = Mode::Majority;
        assert_eq!(restored, store);
        let mut invalid = rows::write(
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
        assert!(restored.restore(&mut invalid).is_err());
        assert_eq!(restored, store, "a failed restore changes nothing");
    }
}
