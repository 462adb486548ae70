//! Nodes stay within the bounds of their configuration (S29).

use quorate::raft::Status;
use quorate::types::{Body, Entry, Message, NodeId, Payload, Write};

use crate::check::finding::{CheckResult, S29};
use crate::check::known::Known;
use crate::check::rule::Rule;

/// The number of messages that each node may still send.
///
/// One input releases the messages that waited for the disk, fills every peer's in-flight window
/// and sends a few more messages to each peer. A driver that lags may send the messages of several
/// inputs together, so the unused budget of one input is kept for later ones, up to a bound.
#[derive(Clone, Debug)]
pub(super) struct Bounded {
    left: Vec<usize>,
    per_input: usize,
    max: usize,
}

impl Rule for Bounded {
    fn new(known: &Known) -> Bounded {
        let (nodes, bounds) = (known.model.nodes.len(), &known.bounds);
        let per_input = nodes.saturating_mul(bounds.inflight_messages_max.saturating_add(4));
        let max = bounds.outbox_messages_max.saturating_add(per_input.saturating_mul(64));
        Bounded { left: vec![max; nodes], per_input, max }
    }

    fn stepped(&mut self, known: &Known, status: &Status) -> CheckResult {
        let left = &mut self.left[known.model.slot(status.id).0];
        *left = left.saturating_add(self.per_input).min(self.max);
        Ok(())
    }

    /// Checks the lengths of the queues in a node's status.
    fn status_changed(&mut self, known: &Known, status: &Status) -> CheckResult {
        let Known { model, bounds, .. } = known;
        let log = &model.of(status.id).memory.log;
        let not_durable =
            usize::try_from(log.bytes_after(status.durable, &model.entries)).unwrap_or(usize::MAX);
        let tail_max = bounds.tail_bytes_max.saturating_add(not_durable);
        // A candidate's vote requests, one for each voter, may wait beyond the bound.
        let outbox_max = bounds.outbox_messages_max.saturating_add(model.nodes.len());
        let limits = [
            ("messages waiting for the disk", status.outbox_messages, outbox_max),
            ("pending reads", status.reads_waiting, bounds.reads_max),
            ("bytes of entries in memory", status.tail_bytes, tail_max),
        ];
        // The bytes in memory are checked only if the model knows the whole log: it learns of a
        // write when the node submits the write to the disk.
        let checked = if status.last == log.last_id() { &limits[..] } else { &limits[..2] };
        let Some((bounded, is, max)) = checked.iter().find(|(_, is, max)| is > max) else {
            return Ok(());
        };
        let id = status.id;
        S29.violated(format!("{id} has {is} {bounded}, but the bound is {max}"))
    }

    /// Checks a write after the model applied it: a leader appends a client's command only if the
    /// entries that it has not applied, or that its disk lacks, stay within the bound in bytes,
    /// including the command. Entries of earlier terms, and the empty entry with which a leader
    /// begins its term, may exceed the bound.
    fn submitted(&mut self, known: &Known, id: NodeId, write: &Write) -> CheckResult {
        let Known { model, bounds, .. } = known;
        let node = model.of(id);
        let is_command = |entry: &&Entry| matches!(entry.payload, Payload::Command(_));
        let Some(status) = node.status else { return Ok(()) };
        let taken = write.entries.iter().rfind(is_command);
        let taken = taken.filter(|entry| node.leads(entry.id.term));
        let Some(Entry { id: at, .. }) = taken else { return Ok(()) };
        let (log, max) = (&node.memory.log, bounds.unapplied_bytes_max as u64);
        // Membership entries after the command do not count towards the bound.
        let bytes_after = |index| log.bytes_after(index, &model.entries);
        let finished = status.applied.min(status.durable);
        let is = bytes_after(finished).saturating_sub(bytes_after(at.index));
        if is <= max {
            return Ok(());
        }
        S29.violated(format!(
            "{id} appends command {at} with {is} bytes of entries that are not both applied and on \
             its disk, but the bound is {max} bytes"
        ))
    }

    /// Checks a message, and spends the budget of one message.
    fn sent(&mut self, known: &Known, message: &Message) -> CheckResult {
        if let Body::AppendEntries { entries, .. } | Body::RequestEntriesReply { entries, .. } =
            &message.body
        {
            let (id, count, max) = (message.from, entries.len(), known.bounds.message_entries_max);
            if count > max {
                return S29.violated(format!(
                    "{id} sends {count} entries in one message, but the bound is {max}"
                ));
            }
            check_bytes("sends", id, entries, known.bounds.message_bytes_max)?;
        }
        let left = &mut self.left[known.model.slot(message.from).0];
        if let Some(rest) = left.checked_sub(1) {
            *left = rest;
            return Ok(());
        }
        let (id, Bounded { per_input, max, .. }) = (message.from, self);
        S29.violated(format!(
            "{id} sends more messages than its inputs allow: {per_input} for each input, and at \
             most {max} saved up"
        ))
    }

    fn applied(&mut self, known: &Known, node: NodeId, entries: &[Entry]) -> CheckResult {
        check_bytes("applies", node, entries, known.bounds.apply_bytes_max)
    }
}

/// Checks the bytes of a message or batch; a single entry may exceed the bound if it is alone.
fn check_bytes(does: &str, id: NodeId, entries: &[Entry], max: usize) -> CheckResult {
    let bytes: usize = entries.iter().map(Entry::bytes).sum();
    if bytes <= max || entries.len() == 1 {
        return Ok(());
    }
    S29.violated(format!(
        "{id} {does} {bytes} bytes of entries at once, but the bound is {max} bytes"
    ))
}
