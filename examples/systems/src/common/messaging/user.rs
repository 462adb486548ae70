//! The client of a user, without a command line. Sessions and the last shown message are in
//! state files, so that a client continues where an earlier one ended or was killed.

use std::io;
use std::str::FromStr;

use quorate::types::ReadLevel;

use crate::common::calls::Calls;
use crate::common::codec;
use crate::common::exit::{CommandError, CommandResult, Exit};
use crate::common::messaging::message::{Command, Mail, Query, RejectReason, Reply, Session};

/// The computer on which a user's client runs: its state files, its locks and its random numbers.
pub trait UserComputer {
    /// A held lock, which is released when it is dropped or when its process ends.
    type Lock;

    /// Returns the text of a state file; `None` if it cannot be read.
    fn read(&self, file: &str) -> Option<String>;

    /// Writes a state file atomically: a crash of the client leaves the earlier text or the new
    /// one.
    ///
    /// # Errors
    /// The file cannot be written.
    fn write(&self, file: &str, text: &str) -> CommandResult<()>;

    /// Deletes a state file, if it exists.
    fn remove(&self, file: &str);

    /// Takes the lock with this name, which one client on the computer holds at a time; `None` if
    /// another client holds it. Never waits.
    ///
    /// # Errors
    /// The file of the lock cannot be opened.
    fn try_lock(&self, name: &str) -> CommandResult<Option<Self::Lock>>;

    /// Returns a random number that cannot be guessed.
    fn random(&self) -> u64;
}

/// The result of receiving messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Received {
    /// The number of messages that were shown.
    pub shown: u64,
    /// Whether all waiting messages were received. If false, another client of the user was showing
    /// messages.
    pub is_complete: bool,
}

/// A user on a computer.
pub struct User<'a, M> {
    calls: Calls<'a>,
    computer: &'a M,
    name: Option<&'a str>,
}

impl<'a, M: UserComputer> User<'a, M> {
    /// Returns the user with this name, or the last one who logged in on the computer.
    pub fn new(calls: Calls<'a>, computer: &'a M, name: Option<&'a str>) -> User<'a, M> {
        User { calls, computer, name }
    }

    /// Proposes a command and returns its reply.
    ///
    /// # Errors
    /// The command was rejected, or its outcome is unknown.
    pub async fn propose(&self, command: &Command) -> CommandResult<Reply> {
        accepted(self.calls.propose(&codec::encode(command)).await?)
    }

    /// Runs a linearizable query.
    ///
    /// # Errors
    /// The query was rejected or not answered.
    pub async fn read(&self, query: &Query) -> CommandResult<Reply> {
        let level = ReadLevel::Linearizable;
        accepted(self.calls.read(None, level, &codec::encode(query)).await?)
    }

    /// Creates an account.
    ///
    /// # Errors
    /// The command was rejected, or its outcome is unknown.
    pub async fn create(&self, user: String) -> CommandResult<Reply> {
        self.propose(&Command::Create { user, id: self.computer.random() }).await
    }

    /// Logs a user in. Returns true if that ended another session.
    ///
    /// # Errors
    /// The command was rejected, its outcome is unknown, or the state file cannot be written.
    pub async fn log_in(&self, user: &str) -> CommandResult<bool> {
        let session = Session { user: user.to_owned(), token: self.computer.random() };
        let login = Command::Login(session.clone());
        let Reply::LoggedIn { id, ended_another } = self.propose(&login).await? else {
            return Err(CommandError::unknown_reply());
        };
        self.computer.write(&format!("session-{user}"), &format!("{} {id}", session.token))?;
        self.computer.write("user", user)?;
        Ok(ended_another)
    }

    /// Deletes the state file of a session that has ended.
    pub fn forget_session(&self, user: &str) {
        // If the file cannot be deleted, the cluster rejects the session in it.
        self.computer.remove(&format!("session-{user}"));
    }

    /// Sends a message and returns its number.
    ///
    /// # Errors
    /// No user is logged in, the message was rejected, or its outcome is unknown.
    pub async fn send(&self, to: String, text: String) -> CommandResult<u64> {
        let session = self.session()?;
        match self.propose(&Command::Send { session, to, text }).await? {
            Reply::Sent(number) => Ok(number),
            _ => Err(CommandError::unknown_reply()),
        }
    }

    /// Receives the waiting messages of the user: passes each message that was not shown before to
    /// `show`, stores its number in a state file, and then acknowledges it to the cluster. After a
    /// crash the unacknowledged messages are still waiting; a message is shown twice only if the
    /// crash was between `show` and the write of the state file. While another client of the user
    /// on this computer shows messages, this one shows and acknowledges none, and does not wait.
    ///
    /// # Errors
    /// No user is logged in, the cluster does not answer, or `show` fails. Only messages that were
    /// shown are acknowledged.
    pub async fn receive(
        &self,
        mut show: impl FnMut(&Mail) -> io::Result<()>,
    ) -> CommandResult<Received> {
        let (session, id) = self.login()?;
        let files = [format!("receive-{}", session.user), seen_file(&session.user, id)];
        let mut shown = 0;
        loop {
            let query = Query::Waiting { session: session.clone(), after: 0 };
            let Reply::Messages(waiting, more) = self.read(&query).await? else {
                return Err(CommandError::unexpected_reply());
            };
            let Some(upto) = waiting.last().map(|mail| mail.number) else {
                return Ok(Received { shown, is_complete: true });
            };
            match show_unseen(self.computer, &files, &waiting, &mut show)? {
                Some(count) => shown += count,
                None => return Ok(Received { shown, is_complete: false }),
            }
            self.propose(&Command::Acknowledge { session: session.clone(), upto }).await?;
            if !more {
                return Ok(Received { shown, is_complete: true });
            }
        }
    }

    /// Deletes the state files of an account that was deleted, except for the lock, which another
    /// client may be about to take.
    pub fn forget_account(&self, user: &str) {
        if let Some((_, id)) = self.session_numbers(user) {
            self.computer.remove(&seen_file(user, id));
        }
        self.forget_session(user);
    }

    /// Returns the session of the user.
    ///
    /// # Errors
    /// No user is logged in on this computer, or the user with this name is not.
    pub fn session(&self) -> CommandResult<Session> {
        Ok(self.login()?.0)
    }

    /// Returns the name of the user; `None` if no user has logged in on the computer.
    pub fn active_name(&self) -> Option<String> {
        self.name.map(str::to_owned).or_else(|| read_state(self.computer, "user"))
    }

    /// Returns the session of the user and the random id of its account.
    fn login(&self) -> CommandResult<(Session, u64)> {
        let not_logged_in =
            || CommandError::new(Exit::Rejected, "no user is logged in: log in first");
        let user = self.active_name().ok_or_else(not_logged_in)?;
        match self.session_numbers(&user) {
            Some((token, id)) => Ok((Session { user, token }, id)),
            None => Err(CommandError::new(Exit::Rejected, RejectReason::NotLoggedIn(user))),
        }
    }

    /// Returns the token of the user's session and the random id of its account.
    fn session_numbers(&self, user: &str) -> Option<(u64, u64)> {
        let state: String = read_state(self.computer, &format!("session-{user}"))?;
        let (token, id) = state.split_once(' ')?;
        Some((token.parse().ok()?, id.parse().ok()?))
    }
}

fn read_state<T: FromStr>(computer: &impl UserComputer, file: &str) -> Option<T> {
    computer.read(file)?.trim().parse().ok()
}

/// Returns the state file with the number of the last message that a client showed to the user of
/// this account.
fn seen_file(user: &str, id: u64) -> String {
    format!("seen-{user}-{id:016x}")
}

/// Shows the messages that no client of the user on this computer has shown before, stores the
/// number of each, and returns how many it has shown. The files are the lock, and the file with the
/// number of the last shown message. Returns `None` if another client is showing messages, because
/// a client whose terminal is stopped must not stop the others. If the file with the number cannot
/// be written, shows nothing, because on a full disk each attempt would show the same messages
/// again.
fn show_unseen<M: UserComputer>(
    computer: &M,
    [lock, seen_file]: &[String; 2],
    waiting: &[Mail],
    show: &mut impl FnMut(&Mail) -> io::Result<()>,
) -> CommandResult<Option<u64>> {
    let Some(_held) = computer.try_lock(lock)? else { return Ok(None) };
    let mut shown = 0;
    // Another client may have shown some of the messages since they were read.
    let seen = read_state(computer, seen_file).unwrap_or(0);
    if unseen(waiting, seen).next().is_some() {
        computer.write(seen_file, &seen.to_string())?;
    }
    for mail in unseen(waiting, seen) {
        let failed = |error| CommandError::usage(format!("cannot print the message: {error}"));
        show(mail).map_err(failed)?;
        computer.write(seen_file, &mail.number.to_string())?;
        shown += 1;
    }
    Ok(Some(shown))
}

/// Returns the reply, or the error of a rejection.
pub(super) fn accepted(reply: Reply) -> CommandResult<Reply> {
    match reply {
        Reply::Rejected(reason) => Err(CommandError::new(Exit::Rejected, reason)),
        reply => Ok(reply),
    }
}

/// Returns the messages after the last one that was shown.
fn unseen(waiting: &[Mail], seen: u64) -> impl Iterator<Item = &Mail> {
    waiting.iter().filter(move |mail| mail.number > seen)
}

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};
    use std::collections::{BTreeMap, BTreeSet};
    use std::rc::Rc;

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

    /// A computer whose files and locks are in memory.
    #[derive(Default)]
    struct Memory {
        files: RefCell<BTreeMap<String, String>>,
        held: Rc<RefCell<BTreeSet<String>>>,
        is_full: Cell<bool>,
    }

    struct Held(Rc<RefCell<BTreeSet<String>>>, String);

    impl Drop for Held {
        fn drop(&mut self) {
            self.0.borrow_mut().remove(&self.1);
        }
    }

    impl UserComputer for Memory {
        type Lock = Held;

        fn read(&self, file: &str) -> Option<String> {
            self.files.borrow().get(file).cloned()
        }
        fn write(&self, file: &str, text: &str) -> CommandResult<()> {
            if self.is_full.get() {
                return Err(CommandError::usage("the disk is full"));
            }
            self.files.borrow_mut().insert(file.to_owned(), text.to_owned());
            Ok(())
        }
        fn remove(&self, file: &str) {
            self.files.borrow_mut().remove(file);
        }
        fn try_lock(&self, name: &str) -> CommandResult<Option<Held>> {
            let is_new = self.held.borrow_mut().insert(name.to_owned());
            Ok(is_new.then(|| Held(Rc::clone(&self.held), name.to_owned())))
        }
        fn random(&self) -> u64 {
            7
        }
    }

    #[test]
    fn a_full_disk_does_not_repeat_messages() {
        let (computer, files) = (Memory::default(), ["lock", "seen"].map(str::to_owned));
        let shown = RefCell::new(Vec::new());
        let mut show = |mail: &Mail| {
            shown.borrow_mut().push(mail.number);
            Ok(())
        };
        computer.is_full.set(true);
        for _ in 0..2 {
            assert!(show_unseen(&computer, &files, &[mail(3)], &mut show).is_err());
        }
        assert_eq!(*shown.borrow(), [0; 0], "shown although its number cannot be stored");
        computer.is_full.set(false);
        assert_eq!(show_unseen(&computer, &files, &[mail(3)], &mut show), Ok(Some(1)));
        assert_eq!(*shown.borrow(), [3]);
    }

    #[test]
    fn two_clients_at_once_show_each_message_once_and_do_not_wait() {
        let (computer, waiting) = (Memory::default(), [mail(3), mail(5)]);
        let files = ["lock", "seen"].map(str::to_owned);
        let shown = RefCell::new(Vec::new());
        let mut second = |mail: &Mail| {
            shown.borrow_mut().push(("second", mail.number));
            Ok(())
        };
        let first = show_unseen(&computer, &files, &waiting, &mut |mail| {
            // While the first one shows a message, the second one has read the same ones.
            assert_eq!(show_unseen(&computer, &files, &waiting, &mut second), Ok(None));
            shown.borrow_mut().push(("first", mail.number));
            Ok(())
        });
        assert_eq!(first, Ok(Some(2)));
        assert_eq!(show_unseen(&computer, &files, &waiting, &mut second), Ok(Some(0)));
        let more = [mail(3), mail(5), mail(8)];
        assert_eq!(show_unseen(&computer, &files, &more, &mut second), Ok(Some(1)));
        assert_eq!(*shown.borrow(), [("first", 3), ("first", 5), ("second", 8)]);
        let fails = &mut |_: &Mail| Err(io::ErrorKind::BrokenPipe.into());
        assert!(show_unseen(&computer, &files, &[mail(9)], fails).is_err());
        assert_eq!(show_unseen(&computer, &files, &[mail(9)], &mut second), Ok(Some(1)));
    }
}
