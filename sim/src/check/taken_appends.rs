//! The effect of a leader's message on the node that takes it: the node writes only the entries of
//! the message that its log lacks (S62), and follows the leader, has the entries, commits and
//! replies as the message says (S63, Raft §5.2, §5.3).

use quorate::raft::{RoleName, Status};
use quorate::types::{
    AppendOutcome, Body, EntryId, Index, Message, MessageClass, NodeId, Term, Write,
};

use crate::check::finding::{CheckResult, S62, S63};
use crate::check::known::Known;
use crate::check::model::Node;
use crate::check::rule::Rule;

/// The leader's message that the last step took, or the next one takes.
#[derive(Clone, Debug)]
pub(super) struct TakenAppends {
    /// Whether the node may reject the message whatever it contains.
    may_be_rejected: bool,
    taken: Option<Request>,
    /// The acknowledgement that the last step must send.
    due: Option<Acknowledgement>,
}

/// A request of a leader.
#[derive(Clone, Copy, Debug)]
struct Request {
    node: NodeId,
    from: NodeId,
    term: Term,
    /// The entry before those that the request carries, if it can carry some.
    prev: Option<EntryId>,
    append: Option<Append>,
}

/// The entries of a request that follow an entry of the log.
#[derive(Clone, Copy, Debug)]
struct Append {
    /// The last of the entries, or the one before them if there are none.
    last: EntryId,
    /// The first of the entries that the log lacks.
    first_missing: Option<EntryId>,
    is_empty: bool,
    committed: Index,
}

/// An acknowledgement that a node has to send in the step that took the entries.
#[derive(Clone, Copy, Debug)]
struct Acknowledgement {
    node: NodeId,
    to: NodeId,
    term: Term,
    matched: Index,
}

impl Rule for TakenAppends {
    fn new(_: &Known) -> TakenAppends {
        TakenAppends { may_be_rejected: false, taken: None, due: None }
    }

    fn delivered(&mut self, known: &Known, id: NodeId, message: &Message) -> CheckResult {
        self.check_due()?;
        self.taken = None;
        let is_request = message.body.class() == MessageClass::LeaderRequest;
        if message.to != id || !is_request || known.model.last_survivor_enabled {
            return Ok(());
        }
        let taken = known.next_message.as_ref();
        self.may_be_rejected = taken.is_none_or(|message| message.may_be_rejected);
        let append = Append::of(known.model.of(id), &message.body);
        let (from, term) = (message.from, message.term);
        let prev = match message.body {
            Body::AppendEntries { prev, .. } => Some(prev),
            _ => None,
        };
        self.taken = Some(Request { node: id, from, term, prev, append });
        Ok(())
    }

    fn stepped(&mut self, known: &Known, status: &Status) -> CheckResult {
        self.check_due()?;
        let is_taken = known.message.is_some();
        self.taken = self.taken.filter(|taken| is_taken && taken.node == status.id);
        let (Some(taken), Some(before)) = (self.taken, known.status_before(status)) else {
            return Ok(());
        };
        if self.may_be_rejected || taken.term < before.term {
            return Ok(());
        }
        check_follows(&taken, &before, status)?;
        let Some(append) = taken.append else { return Ok(()) };
        if status.leader != Some(taken.from) || status.snapshot > before.snapshot {
            return Ok(());
        }
        append.check(status, &before)?;
        self.due = append.acknowledgement(&taken, &before, status);
        Ok(())
    }

    fn acknowledged(&mut self, _: &Known, id: NodeId, term: Term, matched: Index) -> CheckResult {
        let is_due =
            |due: &mut Acknowledgement| (due.node, due.term, due.matched) == (id, term, matched);
        self.due.take_if(is_due);
        Ok(())
    }

    /// Checks that a reply which rejects entries that the last step took has a reason.
    fn sent(&mut self, known: &Known, message: &Message) -> CheckResult {
        let Body::AppendEntriesReply(outcome) = message.body else { return Ok(()) };
        let Message { from, to, term, .. } = *message;
        let is_answered =
            |taken: &Request| (taken.node, taken.from, taken.term) == (from, to, term);
        let slot = known.model.slot(from);
        let taken = self.taken.filter(|_| known.is_prompt(slot)).filter(is_answered);
        match taken {
            Some(taken) => check_rejection(known.model.node(slot), &taken, outcome),
            None => Ok(()),
        }
    }

    fn crashed(&mut self, _: &Known, node: NodeId) -> CheckResult {
        self.due.take_if(|due| due.node == node);
        Ok(())
    }

    /// Checks the entries that a follower writes: exactly those entries of the last message that
    /// its log lacks, up to the message's last one.
    fn before_submitted(&mut self, known: &Known, id: NodeId, write: &Write) -> CheckResult {
        let (Some(first), Some(last)) = (write.entries.first(), write.entries.last()) else {
            return Ok(());
        };
        let (first, last) = (first.id, last.id);
        let node = known.model.of(id);
        let Some(status) = node.status.filter(|_| write.install.is_none()) else { return Ok(()) };
        let before = known.before.filter(|before| known.changes_status && before.id == id);
        // A candidate that wins appends an entry of its own.
        let may_lead = |it: &Status| matches!(it.role, RoleName::Leader | RoleName::Candidate);
        let is_exempt = !known.shows_messages || known.model.last_survivor_enabled;
        if is_exempt || may_lead(&status) || before.as_ref().is_some_and(may_lead) {
            return Ok(());
        }
        let taken = self.taken.filter(|taken| (taken.node, taken.term) == (id, status.term));
        let append = taken.and_then(|taken| taken.append);
        if append.is_some_and(|it| it.first_missing == Some(first) && it.last == last) {
            return Ok(());
        }
        let lacks = match append.map(|append| (append.first_missing, append.last)) {
            Some((Some(first), last)) => format!("lacks the entries {first} to {last} of"),
            Some((None, _)) => "has all entries of".to_owned(),
            None => "does not continue with the entries of".to_owned(),
        };
        S62.violated(format!(
            "{id} writes the entries {first} to {last} in term {}, but its log {lacks} the message \
             that it took",
            status.term
        ))
    }
}

impl TakenAppends {
    /// Checks that the last step sent the acknowledgement that it had to.
    fn check_due(&mut self) -> CheckResult {
        let Some(Acknowledgement { node, to, term, matched }) = self.due.take() else {
            return Ok(());
        };
        S63.violated(format!(
            "{node} has taken {to}'s entries up to index {matched} in term {term}, and all of them \
             are durable, but the step has not acknowledged that index"
        ))
    }
}

/// Checks that the node follows the sender of a request in the request's term, unless it knew
/// another leader of that term.
fn check_follows(taken: &Request, before: &Status, status: &Status) -> CheckResult {
    let Request { node, from, term, .. } = *taken;
    let knew_other = before.term == term && before.leader.is_some_and(|leader| leader != from);
    let follows = (status.role, status.leader) == (RoleName::Follower, Some(from));
    if knew_other || (follows && status.term == term) {
        return Ok(());
    }
    let leader = status.leader.map_or_else(|| "no leader".to_owned(), |leader| leader.to_string());
    S63.violated(format!(
        "{node} takes a request of {from}, the leader of term {term}, but is a {} in term {} and \
         follows {leader}",
        status.role, status.term
    ))
}

/// Checks that a node rejects entries only if its log lacks the one before them, or its disk is
/// full, and that its hint is the last entry of its log that may match.
fn check_rejection(node: &Node, taken: &Request, outcome: AppendOutcome) -> CheckResult {
    let Request { node: id, from, prev: Some(sent), append, .. } = *taken else { return Ok(()) };
    match outcome {
        AppendOutcome::Rejected { prev, .. } if prev == sent.index && append.is_some() => S63
            .violated(format!(
                "{id} rejects the entries after {sent} that {from} sent it, although its log has \
                 {sent}"
            )),
        AppendOutcome::Rejected { prev, hint }
            if prev == sent.index
                && hint != EntryId::ZERO
                && node.memory.log.id_at(hint.index) != Some(hint) =>
        {
            S63.violated(format!(
                "{id} rejects the entries after {sent} that {from} sent it, and its hint is entry \
                 {hint}, which is not in its log"
            ))
        }
        AppendOutcome::Rejected { prev, hint }
            if prev == sent.index && hint != EntryId::ZERO && hint.index < sent.index =>
        {
            let next = node.memory.log.id_at(hint.index.next());
            match next.filter(|next| next.term <= sent.term) {
                Some(next) => S63.violated(format!(
                    "{id} rejects the entries after {sent} that {from} sent it, and its hint is \
                     entry {hint}, although its log may match up to the next entry {next}"
                )),
                None => Ok(()),
            }
        }
        AppendOutcome::NoSpace { .. } if node.status.is_some_and(|status| !status.disk_full) => S63
            .violated(format!(
                "{id} replies NoSpace to the entries after {sent} that {from} sent it, but its \
                 disk is not full"
            )),
        _ => Ok(()),
    }
}

impl Append {
    /// Returns the append in a message if the node's log is known to have the entry before it.
    fn of(node: &Node, body: &Body) -> Option<Append> {
        let Body::AppendEntries { prev, entries, committed } = body else { return None };
        let status = node.reported()?;
        let log = &node.memory.log;
        if prev.index < status.base || log.id_at(prev.index) != Some(*prev) {
            return None;
        }
        let is_missing = |id: &EntryId| log.id_at(id.index) != Some(*id);
        let mut ids = entries.iter().map(|entry| entry.id);
        Some(Append {
            last: entries.last().map_or(*prev, |entry| entry.id),
            first_missing: ids.find(is_missing),
            is_empty: entries.is_empty(),
            committed: *committed,
        })
    }

    /// Checks the log and the commit index after the step that took the entries.
    fn check(&self, status: &Status, before: &Status) -> CheckResult {
        let (id, term, last) = (status.id, status.term, status.last);
        let is_full = status.disk_full && self.first_missing.is_some();
        let ends_with = if self.first_missing.is_none() { before.last } else { self.last };
        if !is_full && last != ends_with {
            return S63.violated(format!(
                "{id} takes entries up to {} in term {term} that follow its log, which should then \
                 end with {ends_with}, but ends with {last}",
                self.last
            ));
        }
        let commits = self.committed.min(self.last.index);
        if is_full || status.committed >= commits {
            return Ok(());
        }
        S63.violated(format!(
            "{id} takes entries up to {} in term {term} with commit index {}, but commits only \
             index {}",
            self.last, self.committed, status.committed
        ))
    }

    /// The acknowledgement that the step must send, because all of the log is durable and intact.
    fn acknowledgement(
        &self,
        taken: &Request,
        before: &Status,
        status: &Status,
    ) -> Option<Acknowledgement> {
        let waits = status.outbox_messages > 0 || self.first_missing.is_some();
        let is_irregular = |status: &Status| status.is_uncertain || status.damaged_entries > 0;
        if self.is_empty || waits || is_irregular(before) || is_irregular(status) {
            return None;
        }
        let Request { node, from, term, .. } = *taken;
        Some(Acknowledgement { node, to: from, term, matched: self.last.index })
    }
}
