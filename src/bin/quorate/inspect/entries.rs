//! The entries of a directory's log, one line each.

use std::fmt;

use quorate::machine::Request;
use quorate::storage::FileDisk;
use quorate::types::{Entry, EntryId, Index, Payload};
use serde_json::{Value, json};

use crate::escape::shown;
use crate::inspect::found::Found;
use crate::kv::Command;

/// An entry, in words.
#[derive(Debug)]
pub(super) struct Listed {
    id: EntryId,
    bytes: usize,
    what: String,
}

/// The most bytes of a command that are shown.
const SHOWN_MAX: usize = 60;

/// Entries from `first` on, at most `limit`; up to the first that cannot be read.
pub(super) fn list(
    disk: &mut FileDisk,
    found: &mut Found,
    first: u64,
    limit: usize,
) -> Vec<Listed> {
    let (base, last) = (found.inspection.opened.base.index, found.inspection.opened.last.index);
    let mut next = Index(first).max(base.next());
    let mut listed = Vec::new();
    while next <= last && listed.len() < limit {
        let Ok(entries) = found.inspection.entries(disk, next, last) else { break };
        let wanted = limit - listed.len();
        listed.extend(entries.iter().take(wanted).map(Listed::of));
        next = entries.last().map_or(last, |entry| entry.id.index).next();
    }
    listed
}

impl Listed {
    fn of(entry: &Entry) -> Listed {
        let what = match &entry.payload {
            Payload::Noop => "a term begins".to_owned(),
            Payload::Membership(membership) => format!("membership {membership}"),
            Payload::Command(command) => request(command),
        };
        Listed { id: entry.id, bytes: entry.bytes(), what }
    }

    pub(super) fn json(&self) -> Value {
        json!({
            "index": self.id.index.0,
            "term": self.id.term.0,
            "bytes": self.bytes,
            "what": self.what,
        })
    }
}

fn request(bytes: &[u8]) -> String {
    match Request::decode(bytes) {
        Some(Request::Plain(command)) => said(command),
        Some(Request::Register { .. }) => "a session begins".to_owned(),
        Some(Request::InSession { session, sequence, command, .. }) => {
            format!("{} ({session}, {sequence})", said(command))
        }
        _ => "another request".to_owned(),
    }
}

fn said(command: &[u8]) -> String {
    match Command::decode(command) {
        Some(Command::Put { key, value }) => format!("put {} = {}", brief(key), brief(value)),
        Some(Command::Delete { key }) => format!("delete {}", brief(key)),
        Some(Command::CompareAndSet { key, .. }) => format!("compare and set {}", brief(key)),
        None => format!("{} bytes of another state machine", command.len()),
    }
}

fn brief(bytes: &[u8]) -> String {
    match bytes.get(..SHOWN_MAX) {
        Some(first) if bytes.len() > SHOWN_MAX => format!("{}…", shown(first)),
        _ => shown(bytes),
    }
}

impl fmt::Display for Listed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}  {} bytes  {}", self.id, self.bytes, self.what)
    }
}
