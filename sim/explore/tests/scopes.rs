//! Every scope is exhausted within its short bounds, reaches what it is about, and nothing is
//! found. Run with a planted bug, the test of the scope fails with the shortest way to it.

use quorate_explore::explore::{Reached, Report, Verdict, explore};
use quorate_explore::scopes;

/// Explores the scope within its short bounds.
fn reached(name: &str) -> Reached {
    let scope = scopes::named(name).expect("there is such a scope").shortened();
    let Report { verdict, progress } = explore(&scope, 6_000_000, |_| true);
    if let Verdict::Found { what, trace } = &verdict {
        panic!("{name}: {what}\n{trace}");
    }
    assert_eq!(verdict, Verdict::Exhausted, "{progress:?}");
    progress.reached
}

#[test]
fn election() {
    let Reached { terms, committed, .. } = reached("election");
    assert_eq!((terms, committed), (2, 2), "two are elected, and commit");
}

#[test]
fn replication() {
    let Reached { terms, committed, .. } = reached("replication");
    assert_eq!((terms, committed), (2, 3), "the command is committed between two elections");
}

#[test]
fn crashes() {
    let Reached { terms, .. } = reached("crashes");
    assert_eq!(terms, 2, "another is elected after a crash");
}

#[test]
fn patience() {
    let Reached { terms, .. } = reached("patience");
    assert_eq!(terms, 2, "another is elected once the first is not fresh");
}

#[test]
fn transfer() {
    let Reached { terms, committed, .. } = reached("transfer");
    assert_eq!((terms, committed), (2, 3), "another leads, and the command is committed");
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
    assert_eq!((terms, changes), (2, 1), "the second leader takes the vote over");
}

#[test]
fn four() {
    let Reached { terms, committed, .. } = reached("four");
    assert!(terms == 2 && committed > 1, "the half without the vote elects one with another's");
}

#[test]
fn lease() {
    let Reached { terms, .. } = reached("lease");
    assert_eq!(terms, 2, "another leads once the lease is over");
}

#[test]
fn loan() {
    let Reached { committed, .. } = reached("loan");
    assert_eq!(committed, 2, "the command is committed, with the other or after its loan");
}

#[test]
fn survivor() {
    let Reached { terms, committed, changes } = reached("survivor");
    assert_eq!(terms, 2, "the last one leads");
    assert!(committed > 2 && changes > 0, "and goes on alone");
}

#[test]
fn last() {
    let Reached { terms, committed, .. } = reached("last");
    assert!(terms > 2 && committed > 3, "who was there leads again, and then another");
}

#[test]
fn heir() {
    let Reached { terms, committed, .. } = reached("heir");
    assert_eq!((terms, committed), (2, 3), "the next leader commits what it inherits");
}
