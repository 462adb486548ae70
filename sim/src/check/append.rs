//! Leaders' logs and followers' acknowledgements: S6, S9, S45, S51, the part of S17 about the
//! durable index that a node reports, and the part of S24 about acknowledgements from a disk that
//! the membership does not name.

use quorate::raft::{RoleName, Status};
use quorate::types::{Body, Incarnation, Index, Message, NodeId, Term, Write};

use crate::check::finding::{CheckResult, S6, S9, S17, S24, S45, S51};
use crate::check::known::Known;
use crate::check::model::Model;
use crate::check::nodes::Slot;
use crate::check::rule::Rule;

/// The acknowledgements of each disk to each other node: the latest term with an acknowledgement,
/// and the highest index acknowledged in that term.
#[derive(Clone, Debug)]
pub(super) struct Acknowledgements {
    nodes: usize,
    acked: Vec<Vec<(Incarnation, Term, Index)>>,
    /// For each leader and peer, the latest term in which the leader sent the peer entries or
    /// offered it a snapshot, and the highest index that these messages covered.
    sent: Vec<(Term, Index)>,
}

impl Rule for Acknowledgements {
    fn new(known: &Known) -> Acknowledgements {
        let nodes = known.model.nodes.len();
        let sent = vec![(Term::ZERO, Index::ZERO); nodes * nodes];
        Acknowledgements { nodes, acked: vec![Vec::new(); nodes * nodes], sent }
    }

    /// Checks the log that a node reports after an input.
    fn before_status_changed(&mut self, known: &Known, status: &Status) -> CheckResult {
        let node = known.model.of(status.id);
        if let Some(before) = node.status.filter(|before| {
            before.role == RoleName::Leader
                && status.role == RoleName::Leader
                && before.term == status.term
                && before.last > status.last
        }) {
            let (id, term, was, is) = (node.id, status.term, before.last, status.last);
            return S9.violated(format!(
                "{id} leads term {term} and truncates its own log: its last entry changes from \
                 {was} to {is}"
            ));
        }
        let (believed, held) = (status.durable, node.disk.log.last());
        if believed > held {
            let id = node.id;
            return S17.violated(format!(
                "{id} reports that its log is durable up to index {believed}, but the log on its \
                 disk ends at index {held}"
            ));
        }
        let (has, other) = (node.memory.log.id_at(believed), node.disk.log.id_at(believed));
        if has.is_some() && has != other {
            let (id, other) = (node.id, other.unwrap_or_default());
            return S17.violated(format!(
                "{id} reports that its log is durable up to index {believed}, but its disk holds \
                 the different entry {other} there"
            ));
        }
        Ok(())
    }

    /// Checks a write before the model applies it: a leader only appends to its log.
    fn before_submitted(&mut self, known: &Known, id: NodeId, write: &Write) -> CheckResult {
        let node = known.model.of(id);
        let (Some(status), Some(first)) = (node.status, write.entries.first()) else {
            return Ok(());
        };
        let last = node.memory.log.last();
        if status.role != RoleName::Leader || first.id.index > last {
            return Ok(());
        }
        let (term, first) = (status.term, first.id);
        S9.violated(format!(
            "{id} leads term {term} and overwrites its own log, which ends at index {last}, with \
             entry {first}"
        ))
    }

    /// Checks that a node acknowledges nothing in an earlier term than its own: its log may no
    /// longer have the entries that it had in that term.
    fn acknowledged(
        &mut self,
        known: &Known,
        id: NodeId,
        term: Term,
        matched: Index,
    ) -> CheckResult {
        let Some(current) = known.model.of(id).status.map(|status| status.term) else {
            return Ok(());
        };
        if term >= current {
            return Ok(());
        }
        S45.violated(format!(
            "{id} acknowledges index {matched} in term {term}, but is in term {current}"
        ))
    }

    fn sent(&mut self, known: &Known, message: &Message) -> CheckResult {
        let (model, from) = (&known.model, known.model.slot(message.from));
        self.note_sent(model, from, message);
        let matched = message.body.acknowledged();
        if matched > Index::ZERO {
            check_acknowledged(model, from, message, matched)?;
            self.check_sent(model, from, message, matched)?;
            let acked = &mut self.acked[model.slot(message.to).0 * self.nodes + from.0];
            let disk = message.incarnation;
            match acked.iter_mut().find(|(incarnation, ..)| *incarnation == disk) {
                Some((_, term, index)) => {
                    (*term, *index) = (message.term, matched).max((*term, *index));
                }
                None => acked.push((disk, message.term, matched)),
            }
        }
        let Body::HeartbeatReply { verified, .. } = message.body else { return Ok(()) };
        check_verified(model, from, message, verified)?;
        self.check_sent(model, from, message, verified)
    }

    /// Checks that a leader counts a peer's log as matched only up to the index that the peer
    /// acknowledged to this leader in this term.
    fn peer_matched(&mut self, known: &Known, id: NodeId, peer: NodeId, to: Index) -> CheckResult {
        let model = &known.model;
        let slot = model.slot(id);
        let term = model.of(id).status.map_or(Term::ZERO, |status| status.term);
        let acked = &self.acked[slot.0 * self.nodes + model.slot(peer).0];
        let member = model.electorate(slot).membership.member(peer);
        let named =
            |disk: Incarnation| member.is_none_or(|member| member.accepts_incarnation(disk));
        let acked_to = |counts: &dyn Fn(Incarnation) -> bool| {
            let in_term =
                acked.iter().filter(|(disk, said_in, _)| *said_in == term && counts(*disk));
            in_term.map(|(_, _, index)| *index).max().unwrap_or_default()
        };
        let (by_named, by_any) = (acked_to(&named), acked_to(&|_| true));
        if to <= by_named {
            return Ok(());
        }
        if to <= by_any {
            return S24.violated(format!(
                "{id} leads term {term} and counts {peer}'s log as matched up to index {to}, \
                 but a different disk of {peer} acknowledged that index"
            ));
        }
        S6.violated(format!(
            "{id} leads term {term} and counts {peer}'s log as matched up to index {to}, \
             but {peer} acknowledged only index {by_named} in that term"
        ))
    }
}

impl Acknowledgements {
    /// Records the entries that a message of a leader covers.
    fn note_sent(&mut self, model: &Model, from: Slot, message: &Message) {
        let last = match &message.body {
            Body::AppendEntries { prev, entries, .. } => {
                entries.last().map_or(prev.index, |entry| entry.id.index)
            }
            Body::InstallSnapshot { meta } => meta.last.index,
            _ => return,
        };
        let sent = &mut self.sent[from.0 * self.nodes + model.slot(message.to).0];
        *sent = (message.term, last).max(*sent);
    }

    /// Checks that the leader has sent the entries that a node acknowledges to it. The node cannot
    /// know whether its other entries equal the leader's, unless its own snapshot covers them,
    /// because then they are committed.
    fn check_sent(
        &self,
        model: &Model,
        from: Slot,
        message: &Message,
        matched: Index,
    ) -> CheckResult {
        let (id, to, term) = (message.from, message.to, message.term);
        let (sent_in, last) = self.sent[model.slot(to).0 * self.nodes + from.0];
        let own = model.node(from).status.map_or(Index::ZERO, |status| status.snapshot);
        if sent_in != term || matched <= last.max(own) {
            return Ok(());
        }
        S51.violated(format!(
            "{id} acknowledges index {matched} to {to} in term {term}, but {to} has sent it only \
             the entries up to index {last} in that term"
        ))
    }
}

/// Checks that an acknowledged entry is durable and equal to the leader's entry.
fn check_acknowledged(model: &Model, from: Slot, message: &Message, matched: Index) -> CheckResult {
    let node = model.node(from);
    let (id, to, term) = (node.id, message.to, message.term);
    let Some(held) = node.disk.log.id_at(matched) else {
        let held = node.disk.log.last();
        return S6.violated(format!(
            "{id} acknowledges index {matched} to {to} in term {term}, but the log on {id}'s disk \
             ends at index {held}"
        ));
    };
    let leader = model.node(model.slot(to));
    if !leader.leads(term) || node.status.is_some_and(|status| status.term > term) {
        return Ok(());
    }
    let last = leader.status.map_or(matched, |status| status.last.index);
    if matched > last {
        return S6.violated(format!(
            "{id} acknowledges index {matched} to {to} in term {term}, but the log of leader {to} \
             ends at index {last}"
        ));
    }
    // If the driver lags, it may not have passed this part of the leader's log to the leader's disk
    // yet.
    let Some(has) = leader.memory.log.id_at(matched).filter(|has| *has != held) else {
        return Ok(());
    };
    S6.violated(format!(
        "{id} acknowledges index {matched} to {to} in term {term}, but {id}'s disk holds entry \
         {held} there and leader {to} holds entry {has}"
    ))
}

/// Checks that a node's log equals the leader's up to the index that it reports as verified.
fn check_verified(model: &Model, from: Slot, message: &Message, verified: Index) -> CheckResult {
    let (node, leader) = (model.node(from), model.node(model.slot(message.to)));
    let term = message.term;
    // If the driver lags, it may not have passed the node's whole log to the disk yet.
    let known = |status: Status| status.term == term && status.last == node.memory.log.last_id();
    if !leader.leads(term) || !node.status.is_some_and(known) {
        return Ok(());
    }
    let ours = node.memory.log.id_at(verified);
    let Some(theirs) = leader.memory.log.id_at(verified).filter(|leads| Some(*leads) != ours)
    else {
        return Ok(());
    };
    let (id, to) = (node.id, message.to);
    let has = ours.map_or_else(
        || format!("ends at index {}", node.memory.log.last()),
        |ours| format!("has entry {ours}"),
    );
    S6.violated(format!(
        "{id} reports to {to} in term {term} that its log equals the leader's up to index \
         {verified}, but {id}'s log {has} and leader {to} holds entry {theirs} at that index"
    ))
}
