//! What a leader does with its log and what others acknowledge to it: S6, S9 and the part of S17
//! about a node's belief in its disk.

use quorate::raft::{RoleName, Status};
use quorate::types::{Body, Incarnation, Index, Message, Term, Write};

use crate::check::finding::{S6, S9, S17, S24, Verdict};
use crate::check::model::Model;
use crate::check::nodes::Slot;

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
    let (has, other) = (node.memory.log.id_at(believed), node.disk.log.id_at(believed));
    if has.is_some() && has != other {
        let (id, other) = (node.id, other.unwrap_or_default());
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

/// What each disk acknowledged to each other node in the latest term in which it did.
#[derive(Clone, Debug)]
pub(super) struct Acknowledgements {
    nodes: usize,
    said: Vec<Vec<(Incarnation, Term, Index)>>,
}

impl Acknowledgements {
    pub(super) fn new(model: &Model) -> Acknowledgements {
        let nodes = model.nodes.len();
        Acknowledgements { nodes, said: vec![Vec::new(); nodes * nodes] }
    }

    pub(super) fn sent(&mut self, model: &Model, from: Slot, message: &Message) -> Verdict {
        let matched = message.body.acknowledged();
        if matched > Index::ZERO {
            acknowledged(model, from, message, matched)?;
            let said = &mut self.said[model.slot(message.to).0 * self.nodes + from.0];
            let disk = message.incarnation;
            match said.iter_mut().find(|(incarnation, ..)| *incarnation == disk) {
                Some((_, term, index)) => {
                    (*term, *index) = (message.term, matched).max((*term, *index));
                }
                None => said.push((disk, message.term, matched)),
            }
        }
        match message.body {
            Body::HeartbeatReply { verified, .. } => is_verified(model, from, message, verified),
            _ => Ok(()),
        }
    }

    /// A leader counts on a peer only for what it acknowledged to it in the leader's term.
    pub(super) fn counted(&self, model: &Model, slot: Slot, peer: Slot, to: Index) -> Verdict {
        let node = model.node(slot);
        let term = node.status.map_or(Term::ZERO, |status| status.term);
        let said = &self.said[slot.0 * self.nodes + peer.0];
        let (id, peer) = (node.id, model.node(peer).id);
        let member = model.electorate(slot).membership.member(peer);
        let named = |disk: Incarnation| member.is_none_or(|member| member.may_be(disk));
        let up_to = |counts: &dyn Fn(Incarnation) -> bool| {
            let in_term =
                said.iter().filter(|(disk, said_in, _)| *said_in == term && counts(*disk));
            in_term.map(|(_, _, index)| *index).max().unwrap_or_default()
        };
        let (said, by_any) = (up_to(&named), up_to(&|_| true));
        if to <= said {
            return Ok(());
        }
        if to <= by_any {
            return S24.broken(format!(
                "{id} leads {term} and counts on {peer} up to {to}, which another disk acknowledged"
            ));
        }
        S6.broken(format!(
            "{id} leads {term} and counts on {peer} up to {to}, which acknowledged {said} in it"
        ))
    }
}

/// What is acknowledged is durable, and what the leader has.
fn acknowledged(model: &Model, from: Slot, message: &Message, matched: Index) -> Verdict {
    let node = model.node(from);
    let (id, to, term) = (node.id, message.to, message.term);
    let Some(held) = node.disk.log.id_at(matched) else {
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
    let Some(has) = leader.memory.log.id_at(matched).filter(|has| *has != held) else {
        return Ok(());
    };
    S6.broken(format!(
        "{id} acknowledges {matched} to {to} in {term} with {held} on its disk, where the leader \
         has {has}"
    ))
}

/// What a node says it knows for the leader's log is so.
fn is_verified(model: &Model, from: Slot, message: &Message, verified: Index) -> Verdict {
    let (node, leader) = (model.node(from), model.node(model.slot(message.to)));
    let term = message.term;
    // Before a lagging driver has given all to the disk, not all is known here.
    let known = |status: Status| status.term == term && status.last == node.memory.log.last_id();
    if !leader.leads(term) || !node.status.is_some_and(known) {
        return Ok(());
    }
    let ours = node.memory.log.id_at(verified);
    let Some(leads) = leader.memory.log.id_at(verified).filter(|leads| Some(*leads) != ours) else {
        return Ok(());
    };
    let (id, to) = (node.id, message.to);
    let has = ours.unwrap_or_default();
    S6.broken(format!(
        "{id} takes its log up to {has} for that of {to} in {term}, which has {leads} there"
    ))
}
