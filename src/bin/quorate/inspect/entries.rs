//! Lists the entries of a directory's log, one per line.

use std::fmt;

use quorate::machine::{Proposer, QuotaCommand, Request};
use quorate::storage::{FileDisk, Inspection};
use quorate::types::{Entry, EntryId, Index, Payload};
use serde_json::{Value, json};

use crate::escape::escape_text;
use crate::kv::Command;

/// A log entry with a description.
#[derive(Debug)]
pub(super) struct ListedEntry {
    id: EntryId,
    bytes: usize,
    description: String,
}

/// The maximum number of bytes of a key or value that are printed.
const PRINTED_BYTES_MAX: usize = 60;

/// Returns entries from `first` on, at most `limit`, up to the first that cannot be read. Damaged
/// entries that the snapshot covers are left out.
pub(super) fn list(
    disk: &mut FileDisk,
    inspection: &mut Inspection,
    first: u64,
    limit: usize,
) -> Vec<ListedEntry> {
    let (base, last) = (inspection.opened.base.index, inspection.opened.last.index);
    let mut next = Index(first).max(base.next());
    let mut listed = Vec::new();
    while next <= last && listed.len() < limit {
        if is_damaged(inspection, next) {
            next = next.next();
            continue;
        }
        let Ok(entries) = inspection.entries(disk, next, last) else { break };
        let room = limit - listed.len();
        listed.extend(entries.iter().take(room).map(ListedEntry::of));
        next = entries.last().map_or(last, |entry| entry.id.index).next();
    }
    listed
}

/// Returns true if the content of the entry at `index` is damaged and not needed: in
/// `Inspection::opened`, only entries that the snapshot covers are damaged.
pub(super) fn is_damaged(inspection: &Inspection, index: Index) -> bool {
    let damaged = &inspection.opened.damaged;
    damaged.binary_search_by_key(&index, |entry| entry.id.index).is_ok()
}

impl ListedEntry {
    fn of(entry: &Entry) -> ListedEntry {
        let description = match &entry.payload {
            Payload::Noop => "no-op of a leader".to_owned(),
            Payload::Membership(membership) => format!("membership {membership}"),
            Payload::Command(command) => describe_request(command),
        };
        ListedEntry { id: entry.id, bytes: entry.bytes(), description }
    }

    pub(super) fn json(&self) -> Value {
        json!({
            "index": self.id.index.0,
            "term": self.id.term.0,
            "bytes": self.bytes,
            "description": self.description,
        })
    }
}

fn describe_request(bytes: &[u8]) -> String {
    let Some((proposer, request)) = Request::in_log(bytes) else {
        return "unknown request".to_owned();
    };
    let request = match request {
        Request::Plain(command) => describe_command(command),
        Request::Register { .. } => "new session".to_owned(),
        Request::InSession { session, sequence, command, .. } => {
            format!("{} ({session}, {sequence})", describe_command(command))
        }
        Request::SetBounds(_) => "bounds of the client sessions".to_owned(),
        Request::RaiseVersion(version) => format!("raise the version to {version}"),
        Request::Admin(command) => match QuotaCommand::decode(command) {
            Some(QuotaCommand::SetBytes(bytes)) => format!("quota of {bytes} bytes"),
            Some(QuotaCommand::ClearAlarm) => "clear the alarm of the quota".to_owned(),
            None => format!("{} bytes, an admin command of another state machine", command.len()),
        },
    };
    match proposer {
        Proposer::Client(name) => format!("{request}, by client {name}"),
        Proposer::Admin(name) => format!("{request}, by admin {name}"),
        Proposer::Unnamed => request,
    }
}

fn describe_command(command: &[u8]) -> String {
    match Command::decode(command) {
        Some(Command::Put { key, value }) => format!("put {} = {}", brief(key), brief(value)),
        Some(Command::Delete { key }) => format!("delete {}", brief(key)),
        Some(Command::CompareAndSet { key, .. }) => format!("compare and set {}", brief(key)),
        None => format!("{} bytes, a command of another state machine", command.len()),
    }
}

fn brief(bytes: &[u8]) -> String {
    match bytes.get(..PRINTED_BYTES_MAX) {
        Some(first) if bytes.len() > PRINTED_BYTES_MAX => format!("{}…", escape_text(first)),
        _ => escape_text(bytes),
    }
}

impl fmt::Display for ListedEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}  {} bytes  {}", self.id, self.bytes, self.description)
    }
}
