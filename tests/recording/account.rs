//! The account of recordings: who led and why, which links were silent, and a scenario from it.

use core::time::Duration;

use quorate::raft::RoleCause;
use quorate::types::Term;
use quorate_sim::recordings::{Account, Leadership, Note, Skeleton, merge};
use quorate_sim::run::RunOptions;
use quorate_sim::scenario::Scenario;
use quorate_sim::settings::Settings;

use crate::checks::surveyed;
use crate::harness::{Cluster, ONE, THREE, TWO};

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
