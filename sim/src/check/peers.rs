//! A leader's view of its peers: the matched index that it counts for a peer never decreases, and
//! the peer's disk keeps the entries that the peer acknowledged (S42); the leader sends an entry
//! again only if the peer may lack it (S41), and offers a snapshot only if its log lacks an entry
//! that the peer needs, and again only after a reply to a later round (S47).

use std::collections::VecDeque;
use std::sync::Arc;

use quorate::raft::Status;
use quorate::types::{AppendOutcome, Body, Index, Message, MessageClass, NodeId, Term};

use crate::check::electorate::Electorate;
use crate::check::finding::{CheckResult, S41, S42, S47};
use crate::check::known::Known;
use crate::check::nodes::Slot;
use crate::check::rule::Rule;

/// The number of unanswered rounds that a view remembers, each with the index that the peer had
/// acknowledged before it.
const ROUNDS_MAX: usize = 16;

/// For each leader and peer, the entries that the leader sent and its knowledge of the peer.
#[derive(Clone, Debug)]
pub(super) struct Peers {
    nodes: usize,
    views: Vec<View>,
    /// For each node, the highest term in the cluster at the time when the node last lost a part of
    /// its disk, because the disk was wiped or rolled back. The node may report a lower index than
    /// before to the leaders of that term and of earlier ones; a later leader has no earlier report
    /// of the node.
    lost_in: Vec<Term>,
}

/// The entries that a leader sent to a peer in one term, and its knowledge of the peer.
#[derive(Clone, Debug, Default)]
struct View {
    term: Term,
    /// The index up to which the leader counted the peer's log as matched, and the conditions under
    /// which that index must not fall.
    matched: Option<(Index, Conditions)>,
    /// The index after the last entry of the last message with entries, and the highest such index
    /// of any message.
    next: Index,
    end: Index,
    /// Whether at some time in this term no entry was in flight to the peer, and nothing since then
    /// may have made the leader go back: a rejection, a restart, a membership change, or a lagging
    /// driver.
    is_streaming: bool,
    /// Whether the peer had no space or was uncertain in this term.
    is_irregular: bool,
    /// The last commit index that the leader sent to the peer.
    committed: Index,
    /// The last round that the leader sent to the peer; `sent_in` is its value at the leader's last
    /// append.
    round: u64,
    sent_in: u64,
    /// The highest round that the peer answered, and the highest index that it acknowledged.
    answered: u64,
    acknowledged: Index,
    /// The rounds that the peer has not answered, each with the index acknowledged before it.
    unanswered: VecDeque<(u64, Index)>,
    /// The last offer of a snapshot, if the leader has sent no append since.
    offered: Option<Offered>,
}

/// The offer of a snapshot to a peer.
#[derive(Clone, Debug)]
struct Offered {
    /// The last round before the offer, and the base of the leader's log.
    round: u64,
    base: Index,
    conditions: Conditions,
}

/// The conditions under which a leader keeps its knowledge of a peer: neither node restarts, and
/// the membership does not change.
#[derive(Clone, Debug)]
struct Conditions {
    leader_starts: u64,
    peer_starts: u64,
    electorate: Arc<Electorate>,
}

impl Conditions {
    fn of(known: &Known, leader: Slot, peer: Slot) -> Conditions {
        let model = &known.model;
        Conditions {
            leader_starts: model.node(leader).starts,
            peer_starts: model.node(peer).starts,
            electorate: Arc::clone(model.electorate(leader)),
        }
    }

    fn hold(&self, known: &Known, leader: Slot, peer: Slot) -> bool {
        let model = &known.model;
        self.leader_starts == model.node(leader).starts
            && self.peer_starts == model.node(peer).starts
            && Arc::ptr_eq(&self.electorate, model.electorate(leader))
    }
}

impl Rule for Peers {
    fn new(known: &Known) -> Peers {
        let nodes = known.model.nodes.len();
        Peers {
            nodes,
            views: vec![View::default(); nodes * nodes],
            lost_in: vec![Term::ZERO; nodes],
        }
    }

    fn wiped(&mut self, known: &Known, node: NodeId) -> CheckResult {
        self.lose(known, node);
        Ok(())
    }

    fn rolled_back(&mut self, known: &Known, node: NodeId) -> CheckResult {
        self.lose(known, node);
        Ok(())
    }

    fn started(&mut self, known: &Known, status: &Status) -> CheckResult {
        let slot = known.model.slot(status.id);
        for other in known.model.slots() {
            self.view(slot, other).is_streaming = false;
            self.view(other, slot).is_streaming = false;
        }
        Ok(())
    }

    fn sent(&mut self, known: &Known, message: &Message) -> CheckResult {
        let (from, to) = (known.model.slot(message.from), known.model.slot(message.to));
        let acknowledged = message.body.acknowledged();
        let (leader, peer) = match message.body.class() {
            MessageClass::LeaderRequest => (from, to),
            MessageClass::LeaderReply => (to, from),
            _ => return Ok(()),
        };
        let is_late = known.is_late;
        if matches!(message.body, Body::InstallSnapshot { .. }) && !is_late {
            return self.check_offer(known, message, leader, peer);
        }
        let may_lack =
            message.term <= self.lost_in[from.0] || known.model.node(from).is_uncertain();
        let Some(view) = self.view_in(leader, peer, message.term) else { return Ok(()) };
        view.acknowledged = view.acknowledged.max(acknowledged);
        match &message.body {
            Body::Heartbeat(heartbeat) => {
                view.begin(heartbeat.round);
                view.committed = view.committed.max(heartbeat.committed);
                Ok(())
            }
            Body::AppendEntries { entries, committed, .. } => {
                view.offered = None;
                let before = std::mem::replace(&mut view.committed, *committed);
                match (entries.first(), entries.last()) {
                    (Some(first), Some(last)) => {
                        let (first, last) = (first.id.index, last.id.index);
                        // A lagging driver sends messages that the leader decided to send
                        // before the last replies arrived.
                        view.is_streaming &= !is_late;
                        view.check_sent(message, first, last)
                    }
                    _ if is_late || *committed > before => {
                        view.sent_in = view.round;
                        Ok(())
                    }
                    _ => view.check_probe(message),
                }
            }
            Body::HeartbeatReply { round, ready, durable, .. } => {
                view.answered = view.answered.max(*round);
                view.is_irregular |= ready.is_uncertain;
                let is_regular = !view.is_irregular && !may_lack;
                if is_regular { view.check_durable(message, *round, *durable) } else { Ok(()) }
            }
            Body::AppendEntriesReply(outcome) => {
                view.is_irregular |=
                    matches!(outcome, AppendOutcome::NoSpace { .. } | AppendOutcome::Stored { .. });
                view.is_streaming &= matches!(outcome, AppendOutcome::Accepted { .. });
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Checks that the matched index that a leader counts for a peer does not decrease.
    fn peer_matched(&mut self, known: &Known, id: NodeId, peer: NodeId, to: Index) -> CheckResult {
        let model = &known.model;
        let (leader, slot) = (model.slot(id), model.slot(peer));
        let Some(status) = model.node(leader).status else { return Ok(()) };
        let Some(view) = self.view_in(leader, slot, status.term) else { return Ok(()) };
        let conditions = Conditions::of(known, leader, slot);
        let before = view.matched.replace((to, conditions));
        let before = before.filter(|(_, conditions)| conditions.hold(known, leader, slot));
        let is_same = before.is_some();
        view.is_streaming =
            is_same && !view.is_irregular && (view.is_streaming || view.end <= to.next());
        let is_irregular = view.is_irregular || model.node(slot).is_uncertain();
        let may_fall = is_irregular || status.term <= self.lost_in[slot.0];
        let Some((before, _)) = before.filter(|(before, _)| to < *before && !may_fall) else {
            return Ok(());
        };
        S42.violated(format!(
            "{id} leads term {} and counts {peer}'s log as matched up to index {to}, but counted \
             index {before} before",
            status.term
        ))
    }
}

impl Peers {
    /// Records that a node has lost a part of its log.
    fn lose(&mut self, known: &Known, node: NodeId) {
        let model = &known.model;
        let terms = model.slots().filter_map(|slot| model.node(slot).status.map(|it| it.term));
        let latest = terms.chain(self.views.iter().map(|view| view.term)).max();
        self.lost_in[model.slot(node).0] = latest.unwrap_or_default();
    }

    fn view(&mut self, leader: Slot, peer: Slot) -> &mut View {
        &mut self.views[leader.0 * self.nodes + peer.0]
    }

    /// Checks that the leader's log lacks an entry that the peer needs, or has one whose content is
    /// damaged. A peer without a matched index is not checked, because it may need the first
    /// membership, which is not an entry. The leader repeats an offer only after a reply to a round
    /// that began after it, because such a reply shows that the offer was lost.
    fn check_offer(
        &mut self,
        known: &Known,
        message: &Message,
        leader: Slot,
        peer: Slot,
    ) -> CheckResult {
        let Some(status) = known.model.node(leader).status else { return Ok(()) };
        let may_lack =
            message.term <= self.lost_in[peer.0] || known.model.node(peer).is_uncertain();
        let Some(view) = self.view_in(leader, peer, message.term) else { return Ok(()) };
        if !may_lack && status.damaged_entries == 0 {
            view.check_repeated(known, [leader, peer], message, status.base)?;
        }
        let known_matched = view.matched.as_ref();
        let matched = known_matched.filter(|(_, conditions)| conditions.hold(known, leader, peer));
        let matched = matched.map_or(Index::ZERO, |(matched, _)| *matched);
        let is_needed =
            matched == Index::ZERO || matched < status.base || status.damaged_entries > 0;
        if is_needed || status.term != message.term {
            return Ok(());
        }
        let (Message { from, to, term, .. }, base) = (message, status.base);
        S47.violated(format!(
            "{from} leads term {term} and offers {to} a snapshot, but {to}'s log matches up to \
             index {matched}, and the leader's log has all entries after index {base}"
        ))
    }

    /// The view in a term; `None` if the view is already of a later term. A message of an earlier
    /// term says nothing about a later one: the peer's log may have changed in between, and each
    /// leader numbers its rounds from 1.
    fn view_in(&mut self, leader: Slot, peer: Slot, term: Term) -> Option<&mut View> {
        let view = self.view(leader, peer);
        if view.term < term {
            *view = View { term, ..View::default() };
        }
        (view.term == term).then_some(view)
    }
}

impl View {
    /// Records a round that the leader begins. Only the last rounds matter.
    fn begin(&mut self, round: u64) {
        self.round = round;
        self.unanswered.push_back((round, self.acknowledged));
        if self.unanswered.len() > ROUNDS_MAX {
            self.unanswered.pop_front();
        }
    }

    /// Checks that the leader does not repeat an offer too early.
    fn check_repeated(
        &mut self,
        known: &Known,
        [leader, peer]: [Slot; 2],
        message: &Message,
        base: Index,
    ) -> CheckResult {
        let conditions = Conditions::of(known, leader, peer);
        let before = self.offered.replace(Offered { round: self.round, base, conditions });
        let same = before
            .filter(|before| before.base == base && before.conditions.hold(known, leader, peer));
        let Some(Offered { round, .. }) = same.filter(|before| self.answered <= before.round)
        else {
            return Ok(());
        };
        if self.is_irregular || !known.is_prompt(leader) || !known.shows_messages {
            return Ok(());
        }
        let Message { from, to, term, .. } = message;
        S47.violated(format!(
            "{from} leads term {term} and offers {to} a snapshot again: the last offer followed \
             round {round}, and {to} has answered only round {}",
            self.answered
        ))
    }

    /// Checks that a peer's disk has every entry that the peer had acknowledged to this leader
    /// before the round that it answers.
    fn check_durable(&mut self, message: &Message, round: u64, durable: Index) -> CheckResult {
        while self.unanswered.pop_front_if(|(earlier, _)| *earlier < round).is_some() {}
        let begun = self.unanswered.front().filter(|(earlier, _)| *earlier == round);
        let Some((_, before)) = begun.filter(|(_, acknowledged)| *acknowledged > durable) else {
            return Ok(());
        };
        let Message { from, to, term, .. } = message;
        S42.violated(format!(
            "{from} reports to {to} in round {round} of term {term} that its log is durable up to \
             index {durable}, but had acknowledged index {before} before that round"
        ))
    }

    /// Checks an append without entries and without a new commit index, by which the leader asks
    /// whether the peer's log matches: it needs a reply to a round that it began after the previous
    /// append, because such a reply shows that the append was lost.
    fn check_probe(&mut self, message: &Message) -> CheckResult {
        let is_justified = !self.is_streaming || self.answered > self.sent_in;
        let sent_in = std::mem::replace(&mut self.sent_in, self.round);
        if is_justified {
            return Ok(());
        }
        let Message { from, to, term, .. } = message;
        S41.violated(format!(
            "{from} leads term {term} and sends {to} an append without entries and without a new \
             commit index: its previous append is of round {sent_in}, and {to} has answered only \
             round {}",
            self.answered
        ))
    }

    /// Checks entries that the leader sends: it goes back only after a reply to a round that it
    /// began after it sent those entries, because an earlier reply does not show that they were
    /// lost.
    fn check_sent(&mut self, message: &Message, first: Index, last: Index) -> CheckResult {
        let goes_back = first < self.next;
        let is_justified = !self.is_streaming || self.answered > self.sent_in;
        let (next, sent_in) = (self.next, self.sent_in);
        (self.next, self.end) = (last.next(), self.end.max(last.next()));
        self.sent_in = self.round;
        if !goes_back || is_justified {
            return Ok(());
        }
        let Message { from, to, term, .. } = message;
        S41.violated(format!(
            "{from} leads term {term} and sends entry {first} to {to} again: it had sent all \
             entries before {next}, the last ones in round {sent_in}, and {to} has answered only \
             round {}",
            self.answered
        ))
    }
}
