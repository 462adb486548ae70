//! The messaging protocol: commands, queries, and the replies to both.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The maximum length of a user name or a pattern, in bytes.
pub const NAME_BYTES_MAX: usize = 64;
/// The maximum length of a message text, in bytes.
pub const TEXT_BYTES_MAX: usize = 1024;
/// The maximum number of messages that wait for one user.
pub const WAITING_MAX: usize = 500;

/// A login session: the user and a secret token of the client.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// The name of the user.
    pub user: String,
    /// The random token that the client draws for each login.
    pub token: u64,
}

/// A command, replicated through the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Command {
    /// Creates an account for a user.
    Create {
        /// The name of the user.
        user: String,
        /// A random id of the account, drawn by the client; distinguishes later accounts of the
        /// same name.
        id: u64,
    },
    /// Deletes an account and the messages that wait for it.
    Delete {
        /// The session of the account's user.
        session: Session,
        /// Whether waiting messages may be deleted; otherwise they prevent the deletion.
        discard: bool,
    },
    /// Logs the user in with this session, which ends any other one.
    Login(Session),
    /// Logs the user out.
    Logout(Session),
    /// Sends a message to a user, logged in or not.
    Send {
        /// The session of the sender.
        session: Session,
        /// The name of the receiver.
        to: String,
        /// The text of the message.
        text: String,
    },
    /// Removes all messages up to this number from the waiting ones, because the user has them.
    Acknowledge {
        /// The session of the receiver.
        session: Session,
        /// The number of the last received message.
        upto: u64,
    },
}

/// A query, which does not change the state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Query {
    /// Returns a page of the user names that match a pattern.
    List {
        /// The pattern: `*` matches any characters, `?` matches one.
        pattern: String,
        /// The name after which the page begins.
        after: String,
    },
    /// Returns a page of the messages that wait for a user, without removing them.
    Waiting {
        /// The session of the user.
        session: Session,
        /// The message number after which the page begins.
        after: u64,
    },
    /// Returns a page of the last messages that a user has sent and received.
    History {
        /// The session of the user.
        session: Session,
        /// The message number after which the page begins.
        after: u64,
    },
    /// Returns a page of all accounts, without message texts.
    Dump {
        /// The user name after which the page begins.
        after: String,
    },
    /// Returns the mode of the answering node.
    Mode,
}

/// The availability mode in which the nodes were started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Mode {
    /// The cluster is available while a majority of nodes is; safe under partitions.
    #[default]
    Majority,
    /// The cluster is available down to the last survivor; safe only if a silent node has crashed.
    Survivor,
}

/// A message from one user to another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mail {
    /// The message number, increasing over all messages of all users.
    pub number: u64,
    /// The name of the sender.
    pub from: String,
    /// The name of the receiver.
    pub to: String,
    /// The text of the message.
    pub text: String,
}

/// The state of an account, without message texts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// The name of the user.
    pub user: String,
    /// Whether the user is logged in.
    pub is_logged_in: bool,
    /// The numbers of the messages that wait for the user.
    pub waiting: Vec<u64>,
    /// The number of messages in the history.
    pub history: u64,
}

/// A reply to a command or a query.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reply {
    /// The account was created.
    Created,
    /// The account was deleted, with this number of waiting messages.
    Deleted(u64),
    /// The user is logged in.
    LoggedIn {
        /// The random id of the account.
        id: u64,
        /// Whether the login ended another session of the user.
        ended_another: bool,
    },
    /// The user was logged out.
    LoggedOut,
    /// The message was stored under this number.
    Sent(u64),
    /// This number of messages was removed from the waiting ones.
    Acknowledged(u64),
    /// A page of user names, and whether there are more.
    Users(Vec<String>, bool),
    /// A page of messages, and whether there are more.
    Messages(Vec<Mail>, bool),
    /// A page of accounts, and whether there are more.
    Accounts(Vec<Account>, bool),
    /// The mode of the node.
    Mode(Mode),
    /// The request was rejected and had no effect.
    Rejected(RejectReason),
}

/// The reason for a rejection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum RejectReason {
    /// The text is not a valid user name.
    #[error(
        "invalid name `{0}`: use 1 to {NAME_BYTES_MAX} characters of a-z, A-Z, 0-9, \
        `-`, `_` and `.`, beginning with a letter or digit"
    )]
    Name(String),
    /// The text is not a valid pattern.
    #[error(
        "invalid pattern `{0}`: use up to {NAME_BYTES_MAX} characters of names, `*` \
        for any characters, and `?` for one"
    )]
    Pattern(String),
    /// An account of this name exists.
    #[error("the user `{0}` already exists: log in, or use another name")]
    Duplicate(String),
    /// No account of this name exists.
    #[error("the user `{0}` does not exist: `list` shows all users, `create` adds one")]
    UnknownUser(String),
    /// The session of this user has ended or never existed.
    #[error("`{0}` is not logged in here, or has logged in elsewhere since: log in again")]
    NotLoggedIn(String),
    /// The text is empty or too long; its length in bytes.
    #[error("the text has {0} bytes: use 1 to {TEXT_BYTES_MAX}")]
    Text(u64),
    /// The limit of messages that wait for this user is reached.
    #[error(
        "the queue of `{0}` is full with {WAITING_MAX} messages: retry when `{0}` \
        has received some"
    )]
    QueueFull(String),
    /// This number of waiting messages prevents the deletion of the account.
    #[error("{0} messages are waiting: receive them first, or use --discard to delete them")]
    MessagesWaiting(u64),
    /// The acknowledged number, and the number of the last message, which it exceeds.
    #[error("no message {0}: the last one is {1}; nothing was acknowledged")]
    NotSent(u64, u64),
    /// The limit of accounts is reached.
    #[error("the limit of accounts is reached: delete one first")]
    Full,
    /// The bytes are not a valid command or query.
    #[error("invalid request: client and node may have different versions")]
    InvalidRequest,
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
                write!(f, "acknowledge {} {} up to {upto}", session.user, session.token)
            }
        }
    }
}
