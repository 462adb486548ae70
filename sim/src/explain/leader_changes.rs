//! Explanations of the changes of leader that recordings of real nodes show.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Bound;

use quorate::raft::{RoleCause, RoleName};
use quorate::types::{NodeId, Term};

use crate::explain::explanation::Explanation;
use crate::explain::phrases;
use crate::explain::silence::{Silence, SilenceEvidence};
use crate::recordings::{
    AccountLine, Campaign, ClockOffset, Election, Leadership, Note, StepPlace,
};
use crate::values::time::SimTime;

/// The explanation of one change of leader. Every time is by the clock of the node that the
/// sentence is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaderChange {
    /// Which node leads which term, and which one led before.
    pub finding: String,
    /// The steps that led to the change, in causal order; at most [`Explanation::FACTS_MAX`].
    pub facts: Vec<StepFact>,
    /// The cause in one sentence, or the reason why it is undecided.
    pub cause: String,
}

/// A sentence about a step of a recorded node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepFact {
    /// The time by the clock of the node.
    pub at: SimTime,
    /// The number of the node's record, if the sentence is about one.
    pub record: Option<u64>,
    /// The sentence, which begins with the node.
    pub sentence: String,
}

/// The reason why a node came to lead.
enum Cause {
    /// No campaign for the term is recorded.
    NoCampaign,
    /// The node campaigned for this reason.
    Campaigned(SimTime, RoleCause),
    /// Its election timeout passed, and the leader before it, of this term, is not recorded.
    UnrecordedLeader(NodeId, Term),
    /// Its election timeout passed, because it heard nothing from this node.
    Silence(SimTime, NodeId, Silence),
}

/// The lines of an account and the elections in it, by node.
struct Evidence<'a> {
    lines: &'a [AccountLine],
    /// The places of the lines of each node.
    places: BTreeMap<NodeId, Vec<usize>>,
    /// For each term, the leader that a line of the account named last.
    named: BTreeMap<Term, NodeId>,
    elections: BTreeMap<(NodeId, Term), &'a Election>,
    silences: SilenceEvidence<'a>,
}

/// The place of a fact: the number of lines before it, and whether it is the change of a role. At
/// one place, a vote arrives before a role changes.
type Place = (usize, bool);

/// A leadership, the one of the term before, and the election between them.
#[derive(Clone, Copy)]
struct Change<'a> {
    new: &'a Leadership,
    old: Option<&'a Leadership>,
    election: Option<&'a Election>,
}

/// Explains why each leader in the account came to lead, in the order of their terms. The clocks of
/// two nodes differ as `clocks` says.
#[must_use]
pub fn leader_changes(
    lines: &[AccountLine],
    elections: &[Election],
    clocks: &[ClockOffset],
) -> Vec<LeaderChange> {
    let evidence = Evidence::new(lines, elections, clocks);
    let mut leaders = Leadership::all(lines);
    // The wall clocks may order the elections of two terms wrongly.
    leaders.sort_by_key(|leader| (leader.term, leader.node, leader.lines.0));
    let mut old = None::<&Leadership>;
    let mut explained = Vec::new();
    for new in &leaders {
        // After a gap in a leader's recording, its leadership is in the list once more.
        let is_same = old.is_some_and(|old| (old.node, old.term) == (new.node, new.term));
        if !is_same {
            let election = evidence.elections.get(&(new.node, new.term)).copied();
            explained.push(evidence.explain(Change { new, old, election }));
        }
        old = Some(new);
    }
    explained
}

impl<'a> Evidence<'a> {
    fn new(
        lines: &'a [AccountLine],
        elections: &'a [Election],
        clocks: &'a [ClockOffset],
    ) -> Evidence<'a> {
        let mut places: BTreeMap<NodeId, Vec<usize>> = BTreeMap::new();
        let mut named = BTreeMap::new();
        for (place, line) in lines.iter().enumerate() {
            places.entry(line.node).or_default().push(place);
            if let Note::ChangesRole { leader: Some(leader), .. }
            | Note::Begins { leader: Some(leader), .. } = line.note
            {
                named.insert(line.term, leader);
            }
        }
        let by_term = elections.iter().map(|election| ((election.node, election.term), election));
        let silences = SilenceEvidence::new(lines, clocks);
        Evidence { lines, places, named, elections: by_term.collect(), silences }
    }

    fn explain(&self, change: Change<'_>) -> LeaderChange {
        let Change { new, old, .. } = change;
        let (node, term, leads) = (new.node, new.term, leads_from(new));
        let finding = match (self.unrecorded_leader(change), old) {
            (Some((leader, led)), _) => {
                format!("{node} {leads}, after {leader}, whose leadership of {led} is not recorded")
            }
            (None, None) => format!("{node} {leads}, the first leader in the recordings"),
            (None, Some(old)) => format!(
                "the leadership moves from {}, which {}, to {node}, which {leads}",
                old.node,
                led_until(old)
            ),
        };
        let cause = self.cause(change);
        let facts = self.facts(change, &cause);
        LeaderChange { finding, facts, cause: cause.words(node, term) }
    }

    /// The last leader between the two leaderships, as other nodes name it. No leadership between
    /// the two is recorded.
    fn unrecorded_leader(&self, change: Change<'_>) -> Option<(NodeId, Term)> {
        let first = change.old.map_or(Term::ZERO, |old| old.term);
        if first >= change.new.term {
            return None;
        }
        let between = (Bound::Excluded(first), Bound::Excluded(change.new.term));
        self.named.range(between).next_back().map(|(term, leader)| (*leader, *term))
    }

    fn cause(&self, change: Change<'_>) -> Cause {
        let campaign = change.election.and_then(|election| election.campaign.as_ref());
        let Some(Campaign { begun, cause, .. }) = campaign else { return Cause::NoCampaign };
        if *cause != RoleCause::ElectionTimeout {
            return Cause::Campaigned(begun.at, *cause);
        }
        if let Some((leader, led)) = self.unrecorded_leader(change) {
            return Cause::UnrecordedLeader(leader, led);
        }
        match (change.old, campaign) {
            (Some(old), Some(campaign)) => {
                let silence = self.silences.of(change.new.node, campaign, old);
                Cause::Silence(begun.at, old.node, silence)
            }
            _ => Cause::Campaigned(begun.at, *cause),
        }
    }

    /// The steps of the election, the end of the old leadership, and the silences before the
    /// campaign; the latest of them.
    fn facts(&self, change: Change<'_>, cause: &Cause) -> Vec<StepFact> {
        let mut facts: Vec<(Place, StepFact)> = Vec::new();
        if let Some(election) = change.election {
            facts.extend(election_facts(election));
            let campaign = election.campaign.as_ref().filter(|_| change.old.is_some());
            let paused = campaign.and_then(|it| self.silences.own_pause_line(election.node, it));
            let silent = match cause {
                Cause::Silence(at, from, Silence::Lost { .. }) => {
                    self.silences.silent_link(election.node, *from, *at)
                }
                _ => None,
            };
            facts.extend(paused.into_iter().chain(silent).map(|place| self.fact_of(place)));
        }
        if let Some(old) = change.old {
            facts.extend(self.end_of(old, change.new));
        }
        facts.sort_by_key(|(place, _)| *place);
        facts.dedup();
        let too_many = facts.len().saturating_sub(Explanation::FACTS_MAX);
        facts.into_iter().skip(too_many).map(|(_, fact)| fact).collect()
    }

    /// The last lines about how the old leadership ended, up to its end or the beginning of the new
    /// one, whichever is later.
    fn end_of(&self, old: &Leadership, new: &Leadership) -> Vec<(Place, StepFact)> {
        let (first, end) = old.lines;
        let last = end.unwrap_or(first).max(new.lines.0);
        let Some(places) = self.places.get(&old.node) else { return Vec::new() };
        let places = &places[places.partition_point(|place| *place < first)..];
        let within = &places[..places.partition_point(|place| *place <= last)];
        let is_end = |place: &&usize| {
            matches!(
                self.lines[**place].note,
                Note::Ends
                    | Note::Lacks
                    | Note::TookNoStep { .. }
                    | Note::ChangesRole { role: RoleName::Follower, .. }
            )
        };
        let latest = within.iter().rev().filter(is_end).take(Explanation::FACTS_MAX);
        latest.map(|place| self.fact_of(*place)).collect()
    }

    fn fact_of(&self, place: usize) -> (Place, StepFact) {
        let AccountLine { at, node, record, note, .. } = &self.lines[place];
        let sentence = match note {
            Note::Ends => format!("{node}'s recording of this start ends"),
            Note::Lacks => format!("{node}'s next steps are missing"),
            note => format!("{node} {note}"),
        };
        // In one step, a pause or a silence ends before the node changes its role.
        let is_change = matches!(note, Note::ChangesRole { .. });
        ((place, is_change), StepFact { at: *at, record: *record, sentence })
    }
}

/// Describes the beginning of a leadership, or of its recording, as a verb phrase.
fn leads_from(new: &Leadership) -> String {
    let Leadership { term, from, .. } = new;
    match new.has_beginning {
        true => format!("leads {term} from {from} s"),
        false => format!("already leads {term} when its recording begins at {from} s"),
    }
}

/// Describes the end of a leadership, or of its recording, as a verb phrase.
fn led_until(old: &Leadership) -> String {
    let term = old.term;
    match (old.to, old.end) {
        (Some(to), Some(_)) => format!("leads {term} until {to} s"),
        (Some(to), None) => format!("still leads {term} when its recording stops at {to} s"),
        (None, _) => format!("leads {term}"),
    }
}

/// The candidacy, the votes that arrived, and the victory.
fn election_facts(election: &Election) -> Vec<(Place, StepFact)> {
    let Election { node, term, won, membership, candidacy, votes, .. } = election;
    let fact = |place: &StepPlace, is_change: bool, sentence: String| {
        let fact = StepFact { at: place.at, record: Some(place.record), sentence };
        ((place.line, is_change), fact)
    };
    let candidacy = candidacy.as_ref().map(|(place, last)| {
        let log = phrases::log_up_to(*last);
        fact(place, true, format!("{node} becomes a candidate in term {term} with {log}"))
    });
    let votes = votes.iter().map(|(voter, place)| {
        fact(place, false, format!("{node} receives {voter}'s vote in term {term}"))
    });
    let wins = fact(
        won,
        true,
        format!("{node} becomes leader of term {term} with the membership {membership}"),
    );
    candidacy.into_iter().chain(votes).chain([wins]).collect()
}

impl Cause {
    /// Describes why this node came to lead the term.
    fn words(&self, node: NodeId, term: Term) -> String {
        match self {
            Cause::NoCampaign => format!("undecided: no campaign of {node} for {term} is recorded"),
            Cause::Campaigned(at, cause) => format!("{node} campaigned at {at} s: {cause}"),
            Cause::UnrecordedLeader(leader, led) => {
                format!("undecided: the steps of {leader}, which led {led}, are not recorded")
            }
            Cause::Silence(at, old, silence) => silence.words(node, *at, *old),
        }
    }
}

impl fmt::Display for LeaderChange {
    /// Writes one line for each sentence.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.finding)?;
        writeln!(f)?;
        for StepFact { at, record, sentence } in &self.facts {
            let record = record.map_or(String::new(), |record| format!("#{record}"));
            writeln!(f, "{at:>10} s  {record:<7} {sentence}")?;
        }
        writeln!(f)?;
        writeln!(f, "cause: {}", self.cause)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ends_of_a_recording_are_not_those_of_a_leadership() {
        let line = |at: u64, node, term, note| {
            let (at, node, term) = (SimTime(at * 1_000_000_000), NodeId(node), Term(term));
            AccountLine { at, until: at, node, term, record: None, count: 1, note }
        };
        let (role, cause) = (RoleName::Leader, RoleCause::VotesGranted);
        let begins = || Note::Begins { role, leader: None };
        let wins = || Note::ChangesRole { role, leader: None, cause };
        let stops = Note::ChangesRole {
            role: RoleName::Follower,
            leader: None,
            cause: RoleCause::QuorumLost,
        };
        let findings = |lines: &[AccountLine]| {
            let changes = leader_changes(lines, &[], &[]).into_iter();
            changes.map(|change| change.finding).collect::<Vec<_>>()
        };
        let lines = [line(1, 1, 1, begins()), line(5, 1, 1, Note::Ends), line(9, 2, 2, begins())];
        let recorded = [
            "n1 already leads t1 when its recording begins at 1.000000 s, the first leader in the \
             recordings",
            "the leadership moves from n1, which still leads t1 when its recording stops at \
             5.000000 s, to n2, which already leads t2 when its recording begins at 9.000000 s",
        ];
        assert_eq!(findings(&lines), recorded);
        let lines = [line(1, 1, 1, wins()), line(5, 1, 2, stops), line(9, 2, 2, wins())];
        let certain = [
            "n1 leads t1 from 1.000000 s, the first leader in the recordings",
            "the leadership moves from n1, which leads t1 until 5.000000 s, to n2, which leads t2 \
             from 9.000000 s",
        ];
        assert_eq!(findings(&lines), certain);
    }
}
