//! What a recording is told beside what the checks see. Nothing of it is worked out where nobody
//! records.

use quorate::raft::{Refusal, Status};
use quorate::storage::{DiskError, FileAction};
use quorate::types::{Instant, NodeId, Packet, Tag};

use crate::observe::{OpId, Violation};
use crate::outcome::Failure;
use crate::record::{Lost, Record, Taken, Way, What};
use crate::time::SimTime;
use crate::witness::Witness;

impl Witness {
    /// What was recorded of a run that ended so; none if nobody recorded.
    pub(crate) fn record(&mut self, now: SimTime, failure: Option<&Failure>) -> Option<Record> {
        let mut recorder = self.recorder.take()?;
        if let Some(failure) = failure {
            recorder.fails(now, failure);
        }
        Some(recorder.finish())
    }

    /// Whether the run is recorded.
    pub(crate) fn is_recorded(&self) -> bool {
        self.recorder.is_some()
    }

    /// The packet of this number is what a node takes next.
    pub(crate) fn arrives(&mut self, packet: u64) {
        if let Some(recorder) = &mut self.recorder {
            recorder.arrives(packet);
        }
    }

    /// A node took an input, and wants to be woken at `deadline`.
    pub(crate) fn takes(&mut self, now: SimTime, status: &Status, taken: Taken, deadline: Instant) {
        if let Some(recorder) = &mut self.recorder {
            recorder.takes(now, status, taken, deadline);
        }
    }

    /// A packet goes its way. A message was shown before.
    pub(crate) fn departs(&mut self, now: SimTime, packet: &Packet, way: Way) {
        if let Some(recorder) = &mut self.recorder {
            recorder.departs(now, packet, way);
            if let Some(why) = way.lost {
                recorder.drops(now, packet.to(), way.packet, why);
            }
        }
    }

    /// A packet comes to a node that is down.
    pub(crate) fn drops(&mut self, now: SimTime, to: NodeId, packet: u64) {
        if let Some(recorder) = &mut self.recorder {
            recorder.drops(now, to, packet, Lost::Down);
        }
    }

    /// A packet that nobody sent just now comes to a node.
    pub(crate) fn intrudes(&mut self, now: SimTime, to: NodeId, number: u64, packet: &Packet) {
        if let (Some(recorder), Some(message)) = (&mut self.recorder, packet.message()) {
            recorder.intrudes(now, to, number, message);
        }
    }

    /// A node stands still.
    pub(crate) fn pauses(&mut self, now: SimTime, node: NodeId) {
        if let Some(recorder) = &mut self.recorder {
            recorder.happens(now, node, What::Paused);
        }
    }

    /// A node goes on.
    pub(crate) fn resumes(&mut self, now: SimTime, node: NodeId) {
        if let Some(recorder) = &mut self.recorder {
            recorder.happens(now, node, What::Resumed);
        }
    }

    /// A node's disk did what it was asked for; what it wrote is not durable before a flush.
    pub(crate) fn operated(&mut self, now: SimTime, node: NodeId, action: &FileAction) {
        if let Some(recorder) = &mut self.recorder
            && !matches!(action, FileAction::Read { .. })
        {
            recorder.happens(now, node, What::Operated(format!("{action:?}")));
        }
    }

    /// An operation of the plan begins to happen; node `it` did what it waited for, if it waited.
    pub(crate) fn strikes(&mut self, now: SimTime, op: u32, it: Option<NodeId>) {
        if let Some(recorder) = &mut self.recorder {
            recorder.strikes(now, op, it);
        }
    }

    /// It has happened.
    pub(crate) fn struck(&mut self) {
        if let Some(recorder) = &mut self.recorder {
            recorder.struck();
        }
    }

    /// What an operation of the plan began is over.
    pub(crate) fn lifts(&mut self, now: SimTime, op: u32) {
        if let Some(recorder) = &mut self.recorder {
            recorder.lifts(now, op);
        }
    }

    /// A client's request reaches a node.
    pub(crate) fn asked(
        &mut self,
        now: SimTime,
        client: u16,
        op: Option<OpId>,
        asked: (Tag, NodeId),
    ) {
        if let Some(recorder) = &mut self.recorder {
            recorder.asked(now, client, op, asked);
        }
    }

    /// A node's algorithm refuses a message.
    pub(super) fn refuses_message(
        &mut self,
        now: SimTime,
        node: NodeId,
        (from, message): (NodeId, &'static str),
        reason: Refusal,
    ) {
        if let Some(recorder) = &mut self.recorder {
            recorder.happens(now, node, What::Refused { from, message, reason });
        }
    }

    pub(super) fn record_stakes(&mut self, node: NodeId, at_stake: usize, kept: usize) {
        if let Some(recorder) = &mut self.recorder {
            recorder.stakes(node, at_stake, kept);
        }
    }

    pub(super) fn record_disk_failure(
        &mut self,
        now: SimTime,
        node: NodeId,
        action: &FileAction,
        error: &DiskError,
    ) {
        if let Some(recorder) = &mut self.recorder {
            recorder.happens(now, node, What::DiskFailed(format!("{action:?}: {error}")));
        }
    }

    pub(super) fn record_failure(&mut self, now: SimTime, violation: &Violation) {
        if let Some(recorder) = &mut self.recorder {
            let failure = Failure::of(violation.clone());
            recorder.fails(now, &failure);
        }
    }
}
