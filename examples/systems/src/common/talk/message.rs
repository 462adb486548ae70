//! What clients say to the talk and are told: commands that change something, queries that do not,
//! and replies to both.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The most bytes of a user's name, and of a pattern.
pub const NAME_BYTES_MAX: usize = 64;
/// The most bytes of a message's text.
pub const TEXT_BYTES_MAX: usize = 1024;
/// The most messages that wait for one user.
pub const WAITING_MAX: usize = 500;

/// A user who is logged in: its name, and what only the client knows that logged it in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// The user.
    pub user: String,
    /// Drawn by the client when it logs in, and another one each time.
    pub token: u64,
}

/// What changes something.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Command {
    /// There is an account of this name from now on.
    Create {
        /// The name.
        user: String,
        /// Drawn by the client: no other account has it, not even a later one of the same name.
        id: u64,
    },
    /// There is none any more, nor anything that was sent to it.
    Delete {
        /// Of the account.
        session: Session,
        /// Whether messages that still wait for it may go, too.
        discard: bool,
    },
    /// The user is logged in with this session, and with no other one any more.
    Login(Session),
    /// The user is not logged in any more.
    Logout(Session),
    /// A message waits for a user, whether it is logged in or not.
    Send {
        /// Who sends it.
        session: Session,
        /// For whom it is.
        to: String,
        /// What it says.
        text: String,
    },
    /// The user has all messages up to this number: they do not wait any more.
    Acknowledge {
        /// Whose messages they are.
        session: Session,
        /// The last number.
        upto: u64,
    },
}

/// What changes nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Query {
    /// The names that a pattern fits, a page of them.
    List {
        /// `*` is any letters, or none; `?` is any one.
        pattern: String,
        /// Names after this one.
        after: String,
    },
    /// The messages that wait for a user, a page of them. They go on waiting.
    Waiting {
        /// Of the user.
        session: Session,
        /// Messages after this number.
        after: u64,
    },
    /// What a user has sent and received of late, a page of it.
    History {
        /// Of the user.
        session: Session,
        /// Messages after this number.
        after: u64,
    },
    /// What is kept of every account, a page of it.
    Dump {
        /// Accounts after this one.
        after: String,
    },
    /// How the node was started that answers.
    Mode,
}

/// When a group goes on without some of its nodes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Mode {
    /// While it has a majority: safe, whatever the network does.
    #[default]
    Majority,
    /// Down to the last node: safe only if silence means death.
    Survivor,
}

/// A message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mail {
    /// Larger than that of every message before it, whoever it was for.
    pub number: u64,
    /// Who sent it.
    pub from: String,
    /// For whom it is.
    pub to: String,
    /// What it says.
    pub text: String,
}

/// What is kept of an account, without what its messages say.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// Its user.
    pub user: String,
    /// Whether that is logged in.
    pub is_logged_in: bool,
    /// The numbers of the messages that wait for it.
    pub waiting: Vec<u64>,
    /// How many messages its history has.
    pub history: u64,
}

/// What the talk replies.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reply {
    /// The account is there.
    Created,
    /// The account is gone, and so many messages with it that waited.
    Deleted(u64),
    /// The user is logged in.
    LoggedIn {
        /// What its account was created with.
        id: u64,
        /// Whether that ended another session of the user's.
        ended_another: bool,
    },
    /// The user is not logged in any more.
    LoggedOut,
    /// The message waits under this number.
    Sent(u64),
    /// So many messages do not wait any more.
    Acknowledged(u64),
    /// Names, and whether there are more after the last of them.
    Users(Vec<String>, bool),
    /// Messages, and whether there are more after the last of them.
    Messages(Vec<Mail>, bool),
    /// Accounts, and whether there are more after the last of them.
    Accounts(Vec<Account>, bool),
    /// How the node was started.
    Mode(Mode),
    /// Nothing happened.
    Refused(Refusal),
}

/// Why the talk does not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Refusal {
    /// It is no name.
    Name(String),
    /// No name can fit the pattern.
    Pattern(String),
    /// There is an account of this name.
    Duplicate(String),
    /// There is no account of this name.
    UnknownUser(String),
    /// The session is not, or no longer, that of the user.
    NotLoggedIn(String),
    /// A message's text is empty or too long: its bytes.
    Text(u64),
    /// As many messages wait for the user as may.
    QueueFull(String),
    /// So many messages wait for whoever is to be deleted.
    MailWaits(u64),
    /// No message has this number yet; the last one has the second.
    NotSent(u64, u64),
    /// There is no room for another account.
    Full,
    /// The bytes are no command or no query.
    Malformed,
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Command::Create { user, .. } => write!(f, "create {user}"),
            Command::Delete { session, discard: false } => write!(f, "delete {}", session.user),
            Command::Delete { session, .. } => write!(f, "delete {} and its mail", session.user),
            Command::Login(session) => write!(f, "login {} {}", session.user, session.token),
            Command::Logout(session) => write!(f, "logout {} {}", session.user, session.token),
            Command::Send { session, to, text } => write!(f, "{} to {to}: {text}", session.user),
            Command::Acknowledge { session, upto } => {
                write!(f, "{} {} has all up to {upto}", session.user, session.token)
            }
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::Name(name) => write!(
                f,
                "`{name}` is no name: one has 1 to {NAME_BYTES_MAX} letters of a-z, A-Z, 0-9, \
                 `-`, `_` and `.`, and begins with none of the last three"
            ),
            Refusal::Pattern(pattern) => write!(
                f,
                "no name fits `{pattern}`: a pattern has up to {NAME_BYTES_MAX} letters of names, \
                 `*` for any of them, and `?` for any one"
            ),
            Refusal::Duplicate(user) => {
                write!(f, "there is a `{user}` already: log in, or take another name")
            }
            Refusal::UnknownUser(user) => {
                write!(f, "there is no `{user}`: `list` shows who there is, `create` makes one")
            }
            Refusal::NotLoggedIn(user) => write!(
                f,
                "`{user}` is not logged in here, or was since then elsewhere: log in (again)"
            ),
            Refusal::Text(bytes) => {
                write!(f, "a text of {bytes} bytes: write 1 to {TEXT_BYTES_MAX}")
            }
            Refusal::QueueFull(user) => write!(
                f,
                "{WAITING_MAX} messages wait for `{user}`: send again once it has received some"
            ),
            Refusal::MailWaits(count) => write!(
                f,
                "{count} messages wait: receive them first, or say --discard to lose them"
            ),
            Refusal::NotSent(upto, last) => {
                write!(
                    f,
                    "there is no message {upto} yet, the last one is {last}: nothing is taken"
                )
            }
            Refusal::Full => f.write_str("there is no room for another account: delete one first"),
            Refusal::Malformed => f.write_str(
                "the node does not understand that: client and node are of different versions",
            ),
        }
    }
}
