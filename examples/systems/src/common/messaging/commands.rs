//! The subcommands for users, shared by `chat` and `courier`, and the output of the replies.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use clap::Subcommand;
use serde_json::json;

use crate::common::cluster_status;
use crate::common::exit::{CommandError, CommandResult, Exit, print_note};
use crate::common::message_printer::MessagePrinter;
use crate::common::messaging::client::UserClient;
use crate::common::messaging::message::{Command, Mail, Mode, Query, Reply};
use crate::common::output::{Output, print_line};
use crate::common::prompt;

/// The interval at which the prompt polls for messages.
const RECEIVE_INTERVAL: Duration = Duration::from_millis(500);
/// The time for which the end of a prompt waits until the messages that it has received are printed
/// and acknowledged.
const LISTENER_END_MAX: Duration = Duration::from_secs(1);
/// How often, and at which interval, `receive` tries to print the messages while another client
/// prints them.
const RECEIVE_ATTEMPTS: u32 = 20;
const RETRY_INTERVAL: Duration = Duration::from_millis(100);
/// The warning shown in survivor mode.
const NOT_SAFE: &str = "survivor mode: not safe under partitions";

/// The subcommands that change the state, except for `send`, which each system defines.
#[derive(Clone, Debug, Subcommand)]
pub enum MessagingCommand {
    /// Create an account for a new user
    Create {
        /// Name of the new user
        user: String,
    },
    /// Delete the account of the active user with its history; other users keep their copies of
    /// messages
    Delete {
        /// Also delete waiting messages; without this flag they prevent the deletion
        #[arg(long)]
        discard: bool,
    },
    /// Log in; ends the user's session on any other machine
    Login {
        /// Name of the user
        user: String,
    },
    /// Log out; new messages wait for the next login
    Logout,
    /// Print the waiting messages and acknowledge them
    Receive,
}

/// Runs a subcommand and prints its result.
///
/// # Errors
/// The request was rejected, not answered, or its outcome is unknown.
pub fn run(client: &UserClient, command: MessagingCommand) -> CommandResult {
    match command {
        MessagingCommand::Create { user } => client.create(user).map(|_| Exit::Success),
        MessagingCommand::Delete { discard } => delete(client, discard),
        MessagingCommand::Login { user } => log_in(client, user),
        MessagingCommand::Logout => {
            let session = client.session()?;
            client.propose(&Command::Logout(session.clone()))?;
            client.forget_session(&session.user);
            Ok(Exit::Success)
        }
        MessagingCommand::Receive => receive(client),
    }
}

/// Prints the waiting messages and acknowledges them. If another client of the user, such as a
/// prompt, is printing them, waits a while for that client.
#[expect(clippy::disallowed_methods, reason = "it waits for another process")]
fn receive(client: &UserClient) -> CommandResult {
    let output = client.connection.output;
    for _ in 0..RECEIVE_ATTEMPTS {
        if client.receive(|mail| print_line(&line(output, mail)))?.is_complete {
            return Ok(Exit::Success);
        }
        thread::sleep(RETRY_INTERVAL);
    }
    let text = "another client of the user is printing the messages: read them there, or end it";
    Err(CommandError::new(Exit::Unavailable, text))
}

/// Sends a message and prints its number.
///
/// # Errors
/// The message was rejected, or its outcome is unknown.
pub fn send(client: &UserClient, to: String, text: String) -> CommandResult {
    let number = client.send(to, text)?;
    client.connection.output.print_result(number, json!({ "number": number }))?;
    Ok(Exit::Success)
}

/// Runs the prompt, which prints messages as they arrive and warns in survivor mode.
///
/// # Errors
/// The terminal cannot be read.
pub fn prompt<C: Subcommand>(
    client: UserClient,
    execute: impl Fn(&UserClient, C) -> CommandResult,
) -> CommandResult {
    let system = client.connection.system;
    client.keep_active_user();
    let text = match client.mode() {
        Ok(Mode::Majority) => format!("{}> ", system.name),
        Ok(Mode::Survivor) => {
            print_note(format_args!(
                "{NOT_SAFE}: in a partition both sides continue, and messages are lost"
            ));
            format!("{} ({NOT_SAFE})> ", system.name)
        }
        Err(error) => {
            print_note(format_args!("the mode of the nodes is unknown: {}", error.text));
            format!("{} (mode unknown)> ", system.name)
        }
    };
    let client = Arc::new(client);
    let listener = Arc::clone(&client);
    // Nothing is sent. A dropped sender shows the other thread that the prompt, or the listener,
    // has ended.
    let (prompt_runs, prompt_ended) = mpsc::channel();
    let (listener_runs, listener_ended) = mpsc::channel();
    let result = prompt::run_with_printer(
        &system,
        &text,
        |printer| {
            thread::spawn(move || {
                listen(&listener, printer, &prompt_ended);
                drop(listener_runs);
            });
        },
        |command| execute(&client, command),
    );
    drop::<mpsc::Sender<()>>(prompt_runs);
    // The listener may be about to print messages, or to acknowledge those that it has printed.
    let _: Result<(), _> = listener_ended.recv_timeout(LISTENER_END_MAX);
    result
}

/// Polls for messages until the prompt has ended.
fn listen(client: &UserClient, mut printer: MessagePrinter, prompt_ended: &Receiver<()>) {
    while prompt_ended.recv_timeout(RECEIVE_INTERVAL) == Err(RecvTimeoutError::Timeout) {
        // Errors are ignored here, because commands report them; the next poll retries.
        let _ =
            client.receive(|mail| printer.print(&(line(client.connection.output, mail) + "\n")));
    }
}

/// A subcommand that prints state without changing it.
#[derive(Clone, Debug)]
pub enum View {
    /// The user names that match a pattern.
    List(String),
    /// The waiting messages of the active user.
    Waiting,
    /// The last messages that the active user sent and received.
    History,
    /// The state of every account.
    Dump,
}

/// Prints a view page by page; `read` runs one query.
///
/// # Errors
/// No user is logged in, or the error of `read`.
pub fn print_view(
    client: &UserClient,
    view: View,
    read: impl Fn(&Query) -> CommandResult<Reply>,
) -> CommandResult {
    let output = client.connection.output;
    match view {
        View::List(pattern) => list(output, read, &pattern),
        View::Waiting => {
            let session = client.session()?;
            mails(output, read, |after| Query::Waiting { session: session.clone(), after })
        }
        View::History => {
            let session = client.session()?;
            mails(output, read, |after| Query::History { session: session.clone(), after })
        }
        View::Dump => dump(output, read),
    }
}

/// Prints the status of the cluster and its mode.
///
/// # Errors
/// No node answers.
pub fn status(client: &UserClient) -> CommandResult {
    let exit = cluster_status::print_status(&client.connection)?;
    let (mode, text) = match client.mode()? {
        Mode::Majority => {
            ("majority", "majority mode: nodes cut off from the majority do not serve")
        }
        Mode::Survivor => ("survivor", NOT_SAFE),
    };
    client.connection.output.print(text, json!({ "mode": mode }))?;
    Ok(exit)
}

fn list(
    output: Output,
    read: impl Fn(&Query) -> CommandResult<Reply>,
    pattern: &str,
) -> CommandResult {
    let mut after = String::new();
    loop {
        let pattern = pattern.to_owned();
        let Reply::Users(users, more) = read(&Query::List { pattern, after })? else {
            return Err(CommandError::unexpected_reply());
        };
        for user in &users {
            output.print(user, json!({ "user": user }))?;
        }
        match users.last() {
            Some(last) if more => after = last.clone(),
            _ => return Ok(Exit::Success),
        }
    }
}

fn delete(client: &UserClient, discard: bool) -> CommandResult {
    let session = client.session()?;
    let user = session.user.clone();
    let Reply::Deleted(lost) = client.propose(&Command::Delete { session, discard })? else {
        return Err(CommandError::unknown_reply());
    };
    client.forget_account(&user);
    if lost > 0 {
        let object = json!({ "deleted_waiting_messages": lost });
        let text = format_args!("deleted {lost} waiting messages");
        client.connection.output.print_result(text, object)?;
    }
    Ok(Exit::Success)
}

fn log_in(client: &UserClient, user: String) -> CommandResult {
    if client.log_in(user)? {
        let object = json!({ "ended_session_elsewhere": true });
        client.connection.output.print_result("ended a session elsewhere", object)?;
    }
    Ok(Exit::Success)
}

/// Prints all pages of a message query.
fn mails(
    output: Output,
    read: impl Fn(&Query) -> CommandResult<Reply>,
    query: impl Fn(u64) -> Query,
) -> CommandResult {
    let mut after = 0;
    loop {
        let Reply::Messages(mails, more) = read(&query(after))? else {
            return Err(CommandError::unexpected_reply());
        };
        for mail in &mails {
            output.print(text_of(mail), json!(mail))?;
        }
        match mails.last() {
            Some(last) if more => after = last.number,
            _ => return Ok(Exit::Success),
        }
    }
}

fn dump(output: Output, read: impl Fn(&Query) -> CommandResult<Reply>) -> CommandResult {
    let mut after = String::new();
    loop {
        let Reply::Accounts(accounts, more) = read(&Query::Dump { after })? else {
            return Err(CommandError::unexpected_reply());
        };
        for account in &accounts {
            let logged = if account.is_logged_in { "logged in" } else { "logged out" };
            let (user, history) = (&account.user, account.history);
            let mut text = format!("{user}: {logged}, history {history}, waiting");
            if account.waiting.is_empty() {
                text += " none";
            }
            account.waiting.iter().try_for_each(|number| write!(text, " {number}")).ok();
            output.print(text, json!(account))?;
        }
        match accounts.last() {
            Some(last) if more => after = last.user.clone(),
            _ => return Ok(Exit::Success),
        }
    }
}

/// Formats a message as one line.
fn line(output: Output, mail: &Mail) -> String {
    output.line(text_of(mail), json!(mail))
}

fn text_of(mail: &Mail) -> String {
    format!("{} {} to {}: {}", mail.number, mail.from, mail.to, mail.text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_one_line_without_control_characters() {
        let [from, to] = ["ann", "bob"].map(str::to_owned);
        let mail = Mail { number: 7, from, to, text: "a\nb\u{1b}[2J ü".to_owned() };
        assert_eq!(line(Output::Text, &mail), "7 ann to bob: a\\nb\\u{1b}[2J ü");
        let object = r#"{"from":"ann","number":7,"text":"a\nb\u001b[2J ü","to":"bob"}"#;
        assert_eq!(line(Output::Json, &mail), object);
    }
}
