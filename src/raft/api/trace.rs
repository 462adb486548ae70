//! The text of a node's state, inputs and actions in a trace. Each line of a trace has the columns
//! `time  node  role  term  last/durable/committed/applied  event`.

use core::fmt;

use crate::raft::api::action::Action;
use crate::raft::api::input::{Consumer, Input};
use crate::types::text::texts;
use crate::types::{
    Acknowledge, DamagedEntry, EntryId, EntryList, Freshness, Proposal, ReadLevel, RoleName,
    Status, Write,
};

impl fmt::Display for Status {
    /// Writes the columns of a trace line between the time and the event.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Status { id, role, term, last, durable, committed, applied, .. } = self;
        let indices = alloc::format!("{}/{durable}/{committed}/{applied}", last.index);
        write!(f, "{id:<2}  {role:<13}  {term:<3}  {indices:<11}")
    }
}

texts! { Input:
    Self::Message(message) => "<- {} {message}", message.from;
    Self::Timeout => "timeout";
    Self::Persisted(write) => "flushed {write}";
    Self::Applied(index) => "applied {index}";
    Self::Fetched { consumer, entries } => "fetched {} for {consumer}", EntryList(entries);
    Self::Damaged(entries) => "damaged {}", fmt::from_fn(|f| fmt_ids(ids_of(entries), f));
    Self::Repaired(ids) => "repaired {}", fmt::from_fn(|f| fmt_ids(ids.iter().copied(), f));
    Self::Propose(proposals) => "{}", fmt::from_fn(|f| fmt_proposals(proposals, f));
    Self::Read { tag, level: ReadLevel::Linearizable, .. } => "read {tag}";
    Self::Read { tag, level: ReadLevel::Replica, conflict } =>
        "read {tag} replica conflict={conflict}";
    Self::Read { tag, level, .. } => "read {tag} {level}";
    Self::SnapshotTaken { meta, base } => "snapshot taken at {} base={base}", meta.last;
    Self::SnapshotReceived { meta } => "snapshot received at {}", meta.last;
    Self::DiskFull(true) => "disk full";
    Self::DiskFull(false) => "disk has space";
    Self::Campaign => "campaign";
    Self::Quarantine(true) => "quarantine";
    Self::Quarantine(false) => "quarantine ends";
    Self::Rebuild { meta } => "rebuild from snapshot at {}", meta.last;
    Self::AppendNoop => "append noop";
    Self::ChangeMembership { tag, change } => "change membership {tag} {change}";
    Self::CancelMembershipChange { tag } => "cancel membership change {tag}";
    Self::TransferLeadership { tag, to: Some(to) } => "transfer leadership {tag} to {to}";
    Self::TransferLeadership { tag, to: None } => "transfer leadership {tag}";
}

texts! { Action:
    Self::Send(message) => "-> {} {message}", message.to;
    Self::Persist(write) => "writes {}", fmt::from_fn(|f| fmt_write(write, f));
    Self::Apply(entries) => "applies {}", EntryList(entries);
    Self::Restore(meta) => "restores snapshot at {}", meta.last;
    Self::ReceiveSnapshot { from, meta } => "requests snapshot at {} from {from}", meta.last;
    Self::Fetch { consumer, first, last, .. } => "fetches {first}..={last} for {consumer}";
    Self::Repair(entries) => "repairs {}", EntryList(entries);
    Self::AdoptSnapshot(meta) => "adopts snapshot at {}", meta.last;
    Self::Committed { tag, id } => "committed {tag} at {id}";
    Self::MayBeLost { tag, id } => "may be lost {tag}: appended at {id}";
    Self::MembershipChangeCommitted { tag, id } => "membership change {tag} committed at {id}";
    Self::ActiveMembershipChanged(membership) => "active membership {membership}";
    Self::UnknownIncarnation { from } => "disk is unknown to {from}";
    Self::DivergedLog { from } => "log diverged from {from}";
    Self::RolledBackDisk { node, acknowledged, durable } =>
        "disk of {node} rolled back to {durable}, acknowledged {acknowledged}";
    Self::LogUncertain { from } => "log is uncertain, as {from} found";
    Self::LogCertain => "log is certain again";
    Self::LeadershipTransferred { tag } => "leadership transferred {tag}";
    Self::Rejected { tag, reason } => "rejected {tag}: {reason}";
    Self::Unknown { tag, id } => "unknown {tag}: appended at {id}";
    Self::ReadReady { tag, index, freshness: Freshness::Linearizable } =>
        "read {tag} ready at {index}";
    Self::ReadReady { tag, index, freshness } => "read {tag} ready at {index}, {freshness}";
    Self::RoleChanged { role: RoleName::Leader, .. } => "becomes leader";
    Self::RoleChanged { role, leader: Some(leader), .. } => "becomes {role}, leader {leader}";
    Self::RoleChanged { role, leader: None, cause, .. } => "becomes {role}, no leader: {cause}";
    Self::MessageRejected { from, message, reason } => "rejects {message} from {from}: {reason}";
}

fn fmt_proposals(proposals: &[Proposal], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    for (place, Proposal { tag, acknowledge, command }) in proposals.iter().enumerate() {
        let verb = if place == 0 { "propose" } else { ", and" };
        let level = match acknowledge {
            Acknowledge::Default => "",
            Acknowledge::Quorum => " ack=quorum",
            Acknowledge::AllLive => " ack=all-live",
            Acknowledge::LeaderOnly => " ack=leader-only",
        };
        write!(f, "{verb} {tag} {command}{level}")?;
    }
    Ok(())
}

fn ids_of(entries: &[DamagedEntry]) -> impl Iterator<Item = EntryId> {
    entries.iter().map(|entry| entry.id)
}

/// Writes the ids with commas between them; `none` without ids.
fn fmt_ids(ids: impl Iterator<Item = EntryId>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let mut separator = "";
    for id in ids {
        write!(f, "{separator}{id}")?;
        separator = ",";
    }
    if separator.is_empty() { f.write_str("none") } else { Ok(()) }
}

/// Writes only the parts that the write has: it omits a commit index of 0 and an unchanged hard
/// state.
fn fmt_write(write: &Write, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    write!(f, "{}", write.id)?;
    if let Some(hard_state) = write.hard_state {
        write!(f, " term={}", hard_state.term)?;
        if let Some(vote) = hard_state.vote {
            write!(f, " vote={vote}")?;
        }
        if !hard_state.vote_lease.is_zero() {
            write!(f, " vote_lease={:?}", hard_state.vote_lease)?;
        }
        f.write_str(if hard_state.is_uncertain { " uncertain" } else { "" })?;
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

texts! { Consumer:
    Self::Apply => "apply";
    Self::Peer(id) => "{id}";
    Self::Repair { peer, .. } => "repair of {peer}";
}
