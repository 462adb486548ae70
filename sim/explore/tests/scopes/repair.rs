//! The repair model: every scope is exhausted within its short bounds without a violation, every
//! omission leads to a violation by a shortest trace, and every mask of damage ends as it has to.

use quorate_explore::explore::{Reached, Verdict};
use quorate_explore::repair::{self, Counts, OMISSIONS, explore};

/// Explores the scope within its short bounds.
fn explored(name: &str) -> (Reached, Counts) {
    let scope = repair::scopes::named(name).expect("the scope exists").shortened();
    let (report, counts) = explore(&scope, 1_000_000, |_| true);
    if let Verdict::Violation { message, trace } = &report.verdict {
        panic!("{name}: {message}\n{trace}");
    }
    assert_eq!(report.verdict, Verdict::Exhausted, "{:?}", report.progress);
    (report.progress.reached, counts)
}

#[test]
fn damage() {
    let (Reached { terms, committed, .. }, counts) = explored("repair-damage");
    assert_eq!((terms, committed), (3, 1), "three terms, one entry");
    assert_eq!(counts.stepped_down, 2, "two leaders cannot decide, and the third can");
    assert!(counts.may_halt > 0, "all copies of an entry are damaged");
}

#[test]
fn crash() {
    let (Reached { terms, committed, .. }, counts) = explored("repair-crash");
    assert_eq!((terms, committed), (2, 2), "entries of two leaders are committed");
    assert!(counts.may_halt > 0, "a crash and damage take both copies of an entry");
}

#[test]
fn late() {
    let (Reached { terms, committed, .. }, counts) = explored("repair-late");
    assert_eq!((terms, committed), (2, 2), "entries of two leaders are committed");
    assert_eq!(counts.may_halt, 0, "one damaged entry always has a copy, or is not committed");
}

#[test]
fn end() {
    let (Reached { terms, committed, .. }, counts) = explored("repair-end");
    assert_eq!((terms, committed), (2, 2), "an entry is committed under two leaders");
    assert!(counts.recovers > 0 && counts.may_halt > 0, "one uncertain end recovers, two do not");
}

#[test]
fn end_and_damage() {
    let (Reached { terms, committed, .. }, counts) = explored("repair-end-damage");
    assert_eq!((terms, committed), (2, 1), "an entry is committed under two leaders");
    assert!(counts.recovers > 0 && counts.may_halt > 0, "an entry has a copy, or may have none");
}

#[test]
fn rollback() {
    let (Reached { terms, committed, .. }, counts) = explored("repair-rollback");
    assert_eq!((terms, committed), (2, 2), "entries are committed before and after the loss");
    assert_eq!(counts.may_halt, 0, "one uncertain node is never needed");
}

#[test]
fn rollback_of_one_in_five() {
    let (Reached { terms, committed, .. }, counts) = explored("repair-rollback-five");
    assert_eq!((terms, committed), (2, 1), "either leader commits");
    assert_eq!(counts.may_halt, 0, "one uncertain node is never needed");
}

#[test]
fn erased() {
    let (Reached { committed, .. }, counts) = explored("repair-erased");
    assert_eq!(committed, 3, "entries without records are committed and repaired");
    assert_eq!(counts.may_halt, 0, "one damaged entry always has a copy, or is not committed");
}

#[test]
fn snapshot() {
    let (Reached { committed, .. }, counts) = explored("repair-snapshot");
    assert_eq!(committed, 2, "a snapshot covers committed entries");
    assert_eq!(counts.may_halt, 0, "a snapshot takes the place of a damaged entry");
}

#[test]
fn behind() {
    let (Reached { committed, .. }, counts) = explored("repair-behind");
    assert_eq!(committed, 3, "a snapshot ends before the last committed entry");
    assert!(counts.recovers > 0 && counts.may_halt > 0, "entries have an id, or do not");
}

#[test]
fn five() {
    let (Reached { terms, committed, .. }, _) = explored("repair-five");
    assert_eq!((terms, committed), (2, 1), "either leader commits");
}

#[test]
fn every_mask_is_safe() {
    let (Reached { terms, .. }, counts) = explored("repair-atlas");
    assert_eq!(terms, 2, "another node is elected after the damage");
    assert!(counts.recovers > 0 && counts.may_halt > 0, "entries keep a copy, or do not");
}

#[test]
fn every_mask_recovers_or_halts() {
    // Each of four entries has an intact copy in 7 of the 8 masks of its three copies.
    let expected = (7_u32.pow(4), 8_u32.pow(4) - 7_u32.pow(4));
    assert_eq!(expected, (2401, 1695));
    assert_eq!(repair::atlas(false), Ok(expected), "n1 leads");
    assert_eq!(repair::atlas(true), Ok(expected), "all nodes have started");
}

#[test]
fn every_omission_is_found() {
    for (omission, name, events) in OMISSIONS {
        let scope = repair::scopes::named(name).expect("the scope exists");
        let (report, _) = explore(&scope.shortened().without(omission), 1_000_000, |_| true);
        let Verdict::Violation { message, trace } = report.verdict else {
            panic!("{omission:?} is not found in {name}: {:?}", report.progress);
        };
        let found = trace.lines().filter(|line| !line.starts_with(' ')).count();
        assert_eq!(found, events, "{omission:?}: {message}\n{trace}");
        let is_of_progress = message.starts_with("progress");
        assert_eq!(is_of_progress, omission.is_of_progress(), "{omission:?}: {message}\n{trace}");
    }
}
