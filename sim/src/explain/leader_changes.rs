//! Explanations of the changes of leader that recordings of real nodes show.

use quorate::raft::{RoleCause, RoleName};
use quorate::types::{NodeId, Term};

use crate::explain::explanation::{Draft, Explanation};
use crate::explain::facts;
use crate::explain::history::History;
use crate::record::{EventId, EventKind, Record};
use crate::recordings::{AccountLine, Leadership, Note};
use crate::values::time::SimTime;

/// A change of leader: the new leadership, when its node campaigned for it, and the one before.
#[derive(Clone, Copy)]
struct LeaderChange<'a> {
    new: &'a Leadership,
    old: Option<&'a Leadership>,
    /// When the node began the campaign that it won, if that is recorded.
    campaigned: Option<SimTime>,
}

/// Explains why each leader in the account came to lead: one explanation for each, in order. The
/// record has the events of the same recordings.
#[must_use]
pub fn leader_changes(record: &Record, lines: &[AccountLine]) -> Vec<Explanation> {
    let Some(last) = record.last() else { return Vec::new() };
    let history = History::new(record, last);
    let leaders = Leadership::all(lines);
    let mut old = None;
    let mut explained = Vec::new();
    // After a gap in a leader's recording, its leadership is in the list once more.
    let is_same = |a: &Leadership, b: &Leadership| (a.node, a.term) == (b.node, b.term);
    for new in &leaders {
        if old.is_some_and(|old| is_same(old, new)) {
            old = Some(new);
            continue;
        }
        let change = LeaderChange { new, old, campaigned: campaign_of(lines, new) };
        explained.push(explain_change(&history, lines, change));
        old = Some(new);
    }
    explained
}

fn explain_change(
    history: &History<'_>,
    lines: &[AccountLine],
    change: LeaderChange<'_>,
) -> Explanation {
    let LeaderChange { new, old, campaigned } = change;
    let (node, term, from) = (new.node, new.term, new.from);
    let mut draft = Draft::default();
    facts::election(history, &mut draft, node, term);
    if let Some(old) = old {
        end_of_leadership(history, &mut draft, old, from);
    }
    for line in lines.iter().filter(|line| line.node == node) {
        let Some(text) = silence(line, old, campaigned) else { continue };
        if let Some(id) = event_at(history, node, line.at) {
            draft.fact(id, history.at(id), text);
        }
    }
    if let Some((leader, led)) = unrecorded_leader(lines, new, old) {
        draft.cause(format!("undecided: the steps of {leader}, which led {led}, are not recorded"));
        return draft.finish(format!(
            "{node} leads {term} from {from} s, after {leader}, whose leadership of {led} is not \
             recorded"
        ));
    }
    draft.cause(cause_of(lines, change));
    let finding = match old {
        None => format!("{node} leads {term} from {from} s, the first leader in the recordings"),
        Some(old) => {
            let to = old.to.map_or(String::new(), |to| format!(" until {to} s"));
            format!(
                "the leadership moves from {}, which leads {}{to}, to {node}, which leads {term} \
                 from {from} s",
                old.node, old.term
            )
        }
    };
    draft.finish(finding)
}

/// The last leader between the two leaderships, according to another node. That leader's own
/// recording does not show its leadership, because no recorded leadership lies between the two.
fn unrecorded_leader(
    lines: &[AccountLine],
    new: &Leadership,
    old: Option<&Leadership>,
) -> Option<(NodeId, Term)> {
    let first = old.map_or(Term(0), |old| old.term);
    let is_between = |line: &&AccountLine| first < line.term && line.term < new.term;
    lines.iter().rev().filter(is_between).find_map(|line| match line.note {
        Note::ChangesRole { leader: Some(leader), .. } => Some((leader, line.term)),
        _ => None,
    })
}

/// Adds how the earlier leadership ended, up to its end or the next election, whichever is
/// later.
fn end_of_leadership(history: &History<'_>, draft: &mut Draft, old: &Leadership, next: SimTime) {
    let until = old.to.map_or(next, |to| to.max(next));
    let within = |at: SimTime| (old.from..=until).contains(&at);
    for (id, event) in history.events_of(old.node).filter(|(_, event)| within(event.at)) {
        let sentence = match &event.kind {
            EventKind::RecordingEnded | EventKind::TookNoStep { .. } => event.kind.to_string(),
            EventKind::Acted(text) if text.starts_with("becomes follower") => text.clone(),
            _ => continue,
        };
        draft.fact(id, event.at, format!("{} {sentence}", old.node));
    }
}

/// The last event of a node at or before a time.
fn event_at(history: &History<'_>, node: NodeId, at: SimTime) -> Option<EventId> {
    let mut earlier = history.events_of(node).take_while(|(_, event)| event.at <= at);
    let last = earlier.by_ref().last();
    last.map(|(id, _)| id)
}

/// Describes a silence that may have caused the new leader's campaign: the node heard nothing from
/// the old leader, or took no step itself.
fn silence(
    line: &AccountLine,
    old: Option<&Leadership>,
    campaigned: Option<SimTime>,
) -> Option<String> {
    let campaigned = campaigned?;
    match &line.note {
        Note::HeardNothing { from, since, .. } => {
            let is_old = old.is_some_and(|old| old.node == *from);
            let is_then = (*since..=line.at).contains(&campaigned);
            (is_old && is_then).then(|| format!("{} {}", line.node, line.note))
        }
        Note::TookNoStep { .. } => {
            (line.at == campaigned).then(|| format!("{} {}", line.node, line.note))
        }
        _ => None,
    }
}

/// When the node began the campaign that it won.
fn campaign_of(lines: &[AccountLine], new: &Leadership) -> Option<SimTime> {
    let mut before = lines.iter().filter(|line| line.node == new.node && line.at <= new.from);
    let begins = |line: &&AccountLine| {
        let Note::ChangesRole { role, cause, .. } = &line.note else { return false };
        let campaigns = matches!(role, RoleName::PreCandidate | RoleName::Candidate);
        campaigns && *cause != RoleCause::PreVotesGranted
    };
    new.campaign?;
    before.rfind(begins).map(|line| line.at)
}

/// Says why the leadership moved, as far as the recordings show it.
fn cause_of(lines: &[AccountLine], change: LeaderChange<'_>) -> String {
    let LeaderChange { new, old, campaigned } = change;
    let node = new.node;
    let (Some(campaign), Some(campaigned)) = (new.campaign, campaigned) else {
        return format!("undecided: no campaign of {node} for {} is recorded", new.term);
    };
    let Some(old) = old.filter(|_| campaign == RoleCause::ElectionTimeout) else {
        return format!("{node} campaigned at {campaigned} s: {campaign}");
    };
    let passed = format!("at {campaigned} s {node}'s election timeout passed");
    if let (Some(end), Some(to)) = (old.end, old.to)
        && to <= campaigned
    {
        return format!("{} stopped leading at {to} s: {end}; {passed}", old.node);
    }
    if let Some((since, until)) = pause_at(lines, old.node, campaigned)
        && old.node != node
        && !was_silent_before(lines, change, since)
    {
        return format!(
            "{} took no step from {since} to {until} s; {passed}, because no heartbeat arrived \
             meanwhile",
            old.node
        );
    }
    if let (None, Some(to)) = (old.end, old.to)
        && to <= campaigned
    {
        let then = match old.restart {
            Some(again) => format!("its process ended after that, and started again at {again} s"),
            None => "whether it still ran is undecided".to_owned(),
        };
        return format!("the recording of {} ends at {to} s: {then}; {passed}", old.node);
    }
    let is_silent = |line: &&AccountLine| {
        line.node == node && silence(line, Some(old), Some(campaigned)).is_some()
    };
    match lines.iter().find(is_silent).map(|line| &line.note) {
        Some(Note::HeardNothing { since, .. }) => {
            format!("nothing that {} sent after {since} s arrived at {node}: {passed}", old.node)
        }
        Some(_) => format!("{node} itself took no step for a while: {passed} meanwhile"),
        None => format!(
            "{passed}; the reason is undecided: the recordings show that {} took its steps, and \
             they show no long silence between the two",
            old.node
        ),
    }
}

/// Whether the new leader had heard nothing from the old one for longer before this pause than
/// during it: then the pause is not why it campaigned.
fn was_silent_before(lines: &[AccountLine], change: LeaderChange<'_>, pause: SimTime) -> bool {
    let LeaderChange { new, old, campaigned: Some(campaigned) } = change else { return false };
    lines.iter().filter(|line| line.node == new.node).any(|line| {
        let Note::HeardNothing { since, .. } = line.note else { return false };
        silence(line, old, Some(campaigned)).is_some()
            && pause.since(since.min(pause)) > campaigned.since(pause)
    })
}

/// The pause in which the node took no step and that contains `at`.
fn pause_at(lines: &[AccountLine], node: NodeId, at: SimTime) -> Option<(SimTime, SimTime)> {
    lines.iter().filter(|line| line.node == node).find_map(|line| match &line.note {
        Note::TookNoStep { pause, .. } => {
            let since = line.at.before(*pause);
            (since..=line.at).contains(&at).then_some((since, line.at))
        }
        _ => None,
    })
}
