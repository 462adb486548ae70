//! The interface of a rule: the code of one or more checks, with the state that it alone needs.

use std::fmt::Debug;
use std::time::Duration;

use quorate::machine::{Digest, Outcome};
use quorate::raft::{RejectReason, Status};
use quorate::replica::ComparisonResult;
use quorate::types::{
    Comparison, Entry, EntryId, Freshness, Index, Message, NodeId, SnapshotMeta, SnapshotTransfer,
    Tag, Term, Write,
};

use crate::check::finding::CheckResult;
use crate::check::known::Known;
use crate::observe::Observation::{
    self, Acknowledged, AllLiveAcknowledged, Applied, ClockBoundExceeded, ComparisonSent, Crashed,
    Delivered, DiskCopied, DiskFailed, Durable, Ended, EntriesDamaged, EntriesRepaired, FaultInput,
    Idle, LeaseHeld, MachineFault, MachineInspected, MembershipChangeCommitted, OutputDelayed,
    PeerMatched, ProposeInvoked, ReadInvoked, ReadServed, RecoveryDrilled, Rejected, Replied,
    RequestAnswered, RequestForAllLive, RequestReceived, Restored, RolledBack, Sent,
    SnapshotDamaged, SnapshotFrozen, SnapshotTaken, Stabilized, StartFailed, Started,
    StateCompared, Stepped, Stopped, Submitted, TransferSent, Unknown, Wiped,
};
use crate::observe::recovery_drill::RecoveryDrill;
use crate::observe::{Executed, MachineView, OpId};
use crate::workload::request::unmark;

/// The answer to a read, as in `Observation::ReadServed`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Answer<'a> {
    pub(super) op: OpId,
    pub(super) node: NodeId,
    pub(super) freshness: Freshness,
    pub(super) index: Index,
    pub(super) applied: Index,
    pub(super) state: Option<Digest>,
    pub(super) bytes: &'a [u8],
}

/// Every event that a rule can handle, as a method with the event's data.
macro_rules! events {
    ($for_each:ident $rules:tt) => {
        $for_each! { $rules
            // Called before the knowledge contains the event.
            before_started(status: &Status)
            before_status_changed(status: &Status)
            before_submitted(node: NodeId, write: &Write)
            before_durable(node: NodeId, write: &Write)
            before_applied(node: NodeId, entries: &[Entry])
            before_replied(op: OpId, id: EntryId, outcome: &Outcome)
            before_read_served(answer: Answer<'_>)

            // Called once the knowledge contains the event.
            started(status: &Status)
            start_failed(node: NodeId, damaged: bool, reason: &str)
            stopped(node: NodeId, justified: bool, reason: &str)
            crashed(node: NodeId)
            wiped(node: NodeId)
            rolled_back(node: NodeId)
            // The node's next step takes the message.
            delivered(node: NodeId, message: &Message)
            // An input may have changed the status.
            stepped(status: &Status)
            status_changed(status: &Status)
            membership_changed(node: NodeId, completed_by: EntryId)
            peer_matched(leader: NodeId, peer: NodeId, matched: Index)
            durable_on_all_live(leader: NodeId, id: EntryId, live: &[NodeId])
            submitted(node: NodeId, write: &Write)
            sent(message: &Message)
            transfer_sent(transfer: &SnapshotTransfer)
            comparison_sent(comparison: &Comparison)
            applied(node: NodeId, entries: &[Entry])
            executed(node: NodeId, command: &Executed)
            // The state machine continues after `index`: the node started, or restored a snapshot.
            machine_started(node: NodeId, index: Index)
            // A start, a snapshot or an entry took the state machine to this state.
            reached(node: NodeId, index: Index, state: Option<Digest>)
            machine_inspected(node: NodeId, view: &MachineView<'_>)
            state_compared(node: NodeId, result: ComparisonResult)
            snapshot_taken(node: NodeId, meta: &SnapshotMeta)
            snapshot_frozen(node: NodeId, last: EntryId, bytes: &[u8])
            snapshot_damaged(node: NodeId)
            lease_held(node: NodeId, left: Duration)
            request_received(node: NodeId, tag: Tag)
            request_for_all_live(tag: Tag)
            request_answered(tag: Tag, rejected: Option<RejectReason>)
            entries_repaired(node: NodeId, missing: &[EntryId])
            acknowledged(node: NodeId, term: Term, matched: Index)
            // The command comes without its mark, the id of the operation.
            proposed(op: OpId, command: &[u8], in_session: bool)
            read_invoked(op: OpId, query: &[u8])
            replied(op: OpId, id: EntryId, outcome: &Outcome)
            read_served(answer: Answer<'_>)
            rejected(op: OpId)
            unknown(op: OpId)
            stabilized()
            idle()
            recovery_drilled(survivors: &[NodeId], result: Result<&RecoveryDrill, &str>)
            ended()
        }
    };
}

/// The default methods of a rule, which ignore each event.
macro_rules! ignored {
    ({} $($event:ident($($name:ident: $data:ty),*))*) => {
        $(fn $event(&mut self, _: &Known $(, _: $data)*) -> CheckResult {
            Ok(())
        })*
    };
}

/// The methods of a list of rules: each method passes its event to every rule.
macro_rules! passed_on {
    ($rules:tt $($event:ident($($name:ident: $data:ty),*))*) => {
        $(passed_to_each! {
            $rules $event (known: &Known $(, $name: $data)*) (known $(, $name)*)
        })*
    };
}

macro_rules! passed_to_each {
    ({ $($rule:ident)* } $event:ident ($($data:tt)*) $names:tt) => {
        fn $event(&mut self, $($data)*) -> CheckResult {
            $(self.$rule.$event $names?;)*
            Ok(())
        }
    };
}

/// The code of one or more checks. It reads the knowledge of all checks, and its own state. A rule
/// has a method for each event that it handles, and ignores the others.
pub(super) trait Rule: Clone + Debug {
    fn new(known: &Known) -> Self;

    events! { ignored {} }
}

/// Passes an observation on before the knowledge contains it.
#[inline]
pub(super) fn before(rules: &mut impl Rule, known: &Known, of: &Observation<'_>) -> CheckResult {
    match *of {
        Started { status, .. } => rules.before_started(known, status),
        Stepped { status, .. } if known.changes_status => {
            rules.before_status_changed(known, status)
        }
        Submitted { node, write } => rules.before_submitted(known, node, write),
        Durable { node, write } => rules.before_durable(known, node, write),
        Applied { node, entries, .. } => rules.before_applied(known, node, entries),
        Replied { op, id, outcome, .. } => rules.before_replied(known, op, id, outcome),
        ReadServed { op, node, freshness, index, applied, state, answer: bytes } => {
            let answer = Answer { op, node, freshness, index, applied, state, bytes };
            rules.before_read_served(known, answer)
        }
        _ => Ok(()),
    }
}

/// Passes an observation on once the knowledge contains it.
#[inline]
pub(super) fn after(rules: &mut impl Rule, known: &Known, of: &Observation<'_>) -> CheckResult {
    match *of {
        Started { node, status, state, .. } => {
            rules.started(known, status)?;
            rules.machine_started(known, node, status.applied)?;
            rules.reached(known, node, status.applied, state)
        }
        StartFailed { node, damaged, reason } => rules.start_failed(known, node, damaged, reason),
        Stopped { node, justified, reason } => rules.stopped(known, node, justified, reason),
        Crashed { node } => rules.crashed(known, node),
        Wiped { node, .. } => rules.wiped(known, node),
        RolledBack { node, .. } => rules.rolled_back(known, node),
        Delivered { node, message } => rules.delivered(known, node, message),
        Stepped { status, .. } => stepped(rules, known, status),
        MembershipChangeCommitted { node, id } => rules.membership_changed(known, node, id),
        PeerMatched { node, peer, matched } => rules.peer_matched(known, node, peer, matched),
        AllLiveAcknowledged { node, id, live } => rules.durable_on_all_live(known, node, id, live),
        Submitted { node, write } => rules.submitted(known, node, write),
        Sent { message } => rules.sent(known, message),
        TransferSent { transfer } => rules.transfer_sent(known, transfer),
        ComparisonSent { comparison } => rules.comparison_sent(known, comparison),
        EntriesRepaired { node, missing, .. } => rules.entries_repaired(known, node, missing),
        Acknowledged { node, term, matched } => rules.acknowledged(known, node, term, matched),
        Applied { node, entries, executed, states } => {
            rules.applied(known, node, entries)?;
            executed.iter().try_for_each(|command| rules.executed(known, node, command))?;
            let mut states = entries.iter().map(|entry| entry.id.index).zip(states);
            states.try_for_each(|(index, state)| rules.reached(known, node, index, *state))
        }
        Restored { node, index, state } => {
            rules.machine_started(known, node, index)?;
            rules.reached(known, node, index, state)
        }
        MachineInspected { node, view } => rules.machine_inspected(known, node, &view),
        StateCompared { node, result } => rules.state_compared(known, node, result),
        SnapshotTaken { node, meta } => rules.snapshot_taken(known, node, meta),
        SnapshotFrozen { node, last, bytes } => rules.snapshot_frozen(known, node, last, bytes),
        SnapshotDamaged { node } => rules.snapshot_damaged(known, node),
        LeaseHeld { node, left } => rules.lease_held(known, node, left),
        RequestReceived { node, tag } => rules.request_received(known, node, tag),
        RequestForAllLive { tag } => rules.request_for_all_live(known, tag),
        RequestAnswered { tag, rejected } => rules.request_answered(known, tag, rejected),
        ProposeInvoked { op, command, session } => {
            let command = unmark(command).map_or(command, |(command, _)| command);
            rules.proposed(known, op, command, session.is_some())
        }
        ReadInvoked { op, query, .. } => rules.read_invoked(known, op, query),
        Replied { op, id, outcome, .. } => rules.replied(known, op, id, outcome),
        ReadServed { op, node, freshness, index, applied, state, answer: bytes } => {
            let answer = Answer { op, node, freshness, index, applied, state, bytes };
            rules.read_served(known, answer)
        }
        Rejected { op, .. } => rules.rejected(known, op),
        Unknown { op } => rules.unknown(known, op),
        Stabilized { .. } => rules.stabilized(known),
        Idle => rules.idle(known),
        RecoveryDrilled { survivors, result } => rules.recovery_drilled(known, survivors, result),
        Ended => rules.ended(known),
        Durable { .. }
        | DiskCopied { .. }
        | EntriesDamaged { .. }
        | MachineFault { .. }
        | FaultInput { .. }
        | OutputDelayed { .. }
        | DiskFailed { .. }
        | ClockBoundExceeded { .. } => Ok(()),
    }
}

/// Passes a step on, after the change of the status if there is one.
#[inline]
fn stepped(rules: &mut impl Rule, known: &Known, status: &Status) -> CheckResult {
    if known.changes_status {
        rules.status_changed(known, status)?;
    }
    rules.stepped(known, status)
}

pub(super) use {events, passed_on, passed_to_each};
