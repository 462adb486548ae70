//! A sync that fails, and a write that is cut in half, at many places of a load.

use std::path::PathBuf;

use quorate::types::Index;

use super::load::{Load, check};
use super::program::build;
use crate::skip::skipped;

const WRITES: usize = 300;
/// Where the fault strikes: while the store is made, opened, and under load.
const PLACES: [usize; 12] = [1, 2, 3, 5, 8, 13, 21, 34, 55, 89, 144, 150];

/// The shim, or none where it cannot be built.
fn shim(name: &str) -> Option<PathBuf> {
    let built = build("shim.rs", "cdylib", &format!("shim-{name}.so"));
    built.inspect_err(|reason| skipped(name, reason)).ok()
}

#[test]
fn a_failed_sync_is_final() {
    let Some(shim) = shim("a_failed_sync_is_final") else { return };
    let mut under_load = 0;
    for place in PLACES {
        let folder = tempfile::tempdir().expect("a directory for a test");
        let directory = folder.path().join("node");
        let preload = ("LD_PRELOAD", shim.display().to_string());
        let variables = [preload, ("QUORATE_FAIL_SYNC", place.to_string())];
        let mut load = Load::start(&directory, WRITES, &variables);
        assert!(!load.listen(usize::MAX), "it ends");
        let said = load.end();
        let failure = said.failure.as_ref();
        let failure = failure.unwrap_or_else(|| panic!("sync {place}: untold: {said:?}"));
        assert!(failure.contains("Input/output error"), "sync {place}: {failure}");
        under_load += usize::from(said.snapshot > Index::ZERO);
        check(&directory, &said);
    }
    assert!(under_load >= 3, "syncs failed under load, too: {under_load}");
}

#[test]
fn a_write_cut_in_half_is_recovered_from() {
    let Some(shim) = shim("a_write_cut_in_half_is_recovered_from") else { return };
    let mut under_load = 0;
    for place in PLACES.into_iter().chain([233, 377, 500, 610]) {
        let folder = tempfile::tempdir().expect("a directory for a test");
        let directory = folder.path().join("node");
        let preload = ("LD_PRELOAD", shim.display().to_string());
        let variables = [preload, ("QUORATE_TEAR_WRITE", place.to_string())];
        let mut load = Load::start(&directory, WRITES, &variables);
        assert!(!load.listen(usize::MAX), "it is killed");
        let said = load.end();
        assert_eq!(said.failure, None, "write {place}: it had no time to say anything");
        under_load += usize::from(said.snapshot > Index::ZERO);
        check(&directory, &said);
    }
    assert!(under_load >= 3, "writes were cut under load, too: {under_load}");
}
