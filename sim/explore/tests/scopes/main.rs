//! Every scope is exhausted within its short bounds, reaches the states that it exercises, and has
//! no violation. With a planted bug, the test of its scope fails with a shortest trace.

mod repair;

use quorate_explore::explore::{Reached, Report, Verdict, explore};
use quorate_explore::scopes;

/// Explores the scope within its short bounds.
fn reached(name: &str) -> Reached {
    let scope = scopes::named(name).expect("the scope exists").shortened();
    let Report { verdict, progress } = explore(&scope, 9_000_000, |_| true);
    if let Verdict::Violation { message, trace } = &verdict {
        panic!("{name}: {message}\n{trace}");
    }
    assert_eq!(verdict, Verdict::Exhausted, "{progress:?}");
    progress.reached
}

#[test]
fn election() {
    let Reached { terms, committed, .. } = reached("election");
    assert_eq!((terms, committed), (2, 2), "two leaders are elected, and commit");
}

#[test]
fn replication() {
    let Reached { terms, committed, .. } = reached("replication");
    assert_eq!((terms, committed), (2, 3), "the command is committed between two elections");
}

#[test]
fn crashes() {
    let Reached { terms, .. } = reached("crashes");
    assert_eq!(terms, 2, "another leader is elected after a crash");
}

#[test]
fn stickiness() {
    let Reached { terms, .. } = reached("stickiness");
    assert_eq!(terms, 2, "another leader is elected once the first one was silent");
}

#[test]
fn transfer() {
    let Reached { terms, committed, .. } = reached("transfer");
    assert_eq!((terms, committed), (2, 3), "another node leads, and the command is committed");
}

#[test]
fn remove() {
    let Reached { terms, changes, .. } = reached("remove");
    assert_eq!((terms, changes), (2, 1), "the change is complete, under two leaders");
}

#[test]
fn replace() {
    let Reached { terms, changes, .. } = reached("replace");
    assert_eq!((terms, changes), (2, 1), "the change is complete, under two leaders");
}

#[test]
fn two() {
    let Reached { terms, changes, .. } = reached("two");
    assert_eq!((terms, changes), (2, 1), "the casting vote moves to the second leader");
}

#[test]
fn four() {
    let Reached { terms, committed, .. } = reached("four");
    assert!(
        terms == 2 && committed > 1,
        "the half without the casting vote elects a leader with a vote of the other half"
    );
}

#[test]
fn leader_lease() {
    let Reached { terms, .. } = reached("leader-lease");
    assert_eq!(terms, 2, "another node leads after the lease expires");
}

#[test]
fn read_lease() {
    let Reached { committed, .. } = reached("read-lease");
    assert_eq!(
        committed, 2,
        "the command is committed, by the other node's acknowledgement or after its read lease"
    );
}

#[test]
fn survivor() {
    let Reached { terms, committed, changes } = reached("survivor");
    assert_eq!(terms, 2, "the last survivor leads");
    assert!(committed > 2 && changes > 0, "the last survivor makes progress alone");
}

#[test]
fn last() {
    let Reached { terms, committed, .. } = reached("last");
    assert!(terms > 2 && committed > 3, "the survivor leads again, and then another node");
}

#[test]
fn new_leader() {
    let Reached { terms, committed, .. } = reached("new-leader");
    assert_eq!((terms, committed), (2, 3), "the new leader commits the inherited entries");
}
