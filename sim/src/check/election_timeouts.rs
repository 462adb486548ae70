//! Votes and campaigns, given the time since a node last heard from a leader. It votes for every
//! candidate that no rule excludes (S64). While it hears its leader, it votes for none, except in a
//! transfer (S65, thesis §4.2.3). It campaigns only after its election timeout (S66, Raft §5.2).

use std::sync::Arc;
use std::time::Duration;

use quorate::raft::{Config, RoleName, Status};
use quorate::types::{
    Body, EntryId, Instant, Membership, Message, MessageClass, MessageKind, NodeId, Term,
};

use crate::check::electorate::Electorate;
use crate::check::finding::{CheckResult, S64, S65, S66};
use crate::check::known::Known;
use crate::check::rule::Rule;

/// For each node, the times that determine its election timeout and its votes.
#[derive(Clone, Debug)]
pub(super) struct ElectionTimeouts {
    nodes: Vec<Node>,
    /// For each node, its membership after its last step.
    electorates: Vec<Arc<Electorate>>,
    /// The message that the next step takes, if it is a request that matters here.
    request: Option<Request>,
}

/// The times of a node since its start, by its own clock.
#[derive(Clone, Copy, Debug, Default)]
struct Node {
    first_step: Option<Instant>,
    /// When it last heard from the leader that it names, and when it last may have heard from it.
    heard: Option<Instant>,
    maybe_heard: Option<Instant>,
    /// When it last led.
    led: Option<Instant>,
    /// When it last heard from a leader, voted for another node, changed its role or began another
    /// election.
    waits_since: Option<Instant>,
    /// The delay that voters of a higher priority added to its election timeout at that time.
    handicap: Duration,
    /// The reply that it owes to the request for a pre-vote in its last step.
    pre_vote: Option<PreVote>,
}

#[derive(Clone, Copy, Debug)]
struct PreVote {
    candidate: NodeId,
    next_term: Term,
    is_due: bool,
    hears_leader: bool,
}

#[derive(Clone, Copy, Debug)]
enum Request {
    /// A request of the leader of a term. It counts as a contact with the leader unless the node
    /// may reject it.
    Leader {
        from: NodeId,
        term: Term,
        may_be_rejected: bool,
    },
    Vote(VoteRequest),
}

/// A request for a vote, or for a pre-vote, in a term.
#[derive(Clone, Copy, Debug)]
struct VoteRequest {
    from: NodeId,
    term: Term,
    last: EntryId,
    kind: VoteKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum VoteKind {
    PreVote,
    Vote,
    /// The leader asked the candidate to campaign.
    VoteInTransfer,
}

impl Rule for ElectionTimeouts {
    fn new(known: &Known) -> ElectionTimeouts {
        let nodes = vec![Node::default(); known.model.nodes.len()];
        let electorates = known.model.slots().map(|slot| Arc::clone(known.model.electorate(slot)));
        ElectionTimeouts { nodes, electorates: electorates.collect(), request: None }
    }

    fn started(&mut self, known: &Known, status: &Status) -> CheckResult {
        self.nodes[known.model.slot(status.id).0] = Node::default();
        Ok(())
    }

    fn delivered(&mut self, known: &Known, id: NodeId, message: &Message) -> CheckResult {
        let Message { from, to, term, .. } = *message;
        let vote = |term, last, kind| Some(Request::Vote(VoteRequest { from, term, last, kind }));
        let may_be_rejected = known.next_message.is_none_or(|message| message.may_be_rejected);
        let is_leader_request = message.body.class() == MessageClass::LeaderRequest;
        self.request = match message.body {
            _ if to != id => None,
            _ if is_leader_request => Some(Request::Leader { from, term, may_be_rejected }),
            _ if may_be_rejected => None,
            Body::PreVote { next_term, last } => vote(next_term, last, VoteKind::PreVote),
            Body::RequestVote { last, transfer: false } => vote(term, last, VoteKind::Vote),
            Body::RequestVote { last, transfer: true } => {
                vote(term, last, VoteKind::VoteInTransfer)
            }
            _ => None,
        };
        Ok(())
    }

    fn stepped(&mut self, known: &Known, status: &Status) -> CheckResult {
        let request = self.request.take().filter(|_| known.message.is_some());
        let Some(before) = known.status_before(status) else { return Ok(()) };
        let slot = known.model.slot(status.id);
        let electorate = known.model.electorate(slot);
        let earlier = std::mem::replace(&mut self.electorates[slot.0], Arc::clone(electorate));
        let node = &mut self.nodes[slot.0];
        node.pre_vote = None;
        node.first_step.get_or_insert(known.own_time);
        let is_doubtful = matches!(request, Some(Request::Leader { may_be_rejected: true, .. }));
        if known.is_fault_input || is_doubtful {
            node.maybe_heard = Some(known.own_time);
        }
        if known.changes_status && known.shows_messages {
            node.check_timeout(known, &before, status)?;
        }
        if let Some(Request::Vote(vote)) = request {
            node.check_vote(known, &before, status, vote)?;
        }
        if node.note(known, &before, status, request) {
            // A step that changes the membership may have drawn the timeout before or after the
            // change.
            let config = &known.bounds.config;
            let delays =
                [&earlier, electorate].map(|by| handicap(config, status.id, &by.membership));
            node.handicap = delays[0].min(delays[1]);
        }
        Ok(())
    }

    /// Checks the reply to a request for a pre-vote that the last step took.
    fn sent(&mut self, known: &Known, message: &Message) -> CheckResult {
        let Body::PreVoteReply { next_term, granted, .. } = message.body else { return Ok(()) };
        let slot = known.model.slot(message.from);
        let is_asked = |it: &PreVote| (it.candidate, it.next_term) == (message.to, next_term);
        let Some(asked) = self.nodes[slot.0].pre_vote.filter(is_asked) else { return Ok(()) };
        let Message { from, to, .. } = *message;
        if !known.is_prompt(slot) {
            return Ok(());
        }
        if asked.hears_leader && granted {
            return S65.violated(format!(
                "{from} grants {to} a pre-vote for term {next_term}, although it has heard from \
                 its leader within the shortest election timeout"
            ));
        }
        if !asked.is_due || granted {
            return Ok(());
        }
        S64.violated(format!(
            "{from} grants {to} no pre-vote for term {next_term}, although {to}'s log is not \
             behind, and {from} neither hears a leader nor withholds its vote"
        ))
    }
}

impl Node {
    /// Checks the vote that the request in this step asked for.
    fn check_vote(
        &mut self,
        known: &Known,
        before: &Status,
        status: &Status,
        request: VoteRequest,
    ) -> CheckResult {
        let VoteRequest { from, term, last, kind } = request;
        let (id, is_later) = (status.id, term > before.term);
        let hears_leader =
            is_later && kind != VoteKind::VoteInTransfer && self.hears(known, before);
        let is_open = is_later && !self.may_hear(known, before)
            || term == before.term && before.vote.is_none_or(|vote| vote == from);
        let is_excused = !is_open || self.may_withhold(known, before);
        let is_transfer = kind == VoteKind::VoteInTransfer && term >= before.term;
        let has_no_vote = is_later || before.vote.is_none_or(|vote| vote == from);
        let is_due = match kind {
            VoteKind::PreVote => is_later && !is_excused,
            VoteKind::Vote => !is_excused,
            VoteKind::VoteInTransfer => is_transfer && has_no_vote,
        };
        let is_due = is_due && may_elect(known, before, last);
        if kind == VoteKind::PreVote {
            let (candidate, next_term) = (from, term);
            self.pre_vote = Some(PreVote { candidate, next_term, is_due, hears_leader });
            return Ok(());
        }
        if hears_leader && status.term >= term {
            return S65.violated(format!(
                "{id} enters term {term} for {from}'s request for a vote, although it has heard \
                 from its leader within the shortest election timeout"
            ));
        }
        if !is_due || (status.term, status.vote) == (term, Some(from)) {
            return Ok(());
        }
        S64.violated(format!(
            "{id} does not vote for {from} in term {term}, although {from}'s log is not behind, \
             and {id} has not voted for another node, hears no leader and does not withhold \
             its vote"
        ))
    }

    /// Whether the node heard from the leader that it names within the shortest election timeout,
    /// or leads.
    fn hears(&self, known: &Known, before: &Status) -> bool {
        self.hears_since(known, before, self.heard)
    }

    /// Like [`Node::hears`], but a message that no node sent or that the node may reject counts,
    /// too.
    fn may_hear(&self, known: &Known, before: &Status) -> bool {
        self.hears_since(known, before, self.heard.max(self.maybe_heard))
    }

    fn hears_since(&self, known: &Known, before: &Status, heard: Option<Instant>) -> bool {
        let config = &known.bounds.config;
        let is_recent =
            heard.is_some_and(|at| known.own_time < at.after(config.election_timeout_min));
        let follows = before.role == RoleName::Follower && before.leader.is_some();
        let is_sticky = config.stickiness && !known.model.last_survivor_enabled;
        is_sticky && (before.role == RoleName::Leader || follows && is_recent)
    }

    /// Whether the node may withhold its vote because a leader's lease relies on it. By the node's
    /// clock, the lease ends within four times `vote_lease` or `election_timeout_max`, whichever is
    /// longer, because each clock runs between half and twice as fast as real time.
    fn may_withhold(&self, known: &Known, before: &Status) -> bool {
        let since = self.first_step.max(self.heard).max(self.maybe_heard).max(self.led);
        let span = before.vote_lease.max(known.bounds.config.election_timeout_max) * 4;
        !before.vote_lease.is_zero() && since.is_some_and(|at| known.own_time < at.after(span))
    }

    /// Checks a campaign that the node begins by itself.
    fn check_timeout(&self, known: &Known, before: &Status, status: &Status) -> CheckResult {
        let campaigns = match (before.role, status.role) {
            (RoleName::Follower, role) => role != RoleName::Follower,
            (RoleName::Candidate, RoleName::PreCandidate) => true,
            (RoleName::Candidate, RoleName::Candidate) => status.term > before.term,
            _ => false,
        };
        let is_asked = known.message.is_some_and(|message| message.kind == MessageKind::TimeoutNow);
        let timeout_min = known.bounds.config.election_timeout_min + self.handicap;
        let since = self.waits_since.filter(|at| known.own_time < at.after(timeout_min));
        let Some(since) = since.filter(|_| campaigns && !is_asked && !known.is_fault_input) else {
            return Ok(());
        };
        S66.violated(format!(
            "{} becomes {} in term {} {:?} after it last heard from a leader, voted or changed its \
             role, but the shortest election timeout is {timeout_min:?}",
            status.id,
            status.role,
            status.term,
            known.own_time.since(since),
        ))
    }

    /// Notes what the step changes, and returns whether it restarts the election timeout.
    fn note(
        &mut self,
        known: &Known,
        before: &Status,
        status: &Status,
        request: Option<Request>,
    ) -> bool {
        let now = Some(known.own_time);
        let is_heard = match request {
            Some(Request::Leader { from, term, may_be_rejected: false }) => {
                (status.leader, status.term) == (Some(from), term)
            }
            _ => false,
        };
        if is_heard || (status.leader, status.term) != (before.leader, before.term) {
            self.heard = now;
        }
        let votes = status.vote.is_some_and(|vote| vote != status.id)
            && (status.term, status.vote) != (before.term, before.vote);
        let is_new_role = status.role != before.role;
        let campaigns_again = status.role == RoleName::Candidate && status.term > before.term;
        let restarts = is_heard || votes || is_new_role || campaigns_again;
        if restarts {
            self.waits_since = now;
        }
        if [before.role, status.role].contains(&RoleName::Leader) {
            self.led = now;
        }
        restarts
    }
}

/// Returns the delay that voters of a higher priority add to the node's election timeout.
fn handicap(config: &Config, id: NodeId, membership: &Membership) -> Duration {
    let own = membership.priority(id);
    let voters: Vec<NodeId> = membership.voters().collect();
    let higher = voters.iter().filter(|voter| membership.priority(**voter) > own).count();
    let span = config.election_timeout_max - config.election_timeout_min;
    span * u32::try_from(higher).unwrap_or(0) / u32::try_from(voters.len().max(1)).unwrap_or(1)
}

/// Whether a candidate whose log ends with `last` is due the node's vote, as far as the logs
/// decide: the node is certain of its log, and the candidate's log is not behind it and has every
/// committed entry. Never in last-survivor mode, which has further rules.
fn may_elect(known: &Known, before: &Status, last: EntryId) -> bool {
    let is_certain = !before.is_uncertain && !known.model.last_survivor_enabled;
    is_certain && last >= before.last && last.index >= known.model.committed.last()
}
