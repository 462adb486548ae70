//! The client of a user on the command line, with its state files on this computer.

use std::fs::{self, TryLockError};
use std::io::{self, Write as _};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use quorate::types::{Freshness, ReadLevel};

use crate::common::calls::checked;
use crate::common::codec;
use crate::common::connection::ClusterConnection;
use crate::common::exit::CommandError;
use crate::common::messaging::message::{Command, Mail, Mode, Query, Reply, Session};
use crate::common::messaging::user::{Received, User, UserComputer, accepted};
use crate::common::system::System;

/// The time limit for the query of the mode.
const MODE_MAX: Duration = Duration::from_secs(2);

/// A client, and the user it acts for.
pub struct UserClient {
    /// The connection to the cluster.
    pub connection: ClusterConnection,
    /// The user named with `--as`, or the last one to log in at this prompt; `None` for the last
    /// one to log in on this computer.
    active_user: Mutex<Option<String>>,
}

impl UserClient {
    /// Returns a client that acts for `user`, or, if that is empty, for the last user who logged in
    /// on this computer.
    #[must_use]
    pub fn new(connection: ClusterConnection, user: Option<String>) -> UserClient {
        // An empty environment variable counts as unset.
        let user = user.filter(|user| !user.is_empty());
        UserClient { connection, active_user: Mutex::new(user) }
    }

    /// Proposes a command and returns its reply.
    ///
    /// # Errors
    /// The command was rejected, or its outcome is unknown.
    pub fn propose(&self, command: &Command) -> Result<Reply, CommandError> {
        self.run(None, async |user| user.propose(command).await)
    }

    /// Runs a linearizable query.
    ///
    /// # Errors
    /// The query was rejected or not answered.
    pub fn read(&self, query: &Query) -> Result<Reply, CommandError> {
        self.run(None, async |user| user.read(query).await)
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
        let query = codec::encode(query);
        let reply = client.read_at(address, level, checked(&query)?)?;
        Ok((accepted(self.connection.decode(&reply.answer)?)?, reply.freshness))
    }

    /// Returns the mode of the first node that answers, with or without a leader.
    ///
    /// # Errors
    /// No node answers in time.
    pub fn mode(&self) -> Result<Mode, CommandError> {
        let client = self.connection.client.with_deadline(MODE_MAX);
        let reply = client.read(ReadLevel::Local, &codec::encode(&Query::Mode))?;
        match accepted(self.connection.decode(&reply.answer)?)? {
            Reply::Mode(mode) => Ok(mode),
            _ => Err(CommandError::unexpected_reply()),
        }
    }

    /// Returns the session of the active user.
    ///
    /// # Errors
    /// No user is logged in on this computer, or not the user named with `--as`.
    pub fn session(&self) -> Result<Session, CommandError> {
        let active_user = self.active_user();
        self.run(active_user.as_deref(), async |user| user.session())
    }

    /// Creates an account.
    ///
    /// # Errors
    /// The command was rejected, or its outcome is unknown.
    pub fn create(&self, user: String) -> Result<Reply, CommandError> {
        self.run(None, async |creator| creator.create(user).await)
    }

    /// Logs a user in and makes it the active user. Returns true if that ended another session.
    ///
    /// # Errors
    /// The command was rejected, its outcome is unknown, or the state file cannot be written.
    pub fn log_in(&self, user: String) -> Result<bool, CommandError> {
        let mut active_user = self.active_user();
        let ended_another = self.run(None, async |account| account.log_in(&user).await)?;
        *active_user = Some(user);
        Ok(ended_another)
    }

    /// Deletes the state files of an account that was deleted.
    pub fn forget_account(&self, user: &str) {
        self.run(None, async |account| account.forget_account(user));
    }

    /// Deletes the state file of a session that has ended.
    pub fn forget_session(&self, user: &str) {
        self.run(None, async |account| account.forget_session(user));
    }

    /// Sends a message from the active user and returns its number.
    ///
    /// # Errors
    /// No user is logged in, the message was rejected, or its outcome is unknown.
    pub fn send(&self, to: String, text: String) -> Result<u64, CommandError> {
        let active_user = self.active_user().clone();
        self.run(active_user.as_deref(), async |user| user.send(to, text).await)
    }

    /// Receives the waiting messages of the active user, as [`User::receive`] does.
    ///
    /// # Errors
    /// No user is logged in, the cluster does not answer, or `show` fails. Only messages that were
    /// shown are acknowledged.
    pub fn receive(
        &self,
        show: impl FnMut(&Mail) -> io::Result<()>,
    ) -> Result<Received, CommandError> {
        // The lock serializes this with the background thread of the prompt.
        let active_user = self.active_user();
        self.run(active_user.as_deref(), async |user| user.receive(show).await)
    }

    /// Acts as the user with this name, or as the last one who logged in on this computer.
    fn run<T>(&self, name: Option<&str>, act: impl AsyncFnOnce(User<'_, System>) -> T) -> T {
        let computer = &self.connection.system;
        self.connection.run(async |calls| act(User::new(calls, computer, name)).await)
    }

    fn active_user(&self) -> MutexGuard<'_, Option<String>> {
        self.active_user.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The computer of the command line, with the state files of the system.
impl UserComputer for System {
    /// The locked file, which the operating system unlocks when the process ends.
    type Lock = fs::File;

    fn read(&self, file: &str) -> Option<String> {
        fs::read_to_string(self.state_file(file)?).ok()
    }

    fn write(&self, file: &str, text: &str) -> Result<(), CommandError> {
        let file = self.state_file(file).ok_or_else(no_home)?;
        let written = file.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| {
            let mut new = file.clone().into_os_string();
            new.push(format!(".new-{}", std::process::id()));
            let mut open = private_file().open(&new)?;
            open.write_all(text.as_bytes())?;
            fs::rename(new, &file)
        });
        written.map_err(|error| CommandError::usage(format!("{}: {error}", file.display())))
    }

    fn remove(&self, file: &str) {
        let _ = self.state_file(file).map(fs::remove_file);
    }

    fn try_lock(&self, name: &str) -> Result<Option<fs::File>, CommandError> {
        let Some(file) = self.state_file(name) else { return Err(no_home()) };
        let failed = |error| CommandError::usage(format!("{}: {error}", file.display()));
        file.parent().map_or(Ok(()), fs::create_dir_all).map_err(failed)?;
        let open = private_file().open(&file).map_err(failed)?;
        match open.try_lock() {
            Ok(()) => Ok(Some(open)),
            Err(TryLockError::WouldBlock) => Ok(None),
            // A file system without locks.
            Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => {
                Ok(Some(open))
            }
            Err(TryLockError::Error(error)) => Err(failed(error)),
        }
    }

    #[expect(clippy::disallowed_methods, reason = "the token of a session must be random")]
    fn random(&self) -> u64 {
        rand::random()
    }
}

fn no_home() -> CommandError {
    CommandError::usage("no directory for state files: set HOME or XDG_STATE_HOME")
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
