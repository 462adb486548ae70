//! How recorded events read, one line each, in the words of the traces.

use std::fmt;

use quorate::machine::Outcome;

use crate::digest::of_bytes;
use crate::record::event::{EventId, Lost, Sent, Taken, Way, What};

impl fmt::Display for EventId {
    /// `#1843`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("#{}", self.0))
    }
}

impl fmt::Display for What {
    /// What happened, without time and node.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            What::Started { kept, lost } => {
                f.write_str("starts")?;
                listed(f, "; its disk kept", kept)?;
                listed(f, "; its disk lost", lost)
            }
            What::NotStarted(why) => write!(f, "does not start: {why}"),
            What::Stopped(why) => write!(f, "stops: {why}"),
            What::Fell { at_stake, kept } => {
                write!(f, "falls, {kept} of {at_stake} things that are not durable survive")
            }
            What::Wiped => f.write_str("has an empty disk"),
            What::Paused => f.write_str("stands still"),
            What::Resumed => f.write_str("goes on"),
            What::Astray => f.write_str("has a clock further off than leases allow for"),
            What::Took(taken) => taken.fmt(f),
            What::Refused { from, message, reason } => {
                write!(f, "refuses {message} of {from}: {reason}")
            }
            What::GoesBy(membership) => write!(f, "goes by {membership}"),
            What::Submitted(write) => quorate::raft::Action::Persist((**write).clone()).fmt(f),
            What::Operated(words) => write!(f, "disk: {words}"),
            What::Durable(write) => write!(f, "disk: {write} is durable"),
            What::DiskFailed(words) => write!(f, "disk: {words}"),
            What::Sent(sent) => sent.fmt(f),
            What::Dropped { packet, why } => write!(f, "packet {packet} is lost: {why}"),
            What::Intruded { packet, message } => {
                write!(f, "packet {packet} out of nowhere: {} {message}", message.from)
            }
            What::Applied { first, last, executed } => {
                let hash = executed.iter().fold(0, |all: u64, (_, reply)| all ^ reply);
                write!(f, "applied {first}..{last}, replies {hash:016x}")
            }
            What::SnapshotTaken(last) => write!(f, "snapshot taken at {last}"),
            What::Restored(index) => write!(f, "starts over from a snapshot to {index}"),
            What::Slipped => f.write_str("errs with its next command"),
            What::Judged(words) => write!(f, "finds itself {words}"),
            What::Changed(id) => write!(f, "completed a change with {id}"),
            What::Planned(op) => write!(f, "plan: {op} happens"),
            What::Lifted(op) => write!(f, "plan: {op} is over"),
            What::Calm(core) => write!(f, "calm: the core is {core:?}"),
            What::Idle => f.write_str("idle"),
            What::Ended => f.write_str("end"),
            What::Failed(failure) => write!(f, "FAILED: {failure}"),
            _ => client(self, f),
        }
    }
}

/// What happens to clients.
fn client(what: &What, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match what {
        What::Invoked { op, level: None } => write!(f, "operation {} begins: a command", op.0),
        What::Invoked { op, level: Some(level) } => {
            write!(f, "operation {} begins: a read, {level}", op.0)
        }
        What::Asked { client, op: Some(op), tag } => {
            write!(f, "client {client} asks for operation {} as {tag}", op.0)
        }
        What::Asked { client, op: None, tag } => {
            write!(f, "client {client} asks for a session as {tag}")
        }
        What::Answered(tag) => write!(f, "answers {tag}"),
        What::Replied { op, id, outcome } => match &**outcome {
            Outcome::Reply(reply) => {
                write!(f, "replies to operation {} at {id}: {:016x}", op.0, of_bytes(reply))
            }
            other => write!(f, "replies to operation {} at {id}: {other:?}", op.0),
        },
        What::Served { op, freshness, index, applied, answer } => {
            write!(f, "answers operation {} at {applied}, of {index}, ", op.0)?;
            write!(f, "{freshness}: {answer:016x}")
        }
        What::Rejected { op, reason } => write!(f, "operation {} is rejected: {reason}", op.0),
        What::Unknown(op) => write!(f, "the outcome of operation {} stays unknown", op.0),
        _ => Ok(()),
    }
}

fn listed(
    f: &mut fmt::Formatter<'_>,
    what: &str,
    writes: &[quorate::types::WriteId],
) -> fmt::Result {
    if writes.is_empty() {
        return Ok(());
    }
    f.write_str(what)?;
    writes.iter().try_for_each(|write| write!(f, " {write}"))
}

impl fmt::Display for Taken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Taken::Packet(packet) => write!(f, "takes packet {packet}"),
            Taken::Timeout => f.write_str("timeout"),
            Taken::Disk => f.write_str("hears of its disk"),
            Taken::Worker => f.write_str("hears of its state machine"),
            Taken::View => f.write_str("gets a part of a frozen view"),
            Taken::Propose(tags) => {
                f.write_str("takes proposals")?;
                tags.iter().try_for_each(|tag| write!(f, " {tag}"))
            }
            Taken::Read(tag) => write!(f, "takes read {tag}"),
            Taken::Order(words) => write!(f, "is told: {words}"),
        }
    }
}

impl fmt::Display for Sent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "-> {} ", self.to)?;
        match &self.message {
            Some(message) => message.fmt(f)?,
            None => f.write_str(&self.words)?,
        }
        self.way.map_or(Ok(()), |way| way.fmt(f))
    }
}

impl fmt::Display for Way {
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

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Lost::Loss => "the network lost it",
            Lost::Cut => "the link is cut",
            Lost::Down => "its receiver is down",
        })
    }
}
