//! The text of recorded events, one line each, in the words of the traces.

use std::fmt;

use quorate::machine::Outcome;

use crate::record::event::{Delivery, EventId, EventKind, InputKind, LossReason, Sent};
use crate::values::digest::of_bytes;
use crate::values::time::Seconds;

impl fmt::Display for EventId {
    /// Formats the number with a hash sign, for example `#1843`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("#{}", self.0))
    }
}

impl fmt::Display for EventKind {
    /// Formats the event without its time and node.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            EventKind::Started { kept, lost } => {
                f.write_str("starts")?;
                listed(f, "; its disk kept", kept)?;
                listed(f, "; its disk lost", lost)
            }
            EventKind::NotStarted(reason) => write!(f, "fails to start: {reason}"),
            EventKind::Stopped(reason) => write!(f, "stops: {reason}"),
            EventKind::Crashed { not_durable: all, kept } => {
                write!(f, "crashes; {kept} of {all} unflushed sectors and file names survive")
            }
            EventKind::Wiped => f.write_str("loses its disk and gets an empty one"),
            EventKind::DiskCopied { .. } => f.write_str("has its disk copied"),
            EventKind::RolledBack { .. } => {
                f.write_str("gets back a copy of its disk, marked as uncertain")
            }
            EventKind::Paused => f.write_str("is paused"),
            EventKind::Resumed => f.write_str("continues"),
            EventKind::ClockBoundExceeded => {
                f.write_str("has a clock that exceeds the drift bound of the leases")
            }
            EventKind::TookInput(input) => input.fmt(f),
            EventKind::MessageRejected { from, message, reason } => {
                write!(f, "rejects {message} from {from}: {reason}")
            }
            EventKind::MembershipAdopted(membership) => {
                write!(f, "uses the membership {membership}")
            }
            EventKind::Submitted(write) => quorate::raft::Action::Persist((**write).clone()).fmt(f),
            EventKind::DiskOperation(operation) => write!(f, "disk: {operation}"),
            EventKind::Durable(write) => write!(f, "disk: write {write} is durable"),
            EventKind::DiskFailed(error) => write!(f, "disk failure: {error}"),
            EventKind::Sent(sent) => sent.fmt(f),
            EventKind::Dropped { packet, reason } => write!(f, "packet {packet} is lost: {reason}"),
            EventKind::Injected { packet, message } => {
                write!(f, "misrouted or replayed packet {packet} from {}: {message}", message.from)
            }
            EventKind::Applied { first, last, executed } => {
                let hash = executed.iter().fold(0, |all: u64, (_, reply)| all ^ reply);
                write!(f, "applies {first}..={last}, replies {hash:016x}")
            }
            EventKind::SnapshotTaken(last) => write!(f, "takes a snapshot up to {last}"),
            EventKind::Restored(index) => write!(f, "restores a snapshot up to index {index}"),
            EventKind::MachineFault => f.write_str("processes a command wrongly"),
            EventKind::Panicked(sentence) => f.write_str(sentence),
            EventKind::StateCompared(result) => write!(f, "compared its state: {result}"),
            EventKind::MembershipChangeCommitted(id) => {
                write!(f, "completes a membership change with entry {id}")
            }
            EventKind::PlanOpBegan(op) => write!(f, "plan: operation {op} starts"),
            EventKind::PlanOpEnded(op) => write!(f, "plan: operation {op} ends"),
            EventKind::Stabilized(core) => {
                let core: Vec<String> = core.iter().map(ToString::to_string).collect();
                write!(f, "stabilization phase: the core is {}", core.join(", "))
            }
            EventKind::Idle => f.write_str("idle cluster"),
            EventKind::Ended => f.write_str("end of the run"),
            EventKind::Failed(failure) => write!(f, "FAILED: {failure}"),
            EventKind::RecordingBegan(_)
            | EventKind::RecordingEnded
            | EventKind::TookNoStep { .. }
            | EventKind::Arrived { .. }
            | EventKind::DurableUpTo(_)
            | EventKind::Acted(_) => recorded(self, f),
            _ => client(self, f),
        }
    }
}

/// Formats an event that only recordings of real nodes have.
fn recorded(kind: &EventKind, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match kind {
        EventKind::RecordingBegan(_) => f.write_str("is recorded from here on"),
        EventKind::RecordingEnded => {
            f.write_str("the recording ends, or the next steps are missing")
        }
        EventKind::TookNoStep { pause, late } => {
            let (pause, late) = (Seconds(*pause), Seconds(*late));
            write!(f, "took no step for {pause} s, and the next one was due {late} s ago")
        }
        EventKind::Arrived { packet, message } => {
            let from = message.from;
            write!(f, "packet {packet} from {from}, whose sending is not recorded: {message}")
        }
        EventKind::DurableUpTo(index) => write!(f, "disk: the log is durable up to index {index}"),
        EventKind::Acted(action) => f.write_str(action),
        _ => Ok(()),
    }
}

/// Formats an event of a client.
fn client(kind: &EventKind, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match kind {
        EventKind::Invoked { op, level: None, .. } => {
            write!(f, "operation {} is invoked: a command", op.0)
        }
        EventKind::Invoked { op, level: Some(level), .. } => {
            write!(f, "operation {} is invoked: a read, {level}", op.0)
        }
        EventKind::RequestReceived { client, op: Some(op), tag } => {
            write!(f, "client {client} requests operation {} with tag {tag}", op.0)
        }
        EventKind::RequestReceived { client, op: None, tag } => {
            write!(f, "client {client} requests a session with tag {tag}")
        }
        EventKind::RequestAnswered { tag, rejected: None } => write!(f, "answers request {tag}"),
        EventKind::RequestAnswered { tag, rejected: Some(reason) } => {
            write!(f, "rejects request {tag}: {reason}")
        }
        EventKind::Replied { op, id, outcome } => match &**outcome {
            Outcome::Reply(reply) => {
                write!(f, "replies to operation {} at {id}: {:016x}", op.0, of_bytes(reply))
            }
            other => write!(f, "replies to operation {} at {id}: {other:?}", op.0),
        },
        EventKind::Served { op, freshness, index, applied, answer } => {
            write!(f, "answers operation {} at index {applied}, read index {index}, ", op.0)?;
            write!(f, "{freshness}: {answer:016x}")
        }
        EventKind::Rejected { op, reason } => write!(f, "operation {} is rejected: {reason}", op.0),
        EventKind::Unknown(op) => write!(f, "the outcome of operation {} stays unknown", op.0),
        _ => Ok(()),
    }
}

fn listed(
    f: &mut fmt::Formatter<'_>,
    label: &str,
    writes: &[quorate::types::WriteId],
) -> fmt::Result {
    if writes.is_empty() {
        return Ok(());
    }
    f.write_str(label)?;
    writes.iter().try_for_each(|write| write!(f, " {write}"))
}

impl fmt::Display for InputKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            InputKind::Packet(packet) => write!(f, "takes packet {packet}"),
            InputKind::Timeout => f.write_str("timeout"),
            InputKind::Disk => f.write_str("its disk finished an operation"),
            InputKind::Worker => f.write_str("its state machine finished a request"),
            InputKind::View => f.write_str("its worker finished a request for its frozen view"),
            InputKind::Propose(tags) => {
                f.write_str("takes proposals")?;
                tags.iter().try_for_each(|tag| write!(f, " {tag}"))
            }
            InputKind::Read(tag) => write!(f, "takes read {tag}"),
            InputKind::OperatorRequest(request) => {
                write!(f, "takes the operator's request: {request}")
            }
            InputKind::Core(input) => f.write_str(input),
        }
    }
}

impl fmt::Display for Sent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "-> {} ", self.to)?;
        match &self.message {
            Some(message) => message.fmt(f)?,
            None => f.write_str(&self.text)?,
        }
        self.delivery.map_or(Ok(()), |delivery| delivery.fmt(f))
    }
}

impl fmt::Display for Delivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, ", packet {}", self.packet)?;
        match self.arrival {
            Some(arrival) if self.late => write!(f, " late at {arrival}")?,
            Some(arrival) => write!(f, " due at {arrival}")?,
            None => f.write_str(" lost")?,
        }
        if let Some(why) = self.lost {
            write!(f, ": {why}")?;
        }
        self.copy.map_or(Ok(()), |copy| write!(f, ", again at {copy}"))
    }
}

impl fmt::Display for LossReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            LossReason::Loss => "the network lost the packet",
            LossReason::Blocked => "a fault blocks the link",
            LossReason::Down => "the receiver is down",
            LossReason::Missing => "the recording of the receiver has no arrival of it",
        })
    }
}
