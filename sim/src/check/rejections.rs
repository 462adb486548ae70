//! Rejected appends: S81. The follower's hint says up to which entry the logs may match. The leader
//! continues with the last such entry of its own log, and does not try one entry after the other
//! (Raft §5.3).

use quorate::raft::Status;
use quorate::types::{
    AppendOutcome, Body, EntryId, Incarnation, Index, Message, MessageClass, NodeId, Term,
};

use crate::check::finding::{CheckResult, S81};
use crate::check::known::Known;
use crate::check::log::Log;
use crate::check::nodes::Slot;
use crate::check::rule::Rule;

/// For each leader and peer, the leader's last append and the rejection that it must answer.
#[derive(Clone, Debug)]
pub(super) struct Rejections {
    nodes: usize,
    views: Vec<View>,
}

/// A leader's messages to a peer in one term, while neither of the two restarts and the membership
/// stays the same.
#[derive(Clone, Debug, Default)]
struct View {
    term: Term,
    starts: [u64; 2],
    /// The index before the entries of the last append, unless the leader has offered a snapshot or
    /// taken a reply since.
    prev: Option<Index>,
    /// The highest index that the peer has acknowledged, in a message that may be on its way.
    acknowledged: Index,
    /// The disk that the peer replies from, and whether it may be another one than the leader
    /// knows, or lack entries that the peer acknowledged.
    disk: Option<Incarnation>,
    is_doubtful: bool,
    /// The last entry up to which the logs may match, after a rejection that the leader has taken.
    due: Option<EntryId>,
}

impl Rule for Rejections {
    fn new(known: &Known) -> Rejections {
        let nodes = known.model.nodes.len();
        Rejections { nodes, views: vec![View::default(); nodes * nodes] }
    }

    fn wiped(&mut self, known: &Known, node: NodeId) -> CheckResult {
        self.doubt(known, node);
        Ok(())
    }

    fn rolled_back(&mut self, known: &Known, node: NodeId) -> CheckResult {
        self.doubt(known, node);
        Ok(())
    }

    fn started(&mut self, known: &Known, status: &Status) -> CheckResult {
        if status.is_uncertain {
            self.doubt(known, status.id);
        }
        Ok(())
    }

    /// Takes the rejection of the leader's last append. Any other reply may move the leader's next
    /// index by itself.
    fn delivered(&mut self, known: &Known, id: NodeId, message: &Message) -> CheckResult {
        let [slot, from] = [id, message.from].map(|id| known.model.slot(id));
        let is_reply = message.body.class() == MessageClass::LeaderReply;
        if !is_reply || message.to != id || !known.model.node(slot).leads(message.term) {
            return Ok(());
        }
        let Some(view) = self.view(known, slot, from, message.term) else { return Ok(()) };
        let (sent, _) = (view.prev.take(), view.due.take());
        let before = view.disk.replace(message.incarnation);
        view.is_doubtful |= before.is_some_and(|before| before != message.incarnation)
            || known.next_message.is_none_or(|message| message.may_be_rejected);
        if let Body::HeartbeatReply { ready, .. } = message.body {
            view.is_doubtful |= ready.is_uncertain;
        }
        let Body::AppendEntriesReply(AppendOutcome::Rejected { prev, hint }) = message.body else {
            return Ok(());
        };
        if sent == Some(prev) && prev > view.acknowledged && !view.is_doubtful {
            let node = known.model.node(slot);
            let last = hint.index.min(prev.previous());
            view.due = Some(last_match(&node.memory.log, last, hint.term));
        }
        Ok(())
    }

    fn stepped(&mut self, known: &Known, status: &Status) -> CheckResult {
        if known.is_fault_input {
            let slot = known.model.slot(status.id);
            self.views[slot.0 * self.nodes..][..self.nodes].iter_mut().for_each(View::forget);
        }
        Ok(())
    }

    /// Checks the append that follows a rejection: it continues with that entry, or after one that
    /// the peer has acknowledged since.
    fn sent(&mut self, known: &Known, message: &Message) -> CheckResult {
        let [from, to] = [message.from, message.to].map(|id| known.model.slot(id));
        let (term, is_late) = (message.term, known.is_late);
        if message.body.class() == MessageClass::LeaderReply {
            if let Some(view) = self.view(known, to, from, term) {
                view.acknowledged = view.acknowledged.max(message.body.acknowledged());
            }
            return Ok(());
        }
        let prev = match &message.body {
            Body::AppendEntries { prev, .. } => Some(*prev),
            Body::InstallSnapshot { .. } => None,
            _ => return Ok(()),
        };
        let Some(view) = self.view(known, from, to, term) else { return Ok(()) };
        view.prev = prev.map(|prev| prev.index).filter(|_| !is_late);
        let (due, acknowledged) = (view.due.take(), view.acknowledged);
        let (Some(due), Some(prev)) = (due.filter(|_| !is_late), prev) else { return Ok(()) };
        let base = known.model.node(from).status.map_or(Index::ZERO, |status| status.base);
        let is_next = prev == due || prev.index > due.index && prev.index <= acknowledged;
        if is_next || due.index < base {
            return Ok(());
        }
        let Message { from, to, .. } = message;
        S81.violated(format!(
            "{from} leads term {term} and continues with the entries after {prev}, although {to} \
             rejected the last ones with a hint, so that the logs may match up to entry {due}"
        ))
    }
}

impl Rejections {
    /// The leader may reject what the node replies, because the node lost a part of its disk.
    fn doubt(&mut self, known: &Known, node: NodeId) {
        let (nodes, slot) = (self.nodes, known.model.slot(node).0);
        self.views.iter_mut().skip(slot).step_by(nodes).for_each(|view| view.is_doubtful = true);
    }

    /// The view in a term; `None` if the view is already of a later term.
    fn view(&mut self, known: &Known, leader: Slot, peer: Slot, term: Term) -> Option<&mut View> {
        let view = &mut self.views[leader.0 * self.nodes + peer.0];
        let starts = [leader, peer].map(|slot| known.model.node(slot).starts);
        if view.term < term {
            *view = View { term, starts, ..View::default() };
        }
        if view.starts != starts {
            view.starts = starts;
            view.forget();
        }
        (view.term == term).then_some(view)
    }
}

impl View {
    /// Forgets what the leader sent and must answer.
    fn forget(&mut self) {
        (self.prev, self.due) = (None, None);
    }
}

/// The last entry of the log at or before `index` with a term of at most `term`.
fn last_match(log: &Log, index: Index, term: Term) -> EntryId {
    let mut at = index.min(log.last());
    loop {
        let id = log.id_at(at).unwrap_or_default();
        if at == Index::ZERO || id.term <= term {
            return id;
        }
        at = at.previous();
    }
}
