//! `quorate put`, `get`, `cas`, `delete` and `scan`: keys and their values.

use std::io::{self, Read};

use clap::Args;
use quorate::runtime::Client;
use quorate::types::ReadLevel;
use serde_json::{Value, json};

use crate::client::ClientFlags;
use crate::exit::{Exit, Trouble};
use crate::kv::{Answer, Command, Pair, Query, Reply};
use crate::output::{print, print_bytes, shown};
use crate::values::Freshness;

/// What `put` takes.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  quorate put colour blue
  quorate put picture - < picture.png

It is carried out exactly once, whoever leads meanwhile. Exit code 4: whether it was, or will be,
was not learned in time.")]
pub(crate) struct PutFlags {
    key: String,
    /// The value; `-` reads it from the standard input
    value: String,
    #[command(flatten)]
    client: ClientFlags,
}

/// What `get` takes.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  quorate get colour
  quorate get colour --level local --at 127.0.0.1:7103
  quorate get picture --raw > picture.png

Exit code 1: there is no such key.")]
pub(crate) struct GetFlags {
    key: String,
    #[command(flatten)]
    read: ReadFlags,
    /// Print the value alone, without a line's end after it
    #[arg(long)]
    raw: bool,
    #[command(flatten)]
    client: ClientFlags,
}

/// How fresh an answer is to be, and whose.
#[derive(Args, Clone, Debug)]
pub(crate) struct ReadFlags {
    /// How fresh: linearizable, lease, replica, local, or a time, which the answer may be old
    #[arg(long, value_name = "LEVEL", default_value = "linearizable")]
    level: Freshness,
    /// Ask the node at this address and no other
    #[arg(long, value_name = "ADDRESS")]
    at: Option<String>,
}

/// What `cas` takes.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  quorate cas colour --from blue --to red
  quorate cas lock --to me             only if there is no such key
  quorate cas lock --from me           gives it back

Exit code 1: the key has another value, which is printed.")]
pub(crate) struct CasFlags {
    key: String,
    /// The value that the key must have; without it, it must not be there
    #[arg(long, value_name = "VALUE")]
    from: Option<String>,
    /// The value that it gets; without it, it is deleted
    #[arg(long, value_name = "VALUE", required_unless_present = "from")]
    to: Option<String>,
    #[command(flatten)]
    client: ClientFlags,
}

/// What `delete` takes.
#[derive(Args, Debug)]
#[command(after_help = "\
Example:
  quorate delete colour

Exit code 1: there was no such key.")]
pub(crate) struct DeleteFlags {
    key: String,
    #[command(flatten)]
    client: ClientFlags,
}

/// What `scan` takes.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  quorate scan
  quorate scan user/ --limit 20
  quorate scan --after user/17

Keys come in the order of their bytes, with a tab before the value. Each piece of a few thousand is
as fresh as asked for; between two pieces keys may change.")]
pub(crate) struct ScanFlags {
    /// Keys that begin with this
    #[arg(default_value = "")]
    prefix: String,
    /// Keys that come after this one
    #[arg(long, value_name = "KEY")]
    after: Option<String>,
    /// How many at most
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    #[command(flatten)]
    read: ReadFlags,
    #[command(flatten)]
    client: ClientFlags,
}

pub(crate) fn put(flags: &PutFlags, json: bool) -> Result<Exit, Trouble> {
    let mut value = flags.value.clone().into_bytes();
    if flags.value == "-" {
        value.clear();
        let read = io::stdin().lock().read_to_end(&mut value);
        read.map_err(|error| Trouble::wrong(format!("the standard input: {error}")))?;
    }
    let command = Command::Put { key: flags.key.as_bytes(), value: &value };
    flags.client.run(async |client| propose(&client, command).await)?;
    said(json, json!({ "put": flags.key }), "ok", Exit::Done)
}

pub(crate) fn cas(flags: &CasFlags, json: bool) -> Result<Exit, Trouble> {
    let (key, bytes) =
        (flags.key.as_bytes(), |text: &Option<String>| text.clone().map(String::into_bytes));
    let (expected, value) = (bytes(&flags.from), bytes(&flags.to));
    let command =
        Command::CompareAndSet { key, expected: expected.as_deref(), value: value.as_deref() };
    match flags.client.run(async |client| propose(&client, command).await)? {
        Reply::Differs(value) => {
            let text = value.as_deref().map_or("no such key".to_owned(), shown);
            said(json, json!({ "set": false, "value": text_of(value.as_deref()) }), &text, Exit::No)
        }
        _ => said(json, json!({ "set": true }), "ok", Exit::Done),
    }
}

pub(crate) fn delete(flags: &DeleteFlags, json: bool) -> Result<Exit, Trouble> {
    let command = Command::Delete { key: flags.key.as_bytes() };
    match flags.client.run(async |client| propose(&client, command).await)? {
        Reply::Done(Some(_)) => said(json, json!({ "deleted": true }), "ok", Exit::Done),
        _ => said(json, json!({ "deleted": false }), "no such key", Exit::No),
    }
}

pub(crate) fn get(flags: &GetFlags, json: bool) -> Result<Exit, Trouble> {
    let query = Query::Get { key: flags.key.as_bytes() };
    let answer = flags.client.run(async |client| ask(&client, &flags.read, query).await)?;
    let Answer::Value(value) = answer else { return Err(nonsense()) };
    let Some(value) = value else {
        return said(json, json!({ "value": null }), "", Exit::No);
    };
    if flags.raw {
        print_bytes(&value)?;
        return Ok(Exit::Done);
    }
    said(json, json!({ "value": shown(&value) }), &shown(&value), Exit::Done)
}

pub(crate) fn scan(flags: &ScanFlags, json: bool) -> Result<Exit, Trouble> {
    flags.client.run(async |client| {
        let mut after = flags.after.clone().map(String::into_bytes);
        let mut left = flags.limit.unwrap_or(usize::MAX);
        loop {
            let limit = u32::try_from(left).unwrap_or(u32::MAX);
            let query =
                Query::Scan { prefix: flags.prefix.as_bytes(), after: after.as_deref(), limit };
            let answer = ask(&client, &flags.read, query).await?;
            let Answer::Pairs { pairs, more } = answer else { return Err(nonsense()) };
            print(&pairs.iter().map(|pair| line(pair, json)).collect::<String>())?;
            left -= pairs.len().min(left);
            match pairs.into_iter().next_back() {
                Some((last, _)) if more && left > 0 => after = Some(last),
                _ => return Ok(Exit::Done),
            }
        }
    })
}

fn line((key, value): &Pair, json: bool) -> String {
    match json {
        true => format!("{}\n", json!({ "key": shown(key), "value": shown(value) })),
        false => format!("{}\t{}\n", shown(key), shown(value)),
    }
}

/// Has a command carried out.
pub(crate) async fn propose(client: &Client, command: Command<'_>) -> Result<Reply, Trouble> {
    let reply = client.propose(&command.encode()).await?;
    match Reply::decode(&reply) {
        Some(Reply::Malformed) | None => Err(nonsense()),
        Some(reply) => Ok(reply),
    }
}

/// Asks whomever the flags name.
async fn ask(client: &Client, flags: &ReadFlags, query: Query<'_>) -> Result<Answer, Trouble> {
    let (level, query): (ReadLevel, _) = (flags.level.0, query.encode());
    let answered = match &flags.at {
        Some(address) => client.read_at(address, level, &query).await?,
        None => client.read(level, &query).await?,
    };
    Answer::decode(&answered.answer).ok_or_else(nonsense)
}

fn nonsense() -> Trouble {
    Trouble::new(Exit::Refused, "the nodes run another state machine than `quorate serve` does")
}

fn text_of(value: Option<&[u8]>) -> Value {
    value.map_or(Value::Null, |value| shown(value).into())
}

fn said(json: bool, object: Value, text: &str, exit: Exit) -> Result<Exit, Trouble> {
    print(&if json { object.to_string() } else { text.to_owned() })?;
    Ok(exit)
}
