//! `quorate put`, `get`, `cas`, `delete` and `scan`: keys and their values.

use std::io::{self, Read};

use clap::Args;
use quorate::runtime::Client;
use quorate::types::ReadLevel;
use serde_json::{Value, json};

use crate::client::ClientFlags;
use crate::escape::{self, json_of, shown};
use crate::exit::{Exit, Trouble};
use crate::kv::{Answer, Command, Pair, Query, Reply};
use crate::output::{print, print_bytes, report};
use crate::values::Freshness;

/// What `put` takes.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  quorate put colour blue
  quorate put picture - < picture.png
  quorate put --escaped 'a\\tb' '\\xff\\x00'

It is carried out exactly once, whoever leads meanwhile. Exit code 4: whether it was, or will be,
was not learned in time.")]
pub(crate) struct PutFlags {
    key: String,
    /// The value; `-` reads it from the standard input, as it is
    value: String,
    #[command(flatten)]
    words: Words,
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

What is no plain text is printed with escapes, one way for each value: \\\\ for a backslash, \\t,
\\n and \\r, and \\xff for any other byte. --escaped reads keys and values so. --json gives a
string, or {\"base64\": \"…\"} for bytes that are not UTF-8.

Exit code 1: there is no such key.")]
pub(crate) struct GetFlags {
    key: String,
    #[command(flatten)]
    read: ReadFlags,
    /// Print the value as it is, without a line's end after it
    #[arg(long, conflicts_with = "json")]
    raw: bool,
    #[command(flatten)]
    words: Words,
    #[command(flatten)]
    client: ClientFlags,
}

/// How keys and values on the command line are read.
#[derive(Args, Clone, Debug)]
struct Words {
    /// Read keys and values as they are printed: \xff, \t, \n and \r for bytes, \\ for a backslash
    #[arg(long)]
    escaped: bool,
}

impl Words {
    fn bytes(&self, text: &str) -> Result<Vec<u8>, Trouble> {
        match self.escaped {
            true => escape::read(text).map_err(Trouble::wrong),
            false => Ok(text.as_bytes().to_vec()),
        }
    }

    fn bytes_of(&self, text: Option<&String>) -> Result<Option<Vec<u8>>, Trouble> {
        text.map(|text| self.bytes(text)).transpose()
    }
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
    words: Words,
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
    words: Words,
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

Keys come in the order of their bytes, one a line, with a tab before the value; escapes are those of
`get`, so that what is printed can be given back with --escaped. Each piece of a few thousand is as
fresh as asked for; between two pieces keys may change.")]
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
    /// Print keys and values as they are, tabs and lines' ends in them too
    #[arg(long, conflicts_with = "json")]
    raw: bool,
    #[command(flatten)]
    words: Words,
    #[command(flatten)]
    read: ReadFlags,
    #[command(flatten)]
    client: ClientFlags,
}

pub(crate) fn put(flags: &PutFlags, json: bool) -> Result<Exit, Trouble> {
    let key = flags.words.bytes(&flags.key)?;
    let mut value = Vec::new();
    if flags.value == "-" {
        let read = io::stdin().lock().read_to_end(&mut value);
        read.map_err(|error| Trouble::wrong(format!("the standard input: {error}")))?;
    } else {
        value = flags.words.bytes(&flags.value)?;
    }
    let command = Command::Put { key: &key, value: &value };
    flags.client.run(async |client| propose(&client, command).await)?;
    Ok(said(json, json!({ "put": json_of(&key) }), "ok", Exit::Done))
}

pub(crate) fn cas(flags: &CasFlags, json: bool) -> Result<Exit, Trouble> {
    let words = &flags.words;
    let key = words.bytes(&flags.key)?;
    let expected = words.bytes_of(flags.from.as_ref())?;
    let value = words.bytes_of(flags.to.as_ref())?;
    let (expected, value) = (expected.as_deref(), value.as_deref());
    let command = Command::CompareAndSet { key: &key, expected, value };
    Ok(match flags.client.run(async |client| propose(&client, command).await)? {
        Reply::Differs(value) => {
            let text = value.as_deref().map_or("no such key".to_owned(), shown);
            let value = value.as_deref().map_or(Value::Null, json_of);
            said(json, json!({ "set": false, "value": value }), &text, Exit::No)
        }
        _ => said(json, json!({ "set": true }), "ok", Exit::Done),
    })
}

pub(crate) fn delete(flags: &DeleteFlags, json: bool) -> Result<Exit, Trouble> {
    let key = flags.words.bytes(&flags.key)?;
    let command = Command::Delete { key: &key };
    Ok(match flags.client.run(async |client| propose(&client, command).await)? {
        Reply::Done(Some(_)) => said(json, json!({ "deleted": true }), "ok", Exit::Done),
        _ => said(json, json!({ "deleted": false }), "no such key", Exit::No),
    })
}

pub(crate) fn get(flags: &GetFlags, json: bool) -> Result<Exit, Trouble> {
    let key = flags.words.bytes(&flags.key)?;
    let query = Query::Get { key: &key };
    let answer = flags.client.run(async |client| ask(&client, &flags.read, query).await)?;
    let Answer::Value(value) = answer else { return Err(nonsense()) };
    let text = match (&value, json) {
        (value, true) => {
            json!({ "value": value.as_deref().map_or(Value::Null, json_of) }).to_string()
        }
        (None, false) => String::new(),
        (Some(value), false) if flags.raw => {
            return print_bytes(value).map(|()| Exit::Done);
        }
        (Some(value), false) => format!("{}\n", shown(value)),
    };
    print(&text)?;
    Ok(if value.is_some() { Exit::Done } else { Exit::No })
}

pub(crate) fn scan(flags: &ScanFlags, json: bool) -> Result<Exit, Trouble> {
    let prefix = flags.words.bytes(&flags.prefix)?;
    let mut after = flags.words.bytes_of(flags.after.as_ref())?;
    flags.client.run(async |client| {
        let mut left = flags.limit.unwrap_or(usize::MAX);
        loop {
            let limit = u32::try_from(left).unwrap_or(u32::MAX);
            let query = Query::Scan { prefix: &prefix, after: after.as_deref(), limit };
            let answer = ask(&client, &flags.read, query).await?;
            let Answer::Pairs { pairs, more } = answer else { return Err(nonsense()) };
            let lines: Vec<_> = pairs.iter().map(|pair| line(pair, json, flags.raw)).collect();
            print_bytes(&lines.concat())?;
            left -= pairs.len().min(left);
            match pairs.into_iter().next_back() {
                Some((last, _)) if more && left > 0 => after = Some(last),
                _ => return Ok(Exit::Done),
            }
        }
    })
}

fn line((key, value): &Pair, json: bool, raw: bool) -> Vec<u8> {
    match (json, raw) {
        (true, _) => {
            format!("{}\n", json!({ "key": json_of(key), "value": json_of(value) })).into_bytes()
        }
        (false, true) => [key, b"\t".as_slice(), value, b"\n"].concat(),
        (false, false) => format!("{}\t{}\n", shown(key), shown(value)).into_bytes(),
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

/// Says what came of a change, or why it did not come.
fn said(json: bool, object: Value, text: &str, exit: Exit) -> Exit {
    report(json, &if json { object.to_string() } else { text.to_owned() });
    exit
}
