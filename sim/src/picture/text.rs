//! The texts of a run's statuses, writes, entries and commands on the page.

use quorate::machine::Request;
use quorate::raft::Status;
use quorate::replica::Work;
use quorate::types::{Entry, NodeId, Payload, Write};
use quorate_page::text::printable;

use crate::record::NodeWork;
use crate::workload::request::unmark;

/// Formats the bytes of a user's command, without the simulator's mark.
pub type CommandText<'a> = &'a dyn Fn(&[u8]) -> String;

/// The maximum number of characters of a command on the page.
const COMMAND_MAX: usize = 60;

/// Describes a node's status except for its role, term and log indices.
pub(crate) fn detail(status: &Status) -> String {
    let mut parts = Vec::new();
    if let Some(vote) = status.vote {
        parts.push(format!("voted {vote}"));
    }
    if status.disk_full {
        parts.push("disk full".to_owned());
    }
    if status.is_uncertain {
        parts.push("log uncertain".to_owned());
    }
    let counts = [
        ("damaged entries", status.damaged_entries),
        ("pending reads", status.reads_waiting),
        ("messages waiting for the disk", status.outbox_messages),
    ];
    let counts = counts.into_iter().filter(|(_, count)| *count > 0);
    parts.extend(counts.map(|(label, count)| format!("{label} {count}")));
    parts.join(" · ")
}

/// Describes a write to a disk.
pub(crate) fn write(write: &Write) -> String {
    let mut parts = Vec::new();
    if let Some(hard_state) = &write.hard_state {
        let vote = hard_state.vote.map_or(String::new(), |vote| format!(" voted {vote}"));
        parts.push(format!("term {}{vote}", hard_state.term));
    }
    if let Some(meta) = &write.install {
        parts.push(format!("snapshot up to {}", meta.last));
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

/// Returns the sentence about the panic of a node, or of its state machine, in this work.
pub(crate) fn panic_in_work(node: NodeId, work: &NodeWork, format: CommandText<'_>) -> String {
    let does = match work {
        NodeWork::Start => return format!("{node} panics while it starts from its disk"),
        NodeWork::Snapshot => "takes a snapshot".to_owned(),
        NodeWork::Machine(Work::Apply(entries)) => {
            let text = |applied: &Entry| {
                format!("applies entry {}, `{}`", applied.id, entry(applied, format))
            };
            entries.first().map_or_else(String::new, text)
        }
        NodeWork::Machine(Work::Query { query, .. }) => {
            format!("answers the query `{}`", printable(query))
        }
        NodeWork::Machine(Work::Restore(meta) | Work::Rebuild(meta)) => {
            format!("restores the snapshot up to {}", meta.last)
        }
    };
    format!("{node}'s state machine panics while it {does}")
}

/// Describes a log entry without its index and term.
pub(crate) fn entry(entry: &Entry, format: CommandText<'_>) -> String {
    match &entry.payload {
        Payload::Noop => "noop".to_owned(),
        Payload::Membership(membership) => membership.to_string(),
        Payload::Command(bytes) => match Request::in_log(bytes).map(|(_, request)| request) {
            Some(Request::Register { .. }) => "open a session".to_owned(),
            Some(Request::SetBounds(_)) => "set the bounds of sessions".to_owned(),
            Some(Request::RaiseVersion(version)) => format!("raise the version to {version}"),
            Some(Request::Admin(command)) => format!("admin {}", shortened(&printable(command))),
            Some(Request::Plain(command) | Request::InSession { command, .. }) => {
                command_text(command, format)
            }
            None => shortened(&printable(bytes)),
        },
    }
}

fn command_text(command: &[u8], format: CommandText<'_>) -> String {
    match unmark(command) {
        Some((command, _)) => shortened(&format(command)),
        None => shortened(&printable(command)),
    }
}

/// Cuts a long description of a command.
pub(crate) fn shortened(text: &str) -> String {
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
