//! Figure 7 of the paper: seven logs and their repair. The votes are tested with real requests, and
//! the match points with real replication.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::Value;

use quorate::types::{Body, NodeId};

use crate::answers::cases::{CaseFile, report};
use crate::harness::{Cluster, log, stored, terms, voters};

/// The term of the elections. Every node is in the previous term before them.
const TERM: u64 = 8;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Figure {
    #[serde(rename = "source")]
    _source: String,
    logs: BTreeMap<String, Vec<u64>>,
    majority: usize,
    /// The voters of each candidate, itself included.
    grants: BTreeMap<String, BTreeSet<String>>,
    can_win: BTreeMap<String, bool>,
    match_point_with_leader: BTreeMap<String, u64>,
    entries_missing: BTreeMap<String, u64>,
    entries_removed: BTreeMap<String, u64>,
}

impl Figure {
    fn versions() -> Vec<(String, Figure)> {
        let files = CaseFile::whole("figures/figure7.json").into_iter();
        let decode = |(name, value): (String, Value)| {
            let figure: Figure = serde_json::from_value(value).expect("the figure can be decoded");
            assert_eq!(figure.logs.len() / 2 + 1, figure.majority);
            (name, figure)
        };
        files.map(decode).collect()
    }

    /// Returns the node with this name; nodes are numbered in the order of their names.
    fn node(&self, name: &str) -> NodeId {
        let at = self.logs.keys().position(|other| other == name);
        NodeId(at.expect("the figure has the node") as u64 + 1)
    }

    fn cluster(&self) -> Cluster {
        let membership = voters(self.logs.len() as u64);
        let disk = |terms: &Vec<u64>| stored(membership.clone(), TERM - 1, None, 0, log(terms));
        Cluster::stored(self.logs.values().map(disk))
    }
}

#[test]
fn each_candidate_of_figure_7_gets_the_expected_votes() {
    for (name, figure) in Figure::versions() {
        for candidate in figure.logs.keys() {
            let id = figure.node(candidate);
            let mut cluster = figure.cluster();
            cluster.campaign(id);
            let granted = |voter: &&String| {
                let voter = figure.node(voter);
                voter == id
                    || cluster.network.sent().iter().any(|message| {
                        (message.from, message.to) == (voter, id)
                            && matches!(message.body, Body::RequestVoteReply { granted: true, .. })
                    })
            };
            let grants: BTreeSet<String> = figure.logs.keys().filter(granted).cloned().collect();
            assert_eq!(grants, figure.grants[candidate], "votes for {candidate}");
            assert_eq!(cluster.node(id).term(), TERM);
            assert_eq!(cluster.node(id).leads(), figure.can_win[candidate], "{candidate}");
            assert_eq!(grants.len() >= figure.majority, figure.can_win[candidate]);
        }
        report(&format!("{name} (candidates)"), figure.logs.len(), figure.logs.len());
    }
}

#[test]
fn the_leader_of_figure_7_makes_every_log_equal() {
    for (name, figure) in Figure::versions() {
        let leader = figure.node("leader");
        let mut cluster = figure.cluster();
        cluster.hold();
        cluster.campaign(leader);
        // One delivery at a time, to observe the first entries that each follower writes.
        let mut kept: BTreeMap<NodeId, u64> = BTreeMap::new();
        while cluster.deliver_next() {
            for follower in figure.logs.keys() {
                let id = figure.node(follower);
                let before = log(&figure.logs[follower]);
                let now = cluster.node(id).log();
                if now != before {
                    let equal = before.iter().zip(&now).take_while(|(a, b)| a == b).count();
                    kept.entry(id).or_insert(equal as u64);
                }
            }
        }
        cluster.release();
        let expected = cluster.node(leader).log();
        let mut led = figure.logs["leader"].clone();
        led.push(TERM);
        assert_eq!(terms(&expected), led, "the leader's log, and its own first entry");
        for (follower, terms) in &figure.logs {
            let id = figure.node(follower);
            assert_eq!(cluster.node(id).log(), expected, "{follower} follows");
            let match_point = kept[&id];
            assert_eq!(match_point, figure.match_point_with_leader[follower], "{follower}");
            let missing = figure.logs["leader"].len() as u64 - match_point;
            assert_eq!(missing, figure.entries_missing[follower], "{follower} lacks");
            let removed = terms.len() as u64 - match_point;
            assert_eq!(removed, figure.entries_removed[follower], "{follower} loses");
        }
        report(&format!("{name} (logs)"), figure.logs.len(), figure.logs.len());
    }
}
