//! What a run's states, writes, entries and commands are called on the page.

use quorate::machine::Request;
use quorate::raft::Status;
use quorate::types::{Entry, Payload, Write};
use quorate_page::text::printable;

use crate::request::{OpId, unmark};

/// Words for the bytes of a user's command, without what the world adds to it.
pub type Words<'a> = &'a dyn Fn(&[u8]) -> String;

/// Letters of a command on the page.
const COMMAND_MAX: usize = 60;

/// What a node's state says beside its role, term and ladder.
pub(crate) fn detail(status: &Status) -> String {
    let mut parts = Vec::new();
    if let Some(vote) = status.vote {
        parts.push(format!("voted {vote}"));
    }
    if status.disk_full {
        parts.push("disk full".to_owned());
    }
    let counts =
        [("reads waiting", status.reads_waiting), ("messages held back", status.outbox_messages)];
    let counts = counts.into_iter().filter(|(_, count)| *count > 0);
    parts.extend(counts.map(|(what, count)| format!("{what} {count}")));
    parts.join(" · ")
}

/// A write to a disk.
pub(crate) fn write(write: &Write) -> String {
    let mut parts = Vec::new();
    if let Some(promised) = &write.hard_state {
        let vote = promised.vote.map_or(String::new(), |vote| format!(" voted {vote}"));
        parts.push(format!("{}{vote}", promised.term));
    }
    if let Some(meta) = &write.install {
        parts.push(format!("snapshot to {}", meta.last));
    }
    match (write.entries.first(), write.entries.last()) {
        (Some(first), Some(last)) if first.id != last.id => {
            parts.push(format!("entries {} to {}", first.id, last.id));
        }
        (Some(only), _) => parts.push(format!("entry {}", only.id)),
        (None, _) => {}
    }
    if parts.is_empty() { "commit index".to_owned() } else { parts.join(", ") }
}

/// An entry of a log, without its index and term.
pub(crate) fn entry(entry: &Entry, words: Words<'_>) -> String {
    match &entry.payload {
        Payload::Noop => "noop".to_owned(),
        Payload::Membership(membership) => membership.to_string(),
        Payload::Command(bytes) => match Request::decode(bytes) {
            Some(Request::Register { .. }) => "opens a session".to_owned(),
            Some(Request::Plain(command) | Request::InSession { command, .. }) => {
                command_words(command, words)
            }
            None => shortened(&printable(bytes)),
        },
    }
}

/// The operation that an entry is for, and its command.
pub(crate) fn command_of(entry: &Entry, words: Words<'_>) -> Option<(OpId, String)> {
    let Payload::Command(bytes) = &entry.payload else { return None };
    let (Request::Plain(command) | Request::InSession { command, .. }) = Request::decode(bytes)?
    else {
        return None;
    };
    let (command, op) = unmark(command)?;
    Some((op, shortened(&words(command))))
}

fn command_words(command: &[u8], words: Words<'_>) -> String {
    match unmark(command) {
        Some((command, _)) => shortened(&words(command)),
        None => shortened(&printable(command)),
    }
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(COMMAND_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_command_is_cut_short() {
        assert_eq!(shortened("put k v"), "put k v");
        assert_eq!(shortened(&"x".repeat(99)).chars().count(), COMMAND_MAX + 1);
    }
}
