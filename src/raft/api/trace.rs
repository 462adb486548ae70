//! The text of a node's state, inputs and actions in a trace. Every trace consists of lines `time
//! node  role  term  last/durable/committed/applied  event`.

use core::fmt;

use crate::raft::api::action::Action;
use crate::raft::api::input::{Consumer, Input};
use crate::types::{
    Acknowledge, EntryList, Freshness, Proposal, ReadLevel, RoleName, Status, Write,
};

impl fmt::Display for Status {
    /// Writes the columns of a trace line between the time and the event: `n1  follower       t2
    /// 7/7/5/5    `.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Status { id, role, term, last, durable, committed, applied, .. } = self;
        let ladder = alloc::format!("{}/{durable}/{committed}/{applied}", last.index);
        write!(f, "{id:<2}  {role:<13}  {term:<3}  {ladder:<11}")
    }
}

impl fmt::Display for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Input::Message(message) => write!(f, "<- {} {message}", message.from),
            Input::Timeout => f.write_str("timeout"),
            Input::Persisted(write) => write!(f, "flushed {write}"),
            Input::Applied(index) => write!(f, "applied {index}"),
            Input::Fetched { consumer, entries } => {
                write!(f, "fetched {} for {consumer}", EntryList(entries))
            }
            Input::Propose(proposals) => {
                let verbs = core::iter::once("propose").chain(core::iter::repeat(", and"));
                verbs.zip(proposals).try_for_each(
                    |(verb, Proposal { tag, acknowledge, command })| {
                        write!(f, "{verb} {tag} {command}")?;
                        match acknowledge {
                            Acknowledge::Default => Ok(()),
                            Acknowledge::Quorum => f.write_str(" ack=quorum"),
                            Acknowledge::AllLive => f.write_str(" ack=all-live"),
                            Acknowledge::LeaderOnly => f.write_str(" ack=leader-only"),
                        }
                    },
                )
            }
            Input::Read { tag, level: ReadLevel::Linearizable, .. } => write!(f, "read {tag}"),
            Input::Read { tag, level: ReadLevel::Replica, conflict } => {
                write!(f, "read {tag} replica conflict={conflict}")
            }
            Input::Read { tag, level, .. } => write!(f, "read {tag} {level}"),
            Input::SnapshotTaken { meta, base } => {
                write!(f, "snapshot taken at {} base={base}", meta.last)
            }
            Input::SnapshotReceived { meta } => write!(f, "snapshot received at {}", meta.last),
            Input::DiskFull(true) => f.write_str("disk full"),
            Input::DiskFull(false) => f.write_str("disk has space"),
            Input::Campaign => f.write_str("campaign"),
            Input::Quarantine(true) => f.write_str("quarantine"),
            Input::Quarantine(false) => f.write_str("quarantine ends"),
            Input::Rebuild { meta } => write!(f, "rebuild from snapshot at {}", meta.last),
            Input::AppendNoop => f.write_str("append noop"),
            Input::ChangeMembership { tag, change } => {
                write!(f, "change membership {tag} {change}")
            }
            Input::CancelMembershipChange { tag } => write!(f, "cancel membership change {tag}"),
            Input::TransferLeadership { tag, to: Some(to) } => {
                write!(f, "transfer leadership {tag} to {to}")
            }
            Input::TransferLeadership { tag, to: None } => write!(f, "transfer leadership {tag}"),
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Action::Send(message) => write!(f, "-> {} {message}", message.to),
            Action::Persist(write) => fmt_write(write, f),
            Action::Apply(entries) => write!(f, "applies {}", EntryList(entries)),
            Action::Restore(meta) => write!(f, "restores snapshot at {}", meta.last),
            Action::ReceiveSnapshot { from, meta } => {
                write!(f, "requests snapshot at {} from {from}", meta.last)
            }
            Action::Fetch { consumer, first, last, .. } => {
                write!(f, "fetches {first}..{last} for {consumer}")
            }
            Action::Committed { tag, id } => write!(f, "committed {tag} at {id}"),
            Action::MayBeLost { tag, id } => write!(f, "may be lost {tag}: appended at {id}"),
            Action::MembershipChangeCommitted { tag, id } => {
                write!(f, "membership change {tag} committed at {id}")
            }
            Action::ActiveMembershipChanged(membership) => {
                write!(f, "active membership {membership}")
            }
            Action::UnknownIncarnation { from } => write!(f, "disk is unknown to {from}"),
            Action::DivergedLog { from } => write!(f, "log diverged from {from}"),
            Action::RolledBackDisk { node, acknowledged, durable } => {
                write!(f, "disk of {node} rolled back to {durable}, acknowledged {acknowledged}")
            }
            Action::LeadershipTransferred { tag } => write!(f, "leadership transferred {tag}"),
            Action::Rejected { tag, reason } => write!(f, "rejected {tag}: {reason}"),
            Action::Unknown { tag, id } => write!(f, "unknown {tag}: appended at {id}"),
            Action::ReadReady { tag, index, freshness: Freshness::Linearizable } => {
                write!(f, "read {tag} ready at {index}")
            }
            Action::ReadReady { tag, index, freshness } => {
                write!(f, "read {tag} ready at {index}, {freshness}")
            }
            Action::RoleChanged { role: RoleName::Leader, .. } => f.write_str("becomes leader"),
            Action::RoleChanged { role, leader: Some(leader), .. } => {
                write!(f, "becomes {role}, leader {leader}")
            }
            Action::RoleChanged { role, leader: None, .. } => {
                write!(f, "becomes {role}, no leader")
            }
            Action::MessageRejected { from, message, reason } => {
                write!(f, "rejects {message} from {from}: {reason}")
            }
        }
    }
}

/// Writes only the parts that the write has: it omits a commit index of 0 and an unchanged hard
/// state.
fn fmt_write(write: &Write, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    write!(f, "writes {}", write.id)?;
    if let Some(hard_state) = write.hard_state {
        write!(f, " term={}", hard_state.term)?;
        if let Some(vote) = hard_state.vote {
            write!(f, " vote={vote}")?;
        }
        if !hard_state.vote_lease.is_zero() {
            write!(f, " vote_lease={:?}", hard_state.vote_lease)?;
        }
    }
    if let Some(meta) = &write.install {
        write!(f, " install={}", meta.last)?;
    }
    if !write.entries.is_empty() {
        write!(f, " entries={}", EntryList(&write.entries))?;
    }
    if write.committed.0 > 0 {
        write!(f, " committed={}", write.committed)?;
    }
    Ok(())
}

impl fmt::Display for Consumer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Consumer::Apply => f.write_str("apply"),
            Consumer::Peer(id) => id.fmt(f),
        }
    }
}
