//! The leaderships in an account: which node led from when to when, and why it began and ended.

use std::collections::BTreeMap;
use std::time::Duration;

use quorate::raft::{RoleCause, RoleName};
use quorate::types::{NodeId, Term};

use crate::recordings::account::{AccountLine, Note};
use crate::values::time::SimTime;

/// One node's leadership of one term.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leadership {
    /// The node that led.
    pub node: NodeId,
    /// The term that it led.
    pub term: Term,
    /// When the leadership began or, if the recording lacks that, when the recording began.
    pub from: SimTime,
    /// Whether the recording has the beginning of the leadership.
    pub has_beginning: bool,
    /// When it ended or, if `end` is `None`, when the recording ended.
    pub to: Option<SimTime>,
    /// Why the node last campaigned before; `None` if no campaign of it is recorded.
    pub campaign: Option<RoleCause>,
    /// Why the leadership ended; `None` if the recording ended first.
    pub end: Option<RoleCause>,
    /// When the node started again after its recording ended. The end of its process, somewhere
    /// between the two, is not recorded.
    pub restart: Option<SimTime>,
    /// The time without a step right before the leadership ended: after the pause, the node
    /// committed nothing and led no longer than the pause was.
    pub pause: Option<Duration>,
    /// The place of the line with which it began, and of the one with which it ended.
    pub lines: (usize, Option<usize>),
}

/// Collects leaderships, line by line.
#[derive(Default)]
struct Collector {
    found: Vec<Leadership>,
    /// The place in the list of each node's last leadership.
    last: BTreeMap<NodeId, usize>,
    /// The reason for the campaign that each node has begun and neither won nor lost.
    campaigns: BTreeMap<NodeId, RoleCause>,
    /// The last pause of each node after which it committed nothing: its end and its length.
    pauses: BTreeMap<NodeId, (SimTime, Duration)>,
}

impl Leadership {
    /// Returns the leaderships in an account, in the order in which they began.
    #[must_use]
    pub fn all(lines: &[AccountLine]) -> Vec<Leadership> {
        let mut collector = Collector::default();
        for (place, line) in lines.iter().enumerate() {
            collector.add(place, line);
        }
        collector.found
    }
}

impl Collector {
    fn add(&mut self, place: usize, line: &AccountLine) {
        let (node, at) = (line.node, line.at);
        match &line.note {
            Note::ChangesRole { role: RoleName::Leader, .. } => {
                let campaign = self.campaigns.remove(&node);
                self.begin(place, line, campaign);
            }
            Note::ChangesRole { role, cause, .. } => {
                self.end(place, line, Some(*cause));
                match role {
                    RoleName::Follower => _ = self.campaigns.remove(&node),
                    _ if *cause == RoleCause::PreVotesGranted => {}
                    _ => _ = self.campaigns.insert(node, *cause),
                }
            }
            Note::Begins { role, .. } => {
                self.campaigns.remove(&node);
                if *role == RoleName::Leader {
                    self.begin(place, line, None);
                }
            }
            Note::TookNoStep { pause, .. } => _ = self.pauses.insert(node, (at, *pause)),
            Note::Commits { .. } => _ = self.pauses.remove(&node),
            Note::Ends | Note::Lacks => {
                self.pauses.remove(&node);
                self.end(place, line, None);
            }
            Note::Starts => {
                self.campaigns.remove(&node);
                let last = self.last.get(&node).map(|last| &mut self.found[*last]);
                if let Some(last) = last.filter(|last| last.end.is_none()) {
                    last.restart.get_or_insert(at);
                }
            }
            _ => {}
        }
    }

    fn begin(&mut self, place: usize, line: &AccountLine, campaign: Option<RoleCause>) {
        self.pauses.remove(&line.node);
        self.last.insert(line.node, self.found.len());
        self.found.push(Leadership {
            node: line.node,
            term: line.term,
            from: line.at,
            has_beginning: !matches!(line.note, Note::Begins { .. }),
            to: None,
            campaign,
            end: None,
            restart: None,
            pause: None,
            lines: (place, None),
        });
    }

    /// Ends the leadership of the node, if it leads.
    fn end(&mut self, place: usize, line: &AccountLine, cause: Option<RoleCause>) {
        let pause = self.pauses.remove(&line.node);
        let last = self.last.get(&line.node).map(|last| &mut self.found[*last]);
        let Some(current) = last.filter(|last| last.to.is_none()) else { return };
        (current.to, current.end) = (Some(line.at), cause);
        current.lines.1 = Some(place);
        let is_recent = |(ended, pause): &(SimTime, Duration)| line.at.since(*ended) <= *pause;
        current.pause = pause.filter(is_recent).map(|(_, pause)| pause);
    }
}

#[cfg(test)]
mod tests {
    use quorate::raft::RejectReason;
    use quorate::types::Index;

    use super::*;

    const ONE: NodeId = NodeId(1);

    fn lines(notes: Vec<Note>) -> Vec<AccountLine> {
        let line = |(at, note)| {
            let at = SimTime(at);
            AccountLine { at, until: at, node: ONE, term: Term(1), record: None, count: 1, note }
        };
        (0..).zip(notes).map(line).collect()
    }

    fn becomes(role: RoleName, cause: RoleCause) -> Note {
        Note::ChangesRole { role, leader: None, cause }
    }

    #[test]
    fn a_pause_belongs_to_the_end_unless_a_commit_or_a_longer_time_follows() {
        let paused = |nanos| {
            let pause = Duration::from_nanos(nanos);
            Note::TookNoStep { pause, late: pause }
        };
        let commits = || Note::Commits { from: Index(1), to: Index(2) };
        let begins = || Note::Begins { role: RoleName::Leader, leader: Some(ONE) };
        let pause_of = |notes: Vec<Note>| Leadership::all(&lines(notes))[0].pause;
        let stops = || becomes(RoleName::Follower, RoleCause::QuorumLost);
        let starts = || becomes(RoleName::PreCandidate, RoleCause::ElectionTimeout);
        assert!(pause_of(vec![begins(), commits(), paused(1), stops()]).is_some());
        assert_eq!(pause_of(vec![begins(), paused(9), commits(), stops()]), None);
        assert_eq!(pause_of(vec![begins(), paused(9), Note::Ends]), None);
        let rejects = || Note::RejectsRequest(RejectReason::Busy);
        assert!(pause_of(vec![begins(), paused(2), rejects(), stops()]).is_some());
        assert_eq!(pause_of(vec![begins(), paused(1), rejects(), stops()]), None, "long before");
        assert_eq!(pause_of(vec![begins(), starts()]), None);
    }

    #[test]
    fn a_campaign_before_a_gap_is_not_the_one_that_was_won_after_it() {
        let campaigns = || becomes(RoleName::Candidate, RoleCause::ElectionTimeout);
        let wins = || becomes(RoleName::Leader, RoleCause::VotesGranted);
        let campaign_of = |notes: Vec<Note>| Leadership::all(&lines(notes))[0].campaign;
        let begins = Note::Begins { role: RoleName::Candidate, leader: None };
        assert_eq!(campaign_of(vec![campaigns(), Note::Lacks, begins, wins()]), None);
        assert_eq!(campaign_of(vec![campaigns(), wins()]), Some(RoleCause::ElectionTimeout));
    }

    #[test]
    fn a_leadership_that_a_recording_begins_with_may_have_begun_before() {
        let has_beginning = |note| Leadership::all(&lines(vec![note]))[0].has_beginning;
        assert!(!has_beginning(Note::Begins { role: RoleName::Leader, leader: Some(ONE) }));
        assert!(has_beginning(becomes(RoleName::Leader, RoleCause::VotesGranted)));
    }
}
