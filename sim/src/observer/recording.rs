//! Events that the recording contains besides the observations. If the run is not recorded, these
//! functions do nothing.

use quorate::raft::{MessageRejectReason, Status};
use quorate::replica::Input;
use quorate::storage::{DiskError, FileAction};
use quorate::types::{Instant, NodeId, Packet, Tag};

use crate::observe::outcome::Failure;
use crate::observe::{OpId, Violation};
use crate::observer::Observer;
use crate::record::{Delivery, EventKind, InputKind, LossReason, NodeWork, Record};
use crate::values::time::SimTime;

impl Observer {
    /// Takes the recording of a run with this failure, if any; `None` if the run is not recorded.
    /// `panic_text` returns the sentence about a panic of a node in its work.
    pub(crate) fn record(
        &mut self,
        now: SimTime,
        failure: Option<&Failure>,
        panic_text: impl FnOnce(NodeId, &NodeWork) -> String,
    ) -> Option<Record> {
        let mut recorder = self.recorder.take()?;
        if let Some(failure) = failure {
            recorder.work_panicked(now, panic_text);
            recorder.failed(now, failure);
        }
        Some(recorder.finish())
    }

    /// Whether the run is recorded.
    pub(crate) fn is_recorded(&self) -> bool {
        self.recorder.is_some()
    }

    /// Records that the node's next input is this packet.
    pub(crate) fn packet_arrives(&mut self, packet: u64) {
        if let Some(recorder) = &mut self.recorder {
            recorder.packet_arrives(packet);
        }
    }

    /// Notes the input that a node takes now.
    pub(crate) fn input_begins(&mut self, node: NodeId, input: &Input) {
        if let Some(recorder) = &mut self.recorder {
            recorder.input_begins(node, InputKind::of(input));
        }
    }

    /// Notes the work that a node, or its state machine, does now outside of the node's steps.
    pub(crate) fn work_begins(&mut self, node: NodeId, work: impl FnOnce() -> NodeWork) {
        if let Some(recorder) = &mut self.recorder {
            recorder.work_begins(node, work());
        }
    }

    /// Notes that the work is done.
    pub(crate) fn work_ends(&mut self) {
        if let Some(recorder) = &mut self.recorder {
            recorder.work_ends();
        }
    }

    /// Records the input that a node has taken, and the node's next deadline.
    pub(crate) fn input_ends(&mut self, now: SimTime, status: &Status, deadline: Instant) {
        if let Some(recorder) = &mut self.recorder {
            recorder.input_ends(now, status, deadline);
        }
    }

    /// Records the delivery of a packet. If it is a message, its sending was observed before.
    pub(crate) fn packet_sent(&mut self, now: SimTime, packet: &Packet, delivery: Delivery) {
        if let Some(recorder) = &mut self.recorder {
            recorder.packet_sent(now, packet, delivery);
            if let Some(why) = delivery.lost {
                recorder.packet_dropped(now, packet.to(), delivery.packet, why);
            }
        }
    }

    /// Records a packet that arrives at a node that is down.
    pub(crate) fn packet_dropped(&mut self, now: SimTime, to: NodeId, packet: u64) {
        if let Some(recorder) = &mut self.recorder {
            recorder.packet_dropped(now, to, packet, LossReason::Down);
        }
    }

    /// Records a misrouted or replayed packet that arrives at a node.
    pub(crate) fn packet_injected(
        &mut self,
        now: SimTime,
        to: NodeId,
        number: u64,
        packet: &Packet,
    ) {
        if let (Some(recorder), Some(message)) = (&mut self.recorder, packet.message()) {
            recorder.packet_injected(now, to, number, message);
        }
    }

    /// Records that a node is paused.
    pub(crate) fn pauses(&mut self, now: SimTime, node: NodeId) {
        if let Some(recorder) = &mut self.recorder {
            recorder.node_event(now, node, EventKind::Paused);
        }
    }

    /// Records that a paused node continues.
    pub(crate) fn resumes(&mut self, now: SimTime, node: NodeId) {
        if let Some(recorder) = &mut self.recorder {
            recorder.node_event(now, node, EventKind::Resumed);
        }
    }

    /// Records a disk operation of a node, except reads. Its data is not durable before a flush.
    pub(crate) fn operated(&mut self, now: SimTime, node: NodeId, action: &FileAction) {
        if let Some(recorder) = &mut self.recorder
            && !matches!(action, FileAction::Read { .. })
        {
            recorder.node_event(now, node, EventKind::DiskOperation(format!("{action:?}")));
        }
    }

    /// Records the start of an operation of the plan; `trigger` is the node that triggered it, if
    /// any.
    pub(crate) fn plan_op_begins(&mut self, now: SimTime, op: u32, trigger: Option<NodeId>) {
        if let Some(recorder) = &mut self.recorder {
            recorder.plan_op_begins(now, op, trigger);
        }
    }

    /// Records that the operation of the plan has taken effect.
    pub(crate) fn plan_op_begun(&mut self) {
        if let Some(recorder) = &mut self.recorder {
            recorder.plan_op_begun();
        }
    }

    /// Records the end of a lasting operation of the plan.
    pub(crate) fn plan_op_ends(&mut self, now: SimTime, op: u32) {
        if let Some(recorder) = &mut self.recorder {
            recorder.plan_op_ends(now, op);
        }
    }

    /// Records a client's request that reaches a node.
    pub(crate) fn client_request(
        &mut self,
        now: SimTime,
        client: u16,
        op: Option<OpId>,
        tag: Tag,
        to: NodeId,
    ) {
        if let Some(recorder) = &mut self.recorder {
            recorder.client_request(now, client, op, tag, to);
        }
    }

    /// Records a message that a node rejects.
    pub(super) fn message_rejected(
        &mut self,
        now: SimTime,
        node: NodeId,
        from: NodeId,
        message: &'static str,
        reason: MessageRejectReason,
    ) {
        if let Some(recorder) = &mut self.recorder {
            recorder.node_event(now, node, EventKind::MessageRejected { from, message, reason });
        }
    }

    pub(super) fn record_crash(&mut self, node: NodeId, not_durable: usize, kept: usize) {
        if let Some(recorder) = &mut self.recorder {
            recorder.crash_survivors(node, not_durable, kept);
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
            recorder.node_event(now, node, EventKind::DiskFailed(format!("{action:?}: {error}")));
        }
    }

    pub(super) fn record_failure(&mut self, now: SimTime, violation: &Violation) {
        if let Some(recorder) = &mut self.recorder {
            let failure = Failure::of(violation.clone());
            recorder.failed(now, &failure);
        }
    }
}
