//! Reports of tests that are skipped because the machine lacks something they need.

use std::io::Write;

/// Prints that the test `name` was skipped, as `SKIPPED name: reason`. The test must then return.
///
/// The line bypasses the test runner's capture, so that it is visible when the test passes;
/// `.ci/run` counts these lines.
pub(crate) fn skipped(name: &str, reason: &str) {
    assert!(!name.contains(' '), "the name is one word");
    let line = format!("SKIPPED {name}: {reason}\n");
    std::io::stdout().write_all(line.as_bytes()).expect("standard output is open");
}
