//! Who speaks at this end of the talk: sessions and the last message seen, in files of the user's,
//! so that one command goes on where the one before it ended, or was killed.

use std::fs;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use quorate::types::{Freshness, ReadLevel};

use crate::common::codec;
use crate::common::exit::{Exit, Trouble};
use crate::common::reach::Reach;
use crate::common::talk::message::{Command, Mail, Mode, Query, Refusal, Reply, Session};

/// How long somebody waits to learn the mode.
const MODE_MAX: Duration = Duration::from_secs(2);

/// A client, and who of those who are logged in here speaks.
pub struct Desk {
    /// The way to the nodes.
    pub reach: Reach,
    /// Whoever was named, or logged in last in this prompt.
    speaker: Mutex<Option<String>>,
}

impl Desk {
    /// A desk at which `speaker` speaks, or without one whoever logged in last on this machine.
    #[must_use]
    pub fn new(reach: Reach, speaker: Option<String>) -> Desk {
        Desk { reach, speaker: Mutex::new(speaker) }
    }

    /// Has a command carried out.
    ///
    /// # Errors
    /// Why it was not, or why that is not known.
    pub fn propose(&self, command: &Command) -> Result<Reply, Trouble> {
        let told = self.reach.client.propose(&codec::encode(command))?;
        self.heard(&told)
    }

    /// Has a query answered, by all that was done before.
    ///
    /// # Errors
    /// Why it was not.
    pub fn read(&self, query: &Query) -> Result<Reply, Trouble> {
        let told = self.reach.client.read(ReadLevel::Linearizable, &codec::encode(query))?;
        self.heard(&told.answer)
    }

    /// Has a query answered by the node at `address`, at this level and within this time; and how
    /// fresh the answer is.
    ///
    /// # Errors
    /// Why it was not.
    pub fn read_of(
        &self,
        address: &str,
        deadline: Duration,
        level: ReadLevel,
        query: &Query,
    ) -> Result<(Reply, Freshness), Trouble> {
        let client = self.reach.client.with_deadline(deadline);
        let told = client.read_at(address, level, &codec::encode(query))?;
        Ok((self.heard(&told.answer)?, told.freshness))
    }

    /// How the node was started that answers first, whether it has a primary or not.
    ///
    /// # Errors
    /// None answers soon.
    pub fn mode(&self) -> Result<Mode, Trouble> {
        let client = self.reach.client.with_deadline(MODE_MAX);
        let told = client.read(ReadLevel::Local, &codec::encode(&Query::Mode))?;
        match self.heard(&told.answer)? {
            Reply::Mode(mode) => Ok(mode),
            _ => Err(Trouble::new(Exit::Refused, Refusal::Malformed)),
        }
    }

    fn heard(&self, reply: &[u8]) -> Result<Reply, Trouble> {
        self.reach.remember();
        match codec::decode(reply) {
            Some(Reply::Refused(refusal)) => Err(Trouble::new(Exit::No, refusal)),
            Some(reply) => Ok(reply),
            None => Err(Trouble::new(Exit::Refused, Refusal::Malformed)),
        }
    }

    /// The session of whoever speaks.
    ///
    /// # Errors
    /// Nobody is logged in here, or not the one who was named.
    pub fn session(&self) -> Result<Session, Trouble> {
        Ok(self.login(self.speaker().as_deref())?.0)
    }

    /// Makes an account.
    ///
    /// # Errors
    /// Why not.
    pub fn create(&self, user: String) -> Result<Reply, Trouble> {
        self.propose(&Command::Create { user, id: drawn() })
    }

    /// Logs a user in, who speaks from now on. Says whether that ended another session.
    ///
    /// # Errors
    /// Why not.
    pub fn log_in(&self, user: String) -> Result<bool, Trouble> {
        let mut speaker = self.speaker();
        let session = Session { user, token: drawn() };
        let Reply::LoggedIn { id, ended_another } =
            self.propose(&Command::Login(session.clone()))?
        else {
            return Err(Trouble::new(Exit::Refused, Refusal::Malformed));
        };
        let Session { user, token } = &session;
        self.keep(&format!("session-{user}"), &format!("{token} {id}"))?;
        self.keep("user", &session.user)?;
        *speaker = Some(session.user);
        Ok(ended_another)
    }

    /// Forgets the session of a user that has ended.
    pub fn forget(&self, user: &str) {
        let file = self.reach.system.file(&format!("session-{user}"));
        // What is left of it, no node believes.
        let _ = file.map(fs::remove_file);
    }

    /// Takes what waits for whoever speaks: gives each message that was not shown here before to
    /// `show`, notes its number, and only then tells the talk that it is here. Whoever is killed on
    /// the way finds it again, and sees it once more only if that was between the showing and the
    /// noting. Says how many there were to show.
    ///
    /// # Errors
    /// Nobody is logged in, the talk does not answer, or `show` fails: then nothing is taken that
    /// was not shown.
    pub fn receive(&self, mut show: impl FnMut(&Mail) -> io::Result<()>) -> Result<u64, Trouble> {
        // One at a time: the prompt receives by itself, too.
        let speaker = self.speaker();
        let (session, id) = self.login(speaker.as_deref())?;
        let seen_file = format!("seen-{}-{id:016x}", session.user);
        let mut shown = 0;
        loop {
            let query = Query::Waiting { session: session.clone(), after: 0 };
            let Reply::Messages(waiting, more) = self.read(&query)? else {
                return Err(Trouble::new(Exit::Refused, Refusal::Malformed));
            };
            let Some(upto) = waiting.last().map(|mail| mail.number) else { return Ok(shown) };
            for mail in unseen(&waiting, self.kept(&seen_file).unwrap_or(0)) {
                show(mail).map_err(|error| Trouble::wrong(format!("cannot show it: {error}")))?;
                self.keep(&seen_file, &mail.number)?;
                shown += 1;
            }
            self.propose(&Command::Acknowledge { session: session.clone(), upto })?;
            if !more {
                return Ok(shown);
            }
        }
    }

    fn speaker(&self) -> MutexGuard<'_, Option<String>> {
        self.speaker.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The session of whoever speaks here, and what its account was created with.
    fn login(&self, speaker: Option<&str>) -> Result<(Session, u64), Trouble> {
        let nobody = || Trouble::new(Exit::No, "nobody is logged in here: log in first");
        let user = speaker.map(str::to_owned).or_else(|| self.kept("user")).ok_or_else(nobody)?;
        let kept: Option<String> = self.kept(&format!("session-{user}"));
        let numbers = || {
            let kept = kept?;
            let (token, id) = kept.split_once(' ')?;
            Some((token.parse().ok()?, id.parse().ok()?))
        };
        match numbers() {
            Some((token, id)) => Ok((Session { user, token }, id)),
            None => Err(Trouble::new(Exit::No, Refusal::NotLoggedIn(user))),
        }
    }

    /// What a file of the user's says.
    fn kept<T: FromStr>(&self, extension: &str) -> Option<T> {
        let text = fs::read_to_string(self.reach.system.file(extension)?).ok()?;
        text.trim().parse().ok()
    }

    /// Has a file of the user's say this: all of it, or what it said before.
    fn keep(&self, extension: &str, what: &impl ToString) -> Result<(), Trouble> {
        let home = || Trouble::wrong("no place for sessions: set HOME or XDG_STATE_HOME");
        let file = self.reach.system.file(extension).ok_or_else(home)?;
        let written = file.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| {
            let new: PathBuf = file.with_extension(format!("new-{}", std::process::id()));
            let mut open = private().open(&new)?;
            open.write_all(what.to_string().as_bytes())?;
            fs::rename(new, &file)
        });
        written.map_err(|error| Trouble::wrong(format!("{}: {error}", file.display())))
    }
}

/// Those after the last one that was shown.
fn unseen(waiting: &[Mail], seen: u64) -> impl Iterator<Item = &Mail> {
    waiting.iter().filter(move |mail| mail.number > seen)
}

/// A number that nobody guesses, and no other login or account has.
#[expect(clippy::disallowed_methods, reason = "it is a name, and decides nothing else")]
fn drawn() -> u64 {
    rand::random()
}

/// A file that nobody else reads: whoever knows the token speaks as the user.
fn private() -> fs::OpenOptions {
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
    fn what_was_shown_before_the_client_was_killed_is_not_shown_again() {
        let waiting = [mail(3), mail(5), mail(9)];
        let shown = |seen| unseen(&waiting, seen).map(|mail| mail.number).collect::<Vec<_>>();
        assert_eq!(shown(0), [3, 5, 9], "it was never here");
        assert_eq!(shown(5), [9], "it was killed before it could tell the talk");
        assert_eq!(shown(9), [0; 0]);
    }
}
