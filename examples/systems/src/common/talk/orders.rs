//! What a person asks of a talk, as one order each, and how the replies read.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use clap::Subcommand;

use crate::common::exit::{Done, Exit, Trouble};
use crate::common::prompt::{self, Voice};
use crate::common::show;
use crate::common::talk::desk::Desk;
use crate::common::talk::message::{Command, Mail, Mode, Query, Refusal, Reply};

/// How often the prompt looks for messages.
const LOOK: Duration = Duration::from_millis(500);
/// What is said wherever it is in force.
const NOT_SAFE: &str = "survivor mode: not safe under partitions";

/// What changes something, but for sending: that is each system's own.
#[derive(Clone, Debug, Subcommand)]
pub enum Order {
    /// Make an account
    Create {
        /// Its name
        user: String,
    },
    /// Delete one's own account, and its history; whoever sent it messages keeps theirs
    Delete {
        /// Also if messages wait for it, which are lost then
        #[arg(long)]
        discard: bool,
    },
    /// Log in, which ends a session elsewhere
    Login {
        /// As whom
        user: String,
    },
    /// Log out; messages wait for the next login
    Logout,
    /// Print what waits, and take it: it does not wait any more
    Receive,
}

/// Asks, and prints what came of it.
///
/// # Errors
/// Why there is no answer.
pub fn obey(desk: &Desk, order: Order) -> Done {
    match order {
        Order::Create { user } => desk.create(user).map(|_| Exit::Done),
        Order::Delete { discard } => delete(desk, discard),
        Order::Login { user } => log_in(desk, user),
        Order::Logout => {
            let session = desk.session()?;
            desk.propose(&Command::Logout(session.clone()))?;
            desk.forget(&session.user);
            Ok(Exit::Done)
        }
        Order::Receive => desk.receive(|mail| print(&line(mail))).map(|_| Exit::Done),
    }
}

/// Has a message sent, and prints its number.
///
/// # Errors
/// Why it was not, or why that is not known.
pub fn send(desk: &Desk, to: String, text: String) -> Done {
    let session = desk.session()?;
    match desk.propose(&Command::Send { session, to, text })? {
        Reply::Sent(number) => say(&format!("{number}\n")),
        _ => Err(nonsense()),
    }
}

/// The prompt: it prints messages as they come, and says whether the mode is safe.
///
/// # Errors
/// The terminal cannot be read.
pub fn prompt<O: Subcommand>(desk: Desk, obey: impl Fn(&Desk, O) -> Done) -> Done {
    let system = desk.reach.system;
    let sign = match desk.mode() {
        Ok(Mode::Majority) => format!("{}> ", system.name),
        Ok(Mode::Survivor) => {
            eprintln!(
                "{NOT_SAFE}: parts that do not hear each other both go on, and lose messages"
            );
            format!("{} ({NOT_SAFE})> ", system.name)
        }
        Err(trouble) => {
            eprintln!("which mode the nodes are in is not known: {}", trouble.text);
            format!("{} (mode unknown)> ", system.name)
        }
    };
    let desk = Arc::new(desk);
    let listener = Arc::clone(&desk);
    prompt::run_beside(
        &system,
        &sign,
        |voice| drop(thread::spawn(move || listen(&listener, voice))),
        |order| obey(&desk, order),
    )
}

/// Looks for messages again and again, as long as the prompt is there.
#[expect(clippy::disallowed_methods, reason = "a person waits for messages")]
fn listen(desk: &Desk, mut voice: Voice) {
    loop {
        thread::sleep(LOOK);
        // Nobody is logged in, or nobody answers: orders say so, and this looks again.
        let _ = desk.receive(|mail| voice(line(mail)));
    }
}

/// What shows something and changes nothing.
#[derive(Clone, Debug)]
pub enum Look {
    /// The names of accounts that a pattern fits.
    List(String),
    /// What waits for whoever speaks.
    Waiting,
    /// What it has sent and received of late.
    History,
    /// What is kept of every account.
    Dump,
}

/// Prints all of it, page by page; `read` answers one query, as fresh as the system has it.
///
/// # Errors
/// Nobody speaks here who may see it, and what `read` fails with.
pub fn look(desk: &Desk, what: Look, read: impl Fn(&Query) -> Result<Reply, Trouble>) -> Done {
    match what {
        Look::List(pattern) => list(read, &pattern),
        Look::Waiting => {
            let session = desk.session()?;
            mails(read, |after| Query::Waiting { session: session.clone(), after })
        }
        Look::History => {
            let session = desk.session()?;
            mails(read, |after| Query::History { session: session.clone(), after })
        }
        Look::Dump => dump(read),
    }
}

/// Prints who is there and who leads, and what the mode is worth.
///
/// # Errors
/// No node answers.
pub fn status(desk: &Desk) -> Done {
    let exit = show::status(&desk.reach)?;
    match desk.mode()? {
        Mode::Majority => say("majority mode: a minority refuses\n")?,
        Mode::Survivor => say(&format!("{NOT_SAFE}\n"))?,
    };
    Ok(exit)
}

fn list(read: impl Fn(&Query) -> Result<Reply, Trouble>, pattern: &str) -> Done {
    let mut after = String::new();
    loop {
        let pattern = pattern.to_owned();
        let Reply::Users(users, more) = read(&Query::List { pattern, after })? else {
            return Err(nonsense());
        };
        for user in &users {
            say(&format!("{user}\n"))?;
        }
        match users.last() {
            Some(last) if more => after = last.clone(),
            _ => return Ok(Exit::Done),
        }
    }
}

fn delete(desk: &Desk, discard: bool) -> Done {
    let session = desk.session()?;
    let user = session.user.clone();
    let Reply::Deleted(lost) = desk.propose(&Command::Delete { session, discard })? else {
        return Err(nonsense());
    };
    desk.forget(&user);
    match lost {
        0 => Ok(Exit::Done),
        _ => say(&format!("{lost} messages are lost\n")),
    }
}

fn log_in(desk: &Desk, user: String) -> Done {
    if desk.log_in(user)? {
        say("a session elsewhere has ended\n")?;
    }
    Ok(Exit::Done)
}

/// Prints all pages of messages.
fn mails(read: impl Fn(&Query) -> Result<Reply, Trouble>, query: impl Fn(u64) -> Query) -> Done {
    let mut after = 0;
    loop {
        let Reply::Messages(mails, more) = read(&query(after))? else {
            return Err(nonsense());
        };
        for mail in &mails {
            say(&line(mail))?;
        }
        match mails.last() {
            Some(last) if more => after = last.number,
            _ => return Ok(Exit::Done),
        }
    }
}

fn dump(read: impl Fn(&Query) -> Result<Reply, Trouble>) -> Done {
    let mut after = String::new();
    loop {
        let Reply::Accounts(accounts, more) = read(&Query::Dump { after })? else {
            return Err(nonsense());
        };
        for account in &accounts {
            let logged = if account.is_logged_in { "logged in" } else { "logged out" };
            let (user, history) = (&account.user, account.history);
            let mut text = format!("{user}: {logged}, history {history}, waiting");
            account.waiting.iter().try_for_each(|number| write!(text, " {number}")).ok();
            say(&(text + "\n"))?;
        }
        match accounts.last() {
            Some(last) if more => after = last.user.clone(),
            _ => return Ok(Exit::Done),
        }
    }
}

/// One message as it is read; other letters than it may have on one line are escaped.
fn line(mail: &Mail) -> String {
    let text: String = mail.text.chars().flat_map(shown).collect();
    format!("{} {} to {}: {text}\n", mail.number, mail.from, mail.to)
}

/// A letter, without any power over the terminal.
fn shown(letter: char) -> impl Iterator<Item = char> {
    let escaped = letter.is_control().then(|| letter.escape_default());
    let plain = (!letter.is_control()).then_some(letter);
    escaped.into_iter().flatten().chain(plain)
}

/// Prints it at once.
///
/// # Errors
/// It cannot be printed.
pub fn say(text: &str) -> Done {
    print(text).map_err(|error| Trouble::wrong(format!("cannot print: {error}")))?;
    Ok(Exit::Done)
}

/// Prints at once: whoever is told that it succeeded may forget the text.
fn print(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

/// A node replies to something else than it was asked.
#[must_use]
pub fn nonsense() -> Trouble {
    Trouble::new(Exit::Refused, Refusal::Malformed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_has_one_line_and_no_power_over_the_terminal() {
        let [from, to] = ["ann", "bob"].map(str::to_owned);
        let mail = Mail { number: 7, from, to, text: "a\nb\u{1b}[2J ü".to_owned() };
        assert_eq!(line(&mail), "7 ann to bob: a\\nb\\u{1b}[2J ü\n");
    }
}
