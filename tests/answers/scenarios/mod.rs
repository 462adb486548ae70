//! Scripts for a whole cluster: operations, and what must be true after them. After every
//! operation all messages are delivered, unless they are held, and the safety of Raft is checked.

mod language;
mod play;
mod script;

use crate::cases::{CaseFile, Verdict};
use play::{Play, Room};
use script::Scenario;

/// Runs every scenario of a file, with much room and with little; exactly those in `skips` are
/// not run.
fn run(name: &str, skips: &[&str]) {
    for file in CaseFile::versions(&format!("scenarios/{name}.json"), "scenarios") {
        file.run(skips, |case| match Scenario::understand(case) {
            Err(reason) => Verdict::Skipped(reason),
            Ok(scenario) => {
                for room in [Room::Plenty, Room::Cramped] {
                    println!("{} with {room:?}", case["id"]);
                    Play::new(&scenario, room).run(&scenario.steps);
                }
                Verdict::Passed
            }
        });
    }
}

#[test]
fn election() {
    run("election", &[]);
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

/// Of the scenarios of membership, those that do not keep a joint one, which is left here as soon
/// as it is committed, nor make a voter of a node that was not heard from. The specs of membership
/// show that both halves of a joint one decide, and that one votes who does not know it is a voter.
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
