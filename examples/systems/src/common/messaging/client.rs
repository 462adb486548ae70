//! The client of a user. Sessions and the last shown message are in state files, so that a command
//! continues where an earlier one ended or was killed.

use std::fs;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use quorate::types::{Freshness, ReadLevel};

use crate::common::codec;
use crate::common::connection::ClusterConnection;
use crate::common::exit::{CommandError, Exit};
use crate::common::messaging::message::{Command, Mail, Mode, Query, RejectReason, Reply, Session};

/// The time limit for the query of the mode.
const MODE_MAX: Duration = Duration::from_secs(2);

/// A client, and the user it acts for.
pub struct UserClient {
    /// The connection to the cluster.
    pub connection: ClusterConnection,
    /// The user named with `--as`, or the last one to log in at this prompt; `None` for the last
    /// one to log in on this machine.
    active_user: Mutex<Option<String>>,
}

impl UserClient {
    /// Returns a client that acts for `user`, or for the last user who logged in on this machine.
    #[must_use]
    pub fn new(connection: ClusterConnection, user: Option<String>) -> UserClient {
        UserClient { connection, active_user: Mutex::new(user) }
    }

    /// Proposes a command and returns its reply.
    ///
    /// # Errors
    /// The command was rejected, or its outcome is unknown.
    pub fn propose(&self, command: &Command) -> Result<Reply, CommandError> {
        let reply = self.connection.client.propose(&codec::encode(command))?;
        self.decode_reply(&reply)
    }

    /// Runs a linearizable query.
    ///
    /// # Errors
    /// The query was rejected or not answered.
    pub fn read(&self, query: &Query) -> Result<Reply, CommandError> {
        let reply = self.connection.client.read(ReadLevel::Linearizable, &codec::encode(query))?;
        self.decode_reply(&reply.answer)
    }

    /// Runs a query at the node at `address`, at this read level and within this time. Returns the
    /// reply and its freshness.
    ///
    /// # Errors
    /// The query was rejected or not answered.
    pub fn read_of(
        &self,
        address: &str,
        deadline: Duration,
        level: ReadLevel,
        query: &Query,
    ) -> Result<(Reply, Freshness), CommandError> {
        let client = self.connection.client.with_deadline(deadline);
        let reply = client.read_at(address, level, &codec::encode(query))?;
        Ok((self.decode_reply(&reply.answer)?, reply.freshness))
    }

    /// Returns the mode of the first node that answers, with or without a leader.
    ///
    /// # Errors
    /// No node answers in time.
    pub fn mode(&self) -> Result<Mode, CommandError> {
        let client = self.connection.client.with_deadline(MODE_MAX);
        let reply = client.read(ReadLevel::Local, &codec::encode(&Query::Mode))?;
        match self.decode_reply(&reply.answer)? {
            Reply::Mode(mode) => Ok(mode),
            _ => Err(CommandError::unexpected_reply()),
        }
    }

    fn decode_reply(&self, reply: &[u8]) -> Result<Reply, CommandError> {
        match self.connection.decode(reply)? {
            Reply::Rejected(reason) => Err(CommandError::new(Exit::Rejected, reason)),
            reply => Ok(reply),
        }
    }

    /// Returns the session of the active user.
    ///
    /// # Errors
    /// No user is logged in on this machine, or not the user named with `--as`.
    pub fn session(&self) -> Result<Session, CommandError> {
        Ok(self.login(self.active_user().as_deref())?.0)
    }

    /// Creates an account.
    ///
    /// # Errors
    /// The command was rejected, or its outcome is unknown.
    pub fn create(&self, user: String) -> Result<Reply, CommandError> {
        self.propose(&Command::Create { user, id: random_number() })
    }

    /// Logs a user in and makes it the active user. Returns true if that ended another session.
    ///
    /// # Errors
    /// The command was rejected, its outcome is unknown, or the state file cannot be written.
    pub fn log_in(&self, user: String) -> Result<bool, CommandError> {
        let mut active_user = self.active_user();
        let session = Session { user, token: random_number() };
        let Reply::LoggedIn { id, ended_another } =
            self.propose(&Command::Login(session.clone()))?
        else {
            return Err(CommandError::unexpected_reply());
        };
        let Session { user, token } = &session;
        self.write_state(&format!("session-{user}"), &format!("{token} {id}"))?;
        self.write_state("user", &session.user)?;
        *active_user = Some(session.user);
        Ok(ended_another)
    }

    /// Deletes the state file of a session that has ended.
    pub fn forget_session(&self, user: &str) {
        let file = self.connection.system.state_file(&format!("session-{user}"));
        // If the file cannot be deleted, the cluster rejects the session in it.
        let _ = file.map(fs::remove_file);
    }

    /// Receives the waiting messages of the active user: passes each message that was not shown
    /// before to `show`, stores its number in a state file, and then acknowledges it to the
    /// cluster. After a crash the unacknowledged messages are still waiting; a message is shown
    /// twice only if the crash was between `show` and the write of the state file. Returns the
    /// number of shown messages.
    ///
    /// # Errors
    /// No user is logged in, the cluster does not answer, or `show` fails. Only messages that were
    /// shown are acknowledged.
    pub fn receive(
        &self,
        mut show: impl FnMut(&Mail) -> io::Result<()>,
    ) -> Result<u64, CommandError> {
        // The lock serializes this with the background thread of the prompt.
        let active_user = self.active_user();
        let (session, id) = self.login(active_user.as_deref())?;
        let seen_file = format!("seen-{}-{id:016x}", session.user);
        let mut shown = 0;
        loop {
            let query = Query::Waiting { session: session.clone(), after: 0 };
            let Reply::Messages(waiting, more) = self.read(&query)? else {
                return Err(CommandError::unexpected_reply());
            };
            let Some(upto) = waiting.last().map(|mail| mail.number) else { return Ok(shown) };
            for mail in unseen(&waiting, self.read_state(&seen_file).unwrap_or(0)) {
                show(mail).map_err(|error| {
                    CommandError::usage(format!("cannot print the message: {error}"))
                })?;
                self.write_state(&seen_file, &mail.number)?;
                shown += 1;
            }
            self.propose(&Command::Acknowledge { session: session.clone(), upto })?;
            if !more {
                return Ok(shown);
            }
        }
    }

    fn active_user(&self) -> MutexGuard<'_, Option<String>> {
        self.active_user.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the session of the user and the random id of its account.
    fn login(&self, active_user: Option<&str>) -> Result<(Session, u64), CommandError> {
        let not_logged_in =
            || CommandError::new(Exit::Rejected, "no user is logged in: log in first");
        let user = active_user
            .map(str::to_owned)
            .or_else(|| self.read_state("user"))
            .ok_or_else(not_logged_in)?;
        let state: Option<String> = self.read_state(&format!("session-{user}"));
        let numbers = || {
            let state = state?;
            let (token, id) = state.split_once(' ')?;
            Some((token.parse().ok()?, id.parse().ok()?))
        };
        match numbers() {
            Some((token, id)) => Ok((Session { user, token }, id)),
            None => Err(CommandError::new(Exit::Rejected, RejectReason::NotLoggedIn(user))),
        }
    }

    /// Reads a state file of the user.
    fn read_state<T: FromStr>(&self, extension: &str) -> Option<T> {
        let text = fs::read_to_string(self.connection.system.state_file(extension)?).ok()?;
        text.trim().parse().ok()
    }

    /// Writes a state file of the user atomically.
    fn write_state(&self, extension: &str, value: &impl ToString) -> Result<(), CommandError> {
        let no_home =
            || CommandError::usage("no directory for state files: set HOME or XDG_STATE_HOME");
        let file = self.connection.system.state_file(extension).ok_or_else(no_home)?;
        let written = file.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| {
            let new: PathBuf = file.with_extension(format!("new-{}", std::process::id()));
            let mut open = private_file().open(&new)?;
            open.write_all(value.to_string().as_bytes())?;
            fs::rename(new, &file)
        });
        written.map_err(|error| CommandError::usage(format!("{}: {error}", file.display())))
    }
}

/// Returns the messages after the last one that was shown.
fn unseen(waiting: &[Mail], seen: u64) -> impl Iterator<Item = &Mail> {
    waiting.iter().filter(move |mail| mail.number > seen)
}

/// Returns a random number that cannot be guessed.
#[expect(clippy::disallowed_methods, reason = "the token of a session must be random")]
fn random_number() -> u64 {
    rand::random()
}

/// Returns options for a file that only its owner may read, because the token authenticates its
/// user.
fn private_file() -> fs::OpenOptions {
    let mut options = fs::File::options();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mail(number: u64) -> Mail {
        let [from, to, text] = ["ann", "bob", "hello"].map(str::to_owned);
        Mail { number, from, to, text }
    }

    #[test]
    fn messages_shown_before_a_crash_are_not_shown_again() {
        let waiting = [mail(3), mail(5), mail(9)];
        let shown = |seen| unseen(&waiting, seen).map(|mail| mail.number).collect::<Vec<_>>();
        assert_eq!(shown(0), [3, 5, 9], "no message was shown");
        assert_eq!(shown(5), [9], "it was killed before the acknowledgement");
        assert_eq!(shown(9), [0; 0]);
    }
}
