//! What no node may exceed: the bounds of its configuration (S29), and what is left to a cluster
//! that is idle.

use std::time::Duration;

use quorate::raft::{Config, Status};
use quorate::types::{Body, Entry, Message, Payload, Write};

use crate::check::costs::{Costs, Volume};
use crate::check::finding::{S29, Verdict};
use crate::check::model::Model;
use crate::check::nodes::Slot;

/// The bounds that hold for every node of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// `Config::message_entries_max`.
    pub message_entries_max: usize,
    /// `Config::message_bytes_max`.
    pub message_bytes_max: usize,
    /// `Config::inflight_messages_max`.
    pub inflight_messages_max: usize,
    /// `Config::unapplied_bytes_max`.
    pub unapplied_bytes_max: usize,
    /// `Config::tail_bytes_max`.
    pub tail_bytes_max: usize,
    /// `Config::apply_bytes_max`.
    pub apply_bytes_max: usize,
    /// `Config::reads_max`.
    pub reads_max: usize,
    /// `Config::outbox_messages_max`.
    pub outbox_messages_max: usize,
    /// `Config::heartbeat_interval`.
    pub heartbeat_interval: Duration,
    /// `Config::election_timeout_min`.
    pub election_timeout_min: Duration,
    /// The most elections won by core nodes after the storm is over.
    pub calm_elections_max: u64,
    /// The most elections won, and terms begun, by core nodes while nothing is asked of the
    /// cluster.
    pub idle_elections_max: u64,
    /// How long things take where no fault concerns them.
    pub costs: Costs,
    /// What every node is configured as, save its id.
    pub config: Config,
    /// By how many millionths clocks may run too fast or too slow.
    pub drift_ppm: u32,
}

/// Whether the options keep who is no member, or hears only half, from calling elections for ever
/// (thesis §4.2.3, §9.6).
pub(crate) fn keeps_outsiders_out(config: &Config) -> bool {
    config.pre_vote && config.check_quorum && config.stickiness
}

impl Bounds {
    /// The bounds of a cluster in which every node is configured as `config`.
    ///
    /// Nodes outside the core must not be able to disrupt it for ever: where its options do not
    /// keep them from that, the world cuts them off.
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
            calm_elections_max: 8,
            idle_elections_max: 0,
            costs,
            config: config.clone(),
            drift_ppm: 0,
        }
    }
}

impl Bounds {
    /// Within how long, after the last fault, a node of the core answers what it was asked, and
    /// has all that was committed (L2 and L5): what both wait for is a leader, and then that as
    /// much as `volume` gets through.
    ///
    /// Each of the elections that the core may hold takes two timeouts at most, one until somebody
    /// stands and one in which nobody wins, and in each timeout a round of messages is under way.
    pub(super) fn due(&self, volume: Volume) -> Duration {
        let timeouts = u32::try_from(2 * self.calm_elections_max).unwrap_or(u32::MAX);
        let timeout = self.config.election_timeout_max + self.costs.round();
        timeout * timeouts + self.costs.of(volume, &self.config)
    }
}

/// How many more messages each node may give to the network.
///
/// One input lets go of what waited for the disk, fills every peer's window and says a few things
/// more to each. A lagging driver may send later what several inputs set off, so what one input
/// leaves unused is kept for the next, up to a bound.
#[derive(Clone, Debug)]
pub(super) struct Sends {
    left: Vec<usize>,
    each: usize,
    most: usize,
}

impl Sends {
    pub(super) fn new(model: &Model, bounds: &Bounds) -> Sends {
        let nodes = model.nodes.len();
        let each = nodes.saturating_mul(bounds.inflight_messages_max.saturating_add(4));
        let most = bounds.outbox_messages_max.saturating_add(each.saturating_mul(64));
        Sends { left: vec![most; nodes], each, most }
    }

    pub(super) fn stepped(&mut self, slot: Slot) {
        let left = &mut self.left[slot.0];
        *left = left.saturating_add(self.each).min(self.most);
    }

    pub(super) fn sent(&mut self, model: &Model, from: Slot) -> Verdict {
        match self.left[from.0].checked_sub(1) {
            Some(left) => {
                self.left[from.0] = left;
                Ok(())
            }
            None => {
                let (id, most) = (model.node(from).id, self.most);
                S29.broken(format!("{id} sends over {most} messages after few inputs"))
            }
        }
    }
}

impl Bounds {
    pub(super) fn stepped(&self, model: &Model, slot: Slot, status: &Status) -> Verdict {
        let log = &model.node(slot).memory.log;
        let unsure =
            usize::try_from(log.bytes_after(status.durable, &model.entries)).unwrap_or(usize::MAX);
        let tail_max = self.tail_bytes_max.saturating_add(unsure);
        // A candidate's requests, one for each voter, wait beyond the bound.
        let outbox_max = self.outbox_messages_max.saturating_add(model.nodes.len());
        let caps = [
            ("messages waiting for the disk", status.outbox_messages, outbox_max),
            ("reads waiting", status.reads_waiting, self.reads_max),
            ("bytes in memory", status.tail_bytes, tail_max),
        ];
        // The memory of a write that is not yet given to the disk is not yet in the model.
        let known = if status.last == log.last_id() { &caps[..] } else { &caps[..2] };
        let Some((what, is, max)) = known.iter().find(|(_, is, max)| is > max) else {
            return Ok(());
        };
        let id = status.id;
        S29.broken(format!("{id} has {is} {what}, and the bound is {max}"))
    }

    /// A node gave a write to its disk; called once the model has it. What a leader inherits may be
    /// over the bound, and so may the entry it begins its term with: it is its users' commands that
    /// it takes only while there is room.
    pub(super) fn submitted(&self, model: &Model, slot: Slot, write: &Write) -> Verdict {
        let node = model.node(slot);
        let is_command = |entry: &&Entry| matches!(entry.payload, Payload::Command(_));
        let Some(status) = node.status else { return Ok(()) };
        let taken = write.entries.iter().rfind(is_command);
        let taken = taken.filter(|entry| node.leads(entry.id.term));
        let Some(Entry { id: at, .. }) = taken else { return Ok(()) };
        let (log, max) = (&node.memory.log, self.unapplied_bytes_max as u64);
        // A membership that follows at once is let in whatever its size.
        let bytes_after = |index| log.bytes_after(index, &model.entries);
        let is = bytes_after(status.applied).saturating_sub(bytes_after(at.index));
        if is <= max {
            return Ok(());
        }
        let id = node.id;
        S29.broken(format!("{id} takes {at} with {is} bytes unapplied, the bound is {max}"))
    }

    pub(super) fn sent(&self, message: &Message) -> Verdict {
        let Body::AppendEntries { entries, .. } = &message.body else { return Ok(()) };
        let (count, max) = (entries.len(), self.message_entries_max);
        if count > max {
            let from = message.from;
            return S29.broken(format!("{from} sends {count} entries at once, the bound is {max}"));
        }
        within("sends", message.from, entries, self.message_bytes_max)
    }

    pub(super) fn applies(&self, model: &Model, slot: Slot, entries: &[Entry]) -> Verdict {
        within("applies", model.node(slot).id, entries, self.apply_bytes_max)
    }
}

/// A single entry over the bound is still let through, alone.
fn within(does: &str, id: quorate::types::NodeId, entries: &[Entry], max: usize) -> Verdict {
    let bytes: usize = entries.iter().map(Entry::bytes).sum();
    if bytes <= max || entries.len() == 1 {
        return Ok(());
    }
    S29.broken(format!("{id} {does} {bytes} bytes of entries at once, the bound is {max}"))
}
