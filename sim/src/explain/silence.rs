//! Why a node had heard nothing from the leader when its election timeout passed, as far as
//! recordings show it.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::time::Duration;

use quorate::raft::RoleCause;
use quorate::types::NodeId;

use crate::recordings::{
    AccountLine, Campaign, ClockOffset, LastHeard, Leadership, Note, clock_lead,
};
use crate::values::time::{Seconds, SimTime};

/// The reason for the silence of a leader. Times are by the clock of the leader, unless stated
/// otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Silence {
    /// The leader had stopped leading.
    Stopped { at: SimTime, cause: RoleCause },
    /// The leader took no step for most of the silence.
    Paused { since: SimTime, until: SimTime },
    /// The recording of the leader's start ends, and the next start is at `restart`.
    Ended { at: SimTime, restart: Option<SimTime> },
    /// The steps of the leader are missing from this time on.
    Missing { at: SimTime },
    /// The leader sent messages, and none of them arrived. The last one before arrived at `since`,
    /// by the clock of the receiver.
    Lost { since: Option<SimTime> },
    /// The node itself took no step before its election timeout passed.
    OwnPause { pause: Duration },
    /// The leader may have been silent for one of these reasons, but nothing shows how its clock
    /// differs from that of the node, or that changed.
    Incomparable,
    /// The recordings show no reason. The last message arrived at `since`, by the clock of the
    /// receiver.
    Unexplained { since: Option<SimTime> },
}

/// The lines of an account that show silences.
pub(super) struct SilenceEvidence<'a> {
    lines: &'a [AccountLine],
    clocks: &'a [ClockOffset],
    /// The pauses of each node, in order: the places of their lines.
    pauses: BTreeMap<NodeId, Vec<usize>>,
    /// The silent links by receiver and sender, in order: the places of their lines.
    links: BTreeMap<(NodeId, NodeId), Vec<usize>>,
}

/// The time in which a node heard nothing, by its own clock.
struct Window {
    from: SimTime,
    to: SimTime,
    /// The bounds of the time by which the leader's clock is ahead, in nanoseconds.
    lead: RangeInclusive<i128>,
}

impl<'a> SilenceEvidence<'a> {
    pub(super) fn new(lines: &'a [AccountLine], clocks: &'a [ClockOffset]) -> SilenceEvidence<'a> {
        let (mut pauses, mut links) = (BTreeMap::new(), BTreeMap::new());
        for (place, line) in lines.iter().enumerate() {
            match line.note {
                Note::TookNoStep { .. } => {
                    pauses.entry(line.node).or_insert_with(Vec::new).push(place);
                }
                Note::HeardNothing { from, .. } => {
                    links.entry((line.node, from)).or_insert_with(Vec::new).push(place);
                }
                _ => {}
            }
        }
        SilenceEvidence { lines, clocks, pauses, links }
    }

    /// Returns why `node`, which then campaigned, had heard nothing from the leader `old`.
    pub(super) fn of(&self, node: NodeId, campaign: &Campaign, old: &Leadership) -> Silence {
        let to = campaign.begun.at;
        let heard = campaign.heard.iter().find(|heard| heard.from == old.node);
        let since = heard.and_then(|heard| heard.last);
        let own_pause = self.own_pause(node, campaign);
        let Some(lead) = clock_lead(self.clocks, node, old.node) else {
            return match own_pause {
                Some(pause) => Silence::OwnPause { pause },
                None => Silence::Incomparable,
            };
        };
        let window = Window { from: since.unwrap_or_default().min(to), to, lead };
        let stopped = old.end.zip(old.to).filter(|(_, at)| window.ends_after(*at) == Some(true));
        if let Some((cause, at)) = stopped {
            return Silence::Stopped { at, cause };
        }
        let (paused, ended) = (self.pause_in(old.node, &window), self.end_of(old, &window));
        // A pause or an end of the leader explains the silence if it takes most of it. A shorter
        // one explains it only if the node itself made no pause, and no message was lost.
        let (most, part): (Vec<_>, Vec<_>) =
            [paused, ended].into_iter().flatten().partition(|(_, is_most)| *is_most);
        let is_lost = heard.is_some_and(|heard| window.has_lost(heard))
            || self.silent_link(node, old.node, to).is_some();
        let candidates = [
            most.first().map(|(silence, _)| *silence),
            own_pause.map(|pause| Silence::OwnPause { pause }),
            is_lost.then_some(Silence::Lost { since }),
            part.first().map(|(silence, _)| *silence),
            window.is_uncertain().then_some(Silence::Incomparable),
        ];
        let found = candidates.into_iter().flatten().next();
        found.unwrap_or(Silence::Unexplained { since })
    }

    /// The places of the lines that show the silences of a node before its campaign: its own pause,
    /// and its silent link from the leader.
    pub(super) fn lines_of(
        &self,
        node: NodeId,
        campaign: &Campaign,
        old: NodeId,
    ) -> [Option<usize>; 2] {
        let own = self.own_pause(node, campaign).map(|_| campaign.begun.line);
        [own, self.silent_link(node, old, campaign.begun.at)]
    }

    /// The time for which the node took no step before the one with which the campaign began.
    fn own_pause(&self, node: NodeId, campaign: &Campaign) -> Option<Duration> {
        let line = self.lines.get(campaign.begun.line)?;
        match line.note {
            Note::TookNoStep { pause, .. } if line.node == node => Some(pause),
            _ => None,
        }
    }

    /// The line about the messages of `from` that did not arrive at the node at this time.
    fn silent_link(&self, node: NodeId, from: NodeId, at: SimTime) -> Option<usize> {
        let places = self.links.get(&(node, from))?;
        let place = places.partition_point(|place| self.lines[*place].at < at);
        let place = *places.get(place)?;
        let Note::HeardNothing { since, .. } = self.lines[place].note else { return None };
        (since <= at).then_some(place)
    }

    /// The first pause of the leader in the window, and whether it takes most of the window.
    fn pause_in(&self, leader: NodeId, window: &Window) -> Option<(Silence, bool)> {
        let places = self.pauses.get(&leader)?;
        let first = places.partition_point(|place| !window.begins_before(self.lines[*place].at));
        let within = places[first..].iter().map_while(|place| {
            let line = &self.lines[*place];
            let Note::TookNoStep { pause, .. } = line.note else { return None };
            let since = line.at.before(pause);
            // The campaign began certainly after the beginning of the pause.
            (window.ends_after(since) == Some(true)).then_some((since, line.at))
        });
        let longest = within.max_by_key(|(since, until)| window.overlap(*since, *until));
        longest.map(|(since, until)| {
            let is_most = window.is_most(window.overlap(since, until));
            (Silence::Paused { since, until }, is_most)
        })
    }

    /// The end of the leader's recording in the window, and whether most of the window is after it.
    fn end_of(&self, old: &Leadership, window: &Window) -> Option<(Silence, bool)> {
        let to = old.to.filter(|_| old.end.is_none())?;
        if window.ends_after(to) != Some(true) {
            return None;
        }
        let end = old.lines.1.and_then(|place| self.lines.get(place));
        let is_gap = end.is_some_and(|line| line.note == Note::Lacks);
        let silence = match is_gap {
            true => Silence::Missing { at: to },
            false => Silence::Ended { at: to, restart: old.restart },
        };
        Some((silence, window.is_most(window.overlap(to, SimTime(u64::MAX)))))
    }
}

impl Window {
    /// Whether the window ends after this time of the leader's clock; `None` if that is uncertain.
    fn ends_after(&self, at: SimTime) -> Option<bool> {
        let (at, to) = (i128::from(at.0), i128::from(self.to.0));
        match () {
            () if at - self.lead.start() < to => Some(true),
            () if at - self.lead.end() >= to => Some(false),
            () => None,
        }
    }

    /// Whether the window may begin before this time of the leader's clock.
    fn begins_before(&self, at: SimTime) -> bool {
        i128::from(self.from.0) < i128::from(at.0) - self.lead.start()
    }

    /// The part of a time of the leader's clock that is certainly in the window, in nanoseconds.
    fn overlap(&self, since: SimTime, until: SimTime) -> i128 {
        let since = (i128::from(since.0) - self.lead.start()).max(i128::from(self.from.0));
        let until = (i128::from(until.0) - self.lead.end()).min(i128::from(self.to.0));
        until - since
    }

    fn is_most(&self, overlap: i128) -> bool {
        2 * overlap > i128::from(self.to.0 - self.from.0)
    }

    /// Whether the leader had sent a message before the window ended that has not arrived.
    fn has_lost(&self, heard: &LastHeard) -> bool {
        heard.next_sent.is_some_and(|next| self.ends_after(next) == Some(true))
    }

    /// Whether the clocks are known so badly that the window may have been anywhere.
    fn is_uncertain(&self) -> bool {
        self.lead.end() - self.lead.start() > i128::from(self.to.0 - self.from.0)
    }
}

impl Silence {
    /// Describes why `node` heard nothing from `old` before its election timeout passed at
    /// `campaigned`.
    pub(super) fn words(&self, node: NodeId, campaigned: SimTime, old: NodeId) -> String {
        let passed = format!("at {campaigned} s {node}'s election timeout passed");
        let last = |since: &Option<SimTime>| match since {
            Some(since) => format!("after {since} s"),
            None => "since its recording began".to_owned(),
        };
        match self {
            Silence::Stopped { at, cause } => {
                format!("{old} stopped leading at {at} s: {cause}; {passed}")
            }
            Silence::Paused { since, until } => format!(
                "{old} took no step from {since} to {until} s; {passed}, because no heartbeat \
                 arrived meanwhile"
            ),
            Silence::Ended { at, restart } => {
                let then = match restart {
                    Some(again) => {
                        format!("its process ended after that, and started again at {again} s")
                    }
                    None => "whether it still ran is undecided".to_owned(),
                };
                format!("the recording of {old} ends at {at} s: {then}; {passed}")
            }
            Silence::Missing { at } => format!(
                "{passed}; the reason is undecided, because the steps of {old} after {at} s are \
                 missing"
            ),
            Silence::Lost { since } => {
                let last = last(since);
                format!("nothing that {old} sent {last} arrived at {node}: {passed}")
            }
            Silence::OwnPause { pause } => {
                let pause = Seconds(*pause);
                format!("{node} itself took no step for {pause} s before: {passed} meanwhile")
            }
            Silence::Incomparable => format!(
                "{passed}; the reason is undecided, because the recordings do not show how the \
                 clocks of {old} and {node} differ"
            ),
            Silence::Unexplained { since } => {
                let last = last(since);
                format!(
                    "{passed}; the reason is undecided: no message of {old} arrived at {node} \
                     {last}, and the recordings show neither a pause of {old} nor a lost message"
                )
            }
        }
    }
}
