//! What a person asks the chat, as one command each, and how the replies read.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use clap::Subcommand;

use crate::chat::SYSTEM;
use crate::chat::desk::Desk;
use crate::chat::message::{Command, Mail, Mode, Query, Refusal, Reply};
use crate::common::exit::{Done, Exit, Trouble};
use crate::common::prompt::{self, Voice};
use crate::common::reach::ReachFlags;
use crate::common::show;

/// What can be asked.
#[derive(Clone, Debug, Subcommand)]
pub enum Order {
    /// Make an account
    Create {
        /// Its name
        user: String,
    },
    /// Print the names of accounts, one a line
    List {
        /// Those that it fits: `*` is any letters, or none; `?` is any one
        #[arg(default_value = "*")]
        pattern: String,
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
    /// Send a message, also to somebody who is not logged in; prints its number
    Send {
        /// To whom
        to: String,
        /// What it says
        #[arg(required = true)]
        text: Vec<String>,
    },
    /// Print what waits, and take it: it does not wait any more
    Receive,
    /// Print what waits, and leave it there
    Waiting,
    /// Print the last messages sent and received
    History,
    /// Print what is kept of every account: its state, what waits by number, its history's length
    Dump {
        /// As the node at this address has it, which may be old
        node: Option<String>,
    },
    /// Show every node, who is primary, and the mode; ends with 0 if all is well
    Status,
}

/// How often the prompt looks for messages.
const LOOK: Duration = Duration::from_millis(500);
/// What is said wherever it is in force.
const NOT_SAFE: &str = "survivor mode: not safe under partitions";

/// A desk of the chat; `speaker` speaks there, if it is named.
///
/// # Errors
/// What is wrong with the flags.
pub fn desk(flags: &ReachFlags, speaker: Option<String>) -> Result<Desk, Trouble> {
    Ok(Desk::new(flags.reach(SYSTEM, |_| {})?, speaker))
}

/// Asks, and prints what came of it.
///
/// # Errors
/// Why there is no answer.
pub fn obey(desk: &Desk, order: Order) -> Done {
    match order {
        Order::Create { user } => desk.create(user).map(|_| Exit::Done),
        Order::List { pattern } => list(desk, &pattern),
        Order::Delete { discard } => delete(desk, discard),
        Order::Login { user } => log_in(desk, user),
        Order::Logout => {
            let session = desk.session()?;
            desk.propose(&Command::Logout(session.clone()))?;
            desk.forget(&session.user);
            Ok(Exit::Done)
        }
        Order::Send { to, text } => {
            let (session, text) = (desk.session()?, text.join(" "));
            match desk.propose(&Command::Send { session, to, text })? {
                Reply::Sent(number) => say(&format!("{number}\n")),
                _ => Err(nonsense()),
            }
        }
        Order::Receive => desk.receive(|mail| print(&line(mail))).map(|_| Exit::Done),
        Order::Waiting => {
            let session = desk.session()?;
            mails(desk, |after| Query::Waiting { session: session.clone(), after })
        }
        Order::History => {
            let session = desk.session()?;
            mails(desk, |after| Query::History { session: session.clone(), after })
        }
        Order::Dump { node } => dump(desk, node.as_deref()),
        Order::Status => status(desk),
    }
}

/// The prompt: it prints messages as they come, and says whether the mode is safe.
///
/// # Errors
/// The terminal cannot be read.
pub fn talk(desk: Desk) -> Done {
    let sign = match desk.mode() {
        Ok(Mode::Majority) => "chat> ".to_owned(),
        Ok(Mode::Survivor) => {
            eprintln!(
                "{NOT_SAFE}: parts that do not hear each other both go on, and lose messages"
            );
            format!("chat ({NOT_SAFE})> ")
        }
        Err(trouble) => {
            eprintln!("which mode the nodes are in is not known: {}", trouble.text);
            "chat (mode unknown)> ".to_owned()
        }
    };
    let desk = Arc::new(desk);
    let listener = Arc::clone(&desk);
    prompt::run_beside(
        &SYSTEM,
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

fn list(desk: &Desk, pattern: &str) -> Done {
    let mut after = String::new();
    loop {
        let pattern = pattern.to_owned();
        let Reply::Users(users, more) = desk.read(&Query::List { pattern, after })? else {
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
fn mails(desk: &Desk, query: impl Fn(u64) -> Query) -> Done {
    let mut after = 0;
    loop {
        let Reply::Messages(mails, more) = desk.read(&query(after))? else {
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

fn dump(desk: &Desk, node: Option<&str>) -> Done {
    let mut after = String::new();
    loop {
        let query = Query::Dump { after };
        let told = match node {
            None => desk.read(&query)?,
            Some(node) => desk.read_of(node, &query)?,
        };
        let Reply::Accounts(accounts, more) = told else { return Err(nonsense()) };
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

fn status(desk: &Desk) -> Done {
    let exit = show::status(&desk.reach)?;
    match desk.mode()? {
        Mode::Majority => say("majority mode: a minority refuses\n")?,
        Mode::Survivor => say(&format!("{NOT_SAFE}\n"))?,
    };
    Ok(exit)
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

fn say(text: &str) -> Done {
    print(text).map_err(|error| Trouble::wrong(format!("cannot print: {error}")))?;
    Ok(Exit::Done)
}

/// Prints at once: whoever is told that it succeeded may forget the text.
fn print(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

fn nonsense() -> Trouble {
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
