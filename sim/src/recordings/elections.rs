//! The elections in recordings: who voted for each leader, and when it had last heard from the
//! other nodes before it campaigned.

use std::collections::{BTreeMap, BTreeSet};

use quorate::raft::{Action, Input, RoleCause, RoleName};
use quorate::recording::Step;
use quorate::types::{Body, EntryId, Membership, Message, NodeId, Term};

use crate::recordings::event::{CoreState, Event, EventKind};
use crate::recordings::silences::Unheard;
use crate::values::time::SimTime;

/// A step of a node, and its place in the account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StepPlace {
    /// The number of lines that the account has before those of the step.
    pub line: usize,
    /// The time by the clock of the node.
    pub at: SimTime,
    /// The number of the record.
    pub record: u64,
}

/// An election that a recorded node won.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Election {
    /// The node that won the votes of a quorum.
    pub node: NodeId,
    /// The term that it leads.
    pub term: Term,
    /// When it became the leader.
    pub won: StepPlace,
    /// The membership whose votes counted.
    pub membership: Membership,
    /// The beginning of its campaign; `None` if the recording lacks it.
    pub campaign: Option<Campaign>,
    /// When it became a candidate, and the last entry of its log then.
    pub candidacy: Option<(StepPlace, EntryId)>,
    /// The votes of other nodes that it received as a candidate.
    pub votes: Vec<(NodeId, StepPlace)>,
}

/// The beginning of a campaign.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Campaign {
    /// The step that began it.
    pub begun: StepPlace,
    /// The reason for it.
    pub cause: RoleCause,
    /// The last message from each node that had sent the candidate one.
    pub heard: Vec<LastHeard>,
}

/// The last message from another node that has arrived at a node, and the first that has not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LastHeard {
    /// The node that sent the messages.
    pub from: NodeId,
    /// When the last message arrived, by the receiver's clock; `None` if none did since the
    /// recording of the receiver began.
    pub last: Option<SimTime>,
    /// When the other node sent its next message, by its own clock, after the last one that had
    /// arrived; `None` if it sent none before it or the node started again.
    pub next_sent: Option<SimTime>,
}

/// The messages from one node to another.
#[derive(Clone, Debug, Default)]
struct Link {
    last: Option<SimTime>,
    unheard: Unheard,
    /// The campaigns at which every message had arrived that is sent in the merged order up to now,
    /// and the place of the sender in what each had heard.
    waiting: Vec<(usize, usize)>,
}

/// Collects the elections of recorded nodes.
#[derive(Clone, Debug, Default)]
pub(super) struct Elections {
    /// The campaign that each node has begun and neither won nor lost.
    open: BTreeMap<NodeId, OpenCampaign>,
    /// The messages from each node to each other one, by receiver and sender.
    links: BTreeMap<(NodeId, NodeId), Link>,
    /// The nodes that are recorded now.
    recorded: BTreeSet<NodeId>,
    campaigns: Vec<Campaign>,
    /// The elections that were won, each with the place of its campaign.
    won: Vec<(Election, Option<usize>)>,
}

#[derive(Clone, Debug, Default)]
struct OpenCampaign {
    /// The term in which the node is a candidate; 0 before that.
    term: Term,
    /// The place of the campaign among all.
    campaign: Option<usize>,
    candidacy: Option<(StepPlace, EntryId)>,
    votes: Vec<(NodeId, StepPlace)>,
}

impl Elections {
    /// Adds an event. The account has `line` lines before those of the event.
    pub(super) fn observe(&mut self, event: &Event<'_>, line: usize) {
        match event.kind {
            EventKind::Begins { continues: false, .. } => {
                self.open.remove(&event.node);
                // The node has forgotten what it heard, and its clock may have changed.
                self.links.retain(|(to, _), _| *to != event.node);
                let from_it = self.links.iter_mut().filter(|((_, from), _)| *from == event.node);
                from_it.for_each(|(_, link)| {
                    *link = Link { last: link.last, ..Link::default() };
                });
                self.recorded.insert(event.node);
            }
            EventKind::Ends => _ = self.recorded.remove(&event.node),
            EventKind::Steps { step, state, .. } => {
                let place = StepPlace { line, at: event.at, record: step.record };
                self.steps(event, place, step, state);
            }
            EventKind::Begins { .. } | EventKind::IsAhead => {}
        }
    }

    pub(super) fn finish(self) -> Vec<Election> {
        let Elections { won, campaigns, .. } = self;
        let with_campaign = |(election, place): (Election, Option<usize>)| {
            let campaign = place.map(|place| campaigns[place].clone());
            Election { campaign, ..election }
        };
        won.into_iter().map(with_campaign).collect()
    }

    fn steps(&mut self, event: &Event<'_>, place: StepPlace, step: &Step, state: CoreState<'_>) {
        let node = event.node;
        if let Input::Message(message) = &step.input {
            let link = self.links.entry((node, message.from)).or_default();
            link.last = Some(place.at);
            link.unheard.arrived(message, event.sent_at());
            self.takes(node, place, message);
        }
        for action in &step.actions {
            match action {
                Action::Send(message) => self.sends(node, message.to, place.at),
                Action::RoleChanged { role, term, cause, .. } => {
                    self.role_changed(node, place, *role, *term, *cause, state);
                }
                _ => {}
            }
        }
    }

    fn sends(&mut self, node: NodeId, to: NodeId, at: SimTime) {
        let is_recorded = self.recorded.contains(&to);
        if is_recorded {
            self.links.entry((to, node)).or_default().unheard.sent(at);
        }
        let Some(link) = self.links.get_mut(&(to, node)) else { return };
        for (campaign, sender) in link.waiting.drain(..) {
            self.campaigns[campaign].heard[sender].next_sent = Some(at);
        }
    }

    /// Adds the vote in a message, if the node is a candidate of its term.
    fn takes(&mut self, node: NodeId, place: StepPlace, message: &Message) {
        let is_vote = matches!(message.body, Body::RequestVoteReply { granted: true, .. });
        let open = self.open.get_mut(&node).filter(|open| is_vote && open.term == message.term);
        if let Some(open) = open {
            open.votes.push((message.from, place));
        }
    }

    fn role_changed(
        &mut self,
        node: NodeId,
        place: StepPlace,
        role: RoleName,
        term: Term,
        cause: RoleCause,
        state: CoreState<'_>,
    ) {
        match role {
            RoleName::Follower => _ = self.open.remove(&node),
            RoleName::Leader => {
                let OpenCampaign { campaign: begun, candidacy, votes, .. } =
                    self.open.remove(&node).unwrap_or_default();
                let (membership, campaign) = (state.membership.clone(), None);
                let won = place;
                let election = Election { node, term, won, membership, campaign, candidacy, votes };
                self.won.push((election, begun));
            }
            RoleName::PreCandidate | RoleName::Candidate => {
                let begun =
                    (cause != RoleCause::PreVotesGranted).then(|| self.begin(node, place, cause));
                let open = self.open.entry(node).or_default();
                open.campaign = begun.or(open.campaign);
                open.votes.clear();
                (open.term, open.candidacy) = match role {
                    RoleName::Candidate => (term, Some((place, state.status.last))),
                    _ => (Term::ZERO, None),
                };
            }
        }
    }

    /// Adds a campaign, and returns its place.
    fn begin(&mut self, node: NodeId, begun: StepPlace, cause: RoleCause) -> usize {
        let campaign = self.campaigns.len();
        let mut heard = Vec::new();
        let links = self.links.range_mut((node, NodeId(0))..=(node, NodeId(u64::MAX)));
        for ((_, from), link) in links {
            let next_sent = link.unheard.first();
            if next_sent.is_none() {
                // If the sender's clock is ahead, what it has sent is yet to come.
                link.waiting.push((campaign, heard.len()));
            }
            heard.push(LastHeard { from: *from, last: link.last, next_sent });
        }
        self.campaigns.push(Campaign { begun, cause, heard });
        campaign
    }
}
