//! `quorate put`, `get`, `cas`, `delete` and `scan`: reads and writes keys.

use std::io::{self, Read};

use clap::Args;
use quorate::runtime::Client;
use quorate::types::ReadLevel;
use serde_json::{Value, json};

use crate::client::ClientFlags;
use crate::escape::{self, escape_text, json_of};
use crate::exit::{CommandError, CommandResult, Exit};
use crate::kv::{Answer, Command, Pair, Query, Reply};
use crate::output::{print, print_bytes, report};
use crate::values::{COUNTS, Consistency, ServerAddress, number};

/// The flags of `put`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  quorate put colour blue
  quorate put picture - < picture.png
  quorate put --escaped 'a\\tb' '\\xff\\x00'

The put is executed at most once, even across leader changes, and exactly once if the exit code is
0. Exit code 4: the timeout expired, and the put may have been executed, or may still be
executed.")]
pub(crate) struct PutFlags {
    /// Key whose value is set
    key: String,
    /// Value to set; `-` reads it from standard input, unchanged
    value: String,
    #[command(flatten)]
    escaping: Escaping,
    #[command(flatten)]
    client: ClientFlags,
}

/// The flags of `get`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  quorate get colour
  quorate get colour --level local --at 127.0.0.1:7103
  quorate get picture --raw > picture.png

Bytes that are not plain text are printed as escapes, and each value has exactly
one form: \\\\ for a backslash, \\t, \\n and \\r, and \\xff for any other byte.
--escaped reads keys and values in this form.
--json prints a string, or {\"base64\": \"…\"} for bytes that are not UTF-8.

Exit code 1: no such key. Nothing is printed on standard output; with --json, `value` is null.")]
pub(crate) struct GetFlags {
    /// Key whose value is printed
    key: String,
    #[command(flatten)]
    read: ReadFlags,
    /// Print the value unchanged, without a line end
    #[arg(long, conflicts_with = "json")]
    raw: bool,
    #[command(flatten)]
    escaping: Escaping,
    #[command(flatten)]
    client: ClientFlags,
}

/// The form of keys and values on the command line.
#[derive(Args, Clone, Debug)]
struct Escaping {
    /// Read escapes in keys and values: \xff for a byte, \t, \n, \r, and \\ for a backslash
    #[arg(long)]
    escaped: bool,
}

impl Escaping {
    fn bytes(&self, text: &str) -> CommandResult<Vec<u8>> {
        match self.escaped {
            true => escape::unescape(text).map_err(CommandError::invalid_input),
            false => Ok(text.as_bytes().to_vec()),
        }
    }

    fn bytes_of(&self, text: Option<&String>) -> CommandResult<Option<Vec<u8>>> {
        text.map(|text| self.bytes(text)).transpose()
    }
}

/// The consistency of a read, and the node that serves it.
#[derive(Args, Clone, Debug)]
pub(crate) struct ReadFlags {
    /// Consistency: linearizable, lease, replica, local, or a maximum staleness, like 2s
    ///
    /// `lease` and `replica` are linearizable while clocks stay within the drift bound of the
    /// leases: with `lease`, a leader that holds a leader lease answers without asking other nodes;
    /// with `replica`, so does a follower that holds a read lease. The nodes of `quorate serve`
    /// hold no leases, so both cost as much as `linearizable`. `local` reads the state of the node
    /// that answers, however old it is.
    #[arg(long, value_name = "LEVEL", default_value = "linearizable")]
    level: Consistency,
    /// Read from the node at this address only
    #[arg(long, value_name = "ADDRESS")]
    at: Option<ServerAddress>,
}

/// The flags of `cas`.
#[derive(Args, Debug)]
#[command(override_usage = "quorate cas [OPTIONS] <KEY> [--from <VALUE>] [--to <VALUE>]")]
#[command(after_help = "\
Examples:
  quorate cas colour --from blue --to red
  quorate cas lock --to me             acquire: only if there is no such key
  quorate cas lock --from me           release: deletes the key

Exit code 1: the key has a different value, which is printed.
Exit code 11: the key does not exist, or has a different value of more than 4 KiB. Nothing is
printed on standard output; with --json, `value` is null, or `value_bytes` is the size of the
value.")]
pub(crate) struct CasFlags {
    /// Key whose value is replaced
    key: String,
    /// Expected value of the key; without it, the key must not exist
    #[arg(long, value_name = "VALUE")]
    from: Option<String>,
    /// New value of the key; without it, the key is deleted
    #[arg(long, value_name = "VALUE", required_unless_present = "from")]
    to: Option<String>,
    #[command(flatten)]
    escaping: Escaping,
    #[command(flatten)]
    client: ClientFlags,
}

/// The flags of `delete`.
#[derive(Args, Debug)]
#[command(after_help = "\
Example:
  quorate delete colour

Exit code 1: no such key.")]
pub(crate) struct DeleteFlags {
    /// Key to delete, with its value
    key: String,
    #[command(flatten)]
    escaping: Escaping,
    #[command(flatten)]
    client: ClientFlags,
}

/// The flags of `scan`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  quorate scan
  quorate scan user/ --limit 20
  quorate scan --after user/17

Keys are printed in byte order, one per line, with a tab before the value. Bytes are escaped as by
`get`, so printed keys can be passed back with --escaped. The scan reads in pages of at most 4096
keys; each page has the requested consistency, but keys may change between two pages.")]
pub(crate) struct ScanFlags {
    /// Prefix of the keys to list
    #[arg(default_value = "")]
    prefix: String,
    /// List only keys after this one
    #[arg(long, value_name = "KEY")]
    after: Option<String>,
    /// Maximum number of keys
    #[arg(long, value_name = "N", value_parser = number::<usize>(COUNTS))]
    limit: Option<usize>,
    /// Print keys and values unchanged, including tabs and line ends
    #[arg(long, conflicts_with = "json")]
    raw: bool,
    #[command(flatten)]
    escaping: Escaping,
    #[command(flatten)]
    read: ReadFlags,
    #[command(flatten)]
    client: ClientFlags,
}

/// The maximum size of a value on standard input, in bytes: far above that of any command, so that
/// the node rejects what it does not accept, and far below the memory of the client.
const VALUE_BYTES_MAX: u64 = 64 << 20;

pub(crate) fn put(flags: &PutFlags, json: bool) -> CommandResult {
    let key = flags.escaping.bytes(&flags.key)?;
    let mut value = Vec::new();
    if flags.value == "-" {
        let read = io::stdin().lock().take(VALUE_BYTES_MAX + 1).read_to_end(&mut value);
        read.map_err(|error| {
            CommandError::invalid_input(format!("cannot read standard input: {error}"))
        })?;
        if value.len() as u64 > VALUE_BYTES_MAX {
            return Err(CommandError::invalid_input(format!(
                "standard input has more than {VALUE_BYTES_MAX} bytes, and no node accepts a value \
                 of this size"
            )));
        }
        if value.is_empty() && is_stdin_closed() {
            return Err(CommandError::invalid_input(
                "standard input is closed or /dev/null: pass the value on it, for example with \
                 `< FILE`",
            ));
        }
    } else {
        value = flags.escaping.bytes(&flags.value)?;
    }
    let command = Command::Put { key: &key, value: &value };
    flags.client.run(async |client| propose(&client, command).await)?;
    Ok(report_result(json, json!({ "put": json_of(&key) }), "ok", Exit::Done))
}

/// Returns true if this process was started without a standard input. The runtime of Rust has then
/// opened `/dev/null` in its place, for reading and writing; a shell opens it for reading only.
#[cfg(unix)]
fn is_stdin_closed() -> bool {
    use rustix::fs::{FileType, OFlags, fcntl_getfl, fstat, stat};

    let stdin = io::stdin();
    let (Ok(flags), Ok(found), Ok(null)) = (fcntl_getfl(&stdin), fstat(&stdin), stat("/dev/null"))
    else {
        return false;
    };
    let is_device = FileType::from_raw_mode(found.st_mode).is_char_device();
    is_device && found.st_rdev == null.st_rdev && flags.contains(OFlags::RDWR)
}

/// Returns false, because only Unix shows how the standard input was opened.
#[cfg(not(unix))]
fn is_stdin_closed() -> bool {
    false
}

pub(crate) fn cas(flags: &CasFlags, json: bool) -> CommandResult {
    let escaping = &flags.escaping;
    let key = escaping.bytes(&flags.key)?;
    let expected = escaping.bytes_of(flags.from.as_ref())?;
    let value = escaping.bytes_of(flags.to.as_ref())?;
    let (expected, value) = (expected.as_deref(), value.as_deref());
    let command = Command::CompareAndSet { key: &key, expected, value };
    Ok(match flags.client.run(async |client| propose(&client, command).await)? {
        Reply::Differs(Some(value)) => {
            let object = json!({ "set": false, "value": json_of(&value) });
            report_result(json, object, &format!("{}\n", escape_text(&value)), Exit::Negative)
        }
        Reply::Differs(None) => {
            let object = json!({ "set": false, "value": Value::Null });
            differs_without_value(json, object, "the key does not exist")?
        }
        Reply::DiffersFromLargeValue(bytes) => {
            let object = json!({ "set": false, "value_bytes": bytes, "value_omitted": true });
            let text = format!("the value has {bytes} bytes: print it with `quorate get`");
            differs_without_value(json, object, &text)?
        }
        _ => report_result(json, json!({ "set": true }), "ok", Exit::Done),
    })
}

/// Reports that a compare failed, without a value on standard output. The text is an error, because
/// a script would take a text on standard output for the value.
fn differs_without_value(json: bool, object: Value, text: &str) -> CommandResult {
    match json {
        true => Ok(report_result(json, object, "", Exit::ValueNotPrinted)),
        false => {
            let text = format!("the compare failed: {text}");
            Err(CommandError::new(Exit::ValueNotPrinted, text))
        }
    }
}

pub(crate) fn delete(flags: &DeleteFlags, json: bool) -> CommandResult {
    let key = flags.escaping.bytes(&flags.key)?;
    let command = Command::Delete { key: &key };
    Ok(match flags.client.run(async |client| propose(&client, command).await)? {
        Reply::Done(Some(_)) => report_result(json, json!({ "deleted": true }), "ok", Exit::Done),
        _ => report_result(json, json!({ "deleted": false }), "no such key", Exit::Negative),
    })
}

pub(crate) fn get(flags: &GetFlags, json: bool) -> CommandResult {
    let key = flags.escaping.bytes(&flags.key)?;
    let query = Query::Get { key: &key };
    let answer = flags.client.run(async |client| run_query(&client, &flags.read, query).await)?;
    let Answer::Value(value) = answer else { return Err(wrong_state_machine()) };
    let text = match (&value, json) {
        (value, true) => {
            json!({ "value": value.as_deref().map_or(Value::Null, json_of) }).to_string()
        }
        (None, false) => return Err(CommandError::new(Exit::Negative, "no such key")),
        (Some(value), false) if flags.raw => {
            return print_bytes(value).map(|_| Exit::Done);
        }
        (Some(value), false) => format!("{}\n", escape_text(value)),
    };
    print(&text)?;
    Ok(if value.is_some() { Exit::Done } else { Exit::Negative })
}

pub(crate) fn scan(flags: &ScanFlags, json: bool) -> CommandResult {
    let prefix = flags.escaping.bytes(&flags.prefix)?;
    let mut after = flags.escaping.bytes_of(flags.after.as_ref())?;
    flags.client.run(async |client| {
        let mut left = flags.limit.unwrap_or(usize::MAX);
        loop {
            let limit = u32::try_from(left).unwrap_or(u32::MAX);
            let query = Query::Scan { prefix: &prefix, after: after.as_deref(), limit };
            let answer = run_query(&client, &flags.read, query).await?;
            let Answer::Pairs { pairs, more } = answer else { return Err(wrong_state_machine()) };
            let lines: Vec<_> = pairs.iter().map(|pair| line(pair, json, flags.raw)).collect();
            if !print_bytes(&lines.concat())? {
                return Ok(Exit::Done);
            }
            left -= pairs.len().min(left);
            match pairs.into_iter().next_back() {
                Some((last, _)) if more && left > 0 => after = Some(last),
                _ => return Ok(Exit::Done),
            }
        }
    })
}

fn line(pair: &Pair, json: bool, raw: bool) -> Vec<u8> {
    let (key, value) = pair;
    match (json, raw) {
        (true, _) => {
            format!("{}\n", json!({ "key": json_of(key), "value": json_of(value) })).into_bytes()
        }
        (false, true) => [key, b"\t".as_slice(), value, b"\n"].concat(),
        (false, false) => format!("{}\t{}\n", escape_text(key), escape_text(value)).into_bytes(),
    }
}

/// Proposes a command, and returns its reply.
pub(crate) async fn propose(client: &Client, command: Command<'_>) -> CommandResult<Reply> {
    let reply = client.propose(&command.encode()).await?;
    match Reply::decode(&reply) {
        Some(Reply::Invalid) | None => Err(wrong_state_machine()),
        Some(Reply::NoSpace(quota)) => Err(no_space(quota)),
        Some(reply) => Ok(reply),
    }
}

/// Reads from the node that `--at` names. Without it, reads from the leader at the levels
/// `linearizable` and `lease`, and from any node otherwise.
async fn run_query(client: &Client, flags: &ReadFlags, query: Query<'_>) -> CommandResult<Answer> {
    let (level, query): (ReadLevel, _) = (flags.level.0, query.encode());
    let answered = match &flags.at {
        Some(ServerAddress(address)) => client.read_at(address, level, &query).await?,
        None => client.read(level, &query).await?,
    };
    Answer::decode(&answered.answer).ok_or_else(wrong_state_machine)
}

/// Returns the error of a write that would have grown the store beyond its quota.
pub(crate) fn no_space(quota: u64) -> CommandError {
    let message = format!(
        "the store has reached its quota of {quota} bytes, and rejects writes that grow it: delete \
         keys, or let an administrator raise the quota (`quorate quota set`), and then clear the \
         alarm (`quorate quota clear`)"
    );
    CommandError::new(Exit::Rejected, message)
}

pub(crate) fn wrong_state_machine() -> CommandError {
    let text = "the nodes do not run the state machine of `quorate serve`: check the addresses, or \
                use the client of their own service";
    CommandError::new(Exit::Rejected, text)
}

/// Prints the result of a write, as JSON or as text.
fn report_result(json: bool, object: Value, text: &str, exit: Exit) -> Exit {
    report(json, &if json { object.to_string() } else { text.to_owned() });
    exit
}
