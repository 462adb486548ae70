//! Scenarios of a whole cluster: operations and expectations. After every operation all messages
//! are delivered, unless they are held, and the safety of Raft is checked.

mod language;
mod play;
mod script;

use crate::answers::cases::{CaseFile, Verdict};
use play::{Bounds, Play};
use script::Scenario;

/// Runs every scenario of a file, with wide bounds and with tight ones; exactly those in `skips`
/// are not run.
fn run(name: &str, skips: &[&str]) {
    for file in CaseFile::versions(&format!("scenarios/{name}.json"), "scenarios") {
        file.run(skips, |case| match Scenario::parse(case) {
            Err(reason) => Verdict::Skipped(reason),
            Ok(_) if case["id"] == DUEL => {
                Verdict::Skipped("the candidate ends its campaign earlier".to_owned())
            }
            Ok(scenario) => {
                for bounds in [Bounds::Wide, Bounds::Tight] {
                    println!("{} with {bounds:?}", case["id"]);
                    Play::new(&scenario, bounds).run(&scenario.steps);
                }
                Verdict::Passed
            }
        });
    }
}

/// A scenario in which a candidate that lacks a committed entry stays a candidate until the network
/// is healed. Here it becomes a follower as soon as a voter's reply names a commit index after its
/// log, as `tests/specs/uncertain/commit_index_of_a_voter_ends_a_campaign.txt` shows.
const DUEL: &str = "dueling-candidates";

#[test]
fn election() {
    run("election", &[DUEL]);
}

#[test]
fn check_quorum() {
    run("check_quorum", &["add-node-not-immediately-fatal"]);
}

#[test]
fn replication() {
    run("replication", &["reordered-appends"]);
}

#[test]
fn reads() {
    run("reads", &[]);
}

#[test]
fn figures() {
    run("figures", &[]);
}

/// Runs the membership scenarios, except those that keep a joint membership, which a leader here
/// leaves as soon as it is committed, and those that promote a node that was not heard from. The
/// membership specs show that both halves of a joint membership decide, and that a node votes
/// before it knows that it is a voter.
#[test]
fn membership() {
    let skips = [
        "learner-must-vote",
        "joint-needs-both-majorities",
        "joint-election-needs-both-majorities",
    ];
    run("membership", &skips);
}

#[test]
fn transfer() {
    run("transfer", &[]);
}

#[test]
fn ccf_regressions() {
    run("ccf_regressions", &["figure8-as-ccf"]);
}
