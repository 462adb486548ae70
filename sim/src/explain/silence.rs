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
    /// The leader took no step from `since` to `until`, a part of the silence.
    Paused { since: SimTime, until: SimTime },
    /// The recording of the leader's start ends, and the next start is at `restart`. The process
    /// certainly ended during the silence if it also started again during the silence.
    Ended { at: SimTime, restart: Option<SimTime>, has_ended: bool },
    /// The steps of the leader are missing from this time on.
    Missing { at: SimTime },
    /// The leader sent a message that never arrived. The last one before arrived at `since`, by the
    /// clock of the receiver.
    Lost { since: Option<SimTime> },
    /// The node itself took no step for this time before its election timeout passed.
    OwnPause { pause: Duration },
    /// The leader may have been silent for one of these reasons, but the difference between its
    /// clock and that of the node is not known well enough.
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
    /// The beginnings of each node's recordings, in order: the places of their lines.
    begins: BTreeMap<NodeId, Vec<usize>>,
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
        let (mut pauses, mut begins) = (BTreeMap::new(), BTreeMap::new());
        let mut links = BTreeMap::new();
        for (place, line) in lines.iter().enumerate() {
            match line.note {
                Note::TookNoStep { .. } => {
                    pauses.entry(line.node).or_insert_with(Vec::new).push(place);
                }
                Note::Starts | Note::Begins { .. } => {
                    begins.entry(line.node).or_insert_with(Vec::new).push(place);
                }
                Note::HeardNothing { from, .. } => {
                    links.entry((line.node, from)).or_insert_with(Vec::new).push(place);
                }
                _ => {}
            }
        }
        SilenceEvidence { lines, clocks, pauses, begins, links }
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
        let from = since.or_else(|| self.recorded_since(node, campaign)).unwrap_or_default();
        let window = Window { from: from.min(to), to, lead };
        let stopped = old.end.zip(old.to).filter(|(_, at)| window.ends_after(*at) == Some(true));
        if let Some((cause, at)) = stopped {
            return Silence::Stopped { at, cause };
        }
        let (paused, ended) = (self.pause_in(old.node, &window), self.end_of(old, &window));
        // A pause or an end of the leader explains the silence if it takes most of it. A shorter
        // one explains it only if the node itself made no pause, and no message was lost.
        let (most, part): (Vec<_>, Vec<_>) =
            [paused, ended].into_iter().flatten().partition(|(_, is_most)| *is_most);
        let is_lost = heard.is_some_and(|heard| window.has_lost(heard));
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

    /// The place of the line that shows the node's own pause before its campaign.
    pub(super) fn own_pause_line(&self, node: NodeId, campaign: &Campaign) -> Option<usize> {
        self.own_pause(node, campaign).map(|_| campaign.begun.line)
    }

    /// When the recording that has the node's campaign began.
    fn recorded_since(&self, node: NodeId, campaign: &Campaign) -> Option<SimTime> {
        let places = self.begins.get(&node)?;
        let before = places.partition_point(|place| *place < campaign.begun.line);
        places[..before].last().map(|place| self.lines[*place].at)
    }

    /// The time for which the node took no step before the one with which the campaign began.
    fn own_pause(&self, node: NodeId, campaign: &Campaign) -> Option<Duration> {
        let line = self.lines.get(campaign.begun.line)?;
        match line.note {
            Note::TookNoStep { pause, .. } if line.node == node => Some(pause),
            _ => None,
        }
    }

    /// The line which says that the node heard nothing from `from` at this time. The messages that
    /// it counts may have been sent later, or be under way when the recording ends.
    pub(super) fn silent_link(&self, node: NodeId, from: NodeId, at: SimTime) -> Option<usize> {
        let places = self.links.get(&(node, from))?;
        let place = places.partition_point(|place| self.lines[*place].at < at);
        let place = *places.get(place)?;
        let Note::HeardNothing { since, .. } = self.lines[place].note else { return None };
        (since <= at).then_some(place)
    }

    /// The pause of the leader that takes the largest part of the window, and whether that part is
    /// most of the window.
    fn pause_in(&self, leader: NodeId, window: &Window) -> Option<(Silence, bool)> {
        let places = self.pauses.get(&leader)?;
        let first = places.partition_point(|place| !window.begins_before(self.lines[*place].at));
        let within = places[first..].iter().map_while(|place| {
            let line = &self.lines[*place];
            let Note::TookNoStep { pause, .. } = line.note else { return None };
            let since = line.at.before(pause);
            // The campaign certainly began after the beginning of the pause.
            (window.ends_after(since) == Some(true)).then_some((since, line.at))
        });
        let overlaps = within.map(|(since, until)| (window.overlap(since, until), since, until));
        // A pause that only the uncertainty of the clocks puts into the window explains nothing.
        let (overlap, since, until) = overlaps.max().filter(|(overlap, ..)| *overlap > 0)?;
        Some((Silence::Paused { since, until }, window.is_most(overlap)))
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
            false => {
                let restart = old.restart;
                let has_ended = restart.is_some_and(|at| window.ends_after(at) == Some(true));
                Silence::Ended { at: to, restart, has_ended }
            }
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

    /// Whether the leader had sent a message before the window ended that never arrived.
    fn has_lost(&self, heard: &LastHeard) -> bool {
        heard.lost.is_some_and(|sent| self.ends_after(sent) == Some(true))
    }

    /// Whether the difference of the clocks is known less exactly than the window is long.
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
            None => format!("since the recording of {node} began"),
        };
        match self {
            Silence::Stopped { at, cause } => {
                format!("{old} stopped leading at {at} s: {cause}; {passed}")
            }
            Silence::Paused { since, until } => format!(
                "{old} took no step from {since} to {until} s; {passed}, because no heartbeat \
                 arrived meanwhile"
            ),
            Silence::Ended { at, restart, has_ended } => {
                let then = match restart {
                    Some(again) if *has_ended => {
                        format!("its process ended after that, and started again at {again} s")
                    }
                    Some(again) => format!(
                        "its process ended before it started again at {again} s, and whether it \
                         still ran meanwhile is undecided"
                    ),
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
                format!(
                    "no message of {old} arrived at {node} {last}, and at least one that {old} \
                     sent is lost: {passed}"
                )
            }
            Silence::OwnPause { pause } => {
                let pause = Seconds(*pause);
                format!(
                    "{node} itself took no step for {pause} s, in which its election timeout \
                     passed: it campaigned at {campaigned} s"
                )
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

#[cfg(test)]
mod tests {
    use quorate::raft::RoleName;
    use quorate::types::Term;

    use super::*;
    use crate::recordings::StepPlace;

    const ONE: NodeId = NodeId(1);
    const TWO: NodeId = NodeId(2);

    /// A line of an account, whose time is in milliseconds.
    fn line(at: u64, node: NodeId, note: Note) -> AccountLine {
        let at = millis(at);
        AccountLine { at, until: at, node, term: Term(1), record: None, count: 1, note }
    }

    fn millis(time: u64) -> SimTime {
        SimTime(time * 1_000_000)
    }

    /// The leadership of n1, the recording of which ends at the line at this place.
    fn recorded_up_to(lines: &[AccountLine], end: usize, restart: Option<u64>) -> Leadership {
        Leadership {
            node: ONE,
            term: Term(1),
            from: SimTime(0),
            has_beginning: true,
            to: lines.get(end).map(|line| line.at),
            campaign: None,
            end: None,
            restart: restart.map(millis),
            pause: None,
            lines: (0, Some(end)),
        }
    }

    /// Why n2 had heard nothing from n1 when it campaigned at 1.5 s, by clocks that are equal.
    fn silence(lines: &[AccountLine], old: &Leadership, heard: LastHeard) -> Silence {
        let begun = StepPlace { line: lines.len(), at: millis(1_500), record: 0 };
        let campaign = Campaign { begun, cause: RoleCause::ElectionTimeout, heard: vec![heard] };
        let clocks = [ClockOffset { one: ONE, other: TWO, min: 0, max: 0 }];
        SilenceEvidence::new(lines, &clocks).of(TWO, &campaign, old)
    }

    fn heard(last: Option<u64>, lost: Option<u64>) -> LastHeard {
        LastHeard { from: ONE, last: last.map(millis), lost: lost.map(millis) }
    }

    #[test]
    fn a_message_explains_a_silence_only_if_it_is_lost_and_was_sent_before_its_end() {
        let lines = [line(0, ONE, Note::Starts), line(0, TWO, Note::Starts)];
        let old = recorded_up_to(&lines, 9, None);
        let since = Some(millis(1_000));
        let unexplained = Silence::Unexplained { since };
        assert_eq!(silence(&lines, &old, heard(Some(1_000), None)), unexplained);
        assert_eq!(silence(&lines, &old, heard(Some(1_000), Some(1_600))), unexplained);
        let lost = Silence::Lost { since };
        assert_eq!(silence(&lines, &old, heard(Some(1_000), Some(1_400))), lost);
    }

    /// n2 hears nothing from n1 up to 9 s, because n1 sends messages after 1.5 s that are lost.
    #[test]
    fn messages_that_are_lost_after_a_campaign_do_not_explain_it() {
        let note = Note::HeardNothing { from: ONE, since: millis(1_000), sent: 9 };
        let lines =
            [line(0, ONE, Note::Starts), line(0, TWO, Note::Starts), line(9_000, TWO, note)];
        let old = recorded_up_to(&lines, 9, None);
        let found = silence(&lines, &old, heard(Some(1_000), Some(1_700)));
        assert_eq!(found, Silence::Unexplained { since: Some(millis(1_000)) });
    }

    #[test]
    fn a_process_has_ended_during_a_silence_only_if_it_started_again_during_it() {
        let lines = [line(0, ONE, Note::Starts), line(1_000, ONE, Note::Ends)];
        let words = |restart| {
            let old = recorded_up_to(&lines, 1, restart);
            silence(&lines, &old, heard(Some(990), None)).words(TWO, millis(1_500), ONE)
        };
        let ended = "its process ended after that, and started again at 1.400000 s; at ";
        assert!(words(Some(1_400)).contains(ended), "{}", words(Some(1_400)));
        for restart in [Some(9_000), None] {
            assert!(words(restart).contains(" is undecided; at "), "{}", words(restart));
        }
    }

    /// n2 may have heard from n1 before its own recording begins at 1.2 s.
    #[test]
    fn a_silence_begins_with_the_recording_of_the_node() {
        let begins = Note::Begins { role: RoleName::Follower, leader: Some(ONE) };
        let pause = Duration::from_millis(900);
        let lines = [
            line(0, ONE, Note::Starts),
            line(1_000, ONE, Note::TookNoStep { pause, late: pause }),
            line(1_200, TWO, begins),
        ];
        let old = recorded_up_to(&lines, 9, None);
        assert_eq!(silence(&lines, &old, heard(None, None)), Silence::Unexplained { since: None });
    }
}
