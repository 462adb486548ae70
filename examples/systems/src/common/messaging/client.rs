//! The client of a user on the command line, with its state files on this computer.

use std::fs::{self, TryLockError};
use std::io;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use quorate::types::{Freshness, ReadLevel};

use crate::common::calls::checked;
use crate::common::codec;
use crate::common::connection::ClusterConnection;
use crate::common::exit::{CommandError, CommandResult};
use crate::common::messaging::message::{Command, Mail, Mode, Query, Reply, Session};
use crate::common::messaging::user::{Received, User, UserComputer, accepted};
use crate::common::system::{System, private_file, replace_file};

/// The time limit for the query of the mode.
const MODE_MAX: Duration = Duration::from_secs(2);
/// The maximum time that a command of a prompt waits for the acknowledgement of the messages that
/// its user has just seen.
const ACKNOWLEDGE_MAX: Duration = Duration::from_secs(1);

/// A client, and the user it acts for.
pub struct UserClient {
    /// The connection to the cluster.
    pub connection: ClusterConnection,
    /// The user named with `--as`, or the last one to log in at this prompt; `None` for the last
    /// one to log in on this computer. Not locked during a call of the cluster.
    active_user: Mutex<Option<String>>,
    unacknowledged: Unacknowledged,
}

/// The number of calls that show messages and have not acknowledged them yet.
#[derive(Default)]
struct Unacknowledged {
    calls: Mutex<u32>,
    ended: Condvar,
}

/// Counts one call in [`Unacknowledged`] until the call ends.
struct Showing<'a>(&'a Unacknowledged);

impl Unacknowledged {
    fn begin(&self) -> Showing<'_> {
        *self.lock() += 1;
        Showing(self)
    }

    /// Waits until all shown messages are acknowledged, for this time at most.
    fn wait(&self, max: Duration) {
        let waited = self.ended.wait_timeout_while(self.lock(), max, |calls| *calls > 0);
        drop(waited.unwrap_or_else(PoisonError::into_inner));
    }

    fn lock(&self) -> MutexGuard<'_, u32> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Showing<'_> {
    fn drop(&mut self) {
        *self.0.lock() -= 1;
        self.0.ended.notify_all();
    }
}

impl UserClient {
    /// Returns a client that acts for `user`, or, if that is empty, for the last user who logged in
    /// on this computer.
    #[must_use]
    pub fn new(connection: ClusterConnection, user: Option<String>) -> UserClient {
        // An empty environment variable counts as unset.
        let user = user.filter(|user| !user.is_empty());
        let unacknowledged = Unacknowledged::default();
        UserClient { connection, active_user: Mutex::new(user), unacknowledged }
    }

    /// Makes the last user who logged in on this computer the active one, unless there is one
    /// already: a prompt does not follow the logins of other clients.
    pub fn keep_active_user(&self) {
        if let Some(last) = self.run(None, async |user| user.active_name()) {
            self.lock().get_or_insert(last);
        }
    }

    /// Proposes a command and returns its reply.
    ///
    /// # Errors
    /// The command was rejected, or its outcome is unknown.
    pub fn propose(&self, command: &Command) -> CommandResult<Reply> {
        self.run(None, async |user| user.propose(command).await)
    }

    /// Runs a linearizable query.
    ///
    /// # Errors
    /// The query was rejected or not answered.
    pub fn read(&self, query: &Query) -> CommandResult<Reply> {
        self.run(None, async |user| user.read(query).await)
    }

    /// Runs a query at the node at `address`, at this read level and within this time. Returns the
    /// reply, or the error of a rejection, and the freshness of both.
    ///
    /// # Errors
    /// The query was not answered.
    pub fn read_of(
        &self,
        address: &str,
        deadline: Duration,
        level: ReadLevel,
        query: &Query,
    ) -> CommandResult<(CommandResult<Reply>, Freshness)> {
        let client = self.connection.client.with_deadline(deadline);
        let query = codec::encode(query);
        let reply = client.read_at(address, level, checked(&query)?)?;
        Ok((accepted(self.connection.decode(&reply.answer)?), reply.freshness))
    }

    /// Returns the mode of the first node that answers, with or without a leader.
    ///
    /// # Errors
    /// No node answers in time.
    pub fn mode(&self) -> CommandResult<Mode> {
        let client = self.connection.client.with_deadline(MODE_MAX.min(self.connection.deadline));
        let reply = client.read(ReadLevel::Local, &codec::encode(&Query::Mode))?;
        match accepted(self.connection.decode(&reply.answer)?)? {
            Reply::Mode(mode) => Ok(mode),
            _ => Err(CommandError::unexpected_reply()),
        }
    }

    /// Returns the session of the active user. If another thread has shown messages and is about to
    /// acknowledge them, waits a while for the acknowledgement, so that messages that the user has
    /// seen do not count as waiting.
    ///
    /// # Errors
    /// No user is logged in on this computer, or the user named with `--as` is not.
    pub fn session(&self) -> CommandResult<Session> {
        self.unacknowledged.wait(ACKNOWLEDGE_MAX);
        self.run(self.active_user().as_deref(), async |user| user.session())
    }

    /// Creates an account.
    ///
    /// # Errors
    /// The command was rejected, or its outcome is unknown.
    pub fn create(&self, user: String) -> CommandResult<Reply> {
        self.run(None, async |creator| creator.create(user).await)
    }

    /// Logs a user in and makes it the active user. Returns true if that ended another session.
    ///
    /// # Errors
    /// The command was rejected, its outcome is unknown, or the state file cannot be written.
    pub fn log_in(&self, user: String) -> CommandResult<bool> {
        let ended_another = self.run(None, async |account| account.log_in(&user).await)?;
        *self.lock() = Some(user);
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
    pub fn send(&self, to: String, text: String) -> CommandResult<u64> {
        self.run(self.active_user().as_deref(), async |user| user.send(to, text).await)
    }

    /// Receives the waiting messages of the active user, as [`User::receive`] does.
    ///
    /// # Errors
    /// No user is logged in, the cluster does not answer, or `show` fails. Only messages that were
    /// shown are acknowledged.
    pub fn receive(
        &self,
        mut show: impl FnMut(&Mail) -> io::Result<()>,
    ) -> CommandResult<Received> {
        let mut showing = None;
        let mut show = |mail: &Mail| {
            showing.get_or_insert_with(|| self.unacknowledged.begin());
            show(mail)
        };
        self.run(self.active_user().as_deref(), async |user| user.receive(&mut show).await)
    }

    /// Acts as the user with this name, or as the last one who logged in on this computer.
    fn run<T>(&self, name: Option<&str>, act: impl AsyncFnOnce(User<'_, System>) -> T) -> T {
        let computer = &self.connection.system;
        self.connection.run(async |calls| act(User::new(calls, computer, name)).await)
    }

    /// Returns a copy, so that no thread holds the lock while it waits for a reply.
    fn active_user(&self) -> Option<String> {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Option<String>> {
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

    fn write(&self, file: &str, text: &str) -> CommandResult<()> {
        let file = self.state_file(file).ok_or_else(no_home)?;
        let written = replace_file(&file, text);
        written.map_err(|error| CommandError::usage(format!("{}: {error}", file.display())))
    }

    fn remove(&self, file: &str) {
        let _ = self.state_file(file).map(fs::remove_file);
    }

    fn try_lock(&self, name: &str) -> CommandResult<Option<fs::File>> {
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

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::sync::Arc;
    use std::sync::mpsc::channel;
    use std::thread;

    use clap::Parser;
    use quorate::storage::ClusterId;

    use super::*;
    use crate::common::connection::ConnectionFlags;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        flags: ConnectionFlags,
    }

    const SYSTEM: System =
        System { name: "test", cluster: ClusterId(1), nodes: &[], tls_by_default: false };

    #[test]
    fn a_call_does_not_wait_for_the_reply_to_another_thread() {
        let silent = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let address = silent.local_addr().expect("it is bound").to_string();
        let line = Line::parse_from(["test", "--plaintext", "--nodes", &address]);
        let connection = line.flags.connect(SYSTEM, |_| {}).expect("the flags are valid");
        let client = Arc::new(UserClient::new(connection, Some("ann".to_owned())));
        let waiting = Arc::clone(&client);
        thread::spawn(move || waiting.log_in("ann".to_owned()));
        let _connected = silent.accept().expect("the client connects");
        let (sender, session) = channel();
        thread::spawn(move || sender.send(client.session()));
        let session = session.recv_timeout(MODE_MAX).expect("it waits for no node");
        assert!(session.is_err(), "no user is logged in");
    }

    #[test]
    fn a_command_waits_for_an_acknowledgement_and_not_without_end() {
        let unacknowledged = Arc::new(Unacknowledged::default());
        unacknowledged.wait(Duration::MAX);
        let showing = unacknowledged.begin();
        unacknowledged.wait(Duration::from_millis(1));
        let (waiting, (sender, ended)) = (Arc::clone(&unacknowledged), channel());
        thread::spawn(move || {
            waiting.wait(Duration::from_secs(3600));
            sender.send(()).expect("the test waits");
        });
        assert!(ended.recv_timeout(Duration::from_millis(50)).is_err(), "it does not wait");
        drop(showing);
        ended.recv_timeout(Duration::from_secs(60)).expect("the acknowledgement ends the wait");
    }
}
