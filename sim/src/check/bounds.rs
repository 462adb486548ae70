//! The bounds of a node's configuration (S29), and the election bounds of the stabilization phase.

use std::time::Duration;

use quorate::raft::{Config, Status};
use quorate::types::{Body, Entry, Message, Payload, Write};

use crate::check::costs::{Costs, Volume};
use crate::check::finding::{CheckResult, S29};
use crate::check::model::Model;
use crate::check::nodes::Slot;

/// The bounds that hold for every node of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// The most entries in one message, from `Config::message_entries_max`.
    pub message_entries_max: usize,
    /// The most bytes of entries in one message, from `Config::message_bytes_max`.
    pub message_bytes_max: usize,
    /// The most unacknowledged appends to one peer, from `Config::inflight_messages_max`.
    pub inflight_messages_max: usize,
    /// The most unapplied bytes in a leader's log, from `Config::unapplied_bytes_max`.
    pub unapplied_bytes_max: usize,
    /// The most bytes of durable entries in memory, from `Config::tail_bytes_max`.
    pub tail_bytes_max: usize,
    /// The most bytes of entries in one batch to apply, from `Config::apply_bytes_max`.
    pub apply_bytes_max: usize,
    /// The most pending reads of one node, from `Config::reads_max`.
    pub reads_max: usize,
    /// The most messages that wait for a node's disk, from `Config::outbox_messages_max`.
    pub outbox_messages_max: usize,
    /// The time between two heartbeats of a leader, from `Config::heartbeat_interval`.
    pub heartbeat_interval: Duration,
    /// The shortest election timeout, from `Config::election_timeout_min`.
    pub election_timeout_min: Duration,
    /// The most elections that core nodes may win in the stabilization phase.
    pub stabilization_elections_max: u64,
    /// The most elections that core nodes may win while the cluster is idle. Each of these
    /// elections may also change the term of every node once.
    pub idle_elections_max: u64,
    /// The longest durations of messages, flushes and batches in the absence of faults.
    pub costs: Costs,
    /// The configuration of every node, except for the node's id.
    pub config: Config,
    /// The most by which a clock may run too fast or too slow, in parts per million.
    pub drift_ppm: u32,
}

/// Whether the options prevent removed and half-isolated nodes from starting elections without end
/// (thesis §4.2.3, §9.6).
pub(crate) fn prevents_disruptive_servers(config: &Config) -> bool {
    config.pre_vote && config.check_quorum && config.stickiness
}

impl Bounds {
    /// Derives the bounds of a cluster in which every node has the configuration `config`.
    ///
    /// The bounds of the stabilization phase assume that no node outside the core disturbs it. If
    /// the configuration does not prevent that, the simulator isolates the nodes outside the core.
    #[must_use]
    pub fn of(config: &Config, costs: Costs) -> Bounds {
        Bounds {
            message_entries_max: config.message_entries_max,
            message_bytes_max: config.message_bytes_max,
            inflight_messages_max: config.inflight_messages_max,
            unapplied_bytes_max: config.unapplied_bytes_max,
            tail_bytes_max: config.tail_bytes_max,
            apply_bytes_max: config.apply_bytes_max,
            reads_max: config.reads_max,
            outbox_messages_max: config.outbox_messages_max,
            heartbeat_interval: config.heartbeat_interval,
            election_timeout_min: config.election_timeout_min,
            stabilization_elections_max: 8,
            idle_elections_max: 0,
            costs,
            config: config.clone(),
            drift_ppm: 0,
        }
    }
}

impl Bounds {
    /// The longest time in which a core node answers a request (L2) or applies all committed
    /// entries (L5): the core elects a leader, and then transfers `volume`. The time counts from
    /// the start of the stabilization phase, or from the request or the node's start if that is
    /// later.
    ///
    /// Each allowed election takes at most two timeouts, one until a node campaigns, one more if
    /// that campaign fails. One round of messages is added to each timeout.
    pub(super) fn recovery_time_max(&self, volume: Volume) -> Duration {
        let timeouts = u32::try_from(2 * self.stabilization_elections_max).unwrap_or(u32::MAX);
        let timeout = self.config.election_timeout_max + self.costs.round_trip();
        timeout * timeouts + self.costs.transfer_time(volume, &self.config)
    }
}

/// The number of messages that each node may still send.
///
/// One input releases the messages that waited for the disk, fills every peer's in-flight window
/// and sends a few more messages to each peer. A lagging driver may send the messages of several
/// inputs later, so the unused budget of one input is kept for the next, up to a bound.
#[derive(Clone, Debug)]
pub(super) struct SendBudgets {
    left: Vec<usize>,
    per_input: usize,
    max: usize,
}

impl SendBudgets {
    pub(super) fn new(model: &Model, bounds: &Bounds) -> SendBudgets {
        let nodes = model.nodes.len();
        let per_input = nodes.saturating_mul(bounds.inflight_messages_max.saturating_add(4));
        let max = bounds.outbox_messages_max.saturating_add(per_input.saturating_mul(64));
        SendBudgets { left: vec![max; nodes], per_input, max }
    }

    pub(super) fn stepped(&mut self, slot: Slot) {
        let left = &mut self.left[slot.0];
        *left = left.saturating_add(self.per_input).min(self.max);
    }

    pub(super) fn sent(&mut self, model: &Model, from: Slot) -> CheckResult {
        match self.left[from.0].checked_sub(1) {
            Some(left) => {
                self.left[from.0] = left;
                Ok(())
            }
            None => {
                let (id, per_input, max) = (model.node(from).id, self.per_input, self.max);
                S29.violated(format!(
                    "{id} sends more messages than its inputs allow: {per_input} for each input, \
                     and at most {max} saved up"
                ))
            }
        }
    }
}

impl Bounds {
    pub(super) fn stepped(&self, model: &Model, slot: Slot, status: &Status) -> CheckResult {
        let log = &model.node(slot).memory.log;
        let not_durable =
            usize::try_from(log.bytes_after(status.durable, &model.entries)).unwrap_or(usize::MAX);
        let tail_max = self.tail_bytes_max.saturating_add(not_durable);
        // A candidate's vote requests, one for each voter, may wait beyond the bound.
        let outbox_max = self.outbox_messages_max.saturating_add(model.nodes.len());
        let limits = [
            ("messages waiting for the disk", status.outbox_messages, outbox_max),
            ("pending reads", status.reads_waiting, self.reads_max),
            ("bytes of entries in memory", status.tail_bytes, tail_max),
        ];
        // The bytes in memory are checked only if the model knows the whole log: it learns of a
        // write when the node submits the write to the disk.
        let known = if status.last == log.last_id() { &limits[..] } else { &limits[..2] };
        let Some((bounded, is, max)) = known.iter().find(|(_, is, max)| is > max) else {
            return Ok(());
        };
        let id = status.id;
        S29.violated(format!("{id} has {is} {bounded}, but the bound is {max}"))
    }

    /// Checks a write after the model applied it: a leader appends a command of a client only if
    /// its unapplied bytes, including the command, stay within the bound. Entries of earlier terms,
    /// and the empty entry with which a leader begins its term, may exceed the bound.
    pub(super) fn submitted(&self, model: &Model, slot: Slot, write: &Write) -> CheckResult {
        let node = model.node(slot);
        let is_command = |entry: &&Entry| matches!(entry.payload, Payload::Command(_));
        let Some(status) = node.status else { return Ok(()) };
        let taken = write.entries.iter().rfind(is_command);
        let taken = taken.filter(|entry| node.leads(entry.id.term));
        let Some(Entry { id: at, .. }) = taken else { return Ok(()) };
        let (log, max) = (&node.memory.log, self.unapplied_bytes_max as u64);
        // Membership entries after the command do not count towards the bound.
        let bytes_after = |index| log.bytes_after(index, &model.entries);
        let is = bytes_after(status.applied).saturating_sub(bytes_after(at.index));
        if is <= max {
            return Ok(());
        }
        let id = node.id;
        S29.violated(format!(
            "{id} appends command {at} with {is} bytes of unapplied entries, but the bound is \
             {max} bytes"
        ))
    }

    pub(super) fn sent(&self, message: &Message) -> CheckResult {
        let Body::AppendEntries { entries, .. } = &message.body else { return Ok(()) };
        let (count, max) = (entries.len(), self.message_entries_max);
        if count > max {
            let from = message.from;
            return S29.violated(format!(
                "{from} sends {count} entries in one message, but the bound is {max}"
            ));
        }
        check_bytes("sends", message.from, entries, self.message_bytes_max)
    }

    pub(super) fn applies(&self, model: &Model, slot: Slot, entries: &[Entry]) -> CheckResult {
        check_bytes("applies", model.node(slot).id, entries, self.apply_bytes_max)
    }
}

/// Checks the bytes of a message or batch; a single entry may exceed the bound if it is alone.
fn check_bytes(
    does: &str,
    id: quorate::types::NodeId,
    entries: &[Entry],
    max: usize,
) -> CheckResult {
    let bytes: usize = entries.iter().map(Entry::bytes).sum();
    if bytes <= max || entries.len() == 1 {
        return Ok(());
    }
    S29.violated(format!(
        "{id} {does} {bytes} bytes of entries at once, but the bound is {max} bytes"
    ))
}
