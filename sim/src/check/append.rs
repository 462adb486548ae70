//! What a leader does with its log and what others acknowledge to it: S6, S9 and the part of S17
//! about a node's belief in its disk.

use quorate::raft::{RoleName, Status};
use quorate::types::{AppendOutcome, Body, Message, Write};

use crate::check::finding::{S6, S9, S17, Verdict};
use crate::check::model::{Model, Slot};

pub(super) fn stepped(model: &Model, slot: Slot, status: &Status) -> Verdict {
    let node = model.node(slot);
    if let Some(before) = node.status.filter(|before| {
        before.role == RoleName::Leader
            && status.role == RoleName::Leader
            && before.term == status.term
            && before.last > status.last
    }) {
        let (id, term, was, is) = (node.id, status.term, before.last, status.last);
        return S9.broken(format!("{id} leads {term} and cuts its log from {was} to {is}"));
    }
    let (believed, held) = (status.durable, node.disk.log.last());
    if believed > held {
        let id = node.id;
        return S17.broken(format!("{id} believes {believed} durable but its disk ends at {held}"));
    }
    let chain = node.memory.log.chain_at(believed);
    if chain.is_some() && chain != node.disk.log.chain_at(believed) {
        let (id, other) = (node.id, node.disk.log.id_at(believed).unwrap_or_default());
        return S17.broken(format!(
            "{id} believes {believed} durable but its disk has another log up to {other}"
        ));
    }
    Ok(())
}

/// A node gives a write to its disk; called before the model takes it.
pub(super) fn submitted(model: &Model, slot: Slot, write: &Write) -> Verdict {
    let node = model.node(slot);
    let (Some(status), Some(first)) = (node.status, write.entries.first()) else { return Ok(()) };
    let last = node.memory.log.last();
    if status.role != RoleName::Leader || first.id.index > last {
        return Ok(());
    }
    let (id, term, first) = (node.id, status.term, first.id);
    S9.broken(format!(
        "{id} leads {term} and overwrites its log, which ends at {last}, with {first}"
    ))
}

pub(super) fn sent(model: &Model, from: Slot, message: &Message) -> Verdict {
    let (Body::AppendEntriesReply(AppendOutcome::Accepted { matched })
    | Body::HeartbeatReply { matched, .. }) = message.body
    else {
        return Ok(());
    };
    let node = model.node(from);
    let (id, to, term) = (node.id, message.to, message.term);
    let Some(chain) = node.disk.log.chain_at(matched) else {
        let held = node.disk.log.last();
        return S6.broken(format!(
            "{id} acknowledges {matched} to {to} in {term} while its disk ends at {held}"
        ));
    };
    let leader = model.node(model.slot(to));
    if !leader.leads(term) || node.status.is_some_and(|status| status.term > term) {
        return Ok(());
    }
    let last = leader.status.map_or(matched, |status| status.last.index);
    if matched > last {
        return S6.broken(format!(
            "{id} acknowledges {matched} to {to} in {term}, whose log ends at {last}"
        ));
    }
    // What a lagging driver has not given to the leader's disk yet is not known here.
    if leader.memory.log.chain_at(matched).is_none_or(|leaders| leaders == chain) {
        return Ok(());
    }
    let held = node.disk.log.id_at(matched).unwrap_or_default();
    let has = leader.memory.log.id_at(matched).unwrap_or_default();
    S6.broken(format!(
        "{id} acknowledges {matched} to {to} in {term} with {held} on its disk, where the leader \
         has {has} after another prefix"
    ))
}
