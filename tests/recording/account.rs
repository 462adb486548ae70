//! The account of recordings: who led and why, which links were silent, and a scenario from it; and
//! the explanations of the changes of leader.

use core::time::Duration;

use quorate::raft::{RoleCause, RoleName};
use quorate::types::{NodeId, Term};
use quorate_sim::explain::{LeaderChange, leader_changes};
use quorate_sim::record::RecordBuilder;
use quorate_sim::recordings::{
    Account, AccountLine, Campaign, ClockOffset, Election, Leadership, Note, Skeleton, StepPlace,
    merge,
};
use quorate_sim::run::RunOptions;
use quorate_sim::scenario::Scenario;
use quorate_sim::settings::Settings;
use quorate_sim::values::time::SimTime;

use super::checks::surveyed;
use crate::harness::{Cluster, ONE, THREE, TICK, TWO, voters};

#[test]
fn an_account_names_leaders_silent_links_and_pauses_and_becomes_a_scenario() {
    let mut cluster = Cluster::new(3);
    cluster.elect(ONE);
    cluster.propose(ONE, "one command");
    cluster.pass(Duration::from_secs(1));
    cluster.cut(ONE, THREE);
    cluster.cut(TWO, THREE);
    cluster.pass(Duration::from_secs(2));
    cluster.uncut(ONE, THREE);
    cluster.uncut(TWO, THREE);
    cluster.pass(Duration::from_secs(2));
    cluster.node_mut(TWO).oversleep(Duration::from_secs(3));
    cluster.pass(Duration::from_secs(1));
    let recordings = [ONE, TWO, THREE].map(|id| surveyed(cluster.node_mut(id).finish_recording()));
    let (mut account, mut skeleton) = (Account::default(), Skeleton::default());
    let merged = merge(&recordings, |event| {
        account.observe(event);
        skeleton.observe(event);
    });
    assert_eq!((merged.unmatched, merged.disordered), (0, 0));
    let leaders = Leadership::all(account.lines());
    assert_eq!((leaders[0].node, leaders[0].term), (ONE, Term(1)));
    assert_eq!(leaders[0].campaign, Some(RoleCause::CampaignRequested));
    assert!(matches!(leaders[0].end, Some(RoleCause::LaterTerm { from: THREE })), "{leaders:?}");
    let is_silent = |note: &Note| matches!(note, Note::HeardNothing { from: ONE, .. });
    let silent = account.lines().iter().find(|line| line.node == THREE && is_silent(&line.note));
    let silent = silent.expect("n3 heard nothing for two seconds");
    assert!(silent.note.to_string().starts_with("heard nothing from n1 since 1."), "{silent:?}");
    let paused = |note: &Note| matches!(note, Note::TookNoStep { .. });
    assert!(account.lines().iter().any(|line| line.node == TWO && paused(&line.note)));
    let text = skeleton.text(account.lines(), Settings::NODES_MAX);
    for part in ["nodes 3\n", "at 1ms campaign n1\n", " cut n1 -> n3 for ", " pause n2 for 3"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let scenario = Scenario::read(&text, &RunOptions::default().workload);
    assert!(scenario.is_ok(), "{text}: {:?}", scenario.err());
}

/// Returns a cluster whose nodes have wall clocks ahead by this number of seconds, and that n1 has
/// led for a second.
fn led_by_one(ahead: [u64; 3]) -> Cluster {
    let mut cluster = Cluster::new(3);
    for (id, seconds) in [ONE, TWO, THREE].into_iter().zip(ahead) {
        cluster.node_mut(id).clock_ahead = Duration::from_secs(seconds);
        cluster.crash(id);
        cluster.restart(id);
    }
    cluster.elect(ONE);
    cluster.propose(ONE, "one command");
    cluster.pass(Duration::from_secs(1));
    cluster
}

/// Lets two seconds pass in which a node takes no step, and its messages are lost.
fn pause(cluster: &mut Cluster, paused: NodeId) {
    cluster.isolate(paused);
    for _ in 0..40 {
        for id in cluster.ids() {
            match id == paused {
                true => cluster.node_mut(id).oversleep(TICK),
                false => cluster.tick(id, 1),
            }
        }
    }
    for other in cluster.ids() {
        cluster.uncut(paused, other);
    }
    cluster.tick(paused, 1);
}

/// Ends the recordings, and explains the changes of leader in them.
fn explained(cluster: &mut Cluster) -> (Vec<LeaderChange>, Account) {
    let recordings = [ONE, TWO, THREE].map(|id| surveyed(cluster.node_mut(id).finish_recording()));
    let mut account = Account::default();
    let merged = merge(&recordings, |event| account.observe(event));
    let (lines, elections) = account.clone().finish();
    (leader_changes(&lines, &elections, &merged.clocks), account)
}

/// The differences of the clocks that the explanations must not depend on, in seconds.
const CLOCKS: [[u64; 3]; 5] = [[0, 0, 0], [5, 0, 0], [0, 5, 0], [0, 0, 5], [3, 100, 0]];

/// Runs this after a second of n1's leadership, and checks how the cause of the next leader begins,
/// whatever the clocks show.
fn next_leader_because(cause: &str, mut then: impl FnMut(&mut Cluster)) {
    for ahead in CLOCKS {
        let mut cluster = led_by_one(ahead);
        then(&mut cluster);
        cluster.pass(Duration::from_secs(3));
        let (changes, account) = explained(&mut cluster);
        let [first, second, ..] = &changes[..] else { panic!("{changes:?}") };
        assert!(first.cause.starts_with("n1 campaigned at "), "{ahead:?}: {first}");
        assert!(
            second.finding.starts_with("the leadership moves from n1, "),
            "{ahead:?}: {second}"
        );
        assert!(second.cause.starts_with(cause), "{ahead:?}: {second}");
        for line in account.lines() {
            if let Note::HeardNothing { since, .. } = line.note {
                let silence = line.at.since(since);
                assert!(silence < Duration::from_secs(4), "{ahead:?}: {line:?}");
            }
        }
    }
}

#[test]
fn a_paused_leader_is_the_cause_although_clocks_differ() {
    next_leader_because("n1 took no step from ", |cluster| pause(cluster, ONE));
}

#[test]
fn lost_messages_are_the_cause_although_clocks_differ() {
    next_leader_because("no message of n1 arrived at ", |cluster| cluster.isolate(ONE));
}

#[test]
fn the_end_of_a_recording_is_the_cause_although_clocks_differ() {
    next_leader_because("the recording of n1 ends at ", |cluster| cluster.crash(ONE));
}

#[test]
fn a_pause_of_the_new_leader_is_the_cause_although_clocks_differ() {
    next_leader_because("n2 itself took no step for ", |cluster| pause(cluster, TWO));
}

#[test]
fn a_pause_of_the_leader_that_was_over_is_not_the_cause() {
    next_leader_because("no message of n1 arrived at ", |cluster| {
        cluster.node_mut(ONE).oversleep(TICK * 12);
        cluster.tick(TWO, 5);
        cluster.tick(THREE, 5);
        cluster.pass(Duration::from_secs(1));
        cluster.isolate(ONE);
    });
}

/// A log with which a part of a recording begins takes memory, too.
#[test]
fn the_logs_of_many_starts_fill_a_record() {
    let mut cluster = Cluster::new(1);
    cluster.elect(ONE);
    for _ in 0..400 {
        cluster.propose(ONE, "one command");
    }
    let filled = |cluster: &mut Cluster| {
        let recordings = [surveyed(cluster.node_mut(ONE).finish_recording())];
        let everything = SimTime(0)..=SimTime(u64::MAX);
        let mut builder = RecordBuilder::new(&[ONE], everything, 18_000);
        let merged = merge(&recordings, |event| builder.observe(event));
        let built = builder.finish(&merged.clocks);
        assert!(built.record.events.len() < 18_000, "{} events", built.record.events.len());
        built.full_at.is_some()
    };
    assert!(!filled(&mut cluster));
    for _ in 0..600 {
        cluster.crash(ONE);
        cluster.restart(ONE);
        cluster.campaign(ONE);
    }
    assert!(filled(&mut cluster));
}

/// Every change is explained from its own part of the account: otherwise this would take hours.
#[test]
fn many_changes_of_leader_are_explained() {
    const CHANGES: u64 = 100_000;
    let (mut lines, mut elections) = (Vec::new(), Vec::new());
    for number in 1..=CHANGES {
        let (node, term) = (NodeId(1 + number % 3), Term(number));
        let begun = StepPlace { line: lines.len(), at: SimTime(number * 1_000), record: number };
        let mut becomes = |role, cause| {
            let note = Note::ChangesRole { role, leader: None, cause };
            let (at, record) = (begun.at, Some(number));
            lines.push(AccountLine { at, until: at, node, term, record, count: 1, note });
        };
        becomes(RoleName::Candidate, RoleCause::ElectionTimeout);
        let won = StepPlace { line: begun.line + 1, ..begun };
        becomes(RoleName::Leader, RoleCause::VotesGranted);
        becomes(RoleName::Follower, RoleCause::QuorumLost);
        let campaign = Campaign { begun, cause: RoleCause::ElectionTimeout, heard: Vec::new() };
        elections.push(Election {
            node,
            term,
            won,
            membership: voters(3),
            campaign: Some(campaign),
            candidacy: None,
            votes: Vec::new(),
        });
    }
    let offset = |one, other| ClockOffset { one, other, min: 0, max: 0 };
    let clocks = [offset(ONE, TWO), offset(ONE, THREE)];
    let changes = leader_changes(&lines, &elections, &clocks);
    assert_eq!(changes.len() as u64, CHANGES);
    let last = changes.last().expect("there are many");
    assert!(last.cause.starts_with("n1 stopped leading at 0.099999 s: "), "{last}");
}
