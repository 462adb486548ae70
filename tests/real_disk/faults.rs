//! A failing sync and a torn write, at many positions of a load.

use std::path::PathBuf;

use quorate::types::Index;

use super::load::{Load, check};
use crate::program::build;
use crate::skip::skipped;

const WRITES: usize = 300;
/// The numbers of the faulty calls: while the store is formatted, opened, and under load.
const POSITIONS: [usize; 12] = [1, 2, 3, 5, 8, 13, 21, 34, 55, 89, 144, 150];

/// Builds the shim; if it cannot be built here, reports the test as skipped and returns none.
fn shim(name: &str) -> Option<PathBuf> {
    let built = build("shim.rs", "cdylib", &format!("shim-{name}.so"));
    built.inspect_err(|reason| skipped(name, reason)).ok()
}

#[test]
fn a_failed_sync_is_final() {
    let Some(shim) = shim("a_failed_sync_is_final") else { return };
    let mut under_load = 0;
    for position in POSITIONS {
        let folder = tempfile::tempdir().expect("a directory for a test");
        let directory = folder.path().join("node");
        let preload = ("LD_PRELOAD", shim.display().to_string());
        let variables = [preload, ("QUORATE_FAIL_SYNC", position.to_string())];
        let mut load = Load::start(&directory, WRITES, &variables);
        assert!(!load.wait_for_reports(usize::MAX), "the load stops");
        let reported = load.end();
        let failure = reported.failure.as_ref();
        let failure =
            failure.unwrap_or_else(|| panic!("sync {position}: not reported: {reported:?}"));
        assert!(failure.contains("Input/output error"), "sync {position}: {failure}");
        under_load += usize::from(reported.snapshot > Index::ZERO);
        check(&directory, &reported);
    }
    assert!(under_load >= 3, "too few syncs failed under load: {under_load}");
}

#[test]
fn a_torn_write_is_recovered() {
    let Some(shim) = shim("a_torn_write_is_recovered") else { return };
    let mut under_load = 0;
    for position in POSITIONS.into_iter().chain([233, 377, 500, 610]) {
        let folder = tempfile::tempdir().expect("a directory for a test");
        let directory = folder.path().join("node");
        let preload = ("LD_PRELOAD", shim.display().to_string());
        let variables = [preload, ("QUORATE_TEAR_WRITE", position.to_string())];
        let mut load = Load::start(&directory, WRITES, &variables);
        assert!(!load.wait_for_reports(usize::MAX), "the load is killed");
        let reported = load.end();
        assert_eq!(reported.failure, None, "write {position}: a killed load reports no failure");
        under_load += usize::from(reported.snapshot > Index::ZERO);
        check(&directory, &reported);
    }
    assert!(under_load >= 3, "too few writes were torn under load: {under_load}");
}
