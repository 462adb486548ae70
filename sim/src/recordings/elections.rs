//! The elections in recordings: which nodes voted for each leader, and when that leader had last
//! heard from the other nodes before it campaigned.

use std::collections::{BTreeMap, BTreeSet};

use quorate::raft::{Action, Input, RoleCause, RoleName};
use quorate::recording::Step;
use quorate::types::{Body, EntryId, Membership, Message, NodeId, Term};

use crate::recordings::event::{CoreState, Event, EventKind};
use crate::recordings::messages::is_sent_once;
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

/// The last message from another node that has arrived at a node, and whether a later one is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LastHeard {
    /// The node that sent the messages.
    pub from: NodeId,
    /// When the last message arrived, by the receiver's clock; `None` if none did since the
    /// recording of the receiver began.
    pub last: Option<SimTime>,
    /// When the other node sent the next message after the last one that had arrived, by its own
    /// clock, if that message certainly never arrived: a later one did, or the recording of the
    /// receiver continues for an election timeout without it. It may be later than the campaign.
    pub lost: Option<SimTime>,
}

/// The messages from one node to another.
#[derive(Clone, Debug, Default)]
struct Link {
    last: Option<SimTime>,
    unheard: Unheard,
    /// For campaigns of the receiver, the next message of the sender, until its outcome is known.
    open: Vec<NextMessage>,
}

/// The first message that had not arrived at a node when it began a campaign.
#[derive(Clone, Copy, Debug)]
struct NextMessage {
    campaign: usize,
    /// The position of the sender in [`Campaign::heard`].
    sender: usize,
    /// When it was sent; `None` if that is yet to come in the merged order.
    sent: Option<SimTime>,
    /// The time of the receiver from which on a message that was sent before the campaign is lost.
    deadline: SimTime,
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
    /// The campaigns that were not lost, by number.
    campaigns: BTreeMap<usize, Campaign>,
    /// The number of campaigns so far.
    begun: usize,
    /// The elections that were won, each with the number of its campaign.
    won: Vec<(Election, Option<usize>)>,
}

#[derive(Clone, Debug, Default)]
struct OpenCampaign {
    /// The term in which the node is a candidate; 0 before that.
    term: Term,
    /// The number of the campaign.
    campaign: Option<usize>,
    candidacy: Option<(StepPlace, EntryId)>,
    votes: Vec<(NodeId, StepPlace)>,
}

impl Elections {
    /// Adds an event. The account has `line` lines before those of the event.
    pub(super) fn observe(&mut self, event: &Event<'_>, line: usize) {
        match event.kind {
            EventKind::Begins { continues: false, .. } => {
                self.lose(event.node);
                // The node has forgotten what it heard, and its clock may have changed.
                self.links.retain(|(to, _), _| *to != event.node);
                let from_it = self.links.iter_mut().filter(|((_, from), _)| *from == event.node);
                from_it.for_each(|(_, link)| {
                    link.unheard = Unheard::default();
                    link.open.retain(|next| next.sent.is_some());
                });
                self.recorded.insert(event.node);
            }
            EventKind::Ends => self.ends(event.node, event.at),
            EventKind::Steps { step, state, .. } => {
                let place = StepPlace { line, at: event.at, record: step.record };
                self.steps(event, place, step, state);
            }
            EventKind::Begins { .. } | EventKind::IsAhead => {}
        }
    }

    pub(super) fn finish(self) -> Vec<Election> {
        let Elections { won, mut campaigns, .. } = self;
        let with_campaign = |(election, number): (Election, Option<usize>)| {
            let campaign = number.and_then(|number| campaigns.remove(&number));
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
            let lost = event.sent_at().map(|sent| link.overtaken(message, sent));
            self.note_lost(&lost.unwrap_or_default());
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
        link.open.iter_mut().for_each(|next| _ = next.sent.get_or_insert(at));
        if !is_recorded {
            // The receiver is recorded beyond the deadline, and nothing more arrives there.
            let lost = std::mem::take(&mut link.open);
            self.note_lost(&lost);
        }
    }

    /// Ends the recording of a node: the messages are lost whose deadline has passed, and nothing
    /// is known of the others.
    fn ends(&mut self, node: NodeId, at: SimTime) {
        self.recorded.remove(&node);
        let mut lost = Vec::new();
        for (_, link) in self.links.range_mut((node, NodeId(0))..=(node, NodeId(u64::MAX))) {
            link.open.retain(|next| next.deadline <= at);
            lost.extend(link.open.extract_if(.., |next| next.sent.is_some()));
        }
        self.note_lost(&lost);
    }

    fn note_lost(&mut self, messages: &[NextMessage]) {
        for NextMessage { campaign, sender, sent, .. } in messages {
            if let Some(campaign) = self.campaigns.get_mut(campaign) {
                campaign.heard[*sender].lost = *sent;
            }
        }
    }

    /// Forgets the campaign that the node has begun and neither won nor lost.
    fn lose(&mut self, node: NodeId) {
        let Some(open) = self.open.remove(&node) else { return };
        open.campaign.into_iter().for_each(|number| self.forget(node, number));
    }

    fn forget(&mut self, node: NodeId, number: usize) {
        self.campaigns.remove(&number);
        for (_, link) in self.links.range_mut((node, NodeId(0))..=(node, NodeId(u64::MAX))) {
            link.open.retain(|next| next.campaign != number);
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
            RoleName::Follower => self.lose(node),
            RoleName::Leader => {
                let OpenCampaign { campaign: begun, candidacy, votes, .. } =
                    self.open.remove(&node).unwrap_or_default();
                let (membership, campaign) = (state.membership.clone(), None);
                let won = place;
                let election = Election { node, term, won, membership, campaign, candidacy, votes };
                self.won.push((election, begun));
            }
            RoleName::PreCandidate | RoleName::Candidate => {
                if cause != RoleCause::PreVotesGranted {
                    self.lose(node);
                    let begun = self.begin(node, place, cause, state);
                    self.open.insert(
                        node,
                        OpenCampaign { campaign: Some(begun), ..OpenCampaign::default() },
                    );
                }
                let open = self.open.entry(node).or_default();
                open.votes.clear();
                (open.term, open.candidacy) = match role {
                    RoleName::Candidate => (term, Some((place, state.status.last))),
                    _ => (Term::ZERO, None),
                };
            }
        }
    }

    /// Adds a campaign, and returns its number.
    fn begin(
        &mut self,
        node: NodeId,
        begun: StepPlace,
        cause: RoleCause,
        state: CoreState<'_>,
    ) -> usize {
        let campaign = self.begun;
        self.begun += 1;
        let deadline = begun.at.after(state.config.election_timeout_max);
        let mut heard = Vec::new();
        let links = self.links.range_mut((node, NodeId(0))..=(node, NodeId(u64::MAX)));
        for ((_, from), link) in links {
            // If the sender's clock is ahead, what it has sent is yet to come.
            let sent = link.unheard.first();
            link.open.push(NextMessage { campaign, sender: heard.len(), sent, deadline });
            heard.push(LastHeard { from: *from, last: link.last, lost: None });
        }
        self.campaigns.insert(campaign, Campaign { begun, cause, heard });
        campaign
    }
}

impl Link {
    /// Removes the messages whose outcome the arrival of another one decides, which was first sent
    /// at `first_sent`, and returns those that are lost: they were sent before it.
    fn overtaken(&mut self, message: &Message, first_sent: SimTime) -> Vec<NextMessage> {
        let is_lost = |next: &mut NextMessage| next.sent.is_some_and(|sent| sent < first_sent);
        let lost = self.open.extract_if(.., is_lost).collect();
        // It may be the message itself, also as a repetition of an earlier one.
        let is_other = |sent| is_sent_once(message) && sent != first_sent;
        self.open.retain(|next| next.sent.is_none_or(is_other));
        lost
    }
}

#[cfg(test)]
mod tests {
    use quorate::raft::{Config, Raft};
    use quorate::types::{Heartbeat, Incarnation, Instant, Restored};

    use super::*;

    const ONE: NodeId = NodeId(1);
    const TWO: NodeId = NodeId(2);

    /// The steps of n1 and n2, whose times are in milliseconds. n1 leads, and n2 campaigns.
    struct Steps {
        raft: Raft,
        elections: Elections,
    }

    impl Steps {
        fn new() -> Steps {
            let restored = Restored::fresh(Membership::new([ONE, TWO]));
            let raft = Raft::new(Config::new(TWO), restored, 7, Instant(0)).expect("it is valid");
            let mut elections = Elections::default();
            elections.recorded.extend([ONE, TWO]);
            Steps { raft, elections }
        }

        fn step(&mut self, node: NodeId, at: u64, input: Input, action: Option<Action>) {
            let sent_at = match &input {
                Input::Message(message) => Some(millis(message.term.0)),
                _ => None,
            };
            let (now, actions) = (Instant(0), action.into_iter().collect());
            let step = Step { record: 0, now, input, actions };
            let status = self.raft.status();
            let state = CoreState::of(&self.raft, &status);
            let kind = EventKind::Steps { step: &step, before: &status, due: now, sent_at, state };
            self.elections.observe(&Event { at: millis(at), node, kind }, 0);
        }

        fn sends(&mut self, at: u64) {
            self.step(ONE, at, Input::Timeout, Some(Action::Send(heartbeat(at))));
        }

        fn receives(&mut self, at: u64, sent: u64) {
            self.step(TWO, at, Input::Message(heartbeat(sent)), None);
        }

        fn becomes(&mut self, at: u64, role: RoleName, cause: RoleCause) {
            let change = Action::RoleChanged { role, term: Term(2), leader: None, cause };
            self.step(TWO, at, Input::Timeout, Some(change));
        }

        fn campaigns(&mut self, at: u64) {
            self.becomes(at, RoleName::PreCandidate, RoleCause::ElectionTimeout);
        }

        fn ends(&mut self, at: u64) {
            let event = Event { at: millis(at), node: TWO, kind: EventKind::Ends };
            self.elections.observe(&event, 0);
        }

        /// n2 wins; returns when n1 sent the first message that is lost.
        fn lost(mut self, won: u64) -> Option<SimTime> {
            self.becomes(won, RoleName::Leader, RoleCause::VotesGranted);
            self.ends(won + 10_000);
            let election = self.elections.finish().pop().expect("n2 has won");
            election.campaign.expect("it is recorded").heard[0].lost
        }
    }

    fn millis(time: u64) -> SimTime {
        SimTime(time * 1_000_000)
    }

    /// A heartbeat whose term is the time at which it is sent.
    fn heartbeat(sent: u64) -> Message {
        let body = Body::Heartbeat(Heartbeat::default());
        Message { from: ONE, incarnation: Incarnation(7), to: TWO, term: Term(sent), body }
    }

    #[test]
    fn a_message_that_arrives_after_the_campaign_is_not_lost() {
        let campaign = || {
            let mut steps = Steps::new();
            steps.sends(10);
            steps.receives(11, 10);
            steps.sends(990);
            steps.campaigns(1_000);
            steps
        };
        assert_eq!(campaign().lost(2_000), Some(millis(990)), "it never arrives");
        let mut late = campaign();
        late.receives(1_001, 990);
        assert_eq!(late.lost(2_000), None);
        let mut overtaken = campaign();
        overtaken.sends(1_010);
        overtaken.receives(1_011, 1_010);
        assert_eq!(overtaken.lost(1_020), Some(millis(990)));
    }

    #[test]
    fn a_message_under_way_at_the_end_of_the_recording_is_not_lost() {
        let lost = |end: u64| {
            let mut steps = Steps::new();
            steps.sends(990);
            steps.campaigns(1_000);
            steps.becomes(1_005, RoleName::Leader, RoleCause::VotesGranted);
            steps.ends(end);
            steps.sends(9_000);
            let election = steps.elections.finish().pop().expect("n2 has won");
            election.campaign.expect("it is recorded").heard[0].lost
        };
        let timeout = Config::new(TWO).election_timeout_max.as_millis() as u64;
        assert_eq!(lost(999 + timeout), None);
        assert_eq!(lost(1_000 + timeout), Some(millis(990)));
    }

    #[test]
    fn of_the_campaigns_that_were_not_won_only_the_open_one_is_kept() {
        let mut steps = Steps::new();
        steps.sends(1);
        for at in (10..1_000).step_by(10) {
            steps.campaigns(at);
            if at % 20 == 0 {
                steps.becomes(at + 1, RoleName::Follower, RoleCause::QuorumLost);
            }
        }
        let Elections { campaigns, links, .. } = &steps.elections;
        assert_eq!((campaigns.len(), links[&(TWO, ONE)].open.len()), (1, 1));
    }
}
